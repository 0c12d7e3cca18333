/** What services rely on: a reconciler is never lost and never overlaps for one id; jobs are retried, given back, and run to their end. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { after, afterEach, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Kysely } from 'kysely';
import { type EmbeddedPostgres, startEmbedded } from './database/embedded.ts';
import { createDatabase } from './database/kysely.ts';
import { migrate } from './database/migrate.ts';
import { type Connections, connect } from './database/pool.ts';
import { inTransaction } from './database/transaction.ts';
import { dropUnusedQueues } from './job-upkeep.ts';
import { type Jobs, prepareJobs, startJobs } from './jobs.ts';
import { createLogger } from './log.ts';
import type { Platform, Tables, Transaction } from './platform.ts';
import { ProcessRegistry } from './processes.ts';
import { defineService, type JobHandler, type Reconciler } from './service.ts';
import { SignalHub } from './signals.ts';

const log = createLogger('silent');
let dataDir: string;
let embedded: EmbeddedPostgres;
let connections: Connections;
let database: Kysely<Tables>;
const members: Member[] = [];

before(async () => {
  dataDir = await mkdtemp(path.join(tmpdir(), 'penstock-jobs-'));
  embedded = await startEmbedded(dataDir, log);
  connections = connect({ embedded }, log, 10);
  await prepareJobs(connections.pool, log);
  await migrate(connections.pool, [{ owner: 'platform', folder: new URL('./schema/', import.meta.url) }]);
  database = createDatabase(connections.pool);
});
afterEach(async () => {
  for (const member of [...members]) await member.leave();
  await connections.pool.query('truncate graphile_worker._private_jobs, graphile_worker._private_job_queues');
});
after(async () => {
  await connections.close();
  await embedded.stop();
  await rm(dataDir, { recursive: true });
});

interface Member {
  registry: ProcessRegistry;
  connections: Connections;
  signals: SignalHub;
  leave(): Promise<void>;
}

/** One process of the installation, as far as jobs go. */
async function join(parts: {
  jobs?: Record<string, JobHandler>;
  reconcilers?: Record<string, Reconciler>;
  subscriptions?: Record<string, JobHandler>;
}): Promise<Member> {
  const own = connect({ embedded }, log, 10);
  const signals = new SignalHub();
  const registry = new ProcessRegistry({
    connections: own,
    role: 'worker',
    log,
    onNotify: (payload) => signals.receive(payload),
    onReconnect: () => signals.wakeAll(),
  });
  await registry.open();
  const platform = { log, processes: registry, signals, read: database, transaction } as unknown as Platform;
  const jobs: Jobs = await startJobs(platform, own.pool, [defineService('logs', { operations: {}, ...parts })], registry);
  const member: Member = {
    registry,
    connections: own,
    signals,
    async leave() {
      members.splice(members.indexOf(member), 1);
      await jobs.stop();
      await registry.close();
      await own.close();
    },
  };
  members.push(member);
  return member;
}

function transaction<T>(work: (tx: Transaction) => Promise<T>): Promise<T> {
  return inTransaction(database, work);
}

/** Counts, and waits for a count. */
class Tally {
  readonly seen: string[] = [];
  #waiting: (() => void)[] = [];

  add(what: string): void {
    this.seen.push(what);
    for (const wake of this.#waiting.splice(0)) wake();
  }

  async reach(count: number): Promise<void> {
    while (this.seen.length < count) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }
}

const nothing = async (): Promise<string[]> => [];

async function queued(): Promise<{ identifier: string; attempts: number; locked_by: string | null; run_at: Date }[]> {
  const { rows } = await connections.pool.query(
    `select identifier, attempts, locked_by, run_at from graphile_worker._private_jobs jobs
     join graphile_worker._private_tasks tasks on tasks.id = jobs.task_id order by jobs.id`,
  );
  return rows;
}

async function untilEmpty(): Promise<void> {
  while ((await queued()).length > 0) await delay(10);
}

test('calls of a reconciler for one id never overlap, over two processes, and the last change is always looked at', async () => {
  const running = new Map<string, number>();
  const version: Record<string, number> = { a: 0, b: 0 };
  const lookedAt: Record<string, number> = {};
  let overlaps = 0;
  let together = 0;
  const thing: Reconciler = {
    pending: nothing,
    async run(_platform, id) {
      running.set(id, (running.get(id) ?? 0) + 1);
      if (running.get(id)! > 1) overlaps += 1;
      if ((running.get('a') ?? 0) > 0 && (running.get('b') ?? 0) > 0) together += 1;
      const now = version[id]!;
      await delay(Math.random() * 15);
      lookedAt[id] = now;
      running.set(id, running.get(id)! - 1);
    },
  };
  await join({ reconcilers: { thing } });
  await join({ reconcilers: { thing } });
  for (let round = 1; round <= 60; round += 1) {
    for (const id of ['a', 'b']) {
      await transaction(async (tx) => {
        await tx.reconcile('thing', id);
        tx.onCommit(() => {
          version[id] = round;
        });
      });
    }
    if (round % 3 === 0) await delay(Math.random() * 10);
  }
  await untilEmpty();
  assert.equal(overlaps, 0);
  assert.ok(together > 0, 'different ids do run side by side');
  // A call that was made while one ran is not lost: without it the last rounds would not have been seen.
  assert.deepEqual(lookedAt, { a: 60, b: 60 });
});

test('a timer does not take the place of a call that is due now, nor the other way round', async () => {
  const tally = new Tally();
  await transaction(async (tx) => {
    await tx.reconcile('thing', 'x', new Date(Date.now() + 3_600_000));
    await tx.reconcile('thing', 'x');
    await tx.reconcile('thing', 'x', new Date(Date.now() + 7_200_000));
  });
  await join({ reconcilers: { thing: { pending: nothing, run: async (_platform, id) => tally.add(id) } } });
  await tally.reach(1);
  while ((await queued()).length > 2) await delay(10);
  const left = await queued();
  assert.equal(left.length, 2);
  assert.ok(left.every((job) => job.run_at.getTime() > Date.now() + 3_000_000));
  const due = new Date(Date.now() + 200);
  await transaction((tx) => tx.reconcile('thing', 'x', due));
  await tally.reach(2);
  assert.ok(Date.now() >= due.getTime());
});

test('what is rolled back leaves neither event nor job nor call', async () => {
  await assert.rejects(
    transaction(async (tx) => {
      await tx.emit({ account: '1', region: 'r', source: 'test', detailType: 'happened', resources: [], detail: {} });
      await tx.enqueue('work', {});
      await tx.reconcile('thing', 'x');
      throw new Error('no');
    }),
    /no/,
  );
  assert.deepEqual(await queued(), []);
});

test('a job that fails is tried again after a while, told which attempt it is', async () => {
  const attempts = new Tally();
  await join({
    jobs: {
      work: async (_platform, _payload, { attempt, maxAttempts }) => {
        attempts.add(`${attempt}/${maxAttempts}`);
        if (attempt === 1) throw new Error('not yet');
      },
    },
  });
  await transaction((tx) => tx.enqueue('work', {}, { maxAttempts: 3 }));
  await attempts.reach(1);
  while ((await queued())[0]?.locked_by) await delay(10);
  assert.ok((await queued())[0]!.run_at.getTime() > Date.now(), 'it waits');
  await attempts.reach(2);
  await untilEmpty();
  assert.deepEqual(attempts.seen, ['1/3', '2/3']);
});

test('an event that one subscriber could not take is given to all again; it is not lost', async () => {
  const seen = new Tally();
  let fail = true;
  await join({
    subscriptions: {
      'test/happened': async (_platform, event) => {
        seen.add(event.detail.n);
        if (!fail) return;
        fail = false;
        throw new Error('not yet');
      },
    },
  });
  await transaction((tx) =>
    tx.emit({ account: '1', region: 'r', source: 'test', detailType: 'happened', resources: [], detail: { n: 'first' } }),
  );
  await seen.reach(2);
  await untilEmpty();
  assert.deepEqual(seen.seen, ['first', 'first']);
});

test('queues that nobody needs any more go, but not one that a transaction is just adding to', async () => {
  const seen = new Tally();
  await join({ reconcilers: { thing: { pending: nothing, run: async (_platform, id) => seen.add(id) } } });
  const queues = async (): Promise<string[]> => {
    const { rows } = await connections.pool.query('select queue_name from graphile_worker._private_job_queues order by 1');
    return rows.map((row) => row.queue_name);
  };
  await transaction(async (tx) => {
    for (const id of ['a', 'b']) await tx.reconcile('thing', id);
  });
  await seen.reach(2);
  await untilEmpty();
  assert.deepEqual(await queues(), ['thing:a', 'thing:b']);
  await transaction(async (tx) => {
    await tx.reconcile('thing', 'b');
    await dropUnusedQueues(connections.pool);
    assert.deepEqual(await queues(), ['thing:a', 'thing:b']);
  });
  await seen.reach(3);
  await untilEmpty();
  await dropUnusedQueues(connections.pool);
  assert.deepEqual(await queues(), []);
  await transaction((tx) => tx.reconcile('thing', 'a'));
  await seen.reach(4);
  assert.equal(seen.seen[3], 'a');
});

test('a process is killed in the middle of a job, a reconciler and an event: another one gets all three at once', async () => {
  const fixture = spawn(process.execPath, [fileURLToPath(import.meta.resolve('./jobs-fixture.ts')), embedded.connection.host], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  after(() => fixture.kill('SIGKILL'));
  const lines = createInterface(fixture.stdout)[Symbol.asyncIterator]();
  assert.equal((await lines.next()).value, 'ready');
  await transaction(async (tx) => {
    await tx.enqueue('work', {});
    await tx.reconcile('thing', 'x');
    await tx.emit({ account: '1', region: 'r', source: 'test', detailType: 'happened', resources: [], detail: {} });
  });
  const taken = [await lines.next(), await lines.next(), await lines.next()].map((line) => line.value);
  assert.deepEqual(taken.sort(), ['event', 'job', 'reconciler']);
  const seen = new Tally();
  const work = (what: string) => async () => seen.add(what);
  await join({
    jobs: { work: work('job') },
    reconcilers: { thing: { pending: nothing, run: work('reconciler') } },
    subscriptions: { 'test/happened': work('event') },
  });
  // A call while the first one has it: kept, and nobody runs it beside.
  await transaction((tx) => tx.reconcile('thing', 'x'));
  assert.deepEqual(seen.seen, []);
  fixture.kill('SIGKILL');
  await seen.reach(3);
  await untilEmpty();
  assert.deepEqual([...new Set(seen.seen)].sort(), ['event', 'job', 'reconciler']);
  assert.ok(seen.seen.filter((what) => what !== 'reconciler').length === 2, 'job and event once');
});

test('jobs go on, and are given back, when connections break while they are taken and ended', async () => {
  const done = new Tally();
  await join({
    jobs: {
      work: async (_platform, { n }) => {
        await delay(Math.random() * 5);
        done.add(String(n));
      },
    },
  });
  const count = 120;
  for (let n = 0; n < count; n += 1) {
    await transaction((tx) => tx.enqueue('work', { n }));
    // All but the one that asks; the registry's and the runner's are among them.
    if (n % 40 === 39) await connections.pool.query(`select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid()`);
  }
  await untilEmpty();
  assert.deepEqual(new Set(done.seen).size, count);
});

test('a signal of another process arrives, also after the connection that listens was cut', async () => {
  const member = await join({});
  const wake = async (topic: string): Promise<boolean> => {
    const woken = member.signals.wait(topic, 30_000);
    await transaction((tx) => tx.signal(topic));
    return woken;
  };
  assert.ok(await wake('before'));
  const former = member.registry.id;
  // Whoever waits through the gap looks again.
  const through = member.signals.wait('gap', 30_000);
  await connections.pool.query(`select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and objid = $1`, [former]);
  assert.ok(await through);
  assert.ok(await wake('after'));
  assert.equal(member.registry.id, former, 'nobody had called it dead');
});

test('who lives is told exactly: not after leaving, not after being forgotten, and a forgotten one gets a new id', async () => {
  const one = await join({});
  const two = await join({});
  assert.ok(await one.registry.isAlive(two.registry.id));
  assert.deepEqual(await one.registry.dead(), []);
  assert.equal(await one.registry.alone(), false);
  const lost: string[] = [];
  const former = two.registry.id;
  two.registry.onLost((id) => lost.push(id));
  const returned = new Promise<void>((resolve) => two.registry.onReturn(resolve));
  await connections.pool.query('delete from platform.processes where id = $1', [former]);
  await connections.pool.query(`select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and objid = $1`, [former]);
  await returned;
  assert.deepEqual(lost, [former]);
  assert.notEqual(two.registry.id, former);
  assert.ok(await one.registry.isAlive(two.registry.id));
  assert.equal(await one.registry.isAlive(former), false);
  const { id } = two.registry;
  await two.leave();
  // PostgreSQL ends a session a moment after its connection.
  while (await one.registry.isAlive(id)) await delay(5);
  assert.equal(await one.registry.alone(), true);
});
