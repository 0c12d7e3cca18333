import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { childGroups, counter, cpuPeriod, pidsBelow, readControl, removeGroup, tryRemove, writeControl } from './cgroup-files.ts';
import type { ControlGroups, LimitSupport, Limits, MachineGroup } from './cgroups.ts';
import { signalProcess } from './proc.ts';

/**
 * Control groups version 2: one tree. A controller can be used in our groups only if the top of the tree has switched it on for its
 * children, which systemd does on ordinary hosts; we do not do it ourselves, since that group is not ours.
 * No controller is switched on below a machine's group, so processes may be both in it and in its exec groups.
 */
export class ControlGroupsV2 implements ControlGroups {
  readonly limits: LimitSupport;
  readonly label: string;
  readonly #root: string;

  constructor(root: string, limits: LimitSupport) {
    this.#root = root;
    this.limits = limits;
    const names = Object.entries(limits).filter(([, there]) => there);
    this.label = ['cgroup v2', ...names.map(([name]) => name)].join(' ');
  }

  static at(root: string): ControlGroupsV2 {
    const enabled = (readControl(join(root, 'cgroup.subtree_control')) ?? '').trim().split(' ');
    return new ControlGroupsV2(root, { memory: enabled.includes('memory'), cpu: enabled.includes('cpu'), pids: enabled.includes('pids') });
  }

  /** The same with only those limits that could be written; undefined if no group can be made at all. */
  async tried(probeName: string): Promise<ControlGroupsV2 | undefined> {
    const directory = join(this.#root, probeName);
    try {
      this.create(probeName, {});
    } catch {
      return undefined;
    }
    const limits = {
      memory: this.limits.memory && succeeds(() => limitMemory(directory, 2 ** 30)),
      cpu: this.limits.cpu && succeeds(() => limitCpu(directory, 1)),
      pids: this.limits.pids && succeeds(() => writeControl(join(directory, 'pids.max'), 64)),
    };
    await removeGroup(directory);
    return new ControlGroupsV2(this.#root, limits);
  }

  create(name: string, limits: Limits): MachineGroup {
    const directory = join(this.#root, name);
    mkdirSync(directory, { recursive: true });
    if (this.limits.memory && limits.memoryBytes !== undefined) limitMemory(directory, limits.memoryBytes);
    if (this.limits.cpu && limits.cpus !== undefined) limitCpu(directory, limits.cpus);
    if (this.limits.pids && limits.pids !== undefined) writeControl(join(directory, 'pids.max'), limits.pids);
    return this.open(name);
  }

  open(name: string): MachineGroup {
    return new MachineGroupV2(join(this.#root, name));
  }

  list(prefix: string): string[] {
    return childGroups(this.#root).filter((name) => name.startsWith(prefix));
  }
}

function limitMemory(group: string, bytes: number): void {
  writeControl(join(group, 'memory.max'), bytes);
  const swap = join(group, 'memory.swap.max');
  if (existsSync(swap)) writeControl(swap, 0);
}

function limitCpu(group: string, cpus: number): void {
  writeControl(join(group, 'cpu.max'), `${Math.ceil(cpus * cpuPeriod)} ${cpuPeriod}`);
}

function succeeds(write: () => void): boolean {
  try {
    write();
    return true;
  } catch {
    return false;
  }
}

class MachineGroupV2 implements MachineGroup {
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
  }

  joinFiles(exec?: string): string[] {
    return [join(this.#group(exec), 'cgroup.procs')];
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

  /** What is frozen does not fork but can be killed. cgroup.kill would be one step, but spares nobody. */
  kill(spare: (pid: number) => boolean, exec?: string): boolean {
    const freeze = join(this.#group(exec), 'cgroup.freeze');
    const doomed = this.pids(exec).filter((pid) => !spare(pid));
    if (existsSync(freeze)) writeControl(freeze, doomed.length > 0 ? 1 : 0);
    for (const pid of doomed) signalProcess(pid, 'SIGKILL');
    return doomed.length === 0;
  }

  /** memory.events counts the group and all below it. */
  oomKills(): number {
    return counter(join(this.#directory, 'memory.events'), 'oom_kill');
  }

  async remove(): Promise<void> {
    await removeGroup(this.#directory);
  }

  #group(exec?: string): string {
    return exec === undefined ? this.#directory : join(this.#directory, exec);
  }
}
