import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { CodeCommit } from '@aws-sdk/client-codecommit';
import { IAM } from '@aws-sdk/client-iam';
import { STS } from '@aws-sdk/client-sts';
import { refused } from '../support/refused.ts';
import { approvers, type Reviewer, Reviews } from '../support/reviews.ts';
import { startServer, type TestServer } from '../support/server.ts';

let server: TestServer;
let reviews: Reviews;
let mary: Reviewer;
let li: Reviewer;

before(async () => {
  server = await startServer();
  reviews = await Reviews.open(server);
  mary = await reviews.user('Mary');
  li = await reviews.user('Li');
});
after(() => server.stop());

test('a rule, its approvals, what a push makes of them, and a merge that waits for them', async () => {
  const { source } = await reviews.repository('rules');
  const { pullRequestId, revisionId } = await reviews.open('rules', { description: 'Why' });
  const content = approvers(2, ['CodeCommitApprovers:123456789012:*']);
  const { approvalRule } = await reviews.codecommit.createPullRequestApprovalRule({
    pullRequestId,
    approvalRuleName: 'Require two',
    approvalRuleContent: content,
  });
  assert.equal(approvalRule?.approvalRuleContent, content);
  assert.match(approvalRule?.ruleContentSha256 ?? '', /^[0-9a-f]{64}$/);
  assert.equal(approvalRule?.originApprovalRuleTemplate, undefined);
  assert.deepEqual((await reviews.get(pullRequestId)).approvalRules, [approvalRule]);

  const evaluation = async (id: string) =>
    (await mary.codecommit.evaluatePullRequestApprovalRules({ pullRequestId, revisionId: id })).evaluation;
  const approve = (who: Reviewer, id: string) =>
    who.codecommit.updatePullRequestApprovalState({ pullRequestId, revisionId: id, approvalState: 'APPROVE' });
  const merging = { pullRequestId, repositoryName: 'rules' };
  await approve(mary, revisionId);
  await approve(mary, revisionId);
  assert.deepEqual(await evaluation(revisionId), {
    approved: false,
    overridden: false,
    approvalRulesSatisfied: [],
    approvalRulesNotSatisfied: ['Require two'],
  });
  for (const merge of [
    () => mary.codecommit.mergePullRequestByFastForward(merging),
    () => mary.codecommit.mergePullRequestBySquash(merging),
    () => mary.codecommit.mergePullRequestByThreeWay(merging),
  ]) {
    await refused(merge(), 'PullRequestApprovalRulesNotSatisfiedException', /Require two/);
  }
  await approve(li, revisionId);
  assert.equal((await evaluation(revisionId))?.approved, true);
  const { approvals } = await li.codecommit.getPullRequestApprovalStates({ pullRequestId, revisionId });
  assert.deepEqual(approvals, [
    { userArn: mary.arn, approvalState: 'APPROVE' },
    { userArn: li.arn, approvalState: 'APPROVE' },
  ]);

  await reviews.commit('rules', 'topic', source, 'b', 'pushed');
  const pushed = await reviews.get(pullRequestId);
  assert.equal((await evaluation(pushed.revisionId))?.approved, false);
  await refused(evaluation(revisionId), 'RevisionNotCurrentException');
  await refused(approve(mary, revisionId), 'RevisionNotCurrentException');
  const before = await li.codecommit.getPullRequestApprovalStates({ pullRequestId, revisionId });
  assert.equal(before.approvals?.length, 2);
  await approve(mary, pushed.revisionId);
  await approve(li, pushed.revisionId);
  await li.codecommit.updatePullRequestApprovalState({ pullRequestId, revisionId: pushed.revisionId, approvalState: 'REVOKE' });
  await refused(mary.codecommit.mergePullRequestBySquash(merging), 'PullRequestApprovalRulesNotSatisfiedException');
  const { approvalRule: updated } = await mary.codecommit.updatePullRequestApprovalRuleContent({
    pullRequestId,
    approvalRuleName: 'Require two',
    existingRuleContentSha256: approvalRule?.ruleContentSha256,
    newRuleContent: approvers(1),
  });
  assert.equal(updated?.approvalRuleId, approvalRule?.approvalRuleId);
  assert.equal(updated?.lastModifiedUser, mary.arn);
  const { pullRequest } = await mary.codecommit.mergePullRequestBySquash(merging);
  assert.equal(pullRequest?.pullRequestStatus, 'CLOSED');
  assert.deepEqual(pullRequest?.approvalRules, [updated]);

  const { pullRequestEvents } = await mary.codecommit.describePullRequestEvents({ pullRequestId });
  assert.deepEqual(
    pullRequestEvents?.map(({ pullRequestEventType, actorArn }) => [pullRequestEventType, actorArn]),
    [
      ['PULL_REQUEST_CREATED', pushed.authorArn],
      ['PULL_REQUEST_APPROVAL_RULE_CREATED', pushed.authorArn],
      ['PULL_REQUEST_APPROVAL_STATE_CHANGED', mary.arn],
      ['PULL_REQUEST_APPROVAL_STATE_CHANGED', li.arn],
      ['PULL_REQUEST_SOURCE_REFERENCE_UPDATED', pushed.authorArn],
      ['PULL_REQUEST_APPROVAL_STATE_CHANGED', mary.arn],
      ['PULL_REQUEST_APPROVAL_STATE_CHANGED', li.arn],
      ['PULL_REQUEST_APPROVAL_STATE_CHANGED', li.arn],
      ['PULL_REQUEST_APPROVAL_RULE_UPDATED', mary.arn],
      ['PULL_REQUEST_MERGE_STATE_CHANGED', mary.arn],
      ['PULL_REQUEST_STATUS_CHANGED', mary.arn],
    ],
  );
  assert.deepEqual(pullRequestEvents?.[1]?.approvalRuleEventMetadata, {
    approvalRuleName: 'Require two',
    approvalRuleId: approvalRule?.approvalRuleId,
    approvalRuleContent: content,
  });
  assert.deepEqual(pullRequestEvents?.[7]?.approvalStateChangedEventMetadata, {
    revisionId: pushed.revisionId,
    approvalStatus: 'REVOKE',
  });
  const only = await mary.codecommit.describePullRequestEvents({
    pullRequestId,
    pullRequestEventType: 'PULL_REQUEST_APPROVAL_STATE_CHANGED',
    actorArn: mary.arn,
  });
  assert.equal(only.pullRequestEvents?.length, 2);

  const told = await reviews.told(({ detail }) => detail.pullRequestId === pullRequestId, 10);
  const [created] = told.filter(({ detail }) => detail.event === 'pullRequestApprovalRuleCreated');
  const { notificationBody, creationDate, lastModifiedDate, ...detail } = created!.detail;
  assert.equal(created!['detail-type'], 'CodeCommit Pull Request State Change');
  assert.deepEqual(created!.resources, [`arn:aws:codecommit:${server.region}:${server.account}:rules`]);
  assert.match(notificationBody, /An approval rule has been created with the following name: Require two\./);
  assert.match(creationDate + lastModifiedDate, /^\w{3} \w{3} \d\d [\d:]{8} UTC \d{4}/);
  assert.deepEqual(detail, {
    approvalRuleContentSha256: approvalRule?.ruleContentSha256,
    approvalRuleId: approvalRule?.approvalRuleId,
    approvalRuleName: 'Require two',
    author: pushed.authorArn,
    callerUserArn: pushed.authorArn,
    description: 'Why',
    destinationCommit: pushed.pullRequestTargets?.[0]?.destinationCommit,
    destinationReference: 'refs/heads/main',
    event: 'pullRequestApprovalRuleCreated',
    isMerged: 'False',
    pullRequestId,
    pullRequestStatus: 'Open',
    repositoryNames: ['rules'],
    revisionId,
    sourceCommit: source,
    sourceReference: 'refs/heads/topic',
    title: 'Change b',
  });
  const states = told.filter(({ detail: { event } }) => event === 'pullRequestApprovalStateChanged');
  assert.deepEqual(
    states.map(({ detail: { callerUserArn, approvalStatus } }) => `${callerUserArn} ${approvalStatus}`).sort(),
    [`${li.arn} APPROVE`, `${li.arn} APPROVE`, `${li.arn} REVOKE`, `${mary.arn} APPROVE`, `${mary.arn} APPROVE`].sort(),
  );
});

test('rules set aside for one revision, taken back, and deleted', async () => {
  const { source } = await reviews.repository('override');
  const { pullRequestId, revisionId } = await reviews.open('override');
  const rule = { pullRequestId, approvalRuleName: 'r', approvalRuleContent: approvers(1) };
  const { approvalRule } = await reviews.codecommit.createPullRequestApprovalRule(rule);
  const override = (id: string, overrideStatus: 'OVERRIDE' | 'REVOKE') =>
    mary.codecommit.overridePullRequestApprovalRules({ pullRequestId, revisionId: id, overrideStatus });
  const state = async (id: string) => {
    const { overridden, overrider } = await li.codecommit.getPullRequestOverrideState({ pullRequestId, revisionId: id });
    return [overridden, overrider];
  };
  assert.deepEqual(await state(revisionId), [false, undefined]);
  await override(revisionId, 'REVOKE');
  await override(revisionId, 'OVERRIDE');
  assert.deepEqual(await state(revisionId), [true, mary.arn]);
  await refused(override(revisionId, 'OVERRIDE'), 'OverrideAlreadySetException');
  const { evaluation } = await li.codecommit.evaluatePullRequestApprovalRules({ pullRequestId, revisionId });
  assert.deepEqual([evaluation?.approved, evaluation?.overridden], [false, true]);
  await reviews.commit('override', 'topic', source, 'b', 'pushed');
  const pushed = await reviews.get(pullRequestId);
  assert.deepEqual(await state(pushed.revisionId), [false, undefined]);
  const merging = { pullRequestId, repositoryName: 'override' };
  await refused(li.codecommit.mergePullRequestByFastForward(merging), 'PullRequestApprovalRulesNotSatisfiedException');
  await override(pushed.revisionId, 'OVERRIDE');
  await override(pushed.revisionId, 'REVOKE');
  await refused(li.codecommit.mergePullRequestByFastForward(merging), 'PullRequestApprovalRulesNotSatisfiedException');
  const deleted = await li.codecommit.deletePullRequestApprovalRule({ pullRequestId, approvalRuleName: 'r' });
  assert.equal(deleted.approvalRuleId, approvalRule?.approvalRuleId);
  const again = await li.codecommit.deletePullRequestApprovalRule({ pullRequestId, approvalRuleName: 'r' });
  assert.equal(again.approvalRuleId, undefined);
  await li.codecommit.mergePullRequestByFastForward(merging);
  const { pullRequestEvents } = await mary.codecommit.describePullRequestEvents({
    pullRequestId,
    pullRequestEventType: 'PULL_REQUEST_APPROVAL_RULE_OVERRIDDEN',
  });
  assert.deepEqual(
    pullRequestEvents?.map(({ approvalRuleOverriddenEventMetadata: metadata }) => metadata),
    [
      { revisionId, overrideStatus: 'OVERRIDE' },
      { revisionId: pushed.revisionId, overrideStatus: 'OVERRIDE' },
      { revisionId: pushed.revisionId, overrideStatus: 'REVOKE' },
    ],
  );
  const told = await reviews.told(
    ({ detail: { event, pullRequestId: id } }) => id === pullRequestId && /Overridden|RuleDeleted/.test(event),
    4,
  );
  const brief = told.map(({ detail: { event, overrideStatus, approvalRuleName } }) =>
    [event, overrideStatus ?? approvalRuleName].join(' '),
  );
  assert.deepEqual(brief.sort(), [
    'pullRequestApprovalRuleDeleted r',
    'pullRequestApprovalRuleOverridden OVERRIDE',
    'pullRequestApprovalRuleOverridden OVERRIDE',
    'pullRequestApprovalRuleOverridden REVOKE',
  ]);
});

test('sessions of a role approve each for itself, and are told by their session tags', async () => {
  await reviews.repository('roles');
  const { pullRequestId, revisionId } = await reviews.open('roles');
  const iam = new IAM(server.client);
  const trusted = { Effect: 'Allow', Principal: { AWS: server.account }, Action: ['sts:AssumeRole', 'sts:TagSession'] };
  const AssumeRolePolicyDocument = JSON.stringify({ Version: '2012-10-17', Statement: [trusted] });
  await iam.createRole({ RoleName: 'Review', AssumeRolePolicyDocument });
  const Statement = [{ Effect: 'Allow', Action: 'codecommit:*', Resource: '*' }];
  await iam.putRolePolicy({ RoleName: 'Review', PolicyName: 'p', PolicyDocument: JSON.stringify({ Version: '2012-10-17', Statement }) });
  const as = async (RoleSessionName: string, Tags?: { Key: string; Value: string }[]) => {
    const RoleArn = `arn:aws:iam::${server.account}:role/Review`;
    const { Credentials } = await new STS(server.client).assumeRole({ RoleArn, RoleSessionName, Tags });
    const { AccessKeyId, SecretAccessKey, SessionToken } = Credentials!;
    const credentials = { accessKeyId: AccessKeyId!, secretAccessKey: SecretAccessKey!, sessionToken: SessionToken! };
    return new CodeCommit({ ...server.client, credentials });
  };
  const approvalRuleContent = approvers(2, [`arn:aws:sts::${server.account}:assumed-role/Review/*`]);
  await reviews.codecommit.createPullRequestApprovalRule({ pullRequestId, approvalRuleName: 'Review', approvalRuleContent });
  const approve = (codecommit: CodeCommit) =>
    codecommit.updatePullRequestApprovalState({ pullRequestId, revisionId, approvalState: 'APPROVE' });
  const one = await as('One', [
    { Key: 'displayName', Value: 'Mary Major' },
    { Key: 'emailAddress', Value: 'mary@example.com' },
  ]);
  await approve(one);
  await approve(mary.codecommit);
  const { evaluation } = await one.evaluatePullRequestApprovalRules({ pullRequestId, revisionId });
  assert.deepEqual(evaluation?.approvalRulesNotSatisfied, ['Review']);
  await approve(await as('Two'));
  await one.mergePullRequestByThreeWay({ pullRequestId, repositoryName: 'roles' });
  const told = await reviews.told(
    ({ detail }) => detail.callerUserArn.endsWith('/Review/One') && detail.pullRequestId === pullRequestId,
    2,
  );
  assert.deepEqual(
    new Set(told.map(({ detail: { event, displayName, emailAddress } }) => `${event} ${displayName} ${emailAddress}`)),
    new Set(['ApprovalStateChanged', 'MergeStatusUpdated'].map((event) => `pullRequest${event} Mary Major mary@example.com`)),
  );
});

test('a push that merges by git passes the rules by, as on AWS', async () => {
  const { source } = await reviews.repository('bypass');
  const { pullRequestId } = await reviews.open('bypass');
  await reviews.codecommit.createPullRequestApprovalRule({ pullRequestId, approvalRuleName: 'r', approvalRuleContent: approvers(1) });
  await reviews.codecommit.mergeBranchesByFastForward({
    repositoryName: 'bypass',
    sourceCommitSpecifier: source,
    destinationCommitSpecifier: 'main',
  });
  await reviews.told(({ detail }) => detail.pullRequestId === pullRequestId && detail.event === 'pullRequestMergeStatusUpdated', 1);
  const { pullRequestTargets, pullRequestStatus } = await reviews.get(pullRequestId);
  assert.deepEqual([pullRequestStatus, pullRequestTargets?.[0]?.mergeMetadata?.isMerged], ['CLOSED', true]);
});

test('of many who approve, override and merge at once nothing is lost or done twice', async () => {
  await reviews.repository('crowd');
  const { pullRequestId, revisionId } = await reviews.open('crowd');
  await reviews.codecommit.createPullRequestApprovalRule({ pullRequestId, approvalRuleName: 'r', approvalRuleContent: approvers(2) });
  const approve = { pullRequestId, revisionId, approvalState: 'APPROVE' } as const;
  const override = { pullRequestId, revisionId, overrideStatus: 'OVERRIDE' } as const;
  const results = await Promise.allSettled([
    ...[mary, li, mary, li].map(({ codecommit }) => codecommit.updatePullRequestApprovalState(approve)),
    ...[mary, li].map(({ codecommit }) => codecommit.overridePullRequestApprovalRules(override)),
  ]);
  const failed = results.flatMap((result) => (result.status === 'rejected' ? [result.reason.name] : []));
  assert.deepEqual(failed, ['OverrideAlreadySetException']);
  const { approvals } = await li.codecommit.getPullRequestApprovalStates({ pullRequestId, revisionId });
  assert.equal(approvals?.length, 2);
  const { pullRequestEvents } = await li.codecommit.describePullRequestEvents({ pullRequestId });
  assert.equal(pullRequestEvents?.length, 5);
});
