import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { RepositoryTrigger } from '@aws-sdk/client-codecommit';
import { CodeCommit } from '@aws-sdk/client-codecommit';
import { git } from '../../src/git/client.ts';
import { type StandIn, standIn } from '../support/aws-stand-in.ts';
import { signGit, withCredentials } from '../support/git.ts';
import { startServer, type TestServer } from '../support/server.ts';

let topic: StandIn;
let server: TestServer;
let codecommit: CodeCommit;
let home: string;
let taken = 0;
before(async () => {
  const body = '<PublishResponse><PublishResult><MessageId>1</MessageId></PublishResult></PublishResponse>';
  topic = await standIn({ status: 200, type: 'text/xml', body });
  const keys = { AWS_ACCESS_KEY_ID: 'elsewhere', AWS_SECRET_ACCESS_KEY: 'elsewhere' };
  server = await startServer({ env: { ...keys, PENSTOCK_ENDPOINT_SNS: topic.url } });
  codecommit = new CodeCommit(server.client);
  home = await mkdtemp(path.join(tmpdir(), 'penstock-triggers-'));
});
after(async () => {
  await server.stop();
  await topic[Symbol.asyncDispose]();
  await rm(home, { recursive: true, force: true });
});

const named = (name: string) => (error: Error) => error.name === name;
const topicArn = () => `arn:aws:sns:${server.region}:${server.account}:pushes`;

function trigger(more: Partial<RepositoryTrigger> = {}): RepositoryTrigger {
  return { name: 'tell', destinationArn: topicArn(), branches: [], events: ['all'], ...more } as RepositoryTrigger;
}

/** The next messages that the topic gets, as what was published. */
async function published(count: number) {
  const all = await topic.received(taken + count);
  const fresh = all.slice(taken, taken + count).map((body) => new URLSearchParams(body));
  taken += count;
  return fresh.map((form) => ({
    topic: form.get('TopicArn'),
    subject: form.get('Subject'),
    record: JSON.parse(form.get('Message')!).Records[0],
  }));
}

async function repository(repositoryName: string): Promise<string> {
  await codecommit.createRepository({ repositoryName });
  const work = path.join(home, repositoryName);
  await git(home, ['init', '-q', work]);
  await writeFile(path.join(work, 'a'), repositoryName);
  await git(work, ['add', '.']);
  await git(work, ['commit', '-qm', 'one']);
  await git(work, ['remote', 'add', 'origin', `${server.endpoint}/v1/repos/${repositoryName}`]);
  return work;
}

const push = (work: string, ...refs: string[]) =>
  git(work, ['push', '-q', 'origin', ...refs], withCredentials(signGit(server, path.basename(work))));

test('a push is told to a topic with the record that AWS sends', async () => {
  const work = await repository('told');
  const triggers = [trigger({ customData: 'for #dev' })];
  const { configurationId } = await codecommit.putRepositoryTriggers({ repositoryName: 'told', triggers });
  await push(work, 'main');
  const [first] = await published(1);
  const commit = await git(work, ['rev-parse', 'HEAD']);
  assert.equal(first!.topic, topicArn());
  assert.equal(first!.subject, `CREATE: AWS CodeCommit ${server.region} push: told`);
  const { eventId, eventTime, userIdentityARN, ...record } = first!.record;
  assert.match(eventId, /^[0-9a-f-]{36}$/);
  assert.match(eventTime, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+0000$/);
  assert.match(userIdentityARN, new RegExp(`^arn:aws:iam::${server.account}:`));
  assert.deepEqual(record, {
    awsRegion: server.region,
    codecommit: { references: [{ commit, created: true, ref: 'refs/heads/main' }] },
    customData: 'for #dev',
    eventName: 'ReferenceChanges',
    eventPartNumber: 1,
    eventSource: 'aws:codecommit',
    eventSourceARN: `arn:aws:codecommit:${server.region}:${server.account}:told`,
    eventTotalParts: 1,
    eventTriggerConfigId: configurationId,
    eventTriggerName: 'tell',
    eventVersion: '1.0',
  });
});

test('commits and merges of the API, deleted branches and tags are told too; several references of one push at once', async () => {
  const work = await repository('kinds');
  await codecommit.putRepositoryTriggers({ repositoryName: 'kinds', triggers: [trigger()] });
  await git(work, ['branch', 'side']);
  await git(work, ['tag', '-a', '-m', 'one', 'v1']);
  const one = await git(work, ['rev-parse', 'HEAD']);
  await push(work, 'main', 'side', 'v1');
  const [both] = await published(1);
  assert.equal(both!.record.customData, null);
  assert.deepEqual(both!.record.codecommit.references, [
    { commit: one, created: true, ref: 'refs/heads/main' },
    { commit: one, created: true, ref: 'refs/heads/side' },
    { commit: one, created: true, ref: 'refs/tags/v1' },
  ]);
  const at = { repositoryName: 'kinds', branchName: 'side', parentCommitId: one };
  const { commitId: two } = await codecommit.putFile({ ...at, filePath: 'b', fileContent: Buffer.from('b') });
  const merge = { repositoryName: 'kinds', sourceCommitSpecifier: 'side', destinationCommitSpecifier: 'main' };
  await published(1);
  await codecommit.mergeBranchesByFastForward(merge);
  const [merged] = await published(1);
  assert.equal(merged!.subject, `UPDATE: AWS CodeCommit ${server.region} push: kinds`);
  assert.deepEqual(merged!.record.codecommit.references, [{ commit: two, ref: 'refs/heads/main' }]);
  await codecommit.deleteBranch({ repositoryName: 'kinds', branchName: 'side' });
  const [deleted] = await published(1);
  assert.equal(deleted!.subject, `DELETE: AWS CodeCommit ${server.region} push: kinds`);
  assert.deepEqual(deleted!.record.codecommit.references, [{ commit: two, deleted: true, ref: 'refs/heads/side' }]);
});

test('a trigger hears only of its branches and events', async () => {
  const work = await repository('chosen');
  const triggers = [
    trigger({ name: 'main-updates', branches: ['main'], events: ['updateReference'] }),
    trigger({ name: 'deleted', events: ['deleteReference'] }),
    trigger({ name: 'created', events: ['createReference'], branches: ['b/1', 'b/2'] }),
  ];
  await codecommit.putRepositoryTriggers({ repositoryName: 'chosen', triggers });
  await push(work, 'main', 'main:refs/heads/other', 'main:refs/tags/b/1');
  await push(work, 'main:refs/heads/b/1', 'main:refs/heads/b/3');
  assert.equal((await published(1))[0]!.record.eventTriggerName, 'created', 'of all that was pushed so far only b/1 is told');
  await git(work, ['commit', '-q', '--allow-empty', '-m', 'two']);
  await push(work, 'main', ':refs/heads/other', 'main:refs/heads/b/3');
  const told = (await published(2)).map(({ record }) => [record.eventTriggerName, record.codecommit.references.length]);
  assert.deepEqual(told.sort(), [
    ['deleted', 1],
    ['main-updates', 1],
  ]);
  await codecommit.putRepositoryTriggers({ repositoryName: 'chosen', triggers: [] });
  await push(work, ':refs/heads/b/1');
  const got = await codecommit.getRepositoryTriggers({ repositoryName: 'chosen' });
  assert.deepEqual(got.triggers, []);
});

test('references that do not fit one message come in parts', async () => {
  const work = await repository('many');
  await codecommit.putRepositoryTriggers({ repositoryName: 'many', triggers: [trigger()] });
  const names = Array.from({ length: 1200 }, (_, index) => `refs/heads/${'n'.repeat(200)}-${String(index).padStart(4, '0')}`);
  await push(work, ...names.map((name) => `HEAD:${name}`));
  const [first, second] = await published(2);
  const parts = [first!.record, second!.record].sort((a, b) => a.eventPartNumber - b.eventPartNumber);
  assert.deepEqual(
    parts.map((record) => [record.eventPartNumber, record.eventTotalParts]),
    [
      [1, 2],
      [2, 2],
    ],
  );
  assert.equal(parts[0].eventId, parts[1].eventId);
  const refs = parts.flatMap((record) => record.codecommit.references.map(({ ref }: { ref: string }) => ref));
  assert.deepEqual(refs.sort(), names);
  for (const part of parts) assert.ok(JSON.stringify({ Records: [part] }).length < 256 * 1024);
});

test('a topic that fails is tried again; one that is not there is given up, and the log says so', async () => {
  const work = await repository('failing');
  await codecommit.putRepositoryTriggers({ repositoryName: 'failing', triggers: [trigger()] });
  const error = (code: string) => `<ErrorResponse><Error><Type>x</Type><Code>${code}</Code><Message>no</Message></Error></ErrorResponse>`;
  // The SDK tries three times by itself; then it is the job's turn.
  topic.answerNext(...Array.from({ length: 3 }, () => ({ status: 500, body: error('InternalError') })));
  await push(work, 'main');
  const [late] = await published(1);
  assert.equal(late!.record.eventSourceARN.split(':').at(-1), 'failing');

  const requests = topic.requests();
  topic.answerNext({ status: 404, body: error('NotFound') });
  await push(work, 'main:refs/heads/lost');
  await push(work, 'main:refs/heads/next');
  const [next] = await published(1);
  assert.equal(next!.record.codecommit.references[0].ref.startsWith('refs/heads/'), true);
  assert.equal(topic.requests() - requests, 2, 'once each');
  for (let tries = 0; tries < 100 && !/a trigger was not delivered/.test(server.log()); tries++) await delay(50);
  assert.match(server.log(), /a trigger was not delivered/);
});

test('a test really sends, and tells which destination did not take it', async () => {
  const work = await repository('tested');
  const lambda = `arn:aws:lambda:${server.region}:${server.account}:function:nobody`;
  const triggers = [trigger({ name: 'good' }), trigger({ name: 'bad', destinationArn: lambda })];
  const empty = await codecommit.testRepositoryTriggers({ repositoryName: 'tested', triggers });
  assert.deepEqual(empty.successfulExecutions, ['good']);
  assert.equal(empty.failedExecutions!.length, 1);
  assert.equal(empty.failedExecutions![0]!.trigger, 'bad');
  assert.match(empty.failedExecutions![0]!.failureMessage!, /does not have the service "lambda"/);
  const [zeros] = await published(1);
  assert.equal(zeros!.record.eventName, 'TriggerEventTest');
  assert.equal(zeros!.record.codecommit.references[0].commit, '0'.repeat(40));
  await push(work, 'main');
  await codecommit.testRepositoryTriggers({ repositoryName: 'tested', triggers: [trigger()] });
  const [real] = await published(1);
  const commit = await git(work, ['rev-parse', 'HEAD']);
  assert.deepEqual(real!.record.codecommit.references, [{ commit, ref: 'refs/heads/main' }]);
  assert.deepEqual((await codecommit.getRepositoryTriggers({ repositoryName: 'tested' })).triggers, [], 'a test keeps nothing');
});

test('triggers are kept as they were put, and get a new configuration each time', async () => {
  await codecommit.createRepository({ repositoryName: 'kept' });
  const triggers = [
    trigger({ customData: 'x'.repeat(1000), branches: ['main', 'a/b'] }),
    trigger({
      name: 'f.1_-',
      destinationArn: `arn:aws:lambda:${server.region}:${server.account}:function:f:live`,
      events: ['createReference'],
    }),
  ];
  const one = await codecommit.putRepositoryTriggers({ repositoryName: 'kept', triggers });
  const got = await codecommit.getRepositoryTriggers({ repositoryName: 'kept' });
  assert.equal(got.configurationId, one.configurationId);
  assert.deepEqual(got.triggers, triggers);
  const two = await codecommit.putRepositoryTriggers({ repositoryName: 'kept', triggers });
  assert.notEqual(two.configurationId, one.configurationId);
});

const broken: [expected: string, more: Record<string, unknown>][] = [
  ['RepositoryTriggerNameRequiredException', { name: '' }],
  ['InvalidRepositoryTriggerNameException', { name: 'a b' }],
  ['InvalidRepositoryTriggerNameException', { name: 'n'.repeat(101) }],
  ['RepositoryTriggerDestinationArnRequiredException', { destinationArn: '' }],
  ['InvalidRepositoryTriggerDestinationArnException', { destinationArn: 'arn:aws:sqs:us-east-1:123456789012:q' }],
  ['InvalidRepositoryTriggerDestinationArnException', { destinationArn: 'arn:aws:sns:us-east-1:123456789012:' }],
  ['InvalidRepositoryTriggerRegionException', { destinationArn: 'arn:aws:sns:eu-central-2:123456789012:pushes' }],
  ['InvalidRepositoryTriggerCustomDataException', { customData: 'x'.repeat(1001) }],
  ['MaximumBranchesExceededException', { branches: Array.from({ length: 11 }, (_, index) => `b${index}`) }],
  ['InvalidRepositoryTriggerBranchNameException', { branches: ['a..b'] }],
  ['InvalidRepositoryTriggerBranchNameException', { branches: ['b'.repeat(257)] }],
  ['RepositoryTriggerEventsListRequiredException', { events: [] }],
  ['InvalidRepositoryTriggerEventsException', { events: ['all', 'updateReference'] }],
  ['InvalidRepositoryTriggerEventsException', { events: ['push'] }],
];

test('triggers that AWS would refuse are refused, put or tested', async () => {
  await codecommit.createRepository({ repositoryName: 'refused' });
  for (const [expected, more] of broken) {
    const request = { repositoryName: 'refused', triggers: [trigger(more as Partial<RepositoryTrigger>)] };
    await assert.rejects(codecommit.putRepositoryTriggers(request), named(expected), `${expected} of put`);
    await assert.rejects(codecommit.testRepositoryTriggers(request), named(expected), `${expected} of test`);
  }
  const many = Array.from({ length: 11 }, (_, index) => trigger({ name: `t${index}` }));
  const put = (triggers: RepositoryTrigger[], repositoryName = 'refused') => codecommit.putRepositoryTriggers({ repositoryName, triggers });
  await assert.rejects(put(many), named('MaximumRepositoryTriggersExceededException'));
  await assert.rejects(put([trigger(), trigger()]), named('InvalidRepositoryTriggerNameException'));
  await assert.rejects(put([trigger()], 'absent'), named('RepositoryDoesNotExistException'));
  await assert.rejects(
    codecommit.testRepositoryTriggers({ repositoryName: 'refused', triggers: [] }),
    named('RepositoryTriggersListRequiredException'),
  );
});
