/** A pull request as two people work through it: conflict, resolution, approvals lost by a push, rules set aside, merge; told to a queue and recorded by CloudTrail. */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { CloudTrail } from '@aws-sdk/client-cloudtrail';
import { EventBridge } from '@aws-sdk/client-eventbridge';
import { SQS } from '@aws-sdk/client-sqs';
import { git } from '../../src/git/client.ts';
import { signGit, withCredentials } from '../support/git.ts';
import { refused } from '../support/refused.ts';
import { approvers, type Reviewer, Reviews } from '../support/reviews.ts';
import { startServer, type TestServer } from '../support/server.ts';

const repositoryName = 'shop';
let server: TestServer;
let reviews: Reviews;
let alice: Reviewer;
let bob: Reviewer;
let home: string;
let sqs: SQS;
let QueueUrl: string;

before(async () => {
  server = await startServer();
  reviews = await Reviews.open(server);
  alice = await reviews.user('Alice');
  bob = await reviews.user('Bob');
  home = await mkdtemp(path.join(tmpdir(), 'penstock-review-'));
  await openQueue();
});
after(async () => {
  await server.stop();
  await rm(home, { recursive: true, force: true });
});

/** A queue that gets whatever CodeCommit tells EventBridge. */
async function openQueue(): Promise<void> {
  const QueueName = 'reviews';
  const Resource = `arn:aws:sqs:${server.region}:${server.account}:${QueueName}`;
  const events = new EventBridge(server.client);
  const EventPattern = JSON.stringify({ source: ['aws.codecommit'], 'detail-type': [{ prefix: 'CodeCommit ' }] });
  const { RuleArn } = await events.putRule({ Name: 'to-queue', EventPattern });
  const Statement = [
    {
      Effect: 'Allow',
      Principal: { Service: 'events.amazonaws.com' },
      Action: 'sqs:SendMessage',
      Resource,
      Condition: { ArnEquals: { 'aws:SourceArn': RuleArn } },
    },
  ];
  sqs = new SQS(server.client);
  const Policy = JSON.stringify({ Version: '2012-10-17', Statement });
  QueueUrl = (await sqs.createQueue({ QueueName, Attributes: { Policy } })).QueueUrl!;
  await events.putTargets({ Rule: 'to-queue', Targets: [{ Id: 'queue', Arn: Resource }] });
}

test('a pull request worked through by two users', async () => {
  // Bob wants two approvals of everything that comes into main.
  const approvalRuleTemplateName = 'Two for main';
  const DestinationReferences = ['refs/heads/main'];
  await bob.codecommit.createApprovalRuleTemplate({
    approvalRuleTemplateName,
    approvalRuleTemplateContent: approvers(2, [`CodeCommitApprovers:${server.account}:*`], { DestinationReferences }),
  });
  await bob.codecommit.createRepository({ repositoryName });
  await bob.codecommit.associateApprovalRuleTemplateWithRepository({ approvalRuleTemplateName, repositoryName });

  // Alice changes a price on her branch, and Bob the same one on main.
  const price = (text: string) => ({ repositoryName, filePath: 'price', fileContent: Buffer.from(text) });
  const first = await alice.codecommit.putFile({ ...price('apple 1\npear 2\n'), branchName: 'main' });
  await alice.codecommit.createBranch({ repositoryName, branchName: 'cheaper', commitId: first.commitId });
  const parentCommitId = first.commitId;
  const cheaper = await alice.codecommit.putFile({ ...price('apple 0.9\npear 2\n'), branchName: 'cheaper', parentCommitId });
  const dearer = await bob.codecommit.putFile({ ...price('apple 1.1\npear 2\n'), branchName: 'main', parentCommitId });
  const targets = [{ repositoryName, sourceReference: 'cheaper' }];
  const { pullRequest: made } = await alice.codecommit.createPullRequest({ title: 'Cheaper apples', targets });
  const pullRequestId = made!.pullRequestId!;
  assert.equal(made?.approvalRules?.[0]?.originApprovalRuleTemplate?.approvalRuleTemplateName, approvalRuleTemplateName);

  // Bob has a question to a line, which Alice answers, and approves.
  const { comment } = await bob.codecommit.postCommentForPullRequest({
    pullRequestId,
    repositoryName,
    beforeCommitId: dearer.commitId,
    afterCommitId: cheaper.commitId,
    location: { filePath: 'price', filePosition: 1, relativeFileVersion: 'AFTER' },
    content: 'Can we afford this?',
  });
  await alice.codecommit.postCommentReply({ inReplyTo: comment?.commentId, content: 'We can.' });
  await bob.codecommit.putCommentReaction({ commentId: comment?.commentId, reactionValue: '👍' });
  const approve = (revisionId: string) =>
    bob.codecommit.updatePullRequestApprovalState({ pullRequestId, revisionId, approvalState: 'APPROVE' });
  await approve(made!.revisionId!);

  // The branches conflict. Alice merges main into her branch by the API and says what is right.
  const question = { repositoryName, sourceCommitSpecifier: 'cheaper', destinationCommitSpecifier: 'main' };
  const conflicts = await alice.codecommit.getMergeConflicts({ ...question, mergeOption: 'SQUASH_MERGE' });
  assert.deepEqual([conflicts.mergeable, conflicts.conflictMetadataList?.map(({ filePath }) => filePath)], [false, ['price']]);
  const { commitId: resolved } = await alice.codecommit.mergeBranchesByThreeWay({
    repositoryName,
    sourceCommitSpecifier: 'main',
    destinationCommitSpecifier: 'cheaper',
    conflictResolutionStrategy: 'AUTOMERGE',
    conflictResolution: {
      replaceContents: [{ filePath: 'price', replacementType: 'USE_NEW_CONTENT', content: Buffer.from('apple 1\npear 2\n') }],
    },
  });
  const solved = await alice.codecommit.getMergeConflicts({ ...question, mergeOption: 'SQUASH_MERGE' });
  assert.equal(solved.mergeable, true);
  const afterMerge = await reviews.get(pullRequestId);
  assert.equal(afterMerge.pullRequestTargets?.[0]?.sourceCommit, resolved);
  await approve(afterMerge.revisionId);

  // One more push by git, and Bob's approval is gone.
  const env = withCredentials(signGit(server, repositoryName, alice.credentials));
  await git(home, ['clone', '-q', '-b', 'cheaper', `${server.endpoint}/v1/repos/${repositoryName}`, home], env);
  await writeFile(path.join(home, 'price'), 'apple 0.95\npear 2\n');
  await git(home, ['commit', '-qam', 'In the middle']);
  await git(home, ['push', '-q', 'origin', 'cheaper'], env);
  const pushed = await reviews.get(pullRequestId);
  const { evaluation } = await alice.codecommit.evaluatePullRequestApprovalRules({ pullRequestId, revisionId: pushed.revisionId });
  assert.deepEqual(evaluation, {
    approved: false,
    overridden: false,
    approvalRulesSatisfied: [],
    approvalRulesNotSatisfied: [approvalRuleTemplateName],
  });
  const { approvals } = await alice.codecommit.getPullRequestApprovalStates({ pullRequestId, revisionId: pushed.revisionId });
  assert.deepEqual(approvals, []);
  await approve(pushed.revisionId);
  const own = { pullRequestId, revisionId: pushed.revisionId, approvalState: 'APPROVE' } as const;
  await refused(alice.codecommit.updatePullRequestApprovalState(own), 'PullRequestCannotBeApprovedByAuthorException');

  // Nobody else is there to approve: Bob sets the rules aside, and Alice merges.
  const merging = { pullRequestId, repositoryName, sourceCommitId: pushed.pullRequestTargets?.[0]?.sourceCommit };
  await refused(alice.codecommit.mergePullRequestBySquash(merging), 'PullRequestApprovalRulesNotSatisfiedException');
  await bob.codecommit.overridePullRequestApprovalRules({ pullRequestId, revisionId: pushed.revisionId, overrideStatus: 'OVERRIDE' });
  const { pullRequest: merged } = await alice.codecommit.mergePullRequestBySquash(merging);
  const metadata = merged?.pullRequestTargets?.[0]?.mergeMetadata;
  assert.deepEqual([merged?.pullRequestStatus, metadata?.mergeOption, metadata?.mergedBy], ['CLOSED', 'SQUASH_MERGE', alice.arn]);
  const { fileContent } = await bob.codecommit.getFile({ repositoryName, filePath: 'price' });
  assert.equal(Buffer.from(fileContent!).toString(), 'apple 0.95\npear 2\n');
  const { commit } = await bob.codecommit.getCommit({ repositoryName, commitId: metadata?.mergeCommitId });
  assert.deepEqual(commit?.parents, [dearer.commitId]);

  await historyTells(pullRequestId);
  await eventsTell(pullRequestId);
  await journalTells(pullRequestId);
});

async function historyTells(pullRequestId: string): Promise<void> {
  const { pullRequestEvents } = await bob.codecommit.describePullRequestEvents({ pullRequestId });
  assert.deepEqual(
    pullRequestEvents?.map(({ pullRequestEventType, actorArn }) => `${actorArn?.split('/').at(-1)} ${pullRequestEventType}`),
    [
      'Alice PULL_REQUEST_CREATED',
      'Alice PULL_REQUEST_APPROVAL_RULE_CREATED',
      'Bob PULL_REQUEST_APPROVAL_STATE_CHANGED',
      'Alice PULL_REQUEST_SOURCE_REFERENCE_UPDATED',
      'Bob PULL_REQUEST_APPROVAL_STATE_CHANGED',
      'Alice PULL_REQUEST_SOURCE_REFERENCE_UPDATED',
      'Bob PULL_REQUEST_APPROVAL_STATE_CHANGED',
      'Bob PULL_REQUEST_APPROVAL_RULE_OVERRIDDEN',
      'Alice PULL_REQUEST_MERGE_STATE_CHANGED',
      'Alice PULL_REQUEST_STATUS_CHANGED',
    ],
  );
}

async function eventsTell(pullRequestId: string): Promise<void> {
  const expected = [
    'Alice commentOnPullRequestCreated',
    'Alice pullRequestApprovalRuleCreated',
    'Alice pullRequestCreated',
    'Alice pullRequestMergeStatusUpdated',
    'Alice pullRequestSourceBranchUpdated',
    'Alice pullRequestSourceBranchUpdated',
    'Bob commentOnPullRequestCreated',
    'Bob pullRequestApprovalRuleOverridden',
    'Bob pullRequestApprovalStateChanged',
    'Bob pullRequestApprovalStateChanged',
    'Bob pullRequestApprovalStateChanged',
  ];
  const brief: string[] = [];
  // An empty answer after a long poll: nothing more comes.
  for (let waited = 0; brief.length < expected.length && waited < 3; ) {
    const { Messages = [] } = await sqs.receiveMessage({ QueueUrl, MaxNumberOfMessages: 10, WaitTimeSeconds: 10 });
    if (Messages.length === 0) waited++;
    for (const { Body, ReceiptHandle } of Messages) {
      const { detail } = JSON.parse(Body!);
      if (detail.pullRequestId === pullRequestId) brief.push(`${detail.callerUserArn.split('/').at(-1)} ${detail.event}`);
      await sqs.deleteMessage({ QueueUrl, ReceiptHandle });
    }
  }
  assert.deepEqual(brief.sort(), expected);
}

/** What each of them did, as CloudTrail has it, with how it ended. */
async function journalTells(pullRequestId: string): Promise<void> {
  const cloudtrail = new CloudTrail(server.client);
  const recorded: string[] = [];
  for (const AttributeValue of ['Alice', 'Bob']) {
    let NextToken: string | undefined;
    do {
      const page = await cloudtrail.lookupEvents({ LookupAttributes: [{ AttributeKey: 'Username', AttributeValue }], NextToken });
      for (const { CloudTrailEvent, Username } of page.Events!) {
        const { eventName, errorCode, requestParameters } = JSON.parse(CloudTrailEvent!);
        if (requestParameters?.pullRequestId === pullRequestId) recorded.push([Username, eventName, errorCode].filter(Boolean).join(' '));
      }
      NextToken = page.NextToken;
    } while (NextToken);
  }
  const expected = [
    'Alice UpdatePullRequestApprovalState PullRequestCannotBeApprovedByAuthorException',
    'Alice MergePullRequestBySquash PullRequestApprovalRulesNotSatisfiedException',
    'Alice MergePullRequestBySquash',
    'Bob OverridePullRequestApprovalRules',
    'Bob PostCommentForPullRequest',
    'Bob UpdatePullRequestApprovalState',
    'Bob UpdatePullRequestApprovalState',
    'Bob UpdatePullRequestApprovalState',
  ];
  for (const call of new Set(expected)) {
    const count = (list: string[]) => list.filter((each) => each === call).length;
    assert.equal(count(recorded), count(expected), call);
  }
}
