import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { CloudWatchLogs } from '@aws-sdk/client-cloudwatch-logs';
import { CodeCommit } from '@aws-sdk/client-codecommit';
import { EventBridge } from '@aws-sdk/client-eventbridge';
import { git } from '../../src/git/client.ts';
import { signGit, withCredentials } from '../support/git.ts';
import { startServer, type TestServer } from '../support/server.ts';

let server: TestServer;
let home: string;
before(async () => {
  server = await startServer();
  home = await mkdtemp(path.join(tmpdir(), 'penstock-events-'));
});
after(async () => {
  await server.stop();
  await rm(home, { recursive: true, force: true });
});

test('every change of a reference is told to EventBridge as CodeCommit tells it', async () => {
  const codecommit = new CodeCommit(server.client);
  const logs = new CloudWatchLogs(server.client);
  const events = new EventBridge(server.client);
  const logGroupName = '/aws/events/codecommit';
  await logs.createLogGroup({ logGroupName });
  await events.putRule({ Name: 'all', EventPattern: JSON.stringify({ source: ['aws.codecommit'] }) });
  const Arn = `arn:aws:logs:${server.region}:${server.account}:log-group:${logGroupName}`;
  await events.putTargets({ Rule: 'all', Targets: [{ Id: 'log', Arn }] });

  const { repositoryMetadata } = await codecommit.createRepository({ repositoryName: 'told' });
  await git(home, ['init', '-q', home]);
  await writeFile(path.join(home, 'a'), 'a');
  await git(home, ['add', '.']);
  await git(home, ['commit', '-qm', 'one']);
  await git(home, ['tag', '-a', '-m', 'one', 'v1']);
  const one = await git(home, ['rev-parse', 'HEAD']);
  const url = `${server.endpoint}/v1/repos/told`;
  await git(home, ['push', '-q', url, 'main', 'v1'], withCredentials(signGit(server, 'told')));
  const main = { repositoryName: 'told', branchName: 'main' };
  const { commitId: two } = await codecommit.putFile({ ...main, parentCommitId: one, filePath: 'b', fileContent: Buffer.from('b') });
  await codecommit.createBranch({ repositoryName: 'told', branchName: 'side', commitId: one });
  await codecommit.deleteBranch({ repositoryName: 'told', branchName: 'side' });

  let told: { detail: Record<string, string>; [key: string]: unknown }[] = [];
  for (let tries = 0; told.length < 5 && tries < 100; tries++) {
    await delay(100);
    const found = await logs.filterLogEvents({ logGroupName });
    told = found.events!.map(({ message }) => JSON.parse(message!));
  }
  const brief = told.map(({ detail }) => [detail.event, detail.referenceFullName, detail.commitId, detail.oldCommitId]);
  assert.deepEqual(
    new Set(brief.map((each) => JSON.stringify(each))),
    new Set(
      [
        ['referenceCreated', 'refs/heads/main', one, undefined],
        ['referenceCreated', 'refs/tags/v1', one, undefined],
        ['referenceUpdated', 'refs/heads/main', two, one],
        ['referenceCreated', 'refs/heads/side', one, undefined],
        ['referenceDeleted', 'refs/heads/side', undefined, one],
      ].map((each) => JSON.stringify(each)),
    ),
  );
  const first = told.find(({ detail }) => detail.referenceType === 'tag')!;
  assert.equal(first['detail-type'], 'CodeCommit Repository State Change');
  assert.deepEqual(first.resources, [repositoryMetadata!.Arn]);
  assert.deepEqual(
    { ...first.detail, callerUserArn: typeof first.detail.callerUserArn },
    {
      callerUserArn: 'string',
      commitId: one,
      event: 'referenceCreated',
      referenceFullName: 'refs/tags/v1',
      referenceName: 'v1',
      referenceType: 'tag',
      repositoryId: repositoryMetadata!.repositoryId,
      repositoryName: 'told',
    },
  );
});
