import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync } from 'node:fs';
import { Socket } from 'node:net';
import { Readable, type Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { Output } from './output.ts';
import type { Pipe, Pipes } from './pipes.ts';
import { type ExecResult, type ExecSpec, ExecStartError } from './port.ts';
import { isOutside, signalProcess } from './proc.ts';
import { type ProcessSet, terminate } from './process-set.ts';
import { stageScript, started, statusFd } from './stage.ts';

/** How a command gets to its place: what a driver decides about an exec. */
export interface Way {
  /** Program and arguments that run another program at the right place, such as nsenter; may be empty. */
  enter: string[];
  /** Whether `enter` stays as the parent of the command, only to report how it ended. Such a parent must not get TERM itself. */
  entererStays: boolean;
  /** The environment of everything before the command. Never the server's: it holds secrets, and must not hold the user's either. */
  entererEnv: Record<string, string>;
  /** cgroup.procs files to be joined on the way. */
  joinFiles: string[];
  /** Aborted when the machine is stopped. */
  halt: AbortSignal;
  /** All processes of this exec, once the leader's pid is known. */
  processes(leader: number): ProcessSet;
  env: Record<string, string>;
  cwd: string;
}

const defaultGraceMs = 5000;

/** `sh -c joiner sh COUNT FILE… PROGRAM…`: joins the control groups, then becomes the program. No group, no start. */
export const joiner = 'n=$1; shift; while [ "$n" -gt 0 ]; do echo 0 >"$1" || exit 126; shift; n=$((n-1)); done; exec "$@"';

/** Runs one command to its end. See {@link import('./port.ts').Machine.exec} for the promises. */
export async function run(way: Way, command: ExecSpec, pipes: Pipes): Promise<ExecResult> {
  const signal = command.signal;
  const script = stageScript({ argv: command.argv, cwd: way.cwd, env: way.env, hasInput: command.stdin !== undefined });
  const stdin = command.stdin === undefined ? undefined : await pipes.take();
  const stdout = await pipes.take();
  const stderr = await pipes.take();
  const execution = new Execution(way, command);
  try {
    if (signal?.aborted) return { exitCode: null, signal: null, oomKilled: false, aborted: true };
    if (way.halt.aborted) throw new ExecStartError('the machine is stopped');
    way.halt.addEventListener('abort', execution.halt, { once: true });
    await execution.start(script, stdout, stderr, stdin);
    signal?.addEventListener('abort', execution.abort, { once: true });
    if (signal?.aborted) execution.abort();
    return await execution.result();
  } finally {
    signal?.removeEventListener('abort', execution.abort);
    way.halt.removeEventListener('abort', execution.halt);
    if (!execution.begun) for (const pipe of [stdin, stdout, stderr]) closePipe(pipe);
  }
}

class Execution {
  begun = false;
  readonly #way: Way;
  readonly #command: ExecSpec;
  #child!: ChildProcess;
  #exited!: Promise<[number | null, NodeJS.Signals | null]>;
  #output!: Output;
  #input: Writable | undefined;
  #running = false;
  #hasExited = false;
  #aborted = false;
  #ending: Promise<void> | undefined;
  #failure: { error: unknown } | undefined;

  constructor(way: Way, command: ExecSpec) {
    this.#way = way;
    this.#command = command;
  }

  /** Starts the way to the command. After this the pipes' ends have other owners. */
  async start(script: string, stdout: Pipe, stderr: Pipe, stdin: Pipe | undefined): Promise<void> {
    const { enter, joinFiles, entererEnv } = this.#way;
    this.#child = spawn('/bin/sh', ['-c', joiner, 'sh', String(joinFiles.length), ...joinFiles, ...enter, '/bin/sh'], {
      cwd: '/',
      env: entererEnv,
      // A session of its own: no terminal to be reached, and a process group to be found by.
      detached: true,
      stdio: ['pipe', stdout.write, stderr.write, 'pipe', stdin ? stdin.read : 'ignore'],
    });
    this.#exited = once(this.#child, 'exit').then((result) => {
      this.#hasExited = true;
      return result as [number | null, NodeJS.Signals | null];
    });
    this.#exited.catch(() => undefined);
    await once(this.#child, 'spawn').catch((error) => {
      throw new ExecStartError(error.message);
    });
    this.begun = true;
    closeSync(stdout.write);
    closeSync(stderr.write);
    this.#output = new Output(stdout.read, stderr.read, this.#command.onOutput, (error) => this.#fail(error));
    this.#child.stdin!.on('error', () => undefined);
    this.#child.stdin!.end(script);
    if (stdin) this.#feed(stdin);
  }

  async result(): Promise<ExecResult> {
    const report = await this.#report();
    if (report !== started) return await this.#neverBegan(report);
    this.#running = true;
    this.#output.begin();
    const [exitCode, signal] = await this.#exited;
    this.#input?.destroy();
    await this.#ending;
    await this.#output.end();
    await this.#ending;
    if (this.#failure) throw this.#failure.error;
    return { exitCode, signal, oomKilled: false, aborted: this.#aborted };
  }

  /** Ends it: at once if the command has not begun, else as the caller asked. Idempotent. */
  readonly abort = (): void => {
    if (this.#hasExited) return;
    this.#aborted = true;
    this.#end(this.#running ? (this.#command.graceMs ?? defaultGraceMs) : 0);
  };

  readonly halt = (): void => {
    if (!this.#hasExited) this.#end(0);
  };

  #end(graceMs: number): void {
    const leader = this.#child.pid;
    if (leader === undefined) return;
    const spare = this.#way.entererStays && graceMs > 0 ? isOutside : undefined;
    // Whatever has not yet joined its control group or set its mark is still in the first process group.
    if (graceMs === 0) signalProcess(-leader, 'SIGKILL');
    this.#ending ??= terminate(this.#way.processes(leader), graceMs, spare).catch((error) => {
      this.#failure ??= { error };
    });
  }

  /** The receiver of the output threw: nobody wants the rest. */
  #fail(error: unknown): void {
    this.#failure ??= { error };
    if (!this.#hasExited) this.#end(0);
  }

  async #neverBegan(report: string): Promise<ExecResult> {
    await this.#exited;
    this.#input?.destroy();
    await this.#ending;
    const reason = await this.#output.reason();
    if (this.#aborted) return { exitCode: null, signal: null, oomKilled: false, aborted: true };
    throw new ExecStartError(report || reason || 'the command could not be started');
  }

  /** What the stage says of the start: {@link started}, a reason why not, or nothing if it did not get that far. */
  async #report(): Promise<string> {
    const status = this.#child.stdio[statusFd] as Readable;
    const { promise, resolve } = Promise.withResolvers<string>();
    let text = '';
    status.on('data', (chunk) => {
      text += chunk;
      if (text === started) resolve(text);
    });
    status.on('error', () => resolve(text));
    status.on('close', () => resolve(text));
    const report = await promise;
    status.destroy();
    return report;
  }

  #feed(pipe: Pipe): void {
    closeSync(pipe.read);
    this.#input = new Socket({ fd: pipe.write, readable: false, writable: true });
    const source = this.#command.stdin!;
    // A command need not read its input to the end; that is not an error of ours.
    pipeline(source instanceof Uint8Array ? Readable.from([source]) : source, this.#input).catch(() => undefined);
  }
}

function closePipe(pipe: Pipe | undefined): void {
  if (!pipe) return;
  closeSync(pipe.read);
  closeSync(pipe.write);
}
