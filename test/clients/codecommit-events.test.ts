import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { CloudWatchLogs } from '@aws-sdk/client-cloudwatch-logs';
import { CodeCommit } from '@aws-sdk/client-codecommit';
import { EventBridge } from '@aws-sdk/client-eventbridge';
import { SNS } from '@aws-sdk/client-sns';
import { SQS } from '@aws-sdk/client-sqs';
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

interface Told {
  detail: Record<string, string>;
  [key: string]: unknown;
}

/** Has EventBridge write down what is told of a repository; the function waits until there are `count` events. */
async function hear(repositoryName: string): Promise<(count: number) => Promise<Told[]>> {
  const logs = new CloudWatchLogs(server.client);
  const events = new EventBridge(server.client);
  const logGroupName = `/aws/events/${repositoryName}`;
  await logs.createLogGroup({ logGroupName });
  const pattern = { source: ['aws.codecommit'], detail: { repositoryName: [repositoryName] } };
  await events.putRule({ Name: repositoryName, EventPattern: JSON.stringify(pattern) });
  const Arn = `arn:aws:logs:${server.region}:${server.account}:log-group:${logGroupName}`;
  await events.putTargets({ Rule: repositoryName, Targets: [{ Id: 'log', Arn }] });
  return async (count) => {
    let told: Told[] = [];
    for (let tries = 0; told.length < count && tries < 300; tries++) {
      await delay(100);
      const found = await logs.filterLogEvents({ logGroupName });
      told = found.events!.map(({ message }) => JSON.parse(message!));
    }
    return told;
  };
}

test('every change of a reference is told to EventBridge as CodeCommit tells it', async () => {
  const codecommit = new CodeCommit(server.client);
  const hearing = await hear('told');
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

  const told = await hearing(5);
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

test('merges are told with what they merged and how, tags with their commits', async () => {
  const codecommit = new CodeCommit(server.client);
  const told = await hear('merged');
  const { repositoryMetadata } = await codecommit.createRepository({ repositoryName: 'merged' });
  const put = async (branchName: string, parentCommitId: string | undefined, filePath: string) =>
    (await codecommit.putFile({ repositoryName: 'merged', branchName, parentCommitId, filePath, fileContent: Buffer.from(filePath) }))
      .commitId!;
  const base = await put('main', undefined, 'a');
  await codecommit.createBranch({ repositoryName: 'merged', branchName: 'side', commitId: base });
  const source = await put('side', base, 'b');
  const destination = await put('main', base, 'c');
  const merge = { repositoryName: 'merged', sourceCommitSpecifier: 'side', destinationCommitSpecifier: 'main' };
  const rules = { conflictDetailLevel: 'LINE_LEVEL', conflictResolutionStrategy: 'AUTOMERGE' } as const;
  const loose = await codecommit.createUnreferencedMergeCommit({ ...merge, ...rules, mergeOption: 'SQUASH_MERGE' });
  const three = await codecommit.mergeBranchesByThreeWay({ ...merge, ...rules });
  await codecommit.mergeBranchesByFastForward({
    repositoryName: 'merged',
    sourceCommitSpecifier: 'main',
    destinationCommitSpecifier: 'side',
  });

  const clone = path.join(home, 'merged');
  const env = withCredentials(signGit(server, 'merged'));
  await git(home, ['clone', '-q', `${server.endpoint}/v1/repos/merged`, clone], env);
  await git(clone, ['tag', '-a', '-m', 'one', 'v1', base]);
  await git(clone, ['push', '-q', 'origin', 'v1'], env);
  await git(clone, ['tag', '-f', '-a', '-m', 'two', 'v1', source]);
  await git(clone, ['push', '-q', '-f', 'origin', 'v1'], env);
  await git(clone, ['push', '-q', 'origin', ':v1'], env);

  const all = await told(10);
  const common = { repositoryName: 'merged', repositoryId: repositoryMetadata!.repositoryId };
  const find = (wanted: Record<string, string>) => {
    const found = all.filter(({ detail }) => Object.entries(wanted).every(([key, value]) => detail[key] === value));
    assert.equal(found.length, 1, JSON.stringify(wanted));
    const { callerUserArn, ...detail } = found[0]!.detail;
    assert.ok(callerUserArn?.startsWith('arn:aws:'));
    return detail;
  };
  const tips = { baseCommitId: base, sourceCommitId: source, destinationCommitId: destination };
  const how = { conflictDetailsLevel: 'LINE_LEVEL', conflictResolutionStrategy: 'AUTOMERGE' };
  assert.deepEqual(find({ event: 'unreferencedMergeCommitCreated' }), {
    event: 'unreferencedMergeCommitCreated',
    ...common,
    commitId: loose.commitId,
    ...tips,
    mergeOption: 'SQUASH_MERGE',
    ...how,
  });
  assert.deepEqual(find({ mergeOption: 'THREE_WAY_MERGE' }), {
    event: 'referenceUpdated',
    ...common,
    referenceType: 'branch',
    referenceName: 'main',
    referenceFullName: 'refs/heads/main',
    commitId: three.commitId,
    oldCommitId: destination,
    ...tips,
    mergeOption: 'THREE_WAY_MERGE',
    ...how,
  });
  assert.deepEqual(find({ mergeOption: 'FAST_FORWARD_MERGE' }), {
    event: 'referenceUpdated',
    ...common,
    referenceType: 'branch',
    referenceName: 'side',
    referenceFullName: 'refs/heads/side',
    commitId: three.commitId,
    oldCommitId: source,
    baseCommitId: source,
    sourceCommitId: three.commitId,
    destinationCommitId: source,
    mergeOption: 'FAST_FORWARD_MERGE',
  });
  const tag = { ...common, referenceType: 'tag', referenceName: 'v1', referenceFullName: 'refs/tags/v1' };
  const of = (event: string) => find({ event, referenceType: 'tag' });
  assert.deepEqual(of('referenceCreated'), { event: 'referenceCreated', ...tag, commitId: base });
  assert.deepEqual(of('referenceUpdated'), { event: 'referenceUpdated', ...tag, commitId: source, oldCommitId: base });
  assert.deepEqual(of('referenceDeleted'), { event: 'referenceDeleted', ...tag, oldCommitId: source });
});

test('a trigger reaches a queue behind a topic, when the topic lets CodeCommit publish', async () => {
  const codecommit = new CodeCommit(server.client);
  const repositoryName = `pushed-${'x'.repeat(93)}`;
  const sns = new SNS(server.client);
  const sqs = new SQS(server.client);
  const { TopicArn } = await sns.createTopic({ Name: 'pushes' });
  const { QueueUrl } = await sqs.createQueue({ QueueName: 'pushes' });
  const { Attributes } = await sqs.getQueueAttributes({ QueueUrl, AttributeNames: ['QueueArn'] });
  const allow = (Service: string, Action: string, Resource: string) =>
    JSON.stringify({ Version: '2012-10-17', Statement: [{ Effect: 'Allow', Principal: { Service }, Action, Resource }] });
  await sqs.setQueueAttributes({ QueueUrl, Attributes: { Policy: allow('sns.amazonaws.com', 'sqs:SendMessage', Attributes!.QueueArn!) } });
  await sns.subscribe({ TopicArn, Protocol: 'sqs', Endpoint: Attributes!.QueueArn! });
  await codecommit.createRepository({ repositoryName });
  const trigger = { name: 'tell', destinationArn: TopicArn!, events: ['all' as const] };
  const tested = await codecommit.testRepositoryTriggers({ repositoryName, triggers: [trigger] });
  await sns.setTopicAttributes({
    TopicArn,
    AttributeName: 'Policy',
    AttributeValue: allow('codecommit.amazonaws.com', 'sns:Publish', TopicArn!),
  });
  const { configurationId } = await codecommit.putRepositoryTriggers({ repositoryName, triggers: [trigger] });
  const { commitId } = await codecommit.putFile({
    repositoryName,
    branchName: 'main',
    filePath: 'a',
    fileContent: Buffer.from('a'),
  });
  const subjects = new Set<string>();
  const records: { eventName: string; eventTriggerConfigId: string; codecommit: { references: unknown } }[] = [];
  // The message of the test, where it was taken, may come after that of the push: queues keep no order.
  const expected = tested.successfulExecutions!.length + 1;
  while (records.length < expected) {
    const { Messages = [] } = await sqs.receiveMessage({ QueueUrl, WaitTimeSeconds: 20 });
    assert.ok(Messages.length > 0, 'a message comes');
    for (const { Body } of Messages) {
      const { Subject, Message } = JSON.parse(Body!);
      subjects.add(Subject);
      records.push(JSON.parse(Message).Records[0]);
    }
  }
  const record = records.find(({ eventName }) => eventName === 'ReferenceChanges')!;
  const subject = `CREATE: AWS CodeCommit ${server.region} push: ${repositoryName}`.slice(0, 99);
  assert.ok(subjects.has(subject), 'the subject of a long name is cut to what SNS takes');
  assert.equal(record.eventTriggerConfigId, configurationId);
  assert.deepEqual(record.codecommit.references, [{ commit: commitId, created: true, ref: 'refs/heads/main' }]);
  const names = records.map(({ eventName }) => eventName).sort();
  assert.deepEqual(
    names,
    expected === 2 ? ['ReferenceChanges', 'TriggerEventTest'] : ['ReferenceChanges'],
    'a test tells whether it was taken',
  );
});
