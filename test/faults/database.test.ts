/** kill -9 of the embedded database while requests and jobs run: the server lives, starts it again, and nothing acknowledged is missing. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { CloudWatchLogs } from '@aws-sdk/client-cloudwatch-logs';
import { CodeCommit } from '@aws-sdk/client-codecommit';
import { EventBridge } from '@aws-sdk/client-eventbridge';
import { startServer, type TestServer } from '../support/server.ts';

let server: TestServer;
let codecommit: CodeCommit;
let logs: CloudWatchLogs;
let events: EventBridge;

before(async () => {
  server = await startServer();
  codecommit = new CodeCommit(server.client);
  logs = new CloudWatchLogs(server.client);
  events = new EventBridge(server.client);
  await logs.createLogGroup({ logGroupName: '/events' });
  const EventPattern = JSON.stringify({ source: ['faults'] });
  await events.putRule({ Name: 'to-logs', EventPattern });
  const Arn = `arn:aws:logs:${server.region}:${server.account}:log-group:/events`;
  await events.putTargets({ Rule: 'to-logs', Targets: [{ Id: 'logs', Arn }] });
});
after(() => server?.stop());

function postmaster(): number {
  return Number(readFileSync(path.join(server.dataDir, 'postgres', 'postmaster.pid'), 'utf8').split('\n')[0]);
}

/** The processes that serve connections. */
function backends(): number[] {
  const lines = execFileSync('ps', ['-o', 'pid=,args=', '--ppid', String(postmaster())])
    .toString()
    .split('\n');
  return lines.filter((line) => /penstock postgres/.test(line)).map((line) => Number.parseInt(line, 10));
}

function end(pid: number): void {
  try {
    process.kill(pid, 'SIGTERM');
  } catch {
    // It had ended by itself.
  }
}

/** Makes repositories over and over while `trouble` happens; what was answered with success. */
async function createDuring(prefix: string, trouble: () => Promise<void>): Promise<string[]> {
  const made: string[] = [];
  let over = false;
  const writers = Array.from({ length: 4 }, async (_, writer) => {
    for (let index = 0; !over; index += 1) {
      const repositoryName = `${prefix}-${writer}-${index}`;
      try {
        await codecommit.createRepository({ repositoryName });
        made.push(repositoryName);
      } catch (error) {
        const { name, $metadata } = error as { name: string; $metadata?: { httpStatusCode?: number } };
        // A clean answer: the server itself never goes away.
        assert.equal($metadata?.httpStatusCode, 500, `${name}: ${error}`);
      }
    }
  });
  while (made.length < 8) await delay(5);
  await trouble();
  const before = made.length;
  while (made.length < before + 20) await delay(5);
  over = true;
  await Promise.all(writers);
  return made;
}

async function requireAllThere(made: string[]): Promise<void> {
  const found = new Set<string>();
  let nextToken: string | undefined;
  do {
    const page = await codecommit.listRepositories({ nextToken });
    for (const { repositoryName } of page.repositories!) found.add(repositoryName!);
    nextToken = page.nextToken;
  } while (nextToken);
  assert.deepEqual(
    made.filter((name) => !found.has(name)),
    [],
  );
}

/** An event goes through two jobs before it is in the log. */
async function requireDelivery(count: number): Promise<void> {
  const ids = Array.from({ length: count }, () => crypto.randomUUID());
  for (const id of ids) {
    await events.putEvents({ Entries: [{ Source: 'faults', DetailType: 'tried', Detail: JSON.stringify({ id }) }] });
  }
  for (const id of ids) {
    for (;;) {
      const { events: found } = await logs.filterLogEvents({ logGroupName: '/events', filterPattern: `"${id}"` });
      if (found!.length > 0) break;
      await delay(50);
    }
  }
}

test('the postmaster is killed while requests run', async () => {
  const pid = server.pid;
  const former = postmaster();
  const made = await createDuring('postmaster', async () => {
    process.kill(former, 'SIGKILL');
  });
  await requireAllThere(made);
  assert.notEqual(postmaster(), former);
  await requireDelivery(5);
  assert.equal(server.pid, pid);
});

test('a single backend is killed, which makes PostgreSQL end all connections', async () => {
  const former = postmaster();
  const made = await createDuring('backend', async () => {
    process.kill(backends()[0]!, 'SIGKILL');
  });
  await requireAllThere(made);
  assert.equal(postmaster(), former);
  await requireDelivery(5);
});

test('connections are ended one after the other, that of the job runner among them', async () => {
  const sent: string[] = [];
  for (const pid of backends()) {
    const id = crypto.randomUUID();
    const put = events
      .putEvents({ Entries: [{ Source: 'faults', DetailType: 'tried', Detail: JSON.stringify({ id }) }] })
      .then(() => sent.push(id))
      .catch(() => {});
    end(pid);
    await put;
  }
  assert.ok(sent.length > 0);
  for (const id of sent) {
    for (;;) {
      const { events: found } = await logs
        .filterLogEvents({ logGroupName: '/events', filterPattern: `"${id}"` })
        .catch(() => ({ events: [] }));
      if (found!.length > 0) break;
      await delay(50);
    }
  }
  await requireDelivery(5);
});

test('killed over and over, the server answers and works on', async () => {
  const made: string[] = [];
  for (let round = 0; round < 3; round += 1) {
    made.push(
      ...(await createDuring(`again-${round}`, async () => {
        process.kill(postmaster(), 'SIGKILL');
      })),
    );
  }
  await requireAllThere(made);
  await requireDelivery(5);
  assert.equal((await fetch(`${server.endpoint}/health`)).status, 200);
});
