import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { CloudWatchLogs } from '@aws-sdk/client-cloudwatch-logs';
import { CodeCommit } from '@aws-sdk/client-codecommit';
import { EventBridge } from '@aws-sdk/client-eventbridge';
import { IAM } from '@aws-sdk/client-iam';
import { git } from '../../src/git/client.ts';
import { signGit, withCredentials } from '../support/git.ts';
import { refused } from '../support/refused.ts';
import { startServer, type TestServer } from '../support/server.ts';

const logGroupName = '/aws/events/pull-requests';
let server: TestServer;
let codecommit: CodeCommit;
let home: string;

before(async () => {
  server = await startServer();
  codecommit = new CodeCommit(server.client);
  home = await mkdtemp(path.join(tmpdir(), 'penstock-pulls-'));
  const events = new EventBridge(server.client);
  await new CloudWatchLogs(server.client).createLogGroup({ logGroupName });
  await events.putRule({ Name: 'all', EventPattern: JSON.stringify({ source: ['aws.codecommit'] }) });
  const Arn = `arn:aws:logs:${server.region}:${server.account}:log-group:${logGroupName}`;
  await events.putTargets({ Rule: 'all', Targets: [{ Id: 'log', Arn }] });
});
after(async () => {
  await server.stop();
  await rm(home, { recursive: true, force: true });
});

async function commit(repositoryName: string, branchName: string, parentCommitId: string | undefined, filePath: string, text: string) {
  const { commitId } = await codecommit.putFile({ repositoryName, branchName, parentCommitId, filePath, fileContent: Buffer.from(text) });
  return commitId!;
}

/** `main` and, one commit ahead, `topic`. */
async function repository(repositoryName: string) {
  await codecommit.createRepository({ repositoryName });
  const base = await commit(repositoryName, 'main', undefined, 'a', '1');
  await codecommit.createBranch({ repositoryName, branchName: 'topic', commitId: base });
  const source = await commit(repositoryName, 'topic', base, 'b', '1');
  return { base, source };
}

async function open(repositoryName: string, title = 'Change b') {
  const { pullRequest } = await codecommit.createPullRequest({ title, targets: [{ repositoryName, sourceReference: 'topic' }] });
  return pullRequest!;
}

async function get(pullRequestId: string | undefined) {
  const { pullRequest } = await codecommit.getPullRequest({ pullRequestId });
  return pullRequest!;
}

/** Events of a pull request as EventBridge delivered them, once there are `count`. */
async function told(pullRequestId: string | undefined, count: number): Promise<Record<string, string>[]> {
  const logs = new CloudWatchLogs(server.client);
  for (let tries = 0; ; tries++) {
    const { events } = await logs.filterLogEvents({ logGroupName });
    const all = events!.map(({ message }) => JSON.parse(message!));
    const found = all.filter(({ detail }) => detail.pullRequestId === pullRequestId).map(({ detail }) => detail);
    if (found.length >= count || tries === 300) return found;
    await delay(100);
  }
}

test('from opening to merging, with a push between', async () => {
  const { base, source } = await repository('whole');
  const made = await open('whole');
  assert.match(made.pullRequestId!, /^\d+$/);
  const [target] = made.pullRequestTargets!;
  assert.deepEqual(target, {
    repositoryName: 'whole',
    sourceReference: 'refs/heads/topic',
    destinationReference: 'refs/heads/main',
    sourceCommit: source,
    destinationCommit: base,
    mergeBase: base,
    mergeMetadata: { isMerged: false },
  });
  assert.deepEqual([made.pullRequestStatus, made.approvalRules], ['OPEN', []]);
  const pushed = await commit('whole', 'topic', source, 'b', '2');
  const after = await get(made.pullRequestId);
  assert.equal(after.pullRequestTargets?.[0]?.sourceCommit, pushed);
  assert.notEqual(after.revisionId, made.revisionId);
  const merging = { pullRequestId: made.pullRequestId, repositoryName: 'whole' };
  await refused(codecommit.mergePullRequestBySquash({ ...merging, sourceCommitId: source }), 'TipOfSourceReferenceIsDifferentException');
  const { pullRequest } = await codecommit.mergePullRequestBySquash({ ...merging, sourceCommitId: pushed, commitMessage: 'All of it' });
  const metadata = pullRequest?.pullRequestTargets?.[0]?.mergeMetadata;
  const { branch } = await codecommit.getBranch({ repositoryName: 'whole', branchName: 'main' });
  assert.deepEqual([pullRequest?.pullRequestStatus, metadata?.isMerged, metadata?.mergeOption], ['CLOSED', true, 'SQUASH_MERGE']);
  assert.equal(metadata?.mergeCommitId, branch?.commitId);
  const merged = await codecommit.getCommit({ repositoryName: 'whole', commitId: branch?.commitId });
  assert.deepEqual([merged.commit?.message, merged.commit?.parents], ['All of it', [base]]);

  const first = await codecommit.describePullRequestEvents({ pullRequestId: made.pullRequestId, maxResults: 2 });
  const second = await codecommit.describePullRequestEvents({
    pullRequestId: made.pullRequestId,
    nextToken: first.nextToken,
    maxResults: 2,
  });
  const all = [...first.pullRequestEvents!, ...second.pullRequestEvents!];
  assert.deepEqual(
    all.map(({ pullRequestEventType }) => pullRequestEventType),
    ['PULL_REQUEST_CREATED', 'PULL_REQUEST_SOURCE_REFERENCE_UPDATED', 'PULL_REQUEST_MERGE_STATE_CHANGED', 'PULL_REQUEST_STATUS_CHANGED'],
  );
  assert.deepEqual(all[1]?.pullRequestSourceReferenceUpdatedEventMetadata, {
    repositoryName: 'whole',
    beforeCommitId: source,
    afterCommitId: pushed,
    mergeBase: base,
  });
  const only = await codecommit.describePullRequestEvents({
    pullRequestId: made.pullRequestId,
    pullRequestEventType: 'PULL_REQUEST_STATUS_CHANGED',
  });
  assert.equal(only.pullRequestEvents?.[0]?.pullRequestStatusChangedEventMetadata?.pullRequestStatus, 'CLOSED');

  const delivered = await told(made.pullRequestId, 3);
  const byEvent = new Map(delivered.map((detail) => [detail.event, detail]));
  assert.deepEqual([...byEvent.keys()].sort(), ['pullRequestCreated', 'pullRequestMergeStatusUpdated', 'pullRequestSourceBranchUpdated']);
  const { notificationBody, creationDate, lastModifiedDate, ...detail } = byEvent.get('pullRequestMergeStatusUpdated')!;
  assert.match(notificationBody!, /status is merged/);
  assert.match(creationDate! + lastModifiedDate!, /^\w{3} \w{3} \d\d [\d:]{8} UTC \d{4}/);
  assert.deepEqual(detail, {
    author: made.authorArn,
    callerUserArn: made.authorArn,
    destinationCommit: base,
    destinationReference: 'refs/heads/main',
    event: 'pullRequestMergeStatusUpdated',
    isMerged: 'True',
    mergeOption: 'SQUASH_MERGE',
    pullRequestId: made.pullRequestId,
    pullRequestStatus: 'Closed',
    repositoryNames: ['whole'],
    revisionId: after.revisionId,
    sourceCommit: pushed,
    sourceReference: 'refs/heads/topic',
    title: 'Change b',
  });
  for (const call of [
    () => codecommit.mergePullRequestByThreeWay(merging),
    () => codecommit.updatePullRequestTitle({ pullRequestId: made.pullRequestId, title: 'Late' }),
    () => codecommit.updatePullRequestDescription({ pullRequestId: made.pullRequestId, description: 'Late' }),
  ]) {
    await refused(call(), 'PullRequestAlreadyClosedException');
  }
});

test('a push of the merged branch closes it, and one that merges nothing does not', async () => {
  const { source } = await repository('pushed');
  const made = await open('pushed');
  const directory = path.join(home, 'pushed');
  const env = withCredentials(signGit(server, 'pushed'));
  await git(home, ['clone', '-q', `${server.endpoint}/v1/repos/pushed`, directory], env);
  await writeFile(path.join(directory, 'c'), 'c');
  await git(directory, ['add', '.']);
  await git(directory, ['commit', '-qm', 'other']);
  await git(directory, ['push', '-q', 'origin', 'main'], env);
  await git(directory, ['merge', '-q', '--no-edit', 'origin/topic']);
  assert.equal((await get(made.pullRequestId)).pullRequestStatus, 'OPEN');
  await git(directory, ['push', '-q', 'origin', 'main'], env);
  await told(made.pullRequestId, 2);
  const closed = await get(made.pullRequestId);
  const tip = await git(directory, ['rev-parse', 'HEAD']);
  assert.equal(closed.pullRequestStatus, 'CLOSED');
  assert.deepEqual(closed.pullRequestTargets?.[0]?.mergeMetadata, {
    isMerged: true,
    mergedBy: closed.authorArn,
    mergeCommitId: tip,
    mergeOption: 'THREE_WAY_MERGE',
  });
  assert.equal(closed.pullRequestTargets?.[0]?.sourceCommit, source);
});

test('lists, edits and closing', async () => {
  await repository('listed');
  const one = await open('listed', 'One');
  const two = await open('listed', 'Two');
  assert.equal(Number(two.pullRequestId), Number(one.pullRequestId) + 1);
  await codecommit.updatePullRequestTitle({ pullRequestId: one.pullRequestId, title: 'First' });
  const { pullRequest } = await codecommit.updatePullRequestDescription({ pullRequestId: one.pullRequestId, description: 'Why' });
  assert.deepEqual([pullRequest?.title, pullRequest?.description], ['First', 'Why']);
  const closed = await codecommit.updatePullRequestStatus({ pullRequestId: one.pullRequestId, pullRequestStatus: 'CLOSED' });
  assert.equal(closed.pullRequest?.pullRequestStatus, 'CLOSED');
  for (const pullRequestStatus of ['OPEN', 'CLOSED'] as const) {
    await refused(
      codecommit.updatePullRequestStatus({ pullRequestId: one.pullRequestId, pullRequestStatus }),
      'InvalidPullRequestStatusUpdateException',
    );
  }
  const list = async (more: object) => (await codecommit.listPullRequests({ repositoryName: 'listed', ...more })).pullRequestIds;
  // The one with the most recent activity comes first.
  assert.deepEqual(await list({}), [one.pullRequestId, two.pullRequestId]);
  assert.deepEqual(await list({ pullRequestStatus: 'OPEN' }), [two.pullRequestId]);
  assert.deepEqual(await list({ authorArn: one.authorArn }), [one.pullRequestId, two.pullRequestId]);
  await refused(list({ authorArn: 'arn:aws:iam::1:user/x' }), 'AuthorDoesNotExistException');
  const page = await codecommit.listPullRequests({ repositoryName: 'listed', maxResults: 1 });
  assert.deepEqual(await list({ maxResults: 1, nextToken: page.nextToken }), [two.pullRequestId]);
  const said = (await told(one.pullRequestId, 2)).find(({ event }) => event === 'pullRequestStatusChanged');
  assert.deepEqual([said?.pullRequestStatus, said?.isMerged, said?.description], ['Closed', 'False', 'Why']);
});

test('a pull request is closed when one of its branches is deleted, as merged if it was', async () => {
  const { base, source } = await repository('deleted');
  const one = await open('deleted');
  await codecommit.deleteBranch({ repositoryName: 'deleted', branchName: 'topic' });
  const closed = await get(one.pullRequestId);
  assert.deepEqual([closed.pullRequestStatus, closed.pullRequestTargets?.[0]?.mergeMetadata?.isMerged], ['CLOSED', false]);
  assert.equal(closed.pullRequestTargets?.[0]?.sourceCommit, source);

  await codecommit.createBranch({ repositoryName: 'deleted', branchName: 'topic', commitId: source });
  await codecommit.createBranch({ repositoryName: 'deleted', branchName: 'release', commitId: base });
  const targets = [{ repositoryName: 'deleted', sourceReference: 'topic', destinationReference: 'release' }];
  const { pullRequest: two } = await codecommit.createPullRequest({ title: 'Release', targets });
  const three = await open('deleted');
  await codecommit.deleteBranch({ repositoryName: 'deleted', branchName: 'release' });
  assert.equal((await get(two?.pullRequestId)).pullRequestStatus, 'CLOSED');
  assert.equal((await get(three.pullRequestId)).pullRequestStatus, 'OPEN');

  // Merged and gone in one push.
  const directory = path.join(home, 'deleted');
  const env = withCredentials(signGit(server, 'deleted'));
  await git(home, ['clone', '-q', `${server.endpoint}/v1/repos/deleted`, directory], env);
  await git(directory, ['merge', '-q', '--no-ff', '--no-edit', 'origin/topic']);
  await git(directory, ['push', '-q', 'origin', 'main', ':topic'], env);
  const [last] = (await told(three.pullRequestId, 2)).filter(({ event }) => event !== 'pullRequestCreated');
  assert.deepEqual([last?.event, last?.isMerged], ['pullRequestMergeStatusUpdated', 'True']);
});

test('one token is one pull request, also when it is sent many times at once', async () => {
  await repository('again');
  const request = { title: 'T', targets: [{ repositoryName: 'again', sourceReference: 'topic' }], clientRequestToken: 'token' };
  const made = await Promise.all([1, 2, 3, 4].map(() => codecommit.createPullRequest(request)));
  assert.equal(new Set(made.map(({ pullRequest }) => pullRequest?.pullRequestId)).size, 1);
  await refused(codecommit.createPullRequest({ ...request, title: 'U' }), 'IdempotencyParameterMismatchException');
});

test('of several merges of one pull request at once exactly one wins', async () => {
  await repository('race');
  const made = await open('race');
  const merging = { pullRequestId: made.pullRequestId, repositoryName: 'race' };
  const results = await Promise.allSettled([1, 2, 3].map(() => codecommit.mergePullRequestByThreeWay(merging)));
  const lost = results.flatMap((result) => (result.status === 'rejected' ? [result.reason.name] : []));
  assert.equal(lost.length, 2);
  for (const name of lost) assert.match(name, /^(ConcurrentReferenceUpdate|PullRequestAlreadyClosed)Exception$/);
  const { pullRequestEvents } = await codecommit.describePullRequestEvents({ pullRequestId: made.pullRequestId });
  assert.equal(
    pullRequestEvents?.filter(({ pullRequestEventType }) => pullRequestEventType === 'PULL_REQUEST_MERGE_STATE_CHANGED').length,
    1,
  );
});

test('a conflict is refused, and resolved by the caller', async () => {
  const { base } = await repository('conflict');
  const destination = await commit('conflict', 'main', base, 'b', 'other');
  const made = await open('conflict');
  const merging = { pullRequestId: made.pullRequestId, repositoryName: 'conflict' };
  await refused(codecommit.mergePullRequestByFastForward(merging), 'ManualMergeRequiredException');
  await refused(codecommit.mergePullRequestByThreeWay(merging), 'ManualMergeRequiredException');
  assert.equal((await get(made.pullRequestId)).pullRequestStatus, 'OPEN');
  const { pullRequest } = await codecommit.mergePullRequestByThreeWay({
    ...merging,
    conflictResolutionStrategy: 'AUTOMERGE',
    conflictResolution: { replaceContents: [{ filePath: 'b', replacementType: 'USE_NEW_CONTENT', content: Buffer.from('both') }] },
  });
  assert.equal(pullRequest?.pullRequestTargets?.[0]?.destinationCommit, destination);
  const { fileContent } = await codecommit.getFile({ repositoryName: 'conflict', filePath: 'b' });
  assert.equal(Buffer.from(fileContent!).toString(), 'both');
});

test('modes are set with the resolution of conflicts, of files in conflict and of others', async () => {
  const { base, source } = await repository('modes');
  const content = (text: string) => Buffer.from(text);
  const put = (branchName: string, parentCommitId: string, text: string) =>
    codecommit.createCommit({
      repositoryName: 'modes',
      branchName,
      parentCommitId,
      putFiles: [{ filePath: 'run', fileContent: content(text), fileMode: branchName === 'main' ? 'EXECUTABLE' : 'NORMAL' }],
    });
  await put('topic', source, 'theirs');
  await put('main', base, 'ours');
  const { pullRequestId } = await open('modes');
  await codecommit.mergePullRequestBySquash({
    pullRequestId,
    repositoryName: 'modes',
    conflictResolutionStrategy: 'AUTOMERGE',
    conflictResolution: {
      replaceContents: [{ filePath: 'run', replacementType: 'USE_NEW_CONTENT', content: content('both'), fileMode: 'EXECUTABLE' }],
      setFileModes: [{ filePath: 'b', fileMode: 'EXECUTABLE' }],
    },
  });
  const { files } = await codecommit.getFolder({ repositoryName: 'modes', folderPath: '/' });
  assert.deepEqual(
    files?.map(({ relativePath, fileMode }) => [relativePath, fileMode]),
    [
      ['a', 'NORMAL'],
      ['b', 'EXECUTABLE'],
      ['run', 'EXECUTABLE'],
    ],
  );
});

test('what pull requests refuse', async () => {
  const { base } = await repository('no');
  await repository('other');
  const directory = path.join(home, 'no');
  const env = withCredentials(signGit(server, 'no'));
  await git(home, ['clone', '-q', `${server.endpoint}/v1/repos/no`, directory], env);
  await git(directory, ['push', '-q', 'origin', `${base}:refs/tags/v1`], env);
  const create = (...targets: { repositoryName: string; sourceReference: string; destinationReference?: string }[]) =>
    codecommit.createPullRequest({ title: 'T', targets });
  const target = { repositoryName: 'no', sourceReference: 'topic' };
  await refused(create(), 'TargetsRequiredException');
  await refused(create(target, target), 'InvalidTargetsException');
  await refused(create(target, { ...target, repositoryName: 'other' }), 'MultipleRepositoriesInPullRequestException');
  await refused(create({ ...target, repositoryName: 'none' }), 'RepositoryDoesNotExistException');
  await refused(create({ ...target, sourceReference: 'none' }), 'ReferenceDoesNotExistException');
  await refused(create({ ...target, sourceReference: 'v1' }), 'ReferenceTypeNotSupportedException');
  await refused(create({ ...target, destinationReference: 'refs/tags/v1' }), 'ReferenceTypeNotSupportedException');
  await refused(create({ ...target, destinationReference: 'refs/heads/topic' }), 'SourceAndDestinationAreSameException');
  await refused(codecommit.createPullRequest({ title: ' ', targets: [target] }), 'TitleRequiredException');
  await refused(codecommit.createPullRequest({ title: 'x'.repeat(151), targets: [target] }), 'InvalidTitleException');
  for (const pullRequestId of ['0', 'x', '1'.repeat(30)]) {
    await refused(codecommit.getPullRequest({ pullRequestId }), 'InvalidPullRequestIdException');
  }
  await refused(codecommit.getPullRequest({ pullRequestId: '999999' }), 'PullRequestDoesNotExistException');
  const { pullRequestId } = await open('no');
  const merge = (more: object) => codecommit.mergePullRequestByThreeWay({ pullRequestId, repositoryName: 'no', ...more });
  await refused(merge({ repositoryName: 'other' }), 'RepositoryNotAssociatedWithPullRequestException');
  await refused(merge({ repositoryName: 'none' }), 'RepositoryDoesNotExistException');
  await refused(merge({ sourceCommitId: 'x' }), 'InvalidCommitIdException');
  await refused(codecommit.describePullRequestEvents({ pullRequestId, nextToken: 'x' }), 'InvalidContinuationTokenException');
  await refused(codecommit.describePullRequestEvents({ pullRequestId, maxResults: 0 }), 'InvalidMaxResultsException');
  await refused(codecommit.describePullRequestEvents({ pullRequestId, actorArn: 'x' }), 'InvalidActorArnException');
  await refused(codecommit.listPullRequests({ repositoryName: 'no', authorArn: 'x' }), 'InvalidAuthorArnException');
});

test('who may not merge into a branch may not merge a pull request into it', async () => {
  await repository('guarded');
  const made = await open('guarded');
  const iam = new IAM(server.client);
  await iam.createUser({ UserName: 'reviewer' });
  const { AccessKey } = await iam.createAccessKey({ UserName: 'reviewer' });
  const Condition = { StringEquals: { 'codecommit:References': ['refs/heads/main'] } };
  const Statement = [
    { Effect: 'Allow', Action: 'codecommit:*', Resource: `arn:aws:codecommit:*:*:guarded` },
    { Effect: 'Deny', Action: 'codecommit:Merge*', Resource: '*', Condition },
  ];
  await iam.putUserPolicy({ UserName: 'reviewer', PolicyName: 'p', PolicyDocument: JSON.stringify({ Version: '2012-10-17', Statement }) });
  const credentials = { accessKeyId: AccessKey!.AccessKeyId!, secretAccessKey: AccessKey!.SecretAccessKey! };
  const reviewer = new CodeCommit({ ...server.client, credentials });
  const pullRequestId = made.pullRequestId;
  assert.equal((await reviewer.getPullRequest({ pullRequestId })).pullRequest?.title, 'Change b');
  await refused(reviewer.mergePullRequestBySquash({ pullRequestId, repositoryName: 'guarded' }), 'AccessDeniedException');
  await repository('secret');
  const secret = await open('secret');
  await refused(reviewer.getPullRequest({ pullRequestId: secret.pullRequestId }), 'AccessDeniedException');
});
