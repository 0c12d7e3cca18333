/** What time does to sandboxes, and what becomes of those that nobody takes up. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import { openPlatform, type TestPlatform } from '../../../../test/support/platform.ts';
import type { Platform } from '../../../platform/platform.ts';
import { SignalHub } from '../../../platform/signals.ts';
import { createProcessMachines } from '../../../ports/machines/process.ts';
import { LostBuild } from '../engine/persist.ts';
import { codebuild } from '../service.ts';
import { type ClaimedSandbox, claimNext } from './claim.ts';
import { sandboxReconciler } from './reconcile.ts';
import { endSandbox, enterPhase } from './record.ts';
import { runSandbox } from './run.ts';

const MINUTE_MS = 60_000;

let bench: TestPlatform;
let platform: Platform;
let dataDir: string;
let elsewhere: string;
let now = new Date('2026-11-22T12:00:00Z');
const dead = new Set<string>();
const processes = { id: 'first', isAlive: async (id: string) => !dead.has(id) };
const config = { dataDir: '', endpoints: { http: 'http://127.0.0.1:1' } };

before(async () => {
  dataDir = await mkdtemp(path.join(tmpdir(), 'penstock-sandboxes-'));
  elsewhere = await mkdtemp(path.join(tmpdir(), 'penstock-sandboxes-'));
  config.dataDir = dataDir;
  const machines = createProcessMachines({ dataDir });
  bench = await openPlatform(codebuild, {
    now: () => now,
    processes: processes as never,
    config: config as never,
    signals: new SignalHub(),
    machines,
    hostMachines: machines,
    aws: {
      credentials: async () => ({}),
      as: async () => ({ logs: { createLogStream: async () => ({}), putLogEvents: async () => ({}) } }),
    } as never,
  });
  platform = bench.platform;
  await bench.call('codebuild', 'CreateProject', {
    name: 'app',
    source: { type: 'NO_SOURCE', buildspec: 'version: 0.2\n' },
    artifacts: { type: 'NO_ARTIFACTS' },
    environment: { type: 'LINUX_CONTAINER', image: 'x', computeType: 'BUILD_GENERAL1_SMALL' },
    serviceRole: 'arn:aws:iam::123456789012:role/builds',
    timeoutInMinutes: 30,
    queuedTimeoutInMinutes: 5,
  });
});
after(async () => {
  await bench[Symbol.asyncDispose]();
  for (const directory of [dataDir, elsewhere]) await rm(directory, { recursive: true, force: true });
});
beforeEach(() => {
  dead.clear();
  processes.id = 'first';
  config.dataDir = dataDir;
});

async function start(): Promise<string> {
  const { sandbox } = await bench.call('codebuild', 'StartSandbox', { projectName: 'app' });
  return sandbox!.id!;
}

async function look(id: string) {
  const { sandboxes } = await bench.call('codebuild', 'BatchGetSandboxes', { ids: [id] });
  return sandboxes![0]!;
}

async function claim(): Promise<ClaimedSandbox> {
  const claimed = await claimNext(platform);
  assert.ok(claimed);
  return claimed;
}

const reconcile = (id: string) => sandboxReconciler.run(platform, id.split(':')[1]!, new AbortController().signal);

test('one that waits longer than queuedTimeoutInMinutes is over, and is not claimed', async () => {
  const id = await start();
  await reconcile(id);
  assert.equal((await look(id)).status, 'QUEUED');
  now = new Date(now.getTime() + 6 * MINUTE_MS);
  assert.equal(await claimNext(platform), undefined);
  await reconcile(id);
  const over = await look(id);
  assert.equal(over.status, 'STOPPED');
  assert.equal(over.currentSession!.phases!.find((phase) => phase.phaseType === 'QUEUED')!.phaseStatus, 'TIMED_OUT');
});

test('one that lives longer than timeoutInMinutes is over, with its commands and its machine', async () => {
  const id = await start();
  const { commandExecution } = await bench.call('codebuild', 'StartCommandExecution', { sandboxId: id, command: 'echo begun; sleep 600' });
  const claimed = await claim();
  // Its time is up a moment after it began.
  const began = now;
  now = new Date(claimed.row.deadline!.getTime() - 1_000);
  await runSandbox(platform, claimed, new AbortController());
  now = began;
  const over = await look(id);
  assert.equal(over.status, 'STOPPED');
  const phase = over.currentSession!.phases!.at(-2)!;
  assert.equal(phase.phaseStatus, 'TIMED_OUT');
  assert.equal(phase.contexts![0]!.statusCode, 'BUILD_TIMED_OUT');
  const { commandExecutions } = await bench.call('codebuild', 'BatchGetCommandExecutions', {
    sandboxId: id,
    commandExecutionIds: [commandExecution!.id!],
  });
  assert.equal(commandExecutions![0]!.status, 'FAILED');
  assert.equal(await platform.machines.adopt(claimed.row.machine!), undefined);
});

/** A claimed one whose sources are there, and whose process died. */
async function leave(): Promise<{ id: string; claimed: ClaimedSandbox }> {
  const id = await start();
  const claimed = await claim();
  const { machine } = claimed.row;
  await platform.machines.create({ id: machine!, env: {}, network: 'host' });
  const owned = { id: claimed.row.id, owner: claimed.owner };
  await enterPhase(platform, owned, 'DOWNLOAD_SOURCE');
  await enterPhase(platform, owned, 'RUN_SANDBOX', { workspace: { directory: '/', env: {} } });
  dead.add(claimed.owner);
  await reconcile(id);
  processes.id = 'second';
  return { id, claimed };
}

test('one whose process died is claimed on the same data directory only; its former process writes nothing any more', async () => {
  const { id, claimed } = await leave();
  config.dataDir = elsewhere;
  assert.equal(await claimNext(platform), undefined);
  config.dataDir = dataDir;
  const next = await claim();
  assert.deepEqual([next.row.id, next.row.machine, next.adopted, next.owner], [claimed.row.id, claimed.row.machine, true, 'second']);
  const late = endSandbox(
    platform,
    { id: claimed.row.id, owner: 'first' },
    { status: 'FAULT', outcome: { status: 'FAULT', contexts: [] } },
  );
  await assert.rejects(late, LostBuild);
  const abort = new AbortController();
  const running = runSandbox(platform, next, abort);
  await bench.call('codebuild', 'StopSandbox', { id });
  abort.abort(new Error('stopped by the test'));
  await running;
  assert.equal(await platform.machines.adopt(claimed.row.machine!), undefined);
});

test('one that nobody takes up within a minute ends FAULT, and its machine goes', async () => {
  const { id, claimed } = await leave();
  await reconcile(id);
  assert.equal((await look(id)).status, 'RUN_SANDBOX');
  now = new Date(now.getTime() + 2 * MINUTE_MS);
  await reconcile(id);
  const over = await look(id);
  assert.equal(over.status, 'FAULT');
  assert.match(over.currentSession!.phases!.at(-2)!.contexts![0]!.message!, /no other one could reach its machine/);
  assert.equal(await platform.machines.adopt(claimed.row.machine!), undefined);
  assert.equal(await claimNext(platform), undefined);
});

test('one that takes its process down while it is made is made thrice at most', async () => {
  const id = await start();
  for (const attempt of [1, 2, 3]) {
    processes.id = `process-${attempt}`;
    assert.equal((await claim()).row.attempts, attempt);
    dead.add(processes.id);
    await reconcile(id);
  }
  assert.equal((await look(id)).status, 'FAULT');
});
