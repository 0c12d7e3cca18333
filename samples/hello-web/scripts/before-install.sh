#!/bin/sh
# BeforeInstall: checks that this host can run the application.
. "$(dirname "$0")/common.sh"

if ! command -v node > /dev/null; then
  echo "Node.js is not installed." >&2
  exit 1
fi
mkdir -p "$state"
echo "Node.js $(node --version) will serve on port $PORT as $INSTANCE."
