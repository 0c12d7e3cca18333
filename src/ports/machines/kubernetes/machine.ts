import { randomBytes } from 'node:crypto';
import { posix } from 'node:path';
import type { Readable } from 'node:stream';
import { endProcesses } from '../end-processes.ts';
import { oomKills } from '../oom-kills.ts';
import { type ExecResult, type ExecSpec, ExecStartError, type Machine, type MachineDriver } from '../port.ts';
import { runInside } from './channel.ts';
import type { Cluster } from './cluster.ts';
import { leaderPrefix, runExec } from './exec.ts';
import { getArchive, putArchive } from './files.ts';
import { annotations, type PodState, workdir } from './pod.ts';

export interface PodMachineParts {
  cluster: Cluster;
  /** The name of its pod. */
  pod: string;
  /** Begins the mark of each of its execs. */
  mark: string;
  state: PodState;
  isolation: string;
  stopped: boolean;
}

/** ms; {@link endProcesses} counts in these. */
const step = 50;

/** Prints the marks of the execs whose first process lives; `$1` begins them. */
const leftoversScript = `for directory in /proc/[0-9]*; do
  line=; { IFS= read -r line <"$directory/cmdline"; } 2>/dev/null
  case $line in *"${leaderPrefix}'$1"*) rest=\${line#*"${leaderPrefix}'"}; echo "\${rest%%"'"*}" ;; esac
done`;

/** A machine in a pod: its processes are those of the pod's one container but for the first one, its files the container's. */
export class PodMachine implements Machine {
  readonly id: string;
  readonly driver: MachineDriver['name'] = 'kubernetes';
  readonly isolation: string;
  readonly image: string;
  readonly workdir = workdir;
  readonly #parts: PodMachineParts;
  readonly #pending = new Set<Promise<unknown>>();
  #oomKills = 0;
  #stopping: Promise<void> | undefined;

  constructor(parts: PodMachineParts) {
    this.id = parts.state.id;
    this.isolation = parts.isolation;
    this.image = parts.state.image;
    this.#parts = parts;
    if (parts.stopped) this.#stopping = Promise.resolve();
  }

  async exec(command: ExecSpec): Promise<ExecResult> {
    if (this.#stopping) throw new ExecStartError(`the machine ${this.id} is stopped`);
    const running = this.#exec(command);
    this.#pending.add(running);
    try {
      return await running;
    } finally {
      this.#pending.delete(running);
    }
  }

  async #exec(command: ExecSpec): Promise<ExecResult> {
    const { cluster, pod, state } = this.#parts;
    const mark = `${this.#parts.mark}x${randomBytes(5).toString('hex')}.`;
    const terminate = (graceMs: number, leader: number) => this.#terminate(mark, leader, graceMs, command.user);
    const result = await runExec({ cluster, pod, mark, env: state.env, workdir, terminate }, command);
    if (!state.memoryLimited || result.exitCode === 0 || this.#stopping) return result;
    return { ...result, oomKilled: await this.#moreOomKills() };
  }

  async put(path: string, tar: Readable): Promise<void> {
    await putArchive(this.#parts.cluster, this.#parts.pod, posix.resolve(workdir, path), tar);
  }

  async get(path: string): Promise<Readable> {
    return await getArchive(this.#parts.cluster, this.#parts.pod, posix.resolve(workdir, path));
  }

  hostPath(): undefined {
    return undefined;
  }

  /** The pod stays, with nothing but its first process, since its files would go with it. */
  async stop(graceMs = 5000): Promise<void> {
    this.#stopping ??= this.#stop(graceMs).catch((error) => {
      this.#stopping = undefined;
      throw error;
    });
    await this.#stopping;
  }

  async remove(): Promise<void> {
    await this.#stopping?.catch(() => undefined);
    this.#stopping = Promise.resolve();
    await this.#parts.cluster.removePod(this.#parts.pod);
    await Promise.allSettled(this.#pending);
  }

  /** Ends what a dead process had started and not seen the end of, and counts from now on. */
  async clearLeftovers(): Promise<void> {
    const { cluster, pod, mark } = this.#parts;
    const found = await runInside(cluster, pod, ['/bin/sh', '-c', leftoversScript, 'sh', mark]);
    const marks = new Set(
      found
        ?.toString()
        .split('\n')
        .filter((line) => line.startsWith(mark)),
    );
    for (const left of marks) await this.#terminate(left, 0, 0, undefined);
    if (this.#parts.state.memoryLimited) await this.#moreOomKills();
  }

  async #stop(graceMs: number): Promise<void> {
    const { cluster, pod } = this.#parts;
    await this.#end('', 0, graceMs, undefined);
    await cluster.annotate(pod, annotations.stopped, 'true');
    await Promise.allSettled(this.#pending);
  }

  /**
   * Root may not look into the environment of others without CAP_SYS_PTRACE, so what ran as a user is looked for once more as that user. Where even
   * a shell cannot be started any more, as while a fork bomb has all processes there may be, the whole pod goes.
   */
  async #terminate(mark: string, leader: number, graceMs: number, user: string | undefined): Promise<void> {
    const { cluster, pod } = this.#parts;
    for (const who of user === undefined ? [undefined] : [undefined, user]) {
      const gone = await this.#end(mark, leader, graceMs, who);
      if (gone || this.#stopping) continue;
      if (!(await this.#end(mark, leader, 0, who))) await cluster.removePod(pod);
    }
  }

  async #end(mark: string, leader: number, graceMs: number, user: string | undefined): Promise<boolean> {
    const script = ['/bin/sh', '-c', endProcesses, 'sh', mark, String(leader), String(Math.ceil(graceMs / step))];
    const argv = user === undefined ? script : ['su', '-s', '/bin/sh', user, ...script.slice(1)];
    return (await runInside(this.#parts.cluster, this.#parts.pod, argv)) !== undefined;
  }

  /** Whether the kernel has killed more for memory since this was last asked. False too when that cannot be found out. */
  async #moreOomKills(): Promise<boolean> {
    const before = this.#oomKills;
    const text = await runInside(this.#parts.cluster, this.#parts.pod, ['/bin/sh', '-c', oomKills]);
    this.#oomKills = Number(text?.toString().trim() || before);
    return this.#oomKills > before;
  }
}
