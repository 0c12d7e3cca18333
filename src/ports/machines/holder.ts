import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { bubblewrapCommand } from './bubblewrap.ts';
import type { Layout } from './layout.ts';
import type { Site } from './local-driver.ts';
import { identify, type ProcessIdentity } from './proc.ts';
import { markEnvironment } from './process-set.ts';
import { joiner } from './spawn.ts';
import { unshareCommand } from './unshare.ts';
import { type IdMapping, mapLine } from './users.ts';

/** The programs found by the probe. */
export interface SandboxTools {
  builder: 'bubblewrap' | 'unshare';
  bwrap: string | undefined;
  unshare: string;
  nsenter: string;
  setpriv: string;
  /** Whether env(1) has `--ignore-signal`; coreutils 8.31. */
  canIgnoreChildren: boolean;
}

/** What a builder is told. */
export interface HolderPlan {
  directory: string;
  layout: Layout;
  network: 'host' | 'none';
  /** Whether the command inside makes the user namespace itself; otherwise the builder has to make one. */
  mapInside: boolean;
  /** What to run as process 1. */
  hold: string[];
}

/**
 * Process 1 of a machine's namespaces: does nothing, for ever, and by that keeps them; killing it kills all in them. It also becomes the
 * parent of orphans. With SIGCHLD ignored, which exec keeps, the kernel clears them away when they end. Only env(1) of coreutils can set
 * that (dash forgets a trap on it), so where that is missing a shell that waits does the same, less well: its own child is there too,
 * and makes `stop` wait for all of the grace.
 */
function holdScript(canIgnore: boolean): string {
  const hold = canIgnore ? 'exec env --ignore-signal=CHLD sleep infinity' : 'while :; do sleep 3600 & wait; done';
  return `echo ready >&3; exec 3>&-; ${hold}`;
}

/**
 * How process 1 enters the user namespace and becomes root in there, without capabilities. That cannot be before somebody outside has
 * said who root is, so it waits for a line. (A program begun by somebody who is nobody inside has no capabilities, unless they are kept.)
 * It must not stay the host's root, even powerless: files and kernel settings that belong to root would be open to whoever takes it over.
 */
function enterUserNamespace(tools: SandboxTools, command: string[]): string[] {
  const drop = [
    tools.setpriv,
    '--reuid=0',
    '--regid=0',
    '--clear-groups',
    '--ambient-caps=-all',
    '--inh-caps=-all',
    '--bounding-set=-all',
    '--',
  ];
  return [
    tools.unshare,
    '--user',
    '--keep-caps',
    '--',
    '/bin/sh',
    '-c',
    'echo entered >&3; read -r go <&5 || exit; exec 5<&-; exec "$@"',
    'sh',
    ...drop,
    ...command,
  ];
}

/** An ordinary user's process 1 has all capabilities over its own user namespace, unless bubblewrap has taken them away already. */
function dropAll(tools: SandboxTools, command: string[]): string[] {
  return tools.builder === 'bubblewrap' ? command : [tools.setpriv, '--inh-caps=-all', '--bounding-set=-all', '--', ...command];
}

/**
 * Builds a machine's namespaces and leaves a process in them.
 *
 * As root, all namespaces but the user namespace are made by the host's root and belong to it; the user namespace is entered last, by
 * process 1 inside. So root inside has no rights over the mounts: it can neither lift what covers a directory nor make one writable.
 * An ordinary user must make the user namespace first, and commands are stripped of all capabilities instead; see sandbox.ts.
 * @returns identities of process 1 and of the builder that waits for it.
 */
export async function startHolder(
  site: Site,
  layout: Layout,
  tools: SandboxTools,
  mapping: IdMapping,
  signal?: AbortSignal,
): Promise<ProcessIdentity[]> {
  const asRoot = mapping.count > 1;
  const hold = ['/bin/sh', '-c', holdScript(tools.canIgnoreChildren)];
  const plan: HolderPlan = {
    directory: site.directory,
    layout,
    network: site.spec.network,
    mapInside: asRoot,
    hold: asRoot ? enterUserNamespace(tools, hold) : dropAll(tools, hold),
  };
  const command = tools.builder === 'bubblewrap' ? bubblewrapCommand(tools.bwrap!, plan) : unshareCommand(tools.unshare, plan);
  const child = launch(site, command);
  try {
    const holder = await becomeReady(child, site, signal, (pid) => {
      for (const map of ['uid_map', 'gid_map']) writeFileSync(`/proc/${pid}/${map}`, mapLine(mapping));
      goAhead(child).end('go\n');
    });
    return [holder, child.pid!].map(identify).filter((one) => one !== undefined);
  } finally {
    for (const stream of child.stdio) stream?.destroy();
    child.unref();
  }
}

/** In a session of its own, so that nothing that ends the server, not even a terminal's Ctrl-C, reaches it. */
function launch(site: Site, command: string[]): ChildProcess {
  const join = site.group?.joinFiles() ?? [];
  const log = openSync(logOf(site), 'w', 0o600);
  try {
    return spawn('/bin/sh', ['-c', joiner, 'sh', String(join.length), ...join, ...command], {
      cwd: '/',
      env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', ...markEnvironment(`${site.mark}.holder`) },
      detached: true,
      stdio: ['ignore', 'ignore', log, 'pipe', 'pipe', 'pipe'],
    });
  } finally {
    closeSync(log);
  }
}

/**
 * Longest time for some mounts; a builder that needs more will not come back.
 */
const readyTimeoutMs = 30_000;

/**
 * @param entered called with the host's pid of process 1 when it is in a user namespace that nobody is mapped into yet.
 * @returns that pid, once all is mounted and process 1 is as it shall be.
 */
async function becomeReady(
  child: ChildProcess,
  site: Site,
  signal: AbortSignal | undefined,
  entered: (pid: number) => void,
): Promise<number> {
  const texts = ['', ''];
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const refuse = (why: string) => reject(new Error(`the sandbox could not be built: ${why} ${readFileSync(logOf(site), 'utf8').trim()}`));
  const abort = () => reject(signal?.reason);
  const timer = setTimeout(refuse, readyTimeoutMs, 'it took too long.');
  signal?.addEventListener('abort', abort, { once: true });
  child.on('error', reject);
  goAhead(child).on('error', reject);
  child.on('exit', (code, by) => refuse(`${code ?? by}`));
  // Both are read on until the end: a builder whose pipe breaks while it writes would leave its child behind, waiting for it.
  let isMapped = false;
  const look = ([news, info] = texts) => {
    // bubblewrap writes a JSON object that begins with the pid, the script of unshare the pid alone.
    const pid = Number(/\d+/.exec(info!)?.[0]);
    if (!pid) return;
    if (!isMapped && news!.includes('entered')) {
      isMapped = true;
      entered(pid);
    }
    if (news!.includes('ready')) resolve(pid);
  };
  for (const [index, stream] of (child.stdio.slice(3, 5) as Readable[]).entries()) {
    stream.on('error', reject);
    stream.on('data', (chunk) => {
      texts[index] += chunk;
      try {
        look();
      } catch (error) {
        reject(error);
      }
    });
  }
  try {
    return await promise;
  } catch (error) {
    child.kill('SIGKILL');
    throw error;
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', abort);
  }
}

/** By which process 1 is told that it is mapped. Node's types know of five streams only. */
function goAhead(child: ChildProcess): Writable {
  return (child.stdio as unknown as Writable[])[5]!;
}

function logOf(site: Site): string {
  return join(site.directory, 'holder.log');
}
