import { spawnSync } from 'node:child_process';
import { type ControlGroups, findControlGroups } from './cgroups.ts';
import type { SandboxTools } from './holder.ts';
import type { Finding } from './local-driver.ts';
import type { Capabilities, Machine } from './port.ts';
import { findProgram } from './programs.ts';
import { quote } from './stage.ts';
import type { IdMapping } from './users.ts';

export interface SandboxFinding extends Finding {
  tools: SandboxTools;
}

type TrySandbox = (tools: SandboxTools, groups: ControlGroups | undefined, use: (machine: Machine) => Promise<void>) => Promise<void>;

/**
 * Finds out by building one whether this host lets us have sandboxes, and of what strength. Versions, user ids and kernel settings are
 * not asked: what they mean differs between distributions and inside containers, what happens does not.
 */
export async function probeSandbox(
  wanted: 'bubblewrap' | 'unshare' | undefined,
  dataDir: string,
  mapping: IdMapping,
  tryOne: TrySandbox,
): Promise<SandboxFinding> {
  const notes: string[] = [];
  const groups = process.platform === 'linux' ? await findControlGroups(`penstock-probe-${process.pid}`) : undefined;
  for (const tools of findTools(wanted, notes)) {
    try {
      await tryOne(tools, groups, (machine) => check(machine, dataDir));
      return { tools, groups, capabilities: describe(tools, groups, mapping, notes) };
    } catch (error) {
      notes.push(`${tools.builder}: ${(error as Error).message}`);
    }
  }
  return { tools: undefined as never, groups, capabilities: unavailable(notes) };
}

function findTools(wanted: 'bubblewrap' | 'unshare' | undefined, notes: string[]): SandboxTools[] {
  const [bwrap, unshare, nsenter, setpriv] = ['bwrap', 'unshare', 'nsenter', 'setpriv'].map(findProgram);
  if (process.platform !== 'linux') notes.push('Sandboxes need Linux.');
  else if (!unshare || !nsenter || !setpriv) notes.push('unshare, nsenter and setpriv are missing: install util-linux.');
  else {
    const builders = (['bubblewrap', 'unshare'] as const).filter((builder) => wanted === undefined || wanted === builder);
    const canIgnoreChildren = spawnSync('env', ['--ignore-signal=CHLD', 'true'], { stdio: 'ignore' }).status === 0;
    if (!bwrap) notes.push('bubblewrap is not installed; sandboxes start faster with it.');
    return builders
      .filter((builder) => builder === 'unshare' || bwrap)
      .map((builder) => ({ builder, bwrap, unshare, nsenter, setpriv, canIgnoreChildren }));
  }
  return [];
}

/** Root inside, able to write, and blind for the server's data; with users to switch to, able to switch. */
async function check(machine: Machine, dataDir: string): Promise<void> {
  const script = `[ "$(id -u)" = 0 ] && echo x >${quote(`${machine.workdir}/probe`)} && [ "$$" -lt 100 ] && ! ls -A ${quote(dataDir)} 2>/dev/null | grep -q .`;
  let output = '';
  const result = await machine.exec({
    argv: ['/bin/sh', '-c', script],
    onOutput: (chunk) => {
      output += chunk;
    },
  });
  if (result.exitCode !== 0) throw new Error(`the sandbox does not hold what it promises: ${output.trim()}`);
}

function describe(tools: SandboxTools, groups: ControlGroups | undefined, mapping: IdMapping, notes: string[]): Capabilities {
  const asRoot = mapping.count > 1;
  const limits = groups?.limits ?? { memory: false, cpu: false, pids: false };
  if (!limits.memory || !limits.cpu || !limits.pids) {
    notes.push(
      `Some limits (memory, CPU, processes) cannot be enforced: ${groups ? `only ${groups.label}` : 'this user may not make control groups'}.`,
    );
  }
  if (!asRoot)
    notes.push("Commands run as the server's user, without capabilities: start the server as root to give them a user of their own.");
  if (!groups)
    notes.push('When a command is cancelled, processes that dropped their environment and session live on until the machine stops.');
  const isolation = `sandbox (${tools.builder}; own pid, mount, ipc, uts${asRoot ? ', user' : ''}; ${groups?.label ?? 'no limits'})`;
  return { available: true, notes, isolation, limits, privateFilesystem: true, ownUser: asRoot, images: false };
}

function unavailable(notes: string[]): Capabilities {
  const limits = { memory: false, cpu: false, pids: false };
  return { available: false, notes, isolation: 'none', limits, privateFilesystem: false, ownUser: false, images: false };
}
