#!/bin/sh
# AfterInstall: checks what was installed.
. "$(dirname "$0")/common.sh"

node --check "$app/src/server.js"
echo "Installed $(cat "$app/version.json")"
