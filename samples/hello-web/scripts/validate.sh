#!/bin/sh
# ValidateService: passes once the new version answers.
. "$(dirname "$0")/common.sh"

if ! node "$(dirname "$0")/validate.js" "http://$HOST:$PORT/health" "$app/version.json"; then
  echo "The end of the server's log:" >&2
  tail -n 20 "$log_file" >&2
  exit 1
fi
