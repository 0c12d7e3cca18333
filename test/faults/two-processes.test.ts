/** Two processes on one database: what one of them was doing when it was killed goes on in the other. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { CloudWatchLogs } from '@aws-sdk/client-cloudwatch-logs';
import { CodeBuild } from '@aws-sdk/client-codebuild';
import { CodeCommit } from '@aws-sdk/client-codecommit';
import { EventBridge } from '@aws-sdk/client-eventbridge';
import { buildBench, commands } from '../support/codebuild.ts';
import { startPostgres, type TestPostgres } from '../support/postgres.ts';
import { startServer, type TestServer } from '../support/server.ts';

const PENSTOCK_MASTER_KEY = 'a1'.repeat(32);

let dataDir: string;
let database: TestPostgres;
let first: TestServer;
let second: TestServer;
let env: Record<string, string>;

before(async () => {
  database = await startPostgres();
  env = { PENSTOCK_DATABASE_URL: database.url, PENSTOCK_MASTER_KEY };
  // First starts at the same moment: one account, one authority, one schema.
  dataDir = await mkdtemp(path.join(tmpdir(), 'penstock-two-'));
  [first, second] = await Promise.all([startServer({ env, dataDir }), startServer({ env, dataDir })]);
});
after(async () => {
  await second?.stop();
  await first?.stop();
  await database?.[Symbol.asyncDispose]();
  await rm(dataDir, { recursive: true, force: true });
});

async function sendThroughLogs(server: TestServer, ids: string[]): Promise<string[]> {
  const events = new EventBridge(server.client);
  const accepted: string[] = [];
  await Promise.all(
    ids.map(async (id) => {
      try {
        await events.putEvents({ Entries: [{ Source: 'faults', DetailType: 'tried', Detail: JSON.stringify({ id }) }] });
        accepted.push(id);
      } catch {
        // The process was killed before it answered.
      }
    }),
  );
  return accepted;
}

async function requireInLog(server: TestServer, ids: string[]): Promise<void> {
  const logs = new CloudWatchLogs(server.client);
  const found = new Set<string>();
  for (;;) {
    const { events } = await logs.filterLogEvents({ logGroupName: '/events', limit: 10_000 });
    for (const event of events!) found.add(JSON.parse(event.message!).detail.id);
    if (ids.every((id) => found.has(id))) return;
    await delay(100);
  }
}

test('both are the same installation', async () => {
  assert.deepEqual(first.credentials, second.credentials);
  assert.notEqual(first.endpoint, second.endpoint);
  await new CodeCommit(first.client).createRepository({ repositoryName: 'shared' });
  const { repositoryMetadata } = await new CodeCommit(second.client).getRepository({ repositoryName: 'shared' });
  assert.equal(repositoryMetadata?.repositoryName, 'shared');
});

test('events that the killed process had accepted, or was delivering, are delivered by the other', async () => {
  const events = new EventBridge(second.client);
  await new CloudWatchLogs(second.client).createLogGroup({ logGroupName: '/events' });
  await events.putRule({ Name: 'to-logs', EventPattern: JSON.stringify({ source: ['faults'] }) });
  const Arn = `arn:aws:logs:${second.region}:${second.account}:log-group:/events`;
  await events.putTargets({ Rule: 'to-logs', Targets: [{ Id: 'logs', Arn }] });
  for (const wait of [0, 40]) {
    const sent = sendThroughLogs(
      first,
      Array.from({ length: 60 }, () => crypto.randomUUID()),
    );
    await delay(wait);
    await first.kill();
    await requireInLog(second, await sent);
    await first.restart();
  }
  assert.equal((await fetch(`${second.endpoint}/health`)).status, 200);
});

test('builds of the killed process end or start over in the other, without anybody asking', async () => {
  const bench = await buildBench(second);
  await bench.project('held', commands('sleep 1'));
  const ids: string[] = [];
  for (let index = 0; index < 6; index += 1) ids.push((await bench.codebuild.startBuild({ projectName: 'held' })).build!.id!);
  await bench.wait(ids[0]!, (build) => build.currentPhase === 'BUILD' || build.buildComplete === true);
  await first.kill();
  for (const id of ids) {
    const build = await bench.wait(id);
    assert.ok(['SUCCEEDED', 'FAULT'].includes(build.buildStatus!), build.buildStatus);
  }
  await first.restart();
});

test('the database goes away for a while: both wait for it, and work on', async () => {
  await database.stop();
  const waiting = new CodeBuild(first.client).listProjects({});
  const health = await fetch(`${second.endpoint}/health`, { signal: AbortSignal.timeout(1_000) }).catch(() => undefined);
  assert.ok(health === undefined || health.status === 503);
  await database.start();
  assert.deepEqual((await waiting).projects, ['held']);
  const ids = [crypto.randomUUID(), crypto.randomUUID()];
  const accepted = [...(await sendThroughLogs(first, [ids[0]!])), ...(await sendThroughLogs(second, [ids[1]!]))];
  assert.deepEqual(accepted, ids);
  await requireInLog(first, ids);
});

test('the database is away at the start: the server waits, and is ready when it is there', async () => {
  await first.stop();
  await second.kill();
  await database.stop();
  const starting = second.restart();
  await Promise.race([starting.then(() => assert.fail('It was ready without a database.')), delay(1_500)]);
  await database.start();
  await starting;
  const { repositoryMetadata } = await new CodeCommit(second.client).getRepository({ repositoryName: 'shared' });
  assert.equal(repositoryMetadata?.repositoryName, 'shared');
});
