import { randomBytes } from 'node:crypto';
import { posix } from 'node:path';
import { type ExecResult, type ExecSpec, ExecStartError } from '../port.ts';
import { markName } from '../proc.ts';
import { Report } from '../report.ts';
import { endOf } from '../signals.ts';
import { quote, stageScript } from '../stage.ts';
import { Channel, ExecRefused } from './channel.ts';
import { type Cluster, ClusterLost } from './cluster.ts';
import { EndMarker } from './end-marker.ts';
import { feed } from './files.ts';

/** What a machine decides about one of its execs. */
export interface Surroundings {
  cluster: Cluster;
  pod: string;
  /** In the environment of all of its processes; no other exec's begins or goes on with it. */
  mark: string;
  /** The machine's variables. */
  env: Record<string, string>;
  workdir: string;
  /** Ends the processes with the mark, and those of the session that `leader` began. Resolves when they are gone. */
  terminate(graceMs: number, leader: number): Promise<void>;
}

const defaultGraceMs = 5000;
/** How long what was written before a command's end may take to arrive. */
const lateOutputMs = 2000;

/** What the command line of an exec's first process says as long as it runs; see leftovers in machine.ts. */
export const leaderPrefix = `export ${markName}=`;

/**
 * The shell that becomes a command's parent. The stage comes by its input and not by arguments, which the cluster's audit log keeps; line by line, since
 * a shell reads a line without taking anything of what follows. It stays until the command has ended, so that one that goes on after its caller died
 * can be told from what a finished one left in the background.
 */
function leaderScript(mark: string, token: string): string {
  return `${leaderPrefix}${quote(mark)}; trap : TERM INT HUP
_s= _o=; while IFS= read -r _l; do [ "$_l" != ${token} ] || { _o=1; break; }; _s="$_s$_l
"; done
[ "$_o" ] || exit 126
(eval "$_s"); _c=$?; ${EndMarker.command(token)}; exit "$_c"`;
}

/**
 * One command in a pod. See {@link import('../port.ts').Machine.exec} for the promises; `oomKilled` is left to the machine. Kubernetes has no way to run a
 * command as another user, so that is su's task, which the image must have then.
 * @throws ClusterLost when the connection breaks: how the command ended is then not known.
 */
export async function runExec(surroundings: Surroundings, command: ExecSpec): Promise<ExecResult> {
  const { cluster, pod, mark, env, workdir } = surroundings;
  const token = randomBytes(12).toString('hex');
  const own: Record<string, string> = command.user === undefined ? { HOME: '/root' } : {};
  const stage = stageScript(
    {
      argv: command.argv,
      cwd: posix.resolve(workdir, command.cwd ?? '.'),
      env: { ...own, ...env, ...command.env },
      hasInput: command.stdin !== undefined,
    },
    { report: (text) => Report.command(token, text), redirect: (hasInput) => (hasInput ? '' : '</dev/null'), unset: ['_s', '_l', '_o'] },
  );
  if (command.signal?.aborted) return { exitCode: null, signal: null, oomKilled: false, aborted: true };
  const leader = leaderScript(mark, token);
  const argv =
    command.user === undefined
      ? ['/bin/sh', '-c', leader]
      : ['/bin/sh', '-c', 'exec su -s /bin/sh -c "$2" "$1"', 'sh', command.user, leader];
  const channel = await Channel.open(cluster, pod, argv, true).catch((error) => {
    throw error instanceof ExecRefused ? new ExecStartError(error.message) : error;
  });
  const execution = new Execution(surroundings, command, channel, new Report(token), new EndMarker(token));
  return await execution.run(`${stage}\n${token}\n`);
}

class Execution {
  readonly #surroundings: Surroundings;
  readonly #command: ExecSpec;
  readonly #channel: Channel;
  readonly #report: Report;
  readonly #marker: EndMarker;
  /** What came before the report: of standard output only, since the other's is the report's. */
  #early: Buffer[] = [];
  #begun = Promise.withResolvers<void>();
  #ended = false;
  #aborted = false;
  #ending: Promise<void> | undefined;
  #failure: { error: unknown } | undefined;

  constructor(surroundings: Surroundings, command: ExecSpec, channel: Channel, report: Report, marker: EndMarker) {
    this.#surroundings = surroundings;
    this.#command = command;
    this.#channel = channel;
    this.#report = report;
    this.#marker = marker;
  }

  async run(stage: string): Promise<ExecResult> {
    const { signal } = this.#command;
    signal?.addEventListener('abort', this.#abort, { once: true });
    try {
      if (signal?.aborted) this.#abort();
      this.#feed(stage);
      await this.#receive();
      if (!this.#report.started) this.#begun.resolve();
      const status = this.#status();
      this.#ended = status !== undefined;
      await this.#ending;
      return this.#conclude(status ?? 0);
    } finally {
      signal?.removeEventListener('abort', this.#abort);
      this.#channel.destroy();
    }
  }

  /** The stage, then what the command shall read. A command need not read its input to the end; that is not an error of ours. */
  #feed(stage: string): void {
    const { stdin } = this.#command;
    if (stdin && !this.#channel.canEndInput) {
      this.#failure = {
        error: new ExecStartError('this cluster cannot tell a command that its input has ended: Kubernetes 1.30 or newer is needed'),
      };
      this.#channel.destroy();
      return;
    }
    this.#channel
      .send(Buffer.from(stage))
      .then(() => (stdin ? feed(this.#channel, stdin) : undefined))
      .catch((error) => {
        // Of what the command shall read, not of the way there: it would wait for the rest for ever.
        this.#failure ??= { error };
        this.#end(0);
      });
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
        this.#channel.destroy();
      });
  }

  async #receive(): Promise<void> {
    let closing: NodeJS.Timeout | undefined;
    for await (const { content, stream } of this.#channel) {
      const own = stream === 'stderr' ? this.#marker.take(content) : content;
      if (own.length > 0) await this.#take(own, stream);
      if (this.#marker.status !== undefined) closing ??= setTimeout(() => this.#channel.destroy(), lateOutputMs);
    }
    clearTimeout(closing);
    if (this.#marker.rest().length > 0) await this.#take(this.#marker.rest(), 'stderr');
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

  /** What is not known because the connection broke is a failure, after the command was ended: nobody would see its end. */
  #status(): number | undefined {
    if (this.#marker.status !== undefined) return this.#marker.status;
    try {
      return this.#channel.exitStatus;
    } catch (error) {
      this.#failure ??= { error };
      if (!(error instanceof ClusterLost)) return 0;
      this.#end(0);
      return undefined;
    }
  }

  #conclude(status: number): ExecResult {
    if (this.#failure)
      throw this.#failure.error instanceof ExecRefused ? new ExecStartError(this.#failure.error.message) : this.#failure.error;
    if (this.#report.started) return { ...endOf(status), oomKilled: false, aborted: this.#aborted };
    if (this.#aborted) return { exitCode: null, signal: null, oomKilled: false, aborted: true };
    throw new ExecStartError(this.#reason());
  }

  #reason(): string {
    const said = this.#report.outcome ?? [this.#report.noise, ...this.#early.map(String)].join(' ').trim();
    const user = /su: (unknown user|user \S+ does not exist|invalid user)/.test(said);
    return user ? `there is no user ${this.#command.user}` : said || 'the command could not be started';
  }
}
