import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, realpathSync } from 'node:fs';
import { type SandboxTools, startHolder } from './holder.ts';
import { home, layoutOf, makeRoot, viewOf } from './layout.ts';
import { type Furnished, LocalDriver, type Site } from './local-driver.ts';
import { ExecStartError, type MachineDriver } from './port.ts';
import { probeSandbox, type SandboxFinding } from './probe.ts';
import { isAlive, type ProcessIdentity, signalProcess } from './proc.ts';
import { endHolders, groupSet } from './process-set.ts';
import type { MachineState } from './state.ts';
import { findUser, type IdMapping, mappingFor, type User } from './users.ts';

export interface SandboxOptions {
  dataDir: string;
  /** What builds the sandbox; default: bubblewrap where it works, else unshare. */
  builder?: 'bubblewrap' | 'unshare';
}

/**
 * Runs commands in namespaces of their own: they see the host's programs read-only, their own files, and no other process.
 *
 * Each machine has one set of namespaces, kept by a process of its own (holder.ts), which every exec enters: so a service started by one
 * command is there for the next, several commands can run at once, and ending process 1 ends everything, whatever it did to hide.
 */
export function createSandboxMachines(options: SandboxOptions): MachineDriver {
  mkdirSync(options.dataDir, { recursive: true, mode: 0o700 });
  const dataDir = realpathSync(options.dataDir);
  const mapping = mappingFor(process.getuid?.() ?? -1);
  let finding: SandboxFinding | undefined;
  return new LocalDriver(
    {
      name: 'sandbox',
      probe: async (trial) => {
        finding = await probeSandbox(options.builder, dataDir, mapping, (tools, groups, use) => {
          finding = { tools } as SandboxFinding;
          return trial(groups, use);
        });
        return finding;
      },
      furnish: (site, state, signal) => furnish(site, state, finding!.tools, dataDir, mapping, signal),
    },
    dataDir,
  );
}

async function furnish(
  site: Site,
  state: MachineState | undefined,
  tools: SandboxTools,
  dataDir: string,
  mapping: IdMapping,
  signal: AbortSignal | undefined,
): Promise<Furnished> {
  const layout = layoutOf(site, dataDir);
  if (!state) makeRoot(layout, dataDir, mapping);
  const holders = await heldBy(state, () => startHolder(site, layout, tools, mapping, signal));
  const sandbox = new Sandbox(site, tools, mapping, holders);
  return {
    view: viewOf(layout, mapping),
    holders,
    kind: { way: async (user) => sandbox.way(user), stop: (graceMs) => sandbox.stop(graceMs) },
  };
}

/** A machine whose holder is gone, as after a reboot, still has its files: it is held anew, unless it was stopped. */
async function heldBy(state: MachineState | undefined, start: () => Promise<ProcessIdentity[]>): Promise<ProcessIdentity[]> {
  if (state?.stopped) return [];
  if (state?.holders[0] && isAlive(state.holders[0])) return state.holders;
  return await start();
}

/** What root inside may do with its own users' files and processes; what containers give by default, but for making devices. */
const rootsCapabilities = ['chown', 'dac_override', 'fowner', 'fsetid', 'kill', 'setgid', 'setuid', 'setpcap', 'setfcap', 'sys_chroot']
  .map((name) => `+${name}`)
  .reduce((all, one) => `${all},${one}`, '-all');

class Sandbox {
  readonly #site: Site;
  readonly #tools: SandboxTools;
  readonly #mapping: IdMapping;
  readonly #holders: ProcessIdentity[];

  constructor(site: Site, tools: SandboxTools, mapping: IdMapping, holders: ProcessIdentity[]) {
    this.#site = site;
    this.#tools = tools;
    this.#mapping = mapping;
    this.#holders = holders;
  }

  way(name: string | undefined): { enter: string[]; entererStays: boolean; home: string } {
    const holder = this.#holders[0];
    if (!holder || !isAlive(holder)) throw new ExecStartError(`the machine ${this.#site.id} is gone`);
    const user = name === undefined ? undefined : findUser(name);
    if (name === undefined || user?.uid === 0) return { enter: this.#enter(holder.pid), entererStays: true, home };
    if (!user) throw new ExecStartError(`there is no user ${name}`);
    if (user.uid >= this.#mapping.count)
      throw new ExecStartError(`cannot run a command as ${name}: only a server started as root can switch users`);
    return { enter: this.#enter(holder.pid, user), entererStays: true, home: user.home };
  }

  /**
   * nsenter changes the namespaces and becomes root inside, setpriv takes the capabilities away that commands shall not have.
   *
   * As root: between the two changes of nsenter there is a process that is in the machine but still the host's root. A command with
   * CAP_SYS_PTRACE could take that over; so none has it, nor anything else that containers commonly do without.
   * As an ordinary user: the mounts belong to the machine's own user namespace, so with any capability over it a command could lift them.
   */
  #enter(pid: number, user?: User): string[] {
    const namespaces = ['--user', '--pid', '--mount', '--ipc', '--uts', ...(this.#site.spec.network === 'none' ? ['--net'] : [])];
    const enter = [this.#tools.nsenter, '--target', String(pid), ...namespaces];
    const limit = [this.#tools.setpriv, '--inh-caps=-all', `--bounding-set=${this.#mapping.count > 1 ? rootsCapabilities : '-all'}`];
    if (this.#mapping.count === 1) return [...enter, '--preserve-credentials', '--', ...limit, '--no-new-privs', '--'];
    const become = user ? ['--reuid', String(user.uid), '--regid', String(user.gid), '--init-groups'] : [];
    return [...enter, '--setuid', '0', '--setgid', '0', '--', ...limit, ...become, '--'];
  }

  /** Ending process 1 ends all others and only then itself: the kernel sees to that, so nothing can escape by forking. */
  async stop(graceMs: number): Promise<void> {
    const living = this.#holders.filter(isAlive);
    if (graceMs > 0 && living.length > 0) await this.#askToEnd(graceMs);
    await endHolders(living);
  }

  /** From inside, `-1` is everybody but process 1 and the one who asks. It is not in the machine's control group, which may be full. */
  async #askToEnd(graceMs: number): Promise<void> {
    const inside = this.#site.group && groupSet(this.#site.group).pids();
    if (inside?.every((pid) => this.#holders.some((holder) => holder.pid === pid))) return;
    const [program, ...args] = this.#enter(this.#holders[0]!.pid);
    const script = 'kill -TERM -1 || exit; while kill -0 -1; do sleep 0.02; done';
    const child = spawn(program!, [...args, '/bin/sh', '-c', script], { cwd: '/', env: {}, stdio: 'ignore', detached: true });
    const timer = setTimeout(() => signalGroup(child.pid), graceMs);
    await once(child, 'exit').catch(() => undefined);
    clearTimeout(timer);
  }
}

function signalGroup(pid: number | undefined): void {
  if (pid !== undefined) signalProcess(-pid, 'SIGKILL');
}
