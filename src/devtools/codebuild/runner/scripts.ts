/**
 * The two shell scripts that run a build's commands inside the machine. Plain POSIX sh, builtins only where users' state is loaded, so
 * that a build which breaks its own PATH or defines odd functions breaks nothing but itself.
 *
 * Why a driver with one child per command, and not one long shell: `exit`, `exec`, `set -e`, a syntax error or an EXIT trap in a command
 * end that child and nothing more; its status is known; and background jobs live on, since the driver's process (and so the machine's
 * process namespace) stays. State goes from command to command by files, as CodeBuild's own agent does it: exported variables (with
 * `set -a` all assigned ones), the working directory, and for bash its functions.
 */

/**
 * `driver.sh DIR SOURCE MARK`. Reads requests from standard input, one a line: `MODE SHELL FILE SUCCEEDING USER` with MODE `keep` (state from and to the
 * state files), `fresh` (the build's first environment, nothing kept) or `peek` (state loaded, nothing kept). After each command it writes
 * `RS MARK SPACE status RS` into the output. DIR/bin, the last of PATH, has the programs of programs.ts.
 */
export const DRIVER = `exec 2>&1
dir=$1 source=$2 mark=$3
PATH=\${PATH:-/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin}:$dir/bin
export PATH
posix_shell=$(command -v sh)
bash=$(command -v bash)
while read -r mode shell file succeeding user; do
  case $shell in
    bash) program=$bash flag= ;;
    *) if [ -n "$bash" ]; then program=$bash flag=--posix; else program=$posix_shell flag=; fi ;;
  esac
  if [ -z "$program" ]; then
    printf '%s\\n' "$shell: not found"
    status=127
  elif [ "$mode" != fresh ] && [ -s "$dir/state/env" ]; then
    env -i "$program" $flag "$dir/run.sh" "$dir" "$source" "$mode" "$file" "$succeeding" "$user" </dev/null
    status=$?
  else
    "$program" $flag "$dir/run.sh" "$dir" "$source" "$mode" "$file" "$succeeding" "$user" </dev/null
    status=$?
  fi
  printf '\\036%s %s\\036' "$mark" "$status"
done
`;

/** `run.sh DIR SOURCE MODE FILE SUCCEEDING USER`: loads the state, runs one command file, saves the state however the command ends. */
export const RUN = `__cb_dir=$1 __cb_source=$2 __cb_mode=$3 __cb_file=$4 __cb_succeeding=$5 __cb_user=$6
set --
if [ "$__cb_mode" != fresh ] && [ -s "$__cb_dir/state/env" ]; then
  . "$__cb_dir/state/env"
  [ -z "$BASH_VERSION" ] || . "$__cb_dir/state/functions"
  IFS= read -r __cb_cwd <"$__cb_dir/state/cwd"
  cd "$__cb_cwd" 2>/dev/null || cd "$__cb_source" || exit
else
  cd "$__cb_source" || exit
fi
CODEBUILD_BUILD_SUCCEEDING=$__cb_succeeding
export CODEBUILD_BUILD_SUCCEEDING
__cb_home=$HOME
if [ "$__cb_user" ]; then
  eval "HOME=~$__cb_user"
  export HOME
fi
__cb_save() {
  __cb_status=$?
  set +aeux
  # Assigned under "set -a", so exported: take that back.
  set -- "$__cb_status"
  unset __cb_status
  __cb_status=$1
  [ "$__cb_mode" = keep ] || return "$__cb_status"
  __cb_mode=saved
  CODEBUILD_LAST_EXIT=$__cb_status
  export CODEBUILD_LAST_EXIT
  [ -z "$__cb_user" ] || HOME=$__cb_home
  __cb_mask=$(umask)
  umask 0
  export -p >"$__cb_dir/state/env"
  printf '%s\\n' "$PWD" >"$__cb_dir/state/cwd"
  [ -z "$BASH_VERSION" ] || declare -f >"$__cb_dir/state/functions"
  umask "$__cb_mask"
  return "$__cb_status"
}
trap '{ __cb_save; } 2>/dev/null' EXIT
set -a
. "$__cb_dir/commands/$__cb_file"
{ __cb_save; } 2>/dev/null
`;
