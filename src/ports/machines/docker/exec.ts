import { randomBytes } from 'node:crypto';
import { type Duplex, Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { type ExecResult, type ExecSpec, ExecStartError } from '../port.ts';
import { Report } from '../report.ts';
import { endOf } from '../signals.ts';
import { home, type InspectedExec } from './container.ts';
import { type Engine, EngineError, EngineLost } from './engine.ts';
import { FrameReader } from './frames.ts';
import { entryOf } from './stage-variables.ts';

/** What a machine decides about one of its execs. */
export interface Surroundings {
  engine: Engine;
  container: string;
  /** In the environment of all of its processes; no other exec's begins or goes on with it. */
  mark: string;
  /** The machine's variables. */
  env: Record<string, string>;
  workdir: string;
  /** Ends the processes with the mark, and those of the session that `leader` began. Resolves when they are gone. */
  terminate(graceMs: number, leader: number): Promise<void>;
}

const defaultGraceMs = 5000;
/** The status of what SIGKILL ended. */
const killed = 137;

/** What is no longer known went with its container. Podman has no status of its own for that. */
function removed(error: unknown): InspectedExec {
  if (error instanceof EngineError && (error.status === 404 || /no such (container|exec)/i.test(error.message)))
    return { Running: false, ExitCode: killed, ProcessConfig: {} };
  throw error;
}

/**
 * One command in a container. See {@link import('../port.ts').Machine.exec} for the promises; `oomKilled` is left to the machine.
 * @throws EngineLost when the engine goes away meanwhile: how the command ended is then not known.
 */
export async function runExec(surroundings: Surroundings, command: ExecSpec): Promise<ExecResult> {
  const report = new Report(randomBytes(12).toString('hex'));
  const own: Record<string, string> = command.user === undefined ? { HOME: home } : {};
  const entry = entryOf(command, { ...own, ...surroundings.env, ...command.env }, surroundings.workdir, report.token, surroundings.mark);
  if (command.signal?.aborted) return { exitCode: null, signal: null, oomKilled: false, aborted: true };
  const execution = new Execution(surroundings, command, report);
  await execution.start(entry.argv, entry.env);
  return await execution.result();
}

class Execution {
  readonly #surroundings: Surroundings;
  readonly #command: ExecSpec;
  readonly #report: Report;
  #id = '';
  #socket!: Duplex;
  /** There is input that was not sent yet. */
  #feeding = false;
  /** What came before the report: of standard output only, since the other's is the report's. */
  #early: Buffer[] = [];
  #begun = Promise.withResolvers<void>();
  #ended = false;
  #aborted = false;
  #ending: Promise<void> | undefined;
  #failure: { error: unknown } | undefined;

  constructor(surroundings: Surroundings, command: ExecSpec, report: Report) {
    this.#surroundings = surroundings;
    this.#command = command;
    this.#report = report;
  }

  async start(argv: string[], env: Record<string, string>): Promise<void> {
    const { engine, container } = this.#surroundings;
    const { stdin, user } = this.#command;
    const body = {
      Cmd: argv,
      Env: Object.entries(env).map(([name, value]) => `${name}=${value}`),
      // The image's own may have been deleted, and then nothing could be run.
      WorkingDir: '/',
      User: user ?? '0:0',
      AttachStdin: stdin !== undefined,
      AttachStdout: true,
      AttachStderr: true,
    };
    try {
      const { Id } = await engine.call<{ Id: string }>('POST', `/containers/${container}/exec`, { body });
      this.#id = Id;
      this.#socket = await engine.hijack(`/exec/${Id}/start`, { Detach: false, Tty: false });
    } catch (error) {
      if (error instanceof EngineError) throw new ExecStartError(this.#inOurWords(error.message));
      throw error;
    }
    // A command need not read its input to the end; that is not an error of ours.
    if (stdin) {
      this.#feeding = true;
      pipeline(stdin instanceof Uint8Array ? Readable.from([stdin]) : stdin, this.#socket).then(
        () => {
          this.#feeding = false;
        },
        () => undefined,
      );
    }
  }

  async result(): Promise<ExecResult> {
    const { signal } = this.#command;
    signal?.addEventListener('abort', this.#abort, { once: true });
    try {
      if (signal?.aborted) this.#abort();
      await this.#receive();
      // Without a report it never will begin.
      if (!this.#report.started) this.#begun.resolve();
      const status = await this.#status();
      this.#ended = true;
      await this.#ending;
      return this.#conclude(status);
    } finally {
      signal?.removeEventListener('abort', this.#abort);
      this.#socket.destroy();
    }
  }

  readonly #abort = (): void => {
    if (this.#ended) return;
    this.#aborted = true;
    this.#end(this.#command.graceMs ?? defaultGraceMs);
  };

  /** What has not begun yet is ended as soon as it has, and at once: before that its processes cannot be told from others. */
  #end(graceMs: number): void {
    const began = this.#report.started;
    this.#ending ??= this.#begun.promise
      .then(() => (this.#ended ? undefined : this.#surroundings.terminate(began ? graceMs : 0, this.#report.pid)))
      .catch((error) => {
        this.#failure ??= { error };
        this.#socket.destroy();
      });
  }

  /** Until the engine closes the stream, at the latest two seconds after the command's end, whoever still holds its output then. */
  async #receive(): Promise<void> {
    const frames = new FrameReader();
    try {
      for await (const chunk of this.#socket) {
        for (const { stream, content } of frames.read(chunk as Buffer)) await this.#take(content, stream);
      }
    } catch (error) {
      // Podman breaks the connection off when the command ends and has not read all of its input.
      if (this.#feeding && !(await this.#inspect()).Running) return;
      this.#failure ??= { error: new EngineLost(`the output of a command broke off: ${(error as Error).message}`) };
      this.#end(0);
    }
  }

  async #take(content: Buffer, stream: 'stdout' | 'stderr'): Promise<void> {
    if (this.#report.outcome !== undefined) return await this.#deliver(content, stream);
    if (stream === 'stdout') {
      this.#early.push(content);
      return;
    }
    const rest = this.#report.take(content);
    if (rest === undefined) return;
    if (this.#report.started) this.#begun.resolve();
    for (const early of this.#early.splice(0)) await this.#deliver(early, 'stdout');
    if (rest.length > 0) await this.#deliver(rest, 'stderr');
  }

  async #deliver(content: Buffer, stream: 'stdout' | 'stderr'): Promise<void> {
    if (this.#failure || !this.#report.started) return;
    try {
      await this.#command.onOutput?.(content, stream);
    } catch (error) {
      // Nobody wants the rest.
      this.#failure = { error };
      this.#end(0);
    }
  }

  async #inspect(): Promise<InspectedExec> {
    return await this.#surroundings.engine.call<InspectedExec>('GET', `/exec/${this.#id}/json`).catch(removed);
  }

  /** A command may close its output and go on, and even if not, its end comes a moment later. The engine is asked at growing distances. */
  async #status(): Promise<number> {
    for (let pause = 2; ; pause = Math.min(pause * 2, 250)) {
      const { ExitCode, Running } = await this.#inspect();
      if (!Running) return ExitCode ?? killed;
      await delay(pause);
    }
  }

  #conclude(status: number): ExecResult {
    if (this.#failure) throw this.#failure.error;
    if (this.#report.started) return { ...endOf(status), oomKilled: false, aborted: this.#aborted };
    if (this.#aborted) return { exitCode: null, signal: null, oomKilled: false, aborted: true };
    throw new ExecStartError(this.#reason());
  }

  #reason(): string {
    const said = this.#report.outcome ?? [this.#report.noise, ...this.#early.map(String)].join(' ').trim();
    return this.#inOurWords(said) || 'the command could not be started';
  }

  #inOurWords(said: string): string {
    return /unable to find user|unknown user/.test(said) ? `there is no user ${this.#command.user}` : said;
  }
}
