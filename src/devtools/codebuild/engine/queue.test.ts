import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { openPlatform, type TestPlatform } from '../../../../test/support/platform.ts';
import type { Platform } from '../../../platform/platform.ts';
import { SUCCEEDED } from '../runner/outcome.ts';
import { codebuild } from '../service.ts';
import { claimNext } from './claim.ts';
import { LostBuild } from './persist.ts';
import { buildReconciler } from './reconcile.ts';
import { endBuild, enterPhases } from './record.ts';

const MINUTE_MS = 60_000;

let bench: TestPlatform;
let platform: Platform;
let now = new Date('2026-11-22T12:00:00Z');
let me = '1';
const dead = new Set<string>();
const removed: string[] = [];

before(async () => {
  bench = await openPlatform(codebuild, {
    now: () => now,
    processes: {
      get id() {
        return me;
      },
      isAlive: async (id: string) => !dead.has(id),
    } as Platform['processes'],
    machines: { adopt: async (id: string) => ({ remove: async () => void removed.push(id) }) } as never,
    config: { dataDir: '/nonexistent' } as Platform['config'],
    aws: { credentials: async () => ({}) } as never,
  });
  platform = bench.platform;
  await bench.call('codebuild', 'CreateProject', {
    name: 'app',
    source: { type: 'NO_SOURCE', buildspec: 'version: 0.2\n' },
    artifacts: { type: 'NO_ARTIFACTS' },
    environment: { type: 'LINUX_CONTAINER', image: 'x', computeType: 'BUILD_GENERAL1_SMALL' },
    serviceRole: 'arn:aws:iam::123456789012:role/builds',
  });
});
after(() => bench[Symbol.asyncDispose]());
beforeEach(async () => {
  await platform.transaction((tx) => tx.sql.deleteFrom('codebuild.builds').execute());
  await bench.clearJobs();
  removed.length = 0;
  dead.clear();
  me = '1';
});

async function start(): Promise<string> {
  const { build } = await bench.call('codebuild', 'StartBuild', { projectName: 'app' });
  return build!.id!.split(':')[1]!;
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
