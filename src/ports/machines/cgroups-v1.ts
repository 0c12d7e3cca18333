import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { childGroups, counter, cpuPeriod, pidsBelow, removeGroup, tryRemove, writeControl } from './cgroup-files.ts';
import type { ControlGroups, LimitSupport, Limits, MachineGroup } from './cgroups.ts';
import { signalProcess } from './proc.ts';

/** Where each controller's tree is mounted. Several may share one. */
interface Trees {
  memory?: string;
  cpu?: string;
  pids?: string;
  /** Not limited, only used to know an exec's processes where there is no pids controller. */
  freezer?: string;
}

/** Control groups version 1: a tree per controller, so a machine is a directory of the same name in each. */
export class ControlGroupsV1 implements ControlGroups {
  readonly limits: LimitSupport;
  readonly label: string;
  readonly #trees: Trees;

  constructor(trees: Trees) {
    this.#trees = trees;
    this.limits = { memory: !!trees.memory, cpu: !!trees.cpu, pids: !!trees.pids };
    const names = Object.entries(this.limits).filter(([, there]) => there);
    this.label = ['cgroup v1', ...names.map(([name]) => name)].join(' ');
  }

  static at(mounts: Map<string, string>): ControlGroupsV1 | undefined {
    const trees: Trees = {};
    for (const name of ['memory', 'cpu', 'pids', 'freezer'] as const) {
      const mount = mounts.get(name);
      if (mount) trees[name] = mount;
    }
    return Object.keys(trees).length > 0 ? new ControlGroupsV1(trees) : undefined;
  }

  /** The same with only those controllers in which a group could be made and a limit written; undefined if there is none. */
  async tried(probeName: string): Promise<ControlGroupsV1 | undefined> {
    const trees: Trees = {};
    for (const [name, tree] of Object.entries(this.#trees) as [keyof Trees, string][]) {
      const single = new ControlGroupsV1({ [name]: tree });
      try {
        single.create(probeName, { memoryBytes: 2 ** 30, cpus: 1, pids: 64 });
        trees[name] = tree;
      } catch {
        // Not allowed here: this controller is left out.
      }
      await removeGroup(join(tree, probeName)).catch(() => undefined);
    }
    return Object.keys(trees).length > 0 ? new ControlGroupsV1(trees) : undefined;
  }

  create(name: string, limits: Limits): MachineGroup {
    const { memory, cpu, pids } = this.#trees;
    for (const tree of new Set(Object.values(this.#trees))) mkdirSync(join(tree, name), { recursive: true });
    if (memory && limits.memoryBytes !== undefined) limitMemory(join(memory, name), limits.memoryBytes);
    if (cpu && limits.cpus !== undefined) {
      writeControl(join(cpu, name, 'cpu.cfs_period_us'), cpuPeriod);
      writeControl(join(cpu, name, 'cpu.cfs_quota_us'), Math.ceil(limits.cpus * cpuPeriod));
    }
    if (pids && limits.pids !== undefined) writeControl(join(pids, name, 'pids.max'), limits.pids);
    return this.open(name);
  }

  open(name: string): MachineGroup {
    return new MachineGroupV1(this.#trees, name);
  }

  list(prefix: string): string[] {
    const names = Object.values(this.#trees).flatMap((tree) => childGroups(tree));
    return [...new Set(names.filter((name) => name.startsWith(prefix)))];
  }
}

/** Swap is limited together with memory where it is accounted: otherwise a machine would only grow slower. */
function limitMemory(group: string, bytes: number): void {
  writeControl(join(group, 'memory.limit_in_bytes'), bytes);
  const withSwap = join(group, 'memory.memsw.limit_in_bytes');
  if (existsSync(withSwap)) writeControl(withSwap, bytes);
}

class MachineGroupV1 implements MachineGroup {
  readonly #trees: Trees;
  readonly #name: string;
  /** The tree that has a group per exec. Of pids if it can be, because there forking can be stopped. */
  readonly #tracking: string;

  constructor(trees: Trees, name: string) {
    this.#trees = trees;
    this.#name = name;
    this.#tracking = (trees.pids ?? trees.freezer ?? trees.cpu ?? trees.memory)!;
  }

  joinFiles(exec?: string): string[] {
    const trees = [...new Set(Object.values(this.#trees))];
    return trees.map((tree) => join(tree === this.#tracking ? this.#group(exec) : join(tree, this.#name), 'cgroup.procs'));
  }

  addExec(exec: string): void {
    mkdirSync(this.#group(exec), { recursive: true });
  }

  dropExec(exec: string): void {
    tryRemove(this.#group(exec));
  }

  pids(exec?: string): number[] {
    return pidsBelow(this.#group(exec));
  }

  /**
   * Without permission to fork, none can outrun the next call. It is taken away last: what finds that it cannot fork may end by itself
   * before the signal reaches it, and its end would look like its own doing.
   */
  kill(spare: (pid: number) => boolean, exec?: string): boolean {
    const groups = exec === undefined ? childGroups(this.#group()).map((child) => this.#group(child)) : [this.#group(exec)];
    const doomed = this.pids(exec).filter((pid) => !spare(pid));
    for (const pid of doomed) signalProcess(pid, 'SIGKILL');
    if (this.#trees.pids) for (const group of groups.filter((one) => existsSync(one))) writeControl(join(group, 'pids.max'), 0);
    return doomed.length === 0;
  }

  oomKills(): number {
    return this.#trees.memory ? counter(join(this.#trees.memory, this.#name, 'memory.oom_control'), 'oom_kill') : 0;
  }

  async remove(): Promise<void> {
    for (const tree of new Set(Object.values(this.#trees))) await removeGroup(join(tree, this.#name));
  }

  #group(exec?: string): string {
    return exec === undefined ? join(this.#tracking, this.#name) : join(this.#tracking, this.#name, exec);
  }
}
