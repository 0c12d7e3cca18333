import { randomBytes } from 'node:crypto';
import { posix } from 'node:path';
import type { Readable } from 'node:stream';
import { endProcesses } from '../end-processes.ts';
import { type ExecResult, type ExecSpec, ExecStartError, type Machine, type MachineDriver } from '../port.ts';
import { getArchive, putArchive } from './archive.ts';
import { type ContainerState, endContainer, type InspectedExec, removeContainer, workdir } from './container.ts';
import type { Engine } from './engine.ts';
import { runExec } from './exec.ts';
import { OomCounter } from './oom.ts';
import { runInside } from './run-inside.ts';

export interface DockerMachineParts {
  engine: Engine;
  id: string;
  /** The engine's id of its container. */
  container: string;
  /** Begins the mark of each of its execs. */
  mark: string;
  state: ContainerState;
  stopped: boolean;
}

/** ms; {@link endProcesses} counts in these. */
const step = 50;

/** A machine in a container: its processes are those of the container but for the first ones, its files the container's. */
export class DockerMachine implements Machine {
  readonly id: string;
  readonly driver: MachineDriver['name'] = 'docker';
  readonly isolation: string;
  readonly image: string;
  readonly workdir = workdir;
  readonly #parts: DockerMachineParts;
  readonly #pending = new Set<Promise<unknown>>();
  readonly #oom: OomCounter;
  #stopping: Promise<void> | undefined;

  constructor(parts: DockerMachineParts) {
    this.id = parts.id;
    this.isolation = parts.state.isolation;
    this.image = parts.state.image;
    this.#parts = parts;
    this.#oom = new OomCounter(parts.engine, parts.container);
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
    const { engine, container, state } = this.#parts;
    const mark = `${this.#parts.mark}x${randomBytes(5).toString('hex')}.`;
    const before = this.#oom.known;
    const terminate = (graceMs: number, leader: number) => this.#terminate(mark, leader, graceMs, command.user);
    const result = await runExec({ engine, container, mark, env: state.env, workdir, terminate }, command);
    if (!state.memoryLimited || result.exitCode === 0 || this.#stopping) return result;
    return { ...result, oomKilled: (await this.#oom.count()) > before };
  }

  async put(path: string, tar: Readable): Promise<void> {
    await putArchive(this.#parts.engine, this.#parts.container, posix.resolve(workdir, path), tar);
  }

  async get(path: string): Promise<Readable> {
    return await getArchive(this.#parts.engine, this.#parts.container, posix.resolve(workdir, path));
  }

  hostPath(): undefined {
    return undefined;
  }

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
    await removeContainer(this.#parts.engine, this.#parts.container);
    await Promise.allSettled(this.#pending);
  }

  /** Ends what a dead process had started and not seen the end of, and counts from now on. */
  async clearLeftovers(execs: string[]): Promise<void> {
    const { engine } = this.#parts;
    for (const exec of execs) {
      const { Running, ProcessConfig } = await engine.call<InspectedExec>('GET', `/exec/${exec}/json`);
      const mark = ProcessConfig.arguments?.at(-1);
      if (Running && mark?.startsWith(this.#parts.mark)) await this.#terminate(mark, 0, 0, ProcessConfig.user || undefined);
    }
    if (this.#parts.state.memoryLimited) await this.#oom.count();
  }

  async #stop(graceMs: number): Promise<void> {
    const { engine, container } = this.#parts;
    if (graceMs > 0) await runInside(engine, container, endProcesses, ['', '0', String(Math.ceil(graceMs / step))]);
    await endContainer(engine, container);
    await Promise.allSettled(this.#pending);
  }

  /**
   * Root may not look into the environment of others without CAP_SYS_PTRACE, so what ran as a user is looked for once more as that user. Where even
   * a shell cannot be started any more, as while a fork bomb has all processes there may be, everything is ended.
   */
  async #terminate(mark: string, leader: number, graceMs: number, user: string | undefined): Promise<void> {
    const { engine, container } = this.#parts;
    const users = user === undefined ? [undefined] : [undefined, user];
    for (const who of users) {
      const gone = await this.#end(mark, leader, graceMs, who);
      if (gone || this.#stopping) continue;
      if (!(await this.#end(mark, leader, 0, who))) await engine.call('POST', `/containers/${container}/restart`, { query: { t: '0' } });
    }
  }

  async #end(mark: string, leader: number, graceMs: number, user: string | undefined): Promise<boolean> {
    const { engine, container } = this.#parts;
    const args = [mark, String(leader), String(Math.ceil(graceMs / step))];
    return (await runInside(engine, container, endProcesses, args, user)) !== undefined;
  }
}
