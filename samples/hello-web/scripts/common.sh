# Where this instance's application is, and its settings. To be sourced.
#
# Penstock's agent sets PENSTOCK_ROOT when it was started with --root: all paths of the appspec are below it then, so several
# instances, each with its own root, can share one host without root rights. On a host of its own it is not set.

set -eu
root="${PENSTOCK_ROOT:-}"
app="$root/opt/hello-web"
state="$root/var/lib/hello-web"
pid_file="$state/server.pid"
log_file="$state/server.log"

HOST=127.0.0.1
PORT=8080
INSTANCE="$(hostname)"
if [ -f "$root/etc/hello-web/instance.env" ]; then
  . "$root/etc/hello-web/instance.env"
fi
export HOST PORT INSTANCE

# The process of this instance's server, or nothing. A number that another program has by now does not count.
server_pid() {
  [ -f "$pid_file" ] || return 0
  pid="$(cat "$pid_file")"
  if [ -r "/proc/$pid/cmdline" ]; then
    command="$(tr '\0' ' ' < "/proc/$pid/cmdline")"
  else
    command="$(ps -p "$pid" -o args= 2>/dev/null || true)"
  fi
  case "$command" in
    *"$app/src/server.js"*) echo "$pid" ;;
  esac
}
