/** A build's shell on a machine: commands go in one by one, each comes back with its exit status; see scripts.ts for how. */
import { randomBytes } from 'node:crypto';
import { PassThrough } from 'node:stream';
import { type ExecResult, type Machine, MachineLostError } from '../../../ports/machines/port.ts';
import type { Shell } from '../buildspec/buildspec.ts';
import { packFiles, readTarFile } from './files.ts';
import { MarkerScanner } from './marker-scanner.ts';
import { buildPrograms } from './programs.ts';
import { DRIVER, RUN } from './scripts.ts';

/** How a command ended. `lost`: the shell itself went away under it (killed, out of memory, aborted). */
export type CommandResult = { kind: 'exited'; status: number } | { kind: 'lost'; reason: string; oomKilled: boolean };

export interface ShellOptions {
  machine: Machine;
  /** Inside: a directory for scripts and state, made here. */
  directory: string;
  /** Inside: where the first command starts. */
  source: string;
  env: Record<string, string>;
  shell: Shell;
  /** Version 0.1 gives each command a shell of its own. */
  keepState: boolean;
  /** Output of commands, also of background jobs between them. */
  onOutput: (chunk: Buffer) => void | Promise<void>;
  signal: AbortSignal;
  /** Between TERM and KILL when the signal aborts. */
  graceMs: number;
}

export class BuildShell {
  readonly #options: ShellOptions;
  /** CODEBUILD_BUILD_SUCCEEDING, as commands see it. */
  succeeding = true;
  readonly #sessions = new Map<string, Session>();
  #serial = 0;

  private constructor(options: ShellOptions) {
    this.#options = options;
  }

  /** Inside: its own files. `bin` has the programs of programs.ts, `state/env` the variables as the last command left them. */
  get directory(): string {
    return this.#options.directory;
  }

  /** As the first command finds it. */
  get env(): Record<string, string> {
    return this.#options.env;
  }

  /** `commands`: the scripts that will be asked for by name, written in one go. */
  static async open(options: ShellOptions, commands: Map<string, string>): Promise<BuildShell> {
    const shell = new BuildShell(options);
    const files: Record<string, string> = { 'driver.sh': DRIVER, 'run.sh': RUN };
    for (const [name, text] of commands) files[`commands/${name}`] = text;
    for (const [name, text] of Object.entries(buildPrograms())) files[`bin/${name}`] = text;
    await options.machine.put(options.directory, packFiles(files, ['state', 'out']));
    return shell;
  }

  /** Runs a command that was given to `open`, as `user` (default: the machine's own). */
  run(name: string, user?: string): Promise<CommandResult> {
    return this.#session(user).run({ mode: this.#options.keepState ? 'keep' : 'fresh', file: name, succeeding: this.succeeding });
  }

  /** Runs a script like a command of the build: what it changes stays. */
  async runScript(script: string): Promise<CommandResult> {
    this.#serial += 1;
    const name = `script-${this.#serial}`;
    await this.#options.machine.put(`${this.#options.directory}/commands`, packFiles({ [name]: script }));
    return this.run(name);
  }

  /**
   * What `script` writes on standard output, with the build's variables and directory as they are now, and without changing them. It goes by
   * a file, since background jobs may be writing to the log at the same time. Undefined when the script fails.
   */
  async capture(script: string): Promise<string | undefined> {
    this.#serial += 1;
    const name = `capture-${this.#serial}`;
    const { machine, directory } = this.#options;
    const target = `${directory}/out/${name}`;
    await machine.put(`${directory}/commands`, packFiles({ [name]: `(\n${script}\n) >'${target.replaceAll("'", `'\\''`)}'\n` }));
    const result = await this.#session(undefined).run({ mode: 'peek', file: name, succeeding: this.succeeding });
    if (result.kind !== 'exited' || result.status !== 0) return undefined;
    return readTarFile(await machine.get(`${directory}/out`), name);
  }

  /** Ends the shell and whatever it left running. */
  async close(): Promise<void> {
    await Promise.all([...this.#sessions.values()].map((session) => session.end()));
    this.#sessions.clear();
  }

  #session(user: string | undefined): Session {
    const key = user ?? '';
    let session = this.#sessions.get(key);
    if (!session || session.ended) {
      session = new Session(this.#options, user);
      this.#sessions.set(key, session);
    }
    return session;
  }
}

interface Request {
  mode: 'keep' | 'fresh' | 'peek';
  file: string;
  succeeding: boolean;
}

/** One driver process, for one user. A new one takes over when a command kills it. */
class Session {
  ended = false;
  readonly #stdin = new PassThrough();
  readonly #stop = new AbortController();
  readonly #done: Promise<void>;
  readonly #user: string;
  readonly #shell: Shell;
  #waiting: PromiseWithResolvers<CommandResult> | undefined;
  #machineLost: MachineLostError | undefined;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(options: ShellOptions, user: string | undefined) {
    const mark = randomBytes(12).toString('hex');
    const scanner = new MarkerScanner(mark);
    this.#user = user ?? '';
    this.#stdin.on('error', () => {});
    this.#shell = options.shell;
    this.#done = options.machine
      .exec({
        argv: ['sh', `${options.directory}/driver.sh`, options.directory, options.source, mark],
        cwd: options.source,
        env: options.env,
        user,
        stdin: this.#stdin,
        graceMs: options.graceMs,
        signal: AbortSignal.any([options.signal, this.#stop.signal]),
        onOutput: async (chunk) => {
          for (const piece of scanner.write(chunk)) {
            if ('output' in piece) await options.onOutput(piece.output);
            else this.#settle({ kind: 'exited', status: piece.status });
          }
        },
      })
      .then(
        async (result) => {
          const rest = scanner.end();
          if (rest.length > 0) await options.onOutput(rest);
          this.#lose(reasonOf(result), result.oomKilled);
        },
        (error: Error) => {
          if (error instanceof MachineLostError) this.#machineLost = error;
          this.#lose(error.message, false);
        },
      );
  }

  /** One after the other, in the order of the calls. Throws MachineLostError when nobody knows what became of the command. */
  run(request: Request): Promise<CommandResult> {
    const result = this.#turn.then(() => this.#run(request));
    this.#turn = result.catch(() => undefined);
    return result;
  }

  async #run(request: Request): Promise<CommandResult> {
    if (this.ended) return { kind: 'lost', reason: 'the shell has ended', oomKilled: false };
    this.#waiting = Promise.withResolvers();
    const { promise } = this.#waiting;
    this.#stdin.write(`${request.mode} ${this.#shell} ${request.file} ${request.succeeding ? 1 : 0} ${this.#user}\n`);
    return await promise;
  }

  /** By abort and not by the end of its input: that would leave background jobs behind, and their output is waited for. */
  async end(): Promise<void> {
    this.#stop.abort();
    await this.#done;
  }

  #settle(result: CommandResult): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    if (this.#machineLost) waiting?.reject(this.#machineLost);
    else waiting?.resolve(result);
  }

  #lose(reason: string, oomKilled: boolean): void {
    this.ended = true;
    this.#stdin.destroy();
    this.#settle({ kind: 'lost', reason, oomKilled });
  }
}

/** In the words that Go's os/exec, and so CodeBuild, has for them. */
function reasonOf(result: ExecResult): string {
  if (result.signal) return `signal: ${SIGNAL_WORDS[result.signal] ?? result.signal}`;
  return `exit status ${result.exitCode ?? 1}`;
}

const SIGNAL_WORDS: Record<string, string> = {
  SIGKILL: 'killed',
  SIGTERM: 'terminated',
  SIGINT: 'interrupt',
  SIGSEGV: 'segmentation fault',
};
