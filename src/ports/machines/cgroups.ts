import { readFileSync } from 'node:fs';
import { ControlGroupsV1 } from './cgroups-v1.ts';
import { ControlGroupsV2 } from './cgroups-v2.ts';

/**
 * Limits, accounting and a list of processes that nothing can leave, from the kernel's control groups. Version 1 has a tree per
 * controller, version 2 one tree for all; both are behind this interface because hosts of both kinds are in use.
 *
 * Every machine has one group at the top of a tree, named with the driver's own prefix, and below it one group per exec. Groups made
 * by anybody else are never written to, not even to switch a controller on for their children.
 */
export interface ControlGroups {
  /** Such as "cgroup v1 memory cpu pids". */
  readonly label: string;
  readonly limits: LimitSupport;
  /** Makes a machine's group and writes the limits that this host can keep. */
  create(name: string, limits: Limits): MachineGroup;
  /** The group of a machine made earlier, perhaps by another process. */
  open(name: string): MachineGroup;
  /** Names of existing groups that begin with `prefix`. */
  list(prefix: string): string[];
}

export interface MachineGroup {
  /** Files to which a process writes `0` to join the machine, or the given exec of it. */
  joinFiles(exec?: string): string[];
  addExec(exec: string): void;
  /** Removes an exec's group if it is empty; processes left in the background keep it, and with it their limits. */
  dropExec(exec: string): void;
  /** Living processes of the machine or of one exec, as pids of the host. */
  pids(exec?: string): number[];
  /**
   * Kills all of them but those to be spared, and keeps them from forking meanwhile. To be repeated, since it does not wait.
   * @returns true when there was none left to kill.
   */
  kill(spare: (pid: number) => boolean, exec?: string): boolean;
  /** How often the kernel has killed something here for memory. */
  oomKills(): number;
  /** Removes the empty group. */
  remove(): Promise<void>;
}

export interface LimitSupport {
  memory: boolean;
  cpu: boolean;
  pids: boolean;
}

export interface Limits {
  memoryBytes?: number;
  cpus?: number;
  pids?: number;
}

/**
 * Finds the kind of control groups that this process can really use, by making a group, writing limits and removing it again.
 * @returns undefined when none can be made, as for an ordinary user.
 */
export async function findControlGroups(probeName: string): Promise<ControlGroups | undefined> {
  const mounts = parseCgroupMounts(readFileSync('/proc/self/mountinfo', 'utf8'));
  const candidates: Candidate[] = [];
  if (mounts.v2) candidates.push(ControlGroupsV2.at(mounts.v2));
  const v1 = ControlGroupsV1.at(mounts.v1);
  if (v1) candidates.push(v1);
  // In "hybrid" hosts both trees are mounted and version 2 has none of the controllers that matter.
  candidates.sort((a, b) => countLimits(b.limits) - countLimits(a.limits));
  for (const candidate of candidates) {
    const usable = await candidate.tried(probeName);
    if (usable) return usable;
  }
  return undefined;
}

type Candidate = ControlGroupsV1 | ControlGroupsV2;

function countLimits(limits: LimitSupport): number {
  return Number(limits.memory) + Number(limits.cpu) + Number(limits.pids);
}

/** Mount points of the control group file systems: version 1 by controller, version 2. Format: proc(5), /proc/PID/mountinfo. */
export function parseCgroupMounts(mountinfo: string): { v1: Map<string, string>; v2: string | undefined } {
  const v1 = new Map<string, string>();
  let v2: string | undefined;
  for (const line of mountinfo.split('\n')) {
    const [before, after] = line.split(' - ');
    const mountPoint = before?.split(' ')[4]?.replaceAll('\\040', ' ');
    const [type, , superOptions] = after?.split(' ') ?? [];
    if (!mountPoint) continue;
    if (type === 'cgroup2') v2 ??= mountPoint;
    if (type === 'cgroup') for (const option of superOptions?.split(',') ?? []) if (!v1.has(option)) v1.set(option, mountPoint);
  }
  return { v1, v2 };
}
