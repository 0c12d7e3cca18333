#!/bin/sh
# ApplicationStart: starts the server in a session of its own, so that it outlives this script. Its outputs go to a file: the agent
# fails an event whose script leaves its own outputs open.
. "$(dirname "$0")/common.sh"

if [ -n "$(server_pid)" ]; then
  "$(dirname "$0")/stop.sh"
fi
mkdir -p "$state"
detach="nohup"
if command -v setsid > /dev/null; then
  detach="setsid nohup"
fi
$detach node "$app/src/server.js" < /dev/null >> "$log_file" 2>&1 &
echo "$!" > "$pid_file"
echo "Started the server (process $!) on port $PORT."
