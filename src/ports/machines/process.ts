import { mkdirSync, realpathSync, symlinkSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { findControlGroups } from './cgroups.ts';
import { type Finding, type Furnished, LocalDriver, type Site } from './local-driver.ts';
import { ExecStartError, type MachineDriver } from './port.ts';
import { groupSet, markedSet, terminate } from './process-set.ts';
import { findProgram } from './programs.ts';
import { findUser } from './users.ts';
import { isWithin, type View } from './view.ts';

/**
 * Runs commands as plain processes of the server's own user: no protection, but it works everywhere. Limits and an exact knowledge of
 * each exec's processes come from control groups where the server may make them; see process-set.ts for what happens elsewhere.
 */
export function createProcessMachines({ dataDir }: { dataDir: string }): MachineDriver {
  return new LocalDriver({ name: 'process', probe, furnish }, dataDir);
}

async function probe(): Promise<Finding> {
  const groups = process.platform === 'linux' ? await findControlGroups(`penstock-probe-${process.pid}`) : undefined;
  const limits = groups?.limits ?? { memory: false, cpu: false, pids: false };
  const notes = ["No isolation: commands run as the server's user and can read and change whatever that user can."];
  if (!groups) notes.push(processesUnknown());
  if (!limits.memory || !limits.cpu || !limits.pids)
    notes.push('Some limits (memory, CPU, processes) cannot be enforced: no control groups.');
  const isolation = `process (no isolation; ${groups?.label ?? 'no limits'})`;
  return { groups, capabilities: { available: true, notes, isolation, limits, privateFilesystem: false, ownUser: false, images: false } };
}

function processesUnknown(): string {
  return process.platform === 'linux'
    ? 'Background processes are found by a mark in their environment, their process group and session; one that changes all three outlives its machine.'
    : 'Background processes are found by their process group only; one that leaves it outlives its machine.';
}

async function furnish(site: Site): Promise<Furnished> {
  if (site.spec.network === 'none') throw new Error('plain processes cannot be cut off from the network; use the sandbox');
  const view = viewOf(site);
  for (const { source, target } of site.spec.mounts ?? []) linkMount(view, source, resolve(view.workdir, target));
  return {
    view,
    holders: [],
    kind: {
      way: async (user) => ({ enter: user === undefined ? [] : switchTo(user), entererStays: false, home: homeOf(site) }),
      stop: (graceMs) => terminate(site.group ? groupSet(site.group) : markedSet(`${site.mark}.`), graceMs),
    },
  };
}

function homeOf(site: Site): string {
  return join(site.directory, 'root', 'home');
}

function viewOf(site: Site): View {
  const root = join(site.directory, 'root');
  const workdir = join(root, 'work');
  for (const directory of [workdir, homeOf(site)]) mkdirSync(directory, { recursive: true });
  const mounts = (site.spec.mounts ?? []).map((mount) => ({ inside: resolve(workdir, mount.target), host: realpathSync(mount.source) }));
  return { roots: [{ inside: root, host: root }, ...mounts], covered: [], workdir, owner: undefined };
}

/** Without a mount namespace, a symbolic link is the nearest thing to a mount, and only the machine's own directories may get one. */
function linkMount(view: View, source: string, target: string): void {
  if (!isWithin(target, view.roots[0]!.inside)) {
    throw new Error(
      `plain processes cannot have ${source} at ${target}: only paths below ${view.roots[0]!.inside} can be given, best as relative ones`,
    );
  }
  mkdirSync(dirname(target), { recursive: true });
  try {
    symlinkSync(realpathSync(source), target);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}

function switchTo(name: string): string[] {
  const user = findUser(name);
  if (!user) throw new ExecStartError(`there is no user ${name}`);
  if (user.uid === process.getuid!()) return [];
  const setpriv = findProgram('setpriv');
  if (process.getuid!() !== 0 || !setpriv)
    throw new ExecStartError(`cannot run a command as ${name}: the server is not root, or setpriv is missing`);
  return [setpriv, '--reuid', String(user.uid), '--regid', String(user.gid), '--init-groups', '--'];
}
