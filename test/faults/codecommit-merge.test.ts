import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { CloudWatchLogs } from '@aws-sdk/client-cloudwatch-logs';
import { CodeCommit } from '@aws-sdk/client-codecommit';
import { EventBridge } from '@aws-sdk/client-eventbridge';
import { SNS } from '@aws-sdk/client-sns';
import { SQS } from '@aws-sdk/client-sqs';
import { git } from '../../src/git/client.ts';
import { signGit, withCredentials } from '../support/git.ts';
import { startServer, type TestServer } from '../support/server.ts';

const repositoryName = 'killed';
const logGroupName = '/merges';

test('a merge during which the server is killed is made, told and triggered, or nothing of it', async () => {
  const home = await mkdtemp(path.join(tmpdir(), 'penstock-merge-fault-'));
  const server = await startServer();
  try {
    const codecommit = () => new CodeCommit(server.client);
    await codecommit().createRepository({ repositoryName });
    const { queueUrl, topicArn } = await listen(server);
    const trigger = { name: 'tell', destinationArn: topicArn, branches: ['main'], events: ['updateReference' as const] };
    await codecommit().putRepositoryTriggers({ repositoryName, triggers: [trigger] });
    const put = async (branchName: string, parentCommitId: string | undefined, filePath: string) =>
      (await codecommit().putFile({ repositoryName, branchName, parentCommitId, filePath, fileContent: Buffer.from(filePath) })).commitId!;
    const tip = async () => (await codecommit().getBranch({ repositoryName, branchName: 'main' })).branch!.commitId!;

    let main = await put('main', undefined, 'first');
    const moves: string[] = [];
    for (const [round, killAfterMs] of [5, 20, 40, 60, 100].entries()) {
      const branchName = `side-${round}`;
      await codecommit().createBranch({ repositoryName, branchName, commitId: main });
      const source = await put(branchName, main, `theirs-${round}`);
      const before = await put('main', main, `ours-${round}`);
      moves.push(before);
      const merge = { repositoryName, sourceCommitSpecifier: source, destinationCommitSpecifier: 'main' };
      const merging = codecommit()
        .mergeBranchesByThreeWay(merge)
        .then(
          ({ commitId }) => commitId,
          () => undefined,
        );
      await delay(killAfterMs);
      await server.kill();
      const acknowledged = await merging;
      await server.restart();

      const now = await tip();
      if (acknowledged) assert.equal(now, acknowledged, 'an acknowledged merge is there');
      if (now === before) {
        // Nothing that is left over is in the way.
        assert.equal((await codecommit().mergeBranchesByThreeWay(merge)).commitId, await tip());
      }
      main = await tip();
      const { commit } = await codecommit().getCommit({ repositoryName, commitId: main });
      assert.deepEqual(commit!.parents, [before, source], 'one merge, of these two');
      const merged = await codecommit().getMergeCommit({ ...merge, destinationCommitSpecifier: before });
      assert.equal(merged.mergedCommitId, main, 'the merge remembers its commit');
      moves.push(main);
    }
    const clone = path.join(home, 'clone');
    const env = withCredentials(signGit(server, repositoryName));
    await git(home, ['clone', '-q', `${server.endpoint}/v1/repos/${repositoryName}`, clone], env);
    await git(clone, ['fsck', '--full', '--strict']);

    assert.deepEqual(await toldOf(server, moves), new Set(moves), 'EventBridge was told of every move and of no other');
    assert.deepEqual(await triggeredBy(server, queueUrl, moves), new Set(moves), 'the trigger too');
  } finally {
    await server.stop();
    await rm(home, { recursive: true, force: true });
  }
});

/** Everything that is told of the branch `main` ends in a log group and in a queue. */
async function listen(server: TestServer): Promise<{ queueUrl: string; topicArn: string }> {
  const events = new EventBridge(server.client);
  await new CloudWatchLogs(server.client).createLogGroup({ logGroupName });
  const detail = { event: ['referenceUpdated'], referenceName: ['main'] };
  await events.putRule({ Name: 'merges', EventPattern: JSON.stringify({ source: ['aws.codecommit'], detail }) });
  const Arn = `arn:aws:logs:${server.region}:${server.account}:log-group:${logGroupName}`;
  await events.putTargets({ Rule: 'merges', Targets: [{ Id: 'log', Arn }] });

  const sns = new SNS(server.client);
  const sqs = new SQS(server.client);
  const { TopicArn } = await sns.createTopic({ Name: 'merges' });
  const { QueueUrl } = await sqs.createQueue({ QueueName: 'merges' });
  const queueArn = `arn:aws:sqs:${server.region}:${server.account}:merges`;
  const allow = (Service: string, Action: string, Resource: string) =>
    JSON.stringify({ Version: '2012-10-17', Statement: [{ Effect: 'Allow', Principal: { Service }, Action, Resource }] });
  await sqs.setQueueAttributes({ QueueUrl, Attributes: { Policy: allow('sns.amazonaws.com', 'sqs:SendMessage', queueArn) } });
  const AttributeValue = allow('codecommit.amazonaws.com', 'sns:Publish', TopicArn!);
  await sns.setTopicAttributes({ TopicArn, AttributeName: 'Policy', AttributeValue });
  await sns.subscribe({ TopicArn, Protocol: 'sqs', Endpoint: queueArn });
  return { queueUrl: QueueUrl!, topicArn: TopicArn! };
}

async function toldOf(server: TestServer, moves: string[]): Promise<Set<string>> {
  const logs = new CloudWatchLogs(server.client);
  const told = new Set<string>();
  for (let tries = 0; told.size < moves.length && tries < 300; tries++) {
    await delay(100);
    const { events = [] } = await logs.filterLogEvents({ logGroupName });
    for (const { message } of events) told.add(JSON.parse(message!).detail.commitId);
  }
  return told;
}

async function triggeredBy(server: TestServer, QueueUrl: string, moves: string[]): Promise<Set<string>> {
  const sqs = new SQS(server.client);
  const told = new Set<string>();
  for (let empty = 0; told.size < moves.length && empty < 3; ) {
    const { Messages = [] } = await sqs.receiveMessage({ QueueUrl, MaxNumberOfMessages: 10, WaitTimeSeconds: 10 });
    if (Messages.length === 0) empty++;
    for (const { Body, ReceiptHandle } of Messages) {
      for (const { commit } of JSON.parse(JSON.parse(Body!).Message).Records[0].codecommit.references) told.add(commit);
      await sqs.deleteMessage({ QueueUrl, ReceiptHandle });
    }
  }
  return told;
}
