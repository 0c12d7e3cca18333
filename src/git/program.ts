/** The git program, started so that nothing of the host's or of a repository's configuration can change what it does. */
import { type ChildProcess, spawn } from 'node:child_process';
import { constants, setPriority } from 'node:os';
import type { Readable } from 'node:stream';
import { streamed } from '../platform/stream-garbage.ts';

/** Where a git process works: a directory with HEAD, config and refs, and the objects, which live apart from it (see cache.ts). */
export interface GitPlace {
  gitDir: string;
  objects: string;
  /** Further object directories to read from. */
  alternates?: string[];
}

/** Settings that hold for every git process; they win over a repository's config file. */
const settings: [key: string, value: string][] = [
  ['safe.directory', '*'],
  ['core.hooksPath', '/dev/null'],
  ['core.fsmonitor', 'false'],
  ['core.multiPackIndex', 'true'],
  ['gc.auto', '0'],
  ['maintenance.auto', 'false'],
  ['protocol.allow', 'never'],
  // Bounds what is mapped at once of packs, so that many processes side by side stay small.
  ['core.packedGitWindowSize', '64m'],
  ['core.packedGitLimit', '1g'],
];

function environment(place: GitPlace | undefined, more: Record<string, string>): Record<string, string> {
  const env: Record<string, string> = {
    PATH: process.env.PATH ?? '/usr/local/bin:/usr/bin:/bin',
    HOME: '/dev/null',
    LC_ALL: 'C',
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_CONFIG_GLOBAL: '/dev/null',
    GIT_ATTR_NOSYSTEM: '1',
    GIT_TERMINAL_PROMPT: '0',
    // Anybody who may push can push refs/replace/*; it must not change what others read.
    GIT_NO_REPLACE_OBJECTS: '1',
    GIT_CONFIG_COUNT: String(settings.length),
    ...more,
  };
  for (const [index, [key, value]] of settings.entries()) {
    env[`GIT_CONFIG_KEY_${index}`] = key;
    env[`GIT_CONFIG_VALUE_${index}`] = value;
  }
  if (place) {
    env.GIT_DIR = place.gitDir;
    env.GIT_OBJECT_DIRECTORY = place.objects;
    if (place.alternates?.length) env.GIT_ALTERNATE_OBJECT_DIRECTORIES = place.alternates.join(':');
  }
  return env;
}

/** From the request to end to the end by force. */
const GRACE_MS = 2000;

export interface SpawnOptions {
  place?: GitPlace;
  env?: Record<string, string>;
  /** Bytes of private memory the process may have; beyond that git ends with "out of memory". Linux only. */
  memoryLimit?: number;
  /** The process leads a group of its own, with all that it starts: `signal` ends them by TERM, and by KILL if they do not go. */
  group?: boolean;
  /** Descriptor of a file that takes what it says, in the place of a pipe. */
  stdout?: number;
  /** Nobody waits for it: whoever is waited for goes first. */
  background?: boolean;
  signal?: AbortSignal;
}

/** Starts git with pipes. Aborting `signal` kills it. */
export function spawnGit(args: string[], options: SpawnOptions = {}): ChildProcess {
  const env = environment(options.place, options.env ?? {});
  const common = {
    env,
    cwd: '/',
    detached: options.group ?? false,
    stdio: ['pipe', options.stdout ?? 'pipe', 'pipe'] as ['pipe', 'pipe', 'pipe'],
  };
  const child = options.memoryLimit
    ? // RLIMIT_DATA and not RLIMIT_AS: packs are mapped, and maps of files are no danger.
      spawn(
        '/bin/sh',
        ['-c', 'ulimit -d "$1" 2>/dev/null; shift; exec git "$@"', 'git', String(Math.ceil(options.memoryLimit / 1024)), ...args],
        common,
      )
    : spawn('git', args, common);
  if (options.background && child.pid !== undefined) stepBack(child.pid);
  // A process that ends early closes its pipes; the exit status tells what happened, EPIPE does not.
  child.stdin!.on('error', () => {});
  const { signal } = options;
  if (signal) {
    const kill = () => (options.group ? endGroup(child) : child.kill('SIGKILL'));
    if (signal.aborted) kill();
    signal.addEventListener('abort', kill, { once: true });
    child.once('close', () => signal.removeEventListener('abort', kill));
  }
  return child;
}

/** As long as the leader lives its number is nobody else's. */
function endGroup(child: ChildProcess): void {
  const send = (signal: NodeJS.Signals) => {
    if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
    try {
      process.kill(-child.pid, signal);
    } catch {
      // It has just ended.
    }
  };
  send('SIGTERM');
  setTimeout(() => send('SIGKILL'), GRACE_MS).unref();
}

/** Is there a process of this number on this host? */
export function isAlive(pid: number): boolean {
  if (!(pid > 0)) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

function stepBack(pid: number): void {
  try {
    setPriority(pid, constants.priority.PRIORITY_BELOW_NORMAL);
  } catch {
    // It has ended already.
  }
}

/** How a process ended; `startError` when there is no git program at all. */
export function exitOf(child: ChildProcess): Promise<{ code: number | null; signal: NodeJS.Signals | null }> {
  return new Promise((resolve, reject) => {
    child.once('error', (error) => reject(new Error(`git could not be started: ${error.message}`, { cause: error })));
    child.once('close', (code, signal) => resolve({ code, signal }));
  });
}

export interface RunResult {
  /** null when a signal ended it. */
  code: number | null;
  stdout: Buffer;
  /** The last 8 kB of what it said. */
  stderr: string;
}

/** Runs git to its end. `onStderr` sees its progress as it is written. */
export async function runGit(
  args: string[],
  options: SpawnOptions & { input?: Readable | Uint8Array | string; onStderr?: (chunk: Buffer) => void; maxOutput?: number } = {},
): Promise<RunResult> {
  const child = spawnGit(args, options);
  const exit = exitOf(child);
  const stdout: Buffer[] = [];
  let size = 0;
  let stderr = '';
  child.stdout!.on('data', (chunk: Buffer) => {
    size += chunk.length;
    if (size > (options.maxOutput ?? 64 * 1024 * 1024)) child.kill('SIGKILL');
    else stdout.push(chunk);
  });
  child.stderr!.on('data', (chunk: Buffer) => {
    stderr = (stderr + chunk.toString()).slice(-8192);
    options.onStderr?.(chunk);
  });
  const { input } = options;
  if (input === undefined || typeof input === 'string' || input instanceof Uint8Array) child.stdin!.end(input);
  else feed(child, input);
  const { code } = await exit;
  return { code, stdout: Buffer.concat(stdout), stderr };
}

/**
 * Streams `input` into the process. When the process has heard enough (or died) the input is let go, not destroyed: it may be a request
 * whose sender still waits for an answer. When the input breaks off, the process is killed: it must not take the part for the whole.
 */
export function feed(child: ChildProcess, input: Readable): void {
  const stdin = child.stdin!;
  const brokeOff = () => {
    if (!input.readableEnded) child.kill('SIGKILL');
  };
  input.once('error', brokeOff);
  input.once('close', brokeOff);
  if (input.destroyed) brokeOff();
  stdin.once('close', () => {
    input.unpipe(stdin);
    input.off('close', brokeOff);
    input.off('error', brokeOff);
    // The rest is nobody's: a request is read to its end so that its sender can read the answer.
    if (!input.destroyed) input.on('error', () => {}).resume();
  });
  input.on('data', (chunk: Buffer) => streamed(chunk.length)).pipe(stdin);
}

/** Fails with what to install when git is missing or older than 2.38 (cat-file --batch-command with -z, protected safe.directory). */
export async function requireGit(): Promise<string> {
  const result = await runGit(['version']).catch((error: Error) => {
    throw new Error(
      `Penstock needs the git program (2.38 or newer) on the PATH: ${error.message}. Install it, e.g. with "apt-get install git".`,
    );
  });
  const version = /(\d+)\.(\d+)[.\d]*/.exec(result.stdout.toString());
  const [major, minor] = [Number(version?.[1]), Number(version?.[2])];
  if (!version || major < 2 || (major === 2 && minor < 38)) {
    throw new Error(`Penstock needs git 2.38 or newer, this is "${result.stdout.toString().trim()}".`);
  }
  return version[0];
}
