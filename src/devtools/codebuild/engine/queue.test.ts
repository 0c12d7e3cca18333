import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, beforeEach, test } from 'node:test';
import { sql } from 'kysely';
import { openPlatform, type TestPlatform } from '../../../../test/support/platform.ts';
import type { Platform } from '../../../platform/platform.ts';
import { fleetReconciler } from '../fleets/reconcile.ts';
import { SUCCEEDED } from '../runner/outcome.ts';
import { codebuild } from '../service.ts';
import type { BuildRow } from '../tables.ts';
import { claimNext } from './claim.ts';
import { LostBuild } from './persist.ts';
import { nextTurn } from './queue.ts';
import { buildReconciler } from './reconcile.ts';
import { endBuild, enterPhases } from './record.ts';

const MINUTE_MS = 60_000;

let bench: TestPlatform;
let platform: Platform;
let now = new Date('2026-11-22T12:00:00Z');
let me = '1';
const config = { dataDir: '/nonexistent', concurrentBuilds: 0 };
const dead = new Set<string>();
const removed: string[] = [];
const machines = { discard: async (id: string) => void removed.push(id) } as never;

before(async () => {
  bench = await openPlatform(codebuild, {
    now: () => now,
    processes: {
      get id() {
        return me;
      },
      isAlive: async (id: string) => !dead.has(id),
    } as Platform['processes'],
    machines,
    hostMachines: machines,
    config: config as Platform['config'],
    aws: { credentials: async () => ({}) } as never,
  });
  platform = bench.platform;
  for (const name of ['app', 'other', 'third']) {
    await bench.call('codebuild', 'CreateProject', {
      name,
      source: { type: 'NO_SOURCE', buildspec: 'version: 0.2\n' },
      artifacts: { type: 'NO_ARTIFACTS' },
      environment: { type: 'LINUX_CONTAINER', image: 'x', computeType: 'BUILD_GENERAL1_SMALL' },
      serviceRole: 'arn:aws:iam::123456789012:role/builds',
    });
  }
});
after(() => bench[Symbol.asyncDispose]());
beforeEach(async () => {
  await platform.transaction((tx) => tx.sql.deleteFrom('codebuild.builds').execute());
  await bench.clearJobs();
  removed.length = 0;
  dead.clear();
  me = '1';
  config.concurrentBuilds = 0;
});

async function start(projectName = 'app'): Promise<string> {
  const { build } = await bench.call('codebuild', 'StartBuild', { projectName });
  return build!.id!.split(':')[1]!;
}

/** Queues copies of a build as builds of another account. */
async function startElsewhere(account: string, original: string, count: number): Promise<void> {
  const project = { account, id: randomUUID() };
  for (let number = 1; number <= count; number += 1) {
    await sql`insert into codebuild.builds (id, account, region, project, project_id, number, definition, request, status, phases, initiator,
        started_at, queue_deadline, turn)
      select ${randomUUID()}, ${account}, region, ${project.id}, ${project.id}::uuid, ${number}, definition, request, status, phases, initiator,
        started_at, queue_deadline, ${nextTurn(project)}
      from codebuild.builds where id = ${original}`.execute(platform.read);
  }
}

/** Claims that many builds; what `of` says of each. */
async function claims(count: number, of: (row: BuildRow) => string): Promise<string[]> {
  const claimed: string[] = [];
  for (let index = 0; index < count; index += 1) {
    const claim = await claimNext(platform);
    if (claim) claimed.push(of(claim.row));
  }
  return claimed;
}

async function look(id: string) {
  const { builds } = await bench.call('codebuild', 'BatchGetBuilds', { ids: [`app:${id}`] });
  return builds![0]!;
}

const run = (id: string) => buildReconciler.run(platform, id, new AbortController().signal);

test('many processes claim at once: every build goes to one, the oldest first', async () => {
  const ids: string[] = [];
  for (let index = 0; index < 5; index += 1) ids.push(await start());
  assert.equal((await claimNext(platform))?.row.id, ids[0]);
  const claims = await Promise.all(Array.from({ length: 12 }, () => claimNext(platform)));
  assert.deepEqual(claims.flatMap((claim) => (claim ? [claim.row.id] : [])).sort(), ids.slice(1).sort());
  const tokens = new Set(claims.map((claim) => claim?.credentialToken));
  assert.equal(tokens.size, 4 + 1, 'a token each');
});

test('a build that waits longer than queuedTimeoutInMinutes ends TIMED_OUT and is not claimed', async () => {
  const id = await start();
  await run(id);
  assert.equal((await look(id)).buildStatus, 'IN_PROGRESS');
  const before = now;
  now = new Date(now.getTime() + 481 * MINUTE_MS);
  assert.equal(await claimNext(platform), undefined);
  await run(id);
  now = before;
  const build = await look(id);
  assert.equal(build.buildStatus, 'TIMED_OUT');
  assert.equal(build.phases!.find((phase) => phase.phaseType === 'QUEUED')?.phaseStatus, 'TIMED_OUT');
  const states = (await bench.jobs()).filter(({ payload }) => payload.detailType === 'CodeBuild Build State Change');
  assert.deepEqual(
    states.map(({ payload }) => payload.detail['build-status']),
    ['IN_PROGRESS', 'TIMED_OUT'],
  );
});

test('a build of a living process is left alone', async () => {
  const id = await start();
  await claimNext(platform);
  await run(id);
  assert.equal((await look(id)).currentPhase, 'PROVISIONING');
  assert.deepEqual(removed, []);
});

test('a build whose process died before a command is queued again, thrice at most; each time its machine goes first', async () => {
  const id = await start();
  for (const attempt of [1, 2, 3]) {
    me = `process-${attempt}`;
    assert.equal((await claimNext(platform))?.row.attempts, attempt);
    dead.add(me);
    await run(id);
    assert.equal(removed.at(-1), `build-${id}-${attempt}`);
  }
  const build = await look(id);
  assert.equal(build.buildStatus, 'FAULT');
  assert.match(build.phases!.find((phase) => phase.phaseStatus === 'FAULT')!.contexts![0]!.message!, /3 times in a row/);
});

test('a build whose process died after a command ends FAULT; what the process still writes is refused', async () => {
  const id = await start();
  const claimed = await claimNext(platform);
  const build = { id, owner: claimed!.owner };
  await enterPhases(platform, build, [{ phase: 'BUILD', outcome: SUCCEEDED }], { first_command_at: now });
  dead.add(me);
  await run(id);
  assert.equal((await look(id)).buildStatus, 'FAULT');
  await assert.rejects(endBuild(platform, build, { outcome: SUCCEEDED, status: 'SUCCEEDED' }), LostBuild);
  assert.equal((await look(id)).buildStatus, 'FAULT');
});

test('a build that was to be stopped when its process died ends STOPPED', async () => {
  const id = await start();
  await claimNext(platform);
  await platform.transaction((tx) => tx.sql.updateTable('codebuild.builds').set({ stop_requested_at: now }).where('id', '=', id).execute());
  dead.add(me);
  await run(id);
  assert.equal((await look(id)).buildStatus, 'STOPPED');
});

test('projects take turns, whoever queued most and first; within a project the oldest build is first', async () => {
  for (let index = 0; index < 6; index += 1) await start();
  const project = (row: BuildRow) => `${row.project} ${row.number}`;
  const first = await claims(2, (row) => row.project);
  assert.deepEqual(first, ['app', 'app']);
  const others = [await start('other'), await start('other'), await start('third')];
  const order = await claims(7, (row) => (others.includes(row.id) ? row.id : 'app'));
  assert.deepEqual(order, ['app', others[0], others[2], 'app', others[1], 'app', 'app']);

  // Whoever queues one build after another gets no more than a turn each time.
  for (let index = 0; index < 3; index += 1) await start();
  const alternating: string[] = [];
  for (let index = 0; index < 3; index += 1) {
    await start('other');
    alternating.push(...(await claims(2, project)));
  }
  assert.deepEqual(
    alternating.map((text) => text.split(' ')[0]),
    ['app', 'other', 'app', 'other', 'app', 'other'],
  );
  const numbers = alternating.filter((text) => text.startsWith('app')).map((text) => Number(text.split(' ')[1]));
  assert.deepEqual(
    numbers,
    numbers.toSorted((a, b) => a - b),
  );
});

test('accounts take turns, however many projects and builds each has', async () => {
  const original = await start();
  await start('other');
  await start('third');
  await startElsewhere('210987654321', original, 4);
  const order = await claims(7, (row) => row.account);
  const [mine, theirs] = ['123456789012', '210987654321'];
  assert.deepEqual(order, [mine, theirs, mine, theirs, mine, theirs, theirs]);
  await start();
  await startElsewhere('210987654321', original, 1);
  assert.deepEqual(await claims(2, (row) => row.account), [mine, theirs], 'who was served longest ago comes first');
});

test('an account runs no more builds at once than it may, and five times as many wait', async () => {
  config.concurrentBuilds = 2;
  const original = await start();
  await startElsewhere('210987654321', original, 3);
  for (let index = 0; index < 9; index += 1) await start();
  await assert.rejects(start(), {
    code: 'AccountLimitExceededException',
    message: 'Cannot have more than 10 builds in queue for the account',
  });
  const claimed = await Promise.all(Array.from({ length: 8 }, () => claimNext(platform)));
  const accounts = claimed.flatMap((claim) => (claim ? [claim.row.account] : []));
  assert.deepEqual(accounts.sort(), ['123456789012', '123456789012', '210987654321', '210987654321']);
  const [one] = claimed.filter((claim) => claim?.row.account === '123456789012');
  await endBuild(platform, { id: one!.row.id, owner: one!.owner }, { outcome: SUCCEEDED, status: 'SUCCEEDED' });
  assert.deepEqual(await claims(2, (row) => row.account), ['123456789012']);
});

test('many processes claim at once: a fleet has never more builds than places, and fills them up again', async () => {
  const { fleet } = await bench.call('codebuild', 'CreateFleet', {
    name: 'three',
    baseCapacity: 3,
    environmentType: 'LINUX_CONTAINER',
    computeType: 'BUILD_GENERAL1_SMALL',
  });
  await fleetReconciler.run(platform, fleet!.id!, new AbortController().signal);
  const ids: string[] = [];
  for (let index = 0; index < 8; index += 1) {
    const { build } = await bench.call('codebuild', 'StartBuild', { projectName: 'app', fleetOverride: { fleetArn: fleet!.arn! } });
    ids.push(build!.id!.split(':')[1]!);
  }
  const outside = await start('other');
  const claimAll = async () => {
    const claimed = await Promise.all(Array.from({ length: 12 }, () => claimNext(platform)));
    return claimed.flatMap((claim) => (claim ? [claim.row.id] : [])).sort();
  };
  assert.deepEqual(await claimAll(), [...ids.slice(0, 3), outside].sort());
  await endBuild(platform, { id: ids[1]!, owner: me }, { outcome: SUCCEEDED, status: 'SUCCEEDED' });
  assert.deepEqual(await claimAll(), [ids[3]]);
  await platform.transaction((tx) => tx.sql.deleteFrom('codebuild.fleets').execute());
});
