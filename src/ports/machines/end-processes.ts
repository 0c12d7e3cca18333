/**
 * Ends an exec's processes, or all of a machine's, from inside of it: for engines that know a container but not what belongs to one command.
 *
 * `$1` what marks them in their environment, or nothing for all; `$2` the pid that began their session, or 0; `$3` steps of 50 ms between TERM
 * and KILL. Prints `gone` when none is left. Only what a POSIX shell can do by itself, so that it needs no programs of the image and, once it
 * runs, no further process while a fork bomb holds all of them: only the waiting between TERM and KILL forks.
 *
 * Session 1 is the machine's own: its first process and what keeps it alive. The marks are found as in process-set.ts; shells leave the
 * NULs between variables out, so a mark must end in something that no other goes on with.
 */
export const endProcesses = `mark=$1 leader=$2 steps=$3 self=$$
slurp() { text= line=; while IFS= read -r line || [ "$line" ]; do text="$text $line"; line=; done <"$1"; } 2>/dev/null
belongs() {
  [ "$mark" ] || return 0
  if [ "$leader" != 0 ]; then case $leader in "$3" | "$4") return 0 ;; esac; fi
  slurp "/proc/$pid/environ" || return 1
  case $text in *"$mark"*) return 0 ;; esac
  return 1
}
find_all() {
  pids=
  for directory in /proc/[0-9]*; do
    pid=\${directory#/proc/}
    slurp "$directory/stat" || continue
    set -- \${text##*) }
    case $1 in Z | X | '') continue ;; esac
    case $4 in 1 | "$self") continue ;; esac
    [ "$pid" = "$self" ] || ! belongs "$@" || pids="$pids $pid"
  done
  [ "$pids" ] || { echo gone; exit 0; }
}
find_all
if [ "$steps" -gt 0 ]; then
  kill -TERM $pids
  while [ "$steps" -gt 0 ]; do
    sleep 0.05 || sleep 1
    steps=$((steps-1))
    find_all
  done
fi 2>/dev/null
rounds=0
while [ "$rounds" -lt 3000 ]; do
  kill -KILL $pids 2>/dev/null
  find_all
  rounds=$((rounds+1))
done
exit 1`;
