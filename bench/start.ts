/**
 * From the start of `penstock up` to its ready line, on an empty directory and on one that is there already; and what it holds of memory once
 * nothing happens. Beside it moto_server, which keeps no state and so has nothing to open.
 *
 *     node_modules/.bin/node bench/start.ts [rounds]
 */
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { startServer } from '../test/support/server.ts';
import { startMoto } from './support/moto.ts';
import { proportionalMegabytes, withDescendants } from './support/processes.ts';
import { median, ms, percentile, type Section, toMarkdown, verdict } from './support/section.ts';

const SECOND_START_BUDGET_MS = 800;
const IDLE_BUDGET_MB = 200;
/** Until timers, sweeps and the first garbage collection are through. */
const SETTLE_MS = 10_000;

interface Moto {
  version: string;
  startMs: number;
  megabytes: number;
}

export async function benchStart(rounds: number): Promise<Section> {
  const dataDir = await mkdtemp(path.join(tmpdir(), 'penstock-bench-'));
  try {
    const first = await timeStart(dataDir);
    const later: number[] = [];
    for (let round = 0; round < rounds; round++) later.push(await timeStart(dataDir));
    const { server, database } = await measureIdle(dataDir);
    const moto = await measureMoto();
    const peer = (value: (moto: Moto) => string): string => (typeof moto === 'string' ? '' : value(moto));
    const idle = server + database;
    return {
      title: 'Start and memory',
      columns: ['what', 'moto_server', 'Penstock', 'budget', ''],
      rows: [
        ['first start to ready (makes the database)', '', ms(first, 0), '', ''],
        [
          `later start to ready, median of ${rounds}`,
          peer(({ startMs }) => ms(startMs, 0)),
          `${ms(median(later), 0)} (fastest ${ms(percentile(later, 0), 0)}, slowest ${ms(percentile(later, 1), 0)})`,
          `≤ ${SECOND_START_BUDGET_MS} ms`,
          verdict(median(later) <= SECOND_START_BUDGET_MS),
        ],
        [
          'memory when idle (PSS)',
          peer(({ megabytes }) => `${megabytes.toFixed(0)} MB`),
          `${idle.toFixed(0)} MB (server ${server.toFixed(0)}, PostgreSQL ${database.toFixed(0)})`,
          `≤ ${IDLE_BUDGET_MB} MB`,
          verdict(idle <= IDLE_BUDGET_MB),
        ],
      ],
      notes: [
        typeof moto === 'string'
          ? `${moto}: its column is empty.`
          : `Peer: moto_server ${moto.version}, to its first answer; it keeps nothing.`,
        'From spawning Node to the ready line; the database was shut down before each later start, so its start is in the figure.',
        'Limit: loading and compiling the modules, then the start of PostgreSQL, one after the other. Memory: V8 heap with code and models, and shared buffers as far as they were touched.',
      ],
    };
  } finally {
    await rm(dataDir, { recursive: true, force: true });
  }
}

async function timeStart(dataDir: string): Promise<number> {
  const begin = performance.now();
  const server = await startServer({ dataDir });
  const time = performance.now() - begin;
  await server.stop();
  return time;
}

async function measureIdle(dataDir: string): Promise<{ server: number; database: number }> {
  await using server = await startServer({ dataDir });
  await delay(SETTLE_MS);
  const postmaster = Number(readFileSync(path.join(dataDir, 'postgres', 'postmaster.pid'), 'utf8').split('\n')[0]);
  const database = new Set(withDescendants(postmaster));
  const rest = withDescendants(server.pid).filter((pid) => !database.has(pid));
  return { server: proportionalMegabytes(rest), database: proportionalMegabytes(database) };
}

async function measureMoto(): Promise<Moto | string> {
  const moto = await startMoto();
  if (typeof moto === 'string') return moto;
  await using running = moto;
  return { version: running.version, startMs: running.startMs, megabytes: proportionalMegabytes(withDescendants(running.pid)) };
}

if (import.meta.main) console.log(toMarkdown(await benchStart(Number(process.argv[2] ?? 5))));
