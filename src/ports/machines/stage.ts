import { ExecStartError } from './port.ts';
import { markName } from './proc.ts';

/** One command as it shall begin: paths as seen inside. */
export interface Stage {
  argv: string[];
  cwd: string;
  /** The whole environment; nothing else is inherited. */
  env: Record<string, string>;
  hasInput: boolean;
}

/** Which ways lead from a stage to the server; shell words and redirections. */
export interface StageEnds {
  /** The command that reports `text`, a shell word. */
  report(text: string): string;
  /** Redirections of the command, for its input and so that it does not inherit the report's way. */
  redirect(hasInput: boolean): string;
  /** Variables that the shell itself was started with and the command shall not see. */
  unset: string[];
}

/** File descriptors of the shell that runs the stage. Its own script comes by standard input. */
export const statusFd = 3;
export const inputFd = 4;
/** What the stage writes to {@link statusFd} just before it becomes the command; anything else is the reason why it could not. */
export const started = 'started';

/** The ways of a stage on this host: file descriptors of its own, the script by standard input. */
const localEnds: StageEnds = {
  report: (text) => `printf %s ${text} >&${statusFd}`,
  redirect: (hasInput) => `<${hasInput ? `&${inputFd}` : '/dev/null'} ${statusFd}>&- ${inputFd}<&-`,
  unset: [markName],
};

/** Linux's limits for one string and for all of the arguments and environment (with the default stack limit); execve(2). */
const maxString = 128 * 1024 - 1;
const maxTotal = 2 * 1024 * 1024 - 4096;

/**
 * The script by which a shell, already at its place inside, becomes the command.
 *
 * It goes through a pipe and not through arguments, because arguments can be read by every user of the host and environments hold
 * secrets. The shells and tools that run outside on the way never see the command's environment: an LD_PRELOAD in it would be theirs too.
 * The checks before the start tell "could not be started" from a command that itself ends with 126 or 127.
 */
export function stageScript(stage: Stage, ends: StageEnds = localEnds): string {
  const { argv, cwd, env } = stage;
  const program = argv[0];
  if (!program) throw new ExecStartError('no command given');
  checkStrings(argv, env);
  const plain = Object.entries(env).filter(([name]) => canExport(name));
  const odd = Object.entries(env).filter(([name]) => !canExport(name));
  const words = odd.length > 0 ? ['env', ...odd.map(([name, value]) => `${name}=${value}`), ...argv] : argv;
  const exists = program.includes('/')
    ? `[ -f ${quote(program)} ] && [ -x ${quote(program)} ]`
    : `command -v ${quote(program)} >/dev/null 2>&1`;
  return [
    `refuse() { ${ends.report('"$1"')}; exit 126; }`,
    'umask 022',
    'ulimit -c 0',
    `cd ${quote(cwd)} 2>/dev/null || refuse ${quote(`cannot enter the directory ${cwd}`)}`,
    `unset ${ends.unset.join(' ')} OLDPWD`,
    ...plain.map(([name, value]) => `export ${name}=${quote(value)}`),
    `{ ${exists}; } || refuse ${quote(`${program}: not found, or not executable`)}`,
    ends.report(started),
    `exec ${words.map(quote).join(' ')} ${ends.redirect(stage.hasInput)}`,
    '',
  ].join('\n');
}

/** Whether a shell can export a variable of that name to any value. The others, which the kernel allows, go through env(1). */
function canExport(name: string): boolean {
  return /^[A-Za-z_][A-Za-z0-9_]*$/.test(name) && !shellsOwn.has(name);
}

/** Variables that some shell keeps read-only or gives a meaning to. */
const shellsOwn = new Set(['UID', 'EUID', 'PPID', 'IFS', 'OPTIND', 'LINENO', 'BASHOPTS', 'SHELLOPTS', 'BASH_VERSINFO', '_']);

function checkStrings(argv: string[], env: Record<string, string>): void {
  let total = 0;
  for (const text of [...argv, ...Object.entries(env).map(([name, value]) => `${name}=${value}`)]) {
    if (text.includes('\0')) throw new ExecStartError('an argument or environment variable holds a NUL character');
    const size = Buffer.byteLength(text);
    if (size > maxString) throw new ExecStartError(`an argument or environment variable is longer than ${maxString} bytes`);
    total += size + 9;
  }
  if (total > maxTotal) throw new ExecStartError(`arguments and environment are larger than ${maxTotal} bytes together`);
  const bad = Object.keys(env).find((name) => name === '' || name.includes('='));
  if (bad !== undefined) throw new ExecStartError(`${JSON.stringify(bad)} cannot be the name of an environment variable`);
}

/** One word for a POSIX shell, whatever it holds. */
export function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
