import { randomBytes } from 'node:crypto';
import { setMaxListeners } from 'node:events';
import { posix } from 'node:path';
import type { Readable } from 'node:stream';
import type { MachineGroup } from './cgroups.ts';
import type { Pipes } from './pipes.ts';
import { type ExecResult, type ExecSpec, ExecStartError, type Machine, type MachineDriver } from './port.ts';
import { isOutside } from './proc.ts';
import { groupSet, markEnvironment, markedSet, type ProcessSet, terminate } from './process-set.ts';
import { run, type Way } from './spawn.ts';
import { loadState, noteExec, noteExecEnded, runningExecs, saveState } from './state.ts';
import { packTree, unpack } from './tar.ts';
import { hostPathOf, openInside, type View } from './view.ts';

/** What differs between a plain process and a sandbox. */
export interface Kind {
  driver: MachineDriver['name'];
  /** How to get inside as a user, the machine's own if none is named. @throws ExecStartError if that cannot be. */
  way(user: string | undefined): Promise<{ enter: string[]; entererStays: boolean; home: string }>;
  /** Asks all of the machine's processes to end, if `graceMs` is more than 0, and then ends them. Resolves when they are gone. */
  stop(graceMs: number): Promise<void>;
  /** Kills whatever is left of the machine and deletes all that it had. */
  discard(): Promise<void>;
}

export interface LocalMachineParts {
  id: string;
  isolation: string;
  stopped: boolean;
  /** The machine's directory on the host; see state.ts. */
  directory: string;
  env: Record<string, string>;
  /** Unique among all machines of the host. */
  mark: string;
  group: MachineGroup | undefined;
  view: View;
  pipes: Pipes;
  kind: Kind;
}

const defaultPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** A machine on this host: what plain processes and sandboxes have in common. */
export class LocalMachine implements Machine {
  readonly id: string;
  readonly driver: MachineDriver['name'];
  readonly isolation: string;
  readonly workdir: string;
  readonly #parts: LocalMachineParts;
  readonly #halt = new AbortController();
  readonly #pending = new Set<Promise<unknown>>();
  #stopping: Promise<void> | undefined;

  constructor(parts: LocalMachineParts) {
    this.id = parts.id;
    this.driver = parts.kind.driver;
    this.isolation = parts.isolation;
    this.workdir = parts.view.workdir;
    this.#parts = parts;
    if (parts.stopped) this.#stopping = Promise.resolve();
    setMaxListeners(0, this.#halt.signal);
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
    const { directory, group, pipes } = this.#parts;
    const exec = `x${randomBytes(5).toString('hex')}`;
    const way = await this.#way(command, exec);
    noteExec(directory, exec);
    group?.addExec(exec);
    const before = group?.oomKills() ?? 0;
    try {
      const result = await run(way, command, pipes);
      return { ...result, oomKilled: (group?.oomKills() ?? 0) > before };
    } finally {
      group?.dropExec(exec);
      noteExecEnded(directory, exec);
    }
  }

  async put(path: string, tar: Readable): Promise<void> {
    const place = openInside(this.#parts.view, path, true);
    try {
      await unpack(place, tar, this.#parts.view.owner);
    } finally {
      place.close();
    }
  }

  async get(path: string): Promise<Readable> {
    const inside = posix.resolve(this.workdir, path);
    const parent = inside === '/' ? undefined : openInside(this.#parts.view, posix.dirname(inside), false);
    const name = posix.basename(inside);
    if (parent?.statOrNothing(name)?.isFile()) return packTree(parent, name);
    parent?.close();
    return packTree(openInside(this.#parts.view, inside, false));
  }

  hostPath(path: string): string | undefined {
    return hostPathOf(this.#parts.view, path);
  }

  async stop(graceMs = 5000): Promise<void> {
    this.#stopping ??= this.#stop(graceMs).catch((error) => {
      this.#stopping = undefined;
      throw error;
    });
    await this.#stopping;
  }

  async remove(): Promise<void> {
    // On a full disk it cannot note that it stopped, and that must not keep it there: discard ends what is left, too.
    await this.stop(0).catch(() => undefined);
    await this.#parts.kind.discard();
  }

  /** Ends what a dead process had started and not seen the end of; machines and their background processes go on. */
  async clearLeftovers(): Promise<void> {
    for (const exec of runningExecs(this.#parts.directory)) {
      await terminate(this.#processes(exec), 0, this.driver === 'sandbox' ? isOutside : undefined);
      this.#parts.group?.dropExec(exec);
      noteExecEnded(this.#parts.directory, exec);
    }
  }

  async #stop(graceMs: number): Promise<void> {
    await this.#parts.kind.stop(graceMs);
    // Those that were still on their way in when the others were ended.
    this.#halt.abort();
    await Promise.allSettled(this.#pending);
    const state = loadState(this.#parts.directory);
    if (state) saveState(this.#parts.directory, { ...state, holders: [], stopped: true });
  }

  async #way(command: ExecSpec, exec: string): Promise<Way> {
    const { group, env, mark, kind } = this.#parts;
    const { enter, entererStays, home } = await kind.way(command.user);
    const execMark = markEnvironment(`${mark}.${exec}.`);
    return {
      enter,
      entererStays,
      entererEnv: execMark,
      joinFiles: group?.joinFiles(exec) ?? [],
      halt: this.#halt.signal,
      processes: (leader) => this.#processes(exec, leader),
      // A mark in the command's own environment only where there is no better way to know its processes.
      env: { PATH: defaultPath, HOME: home, LANG: 'C.UTF-8', ...env, ...command.env, ...(group ? {} : execMark) },
      cwd: posix.resolve(this.workdir, command.cwd ?? '.'),
    };
  }

  #processes(exec: string, leader?: number): ProcessSet {
    const { group, mark } = this.#parts;
    return group ? groupSet(group, exec) : markedSet(`${mark}.${exec}.`, leader);
  }
}
