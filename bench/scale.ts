/**
 * A queue of builds that do next to nothing, drained by one worker and by two: how fast, for how much processor time and memory, and what a
 * build leaves in the database. So each figure is what Penstock itself costs; docs/scaling.md reckons with them.
 *
 *     node_modules/.bin/node bench/scale.ts [process|sandbox] [builds…]
 *
 * The process that serves, the workers, PostgreSQL and the builds share the cores: on one machine a second worker adds no processor.
 */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Build, CodeBuild } from '@aws-sdk/client-codebuild';
import pg from 'pg';
import { buildBench, commands } from '../test/support/codebuild.ts';
import { startPostgres, type TestPostgres } from '../test/support/postgres.ts';
import { startServer, type TestServer } from '../test/support/server.ts';
import { proportionalMegabytes, withDescendants } from './support/processes.ts';
import { ms, type Section, toMarkdown } from './support/section.ts';

const STARTERS = 10;
/** Largest answer of BatchGetBuilds. */
const PAGE = 100;
const SAMPLE_MS = 500;
const KIB = 1024;

export async function benchScale(machines: string, sizes: number[]): Promise<Section> {
  const rows: string[][] = [];
  const perBuild: string[] = [];
  for (const workers of [1, 2]) {
    for (const builds of sizes) {
      const drained = await drain(machines, workers, builds);
      rows.push(row(drained));
      perBuild.push(growth(drained));
    }
  }
  return {
    title: 'Queues drained',
    columns: [
      'what',
      'StartBuild',
      'drained in',
      'builds a minute',
      'CPU per build: serving',
      'workers',
      'PostgreSQL',
      'most memory (PSS): serving',
      'a worker',
      'PostgreSQL',
    ],
    rows,
    notes: [
      `Builds of one command, \`true\`, on ${machines} machines, four at once for each worker; queued while no worker runs. From the first build that leaves the queue to the last that ends, by the builds' own records.`,
      'CPU is that of Penstock and PostgreSQL alone; what the commands and their machines take comes on top, and all share the same cores.',
      ...perBuild,
    ],
  };
}

interface Drained {
  machines: string;
  workers: number;
  builds: number;
  /** StartBuild calls in a second. */
  startRate: number;
  seconds: number;
  /** Of the whole drain, in milliseconds. */
  cpu: { api: number; workers: number; database: number };
  /** MB */
  memory: { api: number; worker: number; database: number };
  /** From before the first StartBuild to after the last build. */
  database: { bytes: number; rows: number; statements: number; commits: number; wal: number; blobs: number };
}

async function drain(machines: string, count: number, builds: number): Promise<Drained> {
  const home = await mkdtemp(path.join(tmpdir(), 'penstock-scale-'));
  await using database = await startPostgres();
  await countStatements(database);
  const sql = new pg.Client({ connectionString: database.url });
  const running: TestServer[] = [];
  try {
    await sql.connect();
    await sql.query('create extension pg_stat_statements');
    const env = {
      PENSTOCK_DATABASE_URL: database.url,
      PENSTOCK_MASTER_KEY: 'c3'.repeat(32),
      PENSTOCK_BLOBS: path.join(home, 'blobs'),
      PENSTOCK_BUILD_SLOTS: '4',
    };
    const start = async (name: string, role: string): Promise<TestServer> => {
      const server = await startServer({ dataDir: path.join(home, name), env, args: ['--role', role, '--machines', machines] });
      running.push(server);
      return server;
    };
    const api = await start('api', 'api');
    const bench = await buildBench(api);
    await bench.project('tiny', commands('true'));
    const postmaster = await postmasterOf(sql);
    const before = await measure(sql, home);
    const began = performance.now();
    const ids = await queue(bench.codebuild, builds);
    const startRate = builds / ((performance.now() - began) / 1000);
    const cpuBefore = { api: cpuOf(api.pid), database: cpuOfTree(postmaster) };
    const workers = await Promise.all(Array.from({ length: count }, (_, index) => start(`worker-${index}`, 'worker')));
    const memory = { api: 0, worker: 0, database: 0 };
    let over: Build[] = [];
    while (over.length < builds) {
      sample(memory, api, workers, postmaster);
      await delay(SAMPLE_MS);
      if (await isEmpty(sql)) over = await finished(bench.codebuild, ids);
    }
    const cpu = {
      api: cpuOf(api.pid) - cpuBefore.api,
      workers: workers.reduce((sum, worker) => sum + cpuOf(worker.pid), 0),
      database: cpuOfTree(postmaster) - cpuBefore.database,
    };
    const after = await measure(sql, home);
    const grown = Object.fromEntries(Object.entries(after).map(([name, value]) => [name, value - before[name as keyof typeof before]]));
    return { machines, workers: count, builds, startRate, seconds: duration(over), cpu, memory, database: grown as Drained['database'] };
  } finally {
    for (const server of running.reverse()) await server.stop().catch(() => server.kill());
    await sql.end();
    await rm(home, { recursive: true, force: true });
  }
}

async function countStatements(database: TestPostgres): Promise<void> {
  const sql = new pg.Client({ connectionString: database.url });
  await sql.connect();
  await sql.query("alter system set shared_preload_libraries = 'pg_stat_statements'");
  await sql.end();
  await database.stop();
  await database.start();
}

async function queue(codebuild: CodeBuild, count: number): Promise<string[]> {
  const ids: string[] = [];
  let next = 0;
  const starter = async (): Promise<void> => {
    while (next++ < count) ids.push((await codebuild.startBuild({ projectName: 'tiny' })).build!.id!);
  };
  await Promise.all(Array.from({ length: STARTERS }, starter));
  return ids;
}

/** Asked of the database, so that the process that serves is not measured answering us. */
async function isEmpty(sql: pg.Client): Promise<boolean> {
  const { rowCount } = await sql.query("select 1 from codebuild.builds where status = 'IN_PROGRESS' limit 1");
  return rowCount === 0;
}

async function finished(codebuild: CodeBuild, ids: string[]): Promise<Build[]> {
  const found: Build[] = [];
  for (let at = 0; at < ids.length; at += PAGE) {
    found.push(...(await codebuild.batchGetBuilds({ ids: ids.slice(at, at + PAGE) })).builds!);
  }
  const failed = found.find((build) => build.buildStatus !== 'SUCCEEDED');
  if (failed) throw new Error(`A build ended ${failed.buildStatus}: ${JSON.stringify(failed.phases)}`);
  return found;
}

/** Seconds from the first build that left the queue to the last that ended. */
function duration(builds: Build[]): number {
  const left = builds.map((build) => build.phases!.find((phase) => phase.phaseType === 'PROVISIONING')!.startTime!.getTime());
  const ended = builds.map((build) => build.endTime!.getTime());
  return (Math.max(...ended) - Math.min(...left)) / 1000;
}

async function measure(sql: pg.Client, home: string): Promise<Drained['database']> {
  await sql.query('checkpoint');
  const { rows } = await sql.query<{ bytes: number; rows: number; statements: number; commits: number; wal: number }>(`
    select
      (select sum(pg_total_relation_size(relid)) from pg_stat_user_tables)::float8 as bytes,
      (select sum(n_live_tup) from pg_stat_user_tables)::float8 as rows,
      (select sum(calls) from pg_stat_statements)::float8 as statements,
      (select xact_commit from pg_stat_database where datname = current_database())::float8 as commits,
      (pg_current_wal_lsn() - '0/0')::float8 as wal`);
  return { ...rows[0]!, blobs: bytesIn(path.join(home, 'blobs')) };
}

function bytesIn(folder: string): number {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return entries.reduce((sum, entry) => sum + statSync(path.join(entry.parentPath, entry.name)).size, 0);
}

async function postmasterOf(sql: pg.Client): Promise<number> {
  const { rows } = await sql.query<{ pid: number }>('select pg_backend_pid() as pid');
  return parentOf(rows[0]!.pid);
}

function sample(memory: Drained['memory'], api: TestServer, workers: TestServer[], postmaster: number): void {
  const most = (name: keyof typeof memory, megabytes: number) => {
    memory[name] = Math.max(memory[name], megabytes);
  };
  most('api', proportionalMegabytes([api.pid]));
  for (const worker of workers) most('worker', proportionalMegabytes([worker.pid]));
  // A connection may end while it is looked at.
  try {
    most('database', proportionalMegabytes(withDescendants(postmaster)));
  } catch {}
}

/** Fields of `/proc/PID/stat` behind the name, from the third on; ticks are hundredths of a second. */
function statOf(pid: number): string[] {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
}

function parentOf(pid: number): number {
  return Number(statOf(pid)[1]);
}

const TICK_MS = 10;

/** Milliseconds that the process itself has used. */
function cpuOf(pid: number): number {
  const stat = statOf(pid);
  return (Number(stat[11]) + Number(stat[12])) * TICK_MS;
}

/** With its children, those that have ended too. */
function cpuOfTree(pid: number): number {
  const ended = statOf(pid).slice(13, 15).map(Number);
  return withDescendants(pid).reduce((sum, each) => sum + cpuOf(each), (ended[0]! + ended[1]!) * TICK_MS);
}

function row({ workers, builds, startRate, seconds, cpu, memory }: Drained): string[] {
  const each = (value: number) => ms(value / builds, 0);
  const megabytes = (value: number) => `${value.toFixed(0)} MB`;
  return [
    `${builds} builds, ${workers === 1 ? '1 worker' : `${workers} workers`}`,
    `${startRate.toFixed(0)}/s`,
    `${seconds.toFixed(1)} s`,
    ((builds / seconds) * 60).toFixed(0),
    each(cpu.api),
    each(cpu.workers),
    each(cpu.database),
    megabytes(memory.api),
    megabytes(memory.worker),
    megabytes(memory.database),
  ];
}

function growth({ workers, builds, database }: Drained): string {
  const each = (value: number, digits = 1) => (value / builds).toFixed(digits);
  return (
    `${builds} builds, ${workers === 1 ? '1 worker' : `${workers} workers`}; each build: ${each(database.statements, 0)} statements, ${each(database.commits, 0)} commits, ` +
    `${each(database.wal / KIB)} KiB of WAL, ${each(database.rows)} rows more in tables that are ${each(database.bytes / KIB)} KiB larger with ` +
    `indexes, ${each(database.blobs / KIB)} KiB of blobs.`
  );
}

if (import.meta.main) {
  const [machines = 'sandbox', ...sizes] = process.argv.slice(2);
  console.log(toMarkdown(await benchScale(machines, sizes.length > 0 ? sizes.map(Number) : [50, 500])));
}
