import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Readable, Writable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { identify, type ProcessIdentity, signalGroup } from './processes.ts';
import type { AccountSwitch } from './run-as.ts';

/** How a script ended. */
export type ScriptEnd =
  | { kind: 'exit'; code: number }
  | { kind: 'signal'; signal: string }
  | { kind: 'timeout' }
  | { kind: 'outputs-open' }
  | { kind: 'aborted' };

export interface ScriptRun {
  command: AccountSwitch;
  env: NodeJS.ProcessEnv;
  cwd: string;
  timeoutSeconds: number;
  onLine(source: 'stdout' | 'stderr', line: string): void;
  /** Called with the script's process before the script's first instruction; it begins once this is done. */
  onStart(process: ProcessIdentity): Promise<void>;
  /** Ends the script early. */
  signal: AbortSignal;
}

/** Between the two signals to a script that has used up its time. */
const TERM_TO_KILL_MS = 5_000;

/** What a timer can count; some 25 days. */
const LONGEST_DELAY_MS = 2 ** 31 - 1;

/** Longer lines of output are broken, so that a script without line ends cannot fill the memory. */
const LONGEST_LINE = 64 * 1024;

/**
 * Waits on descriptor 3 for the word, then becomes the script. If the agent dies before it has recorded this process, the pipe closes
 * and the script never begins; so no script runs that a restarted agent would not know of.
 */
const GATE = 'IFS= read -r word <&3 && [ "$word" = go ] || exit 1; exec 3<&-; exec "$@"';

/** Runs a script in a process group of its own. Its time covers the outputs too: whoever holds them open must let go by then. */
export async function runScript(run: ScriptRun): Promise<ScriptEnd> {
  const { command, env, cwd, timeoutSeconds } = run;
  const child = spawn('/bin/sh', ['-c', GATE, 'sh', ...command.argv], {
    env,
    cwd,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
    ...(command.uid !== undefined && { uid: command.uid, gid: command.gid }),
  });
  const ended = endOf(child);
  const outputs = [
    readLines(child.stdout!, (line) => run.onLine('stdout', line)),
    readLines(child.stderr!, (line) => run.onLine('stderr', line)),
  ];
  try {
    await openGate(child, run.onStart);
    const deadline = new AbortController();
    const cut = Promise.race([
      delay(Math.min(timeoutSeconds * 1000, LONGEST_DELAY_MS), 'timeout' as const, { signal: deadline.signal }).catch(
        () => 'timeout' as const,
      ),
      aborted(run.signal, deadline.signal),
    ]);
    try {
      const end = await Promise.race([ended, cut]);
      if (typeof end === 'string') {
        await killGroup(child);
        return { kind: end };
      }
      const closed = await Promise.race([Promise.all(outputs), cut]);
      return typeof closed === 'string' ? { kind: 'outputs-open' } : end;
    } finally {
      deadline.abort();
    }
  } catch (error) {
    await killGroup(child);
    throw error;
  } finally {
    child.stdout?.destroy();
    child.stderr?.destroy();
  }
}

/** Answers once the signal aborts; it is no longer listened to once `until` does. */
async function aborted(signal: AbortSignal, until: AbortSignal): Promise<'aborted'> {
  if (!signal.aborted) await once(signal, 'abort', { signal: until }).catch(() => undefined);
  return 'aborted';
}

async function openGate(child: ChildProcess, onStart: ScriptRun['onStart']): Promise<void> {
  const gate = child.stdio[3] as Writable;
  gate.on('error', () => undefined); // The process is gone already; its end tells why.
  if (child.pid === undefined) throw (await once(child, 'error'))[0];
  const identity = identify(child.pid);
  if (identity) await onStart(identity);
  gate.end('go\n');
}

function endOf(child: ChildProcess): Promise<ScriptEnd> {
  return new Promise((resolve) => {
    child.once('exit', (code, signal) => resolve(signal ? { kind: 'signal', signal } : { kind: 'exit', code: code ?? 1 }));
    child.once('error', () => undefined);
  });
}

/** Asks the whole group to end, then makes it. */
async function killGroup(child: ChildProcess): Promise<void> {
  const group = child.pid;
  if (group === undefined || !signalGroup(group, 'SIGTERM')) return;
  const patience = Date.now() + TERM_TO_KILL_MS;
  while (Date.now() < patience) {
    await delay(50);
    if (!groupExists(group)) return;
  }
  signalGroup(group, 'SIGKILL');
}

function groupExists(group: number): boolean {
  try {
    process.kill(-group, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

async function readLines(stream: Readable, onLine: (line: string) => void): Promise<void> {
  let rest = '';
  stream.setEncoding('utf8');
  try {
    for await (const chunk of stream) {
      const lines = `${rest}${chunk}`.split('\n');
      rest = lines.pop()!;
      for (const line of lines) onLine(line);
      for (; rest.length > LONGEST_LINE; rest = rest.slice(LONGEST_LINE)) onLine(rest.slice(0, LONGEST_LINE));
    }
  } catch {
    // Destroyed at the deadline: what came until then stands.
  }
  if (rest !== '') onLine(rest);
}
