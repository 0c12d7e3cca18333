#!/bin/sh
# ApplicationStop: ends the running server, if there is one.
. "$(dirname "$0")/common.sh"

pid="$(server_pid)"
if [ -z "$pid" ]; then
  echo "No server is running."
  exit 0
fi
kill -TERM "$pid"
tries=0
while [ -n "$(server_pid)" ]; do
  tries=$((tries + 1))
  if [ "$tries" -gt 50 ]; then
    echo "The server does not end; killing it."
    kill -KILL "$pid"
    break
  fi
  sleep 0.1
done
rm -f "$pid_file"
echo "Stopped the server (process $pid)."
