/** A PostgreSQL of the test's own, apart from any server: for PENSTOCK_DATABASE_URL. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { startEmbedded } from '../../src/platform/database/embedded.ts';
import { createLogger } from '../../src/platform/log.ts';

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
