/** Reviews go on while the server is killed: what was acknowledged is there, what is sent again is not done twice, and nothing is done by halves. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { approvers, type Reviewer, Reviews } from '../support/reviews.ts';
import { startServer, type TestServer } from '../support/server.ts';

/** The server is killed once it has given so many answers; of 36 that it would give. */
const ROUNDS = [5, 22];
const repositoryName = 'reviewed';
let server: TestServer;
let reviews: Reviews;
let mary: Reviewer;
let commits: { base: string; source: string };

before(async () => {
  server = await startServer();
  reviews = await Reviews.open(server);
  mary = await reviews.user('Mary');
  commits = await reviews.repository(repositoryName);
  const rule = { approvalRuleTemplateName: 'One', approvalRuleTemplateContent: approvers(1) };
  await reviews.codecommit.createApprovalRuleTemplate(rule);
  await reviews.codecommit.associateApprovalRuleTemplateWithRepository({ approvalRuleTemplateName: 'One', repositoryName });
});
after(() => server.stop());

let toCome = 0;
let enough: () => void;

/** Undefined when the answer was lost with the server. */
async function sent<T>(call: Promise<T>): Promise<T | undefined> {
  call.then(
    () => --toCome === 0 && enough(),
    () => {},
  );
  return call.catch((error: { $metadata?: { httpStatusCode?: number } }) => {
    if (error.$metadata?.httpStatusCode !== undefined) throw error;
    return undefined;
  });
}

/** A pull request by one token, approved and commented on, as far as the server lives. */
async function review(name: string) {
  const targets = [{ repositoryName, sourceReference: 'topic' }];
  const make = () => reviews.codecommit.createPullRequest({ title: name, targets, clientRequestToken: name });
  const made = (await sent(make()))?.pullRequest;
  if (!made) return { name, make };
  const { pullRequestId, revisionId } = made;
  const compared = { repositoryName, beforeCommitId: commits.base, afterCommitId: commits.source };
  const comment = () =>
    mary.codecommit.postCommentForPullRequest({ pullRequestId, ...compared, content: name, clientRequestToken: `${name} said` });
  const approve = () => mary.codecommit.updatePullRequestApprovalState({ pullRequestId, revisionId, approvalState: 'APPROVE' });
  const [posted, approved] = await Promise.all([sent(comment()), sent(approve())]);
  return { name, make, pullRequestId, comment, approve, posted, approved };
}

test('reviews survive that the server is killed again and again', async () => {
  const tried: Awaited<ReturnType<typeof review>>[] = [];
  for (const [round, answers] of ROUNDS.entries()) {
    const reached = new Promise<void>((resolve) => {
      enough = resolve;
    });
    toCome = answers;
    const running = Promise.all(Array.from({ length: 12 }, (_, index) => review(`${round} ${index}`)));
    await reached;
    await server.kill();
    tried.push(...(await running));
    await server.restart();
  }
  for (const { name, make, pullRequestId, posted, approved, ...again } of tried) {
    const { pullRequest } = await make();
    const id = pullRequest!.pullRequestId!;
    if (pullRequestId) assert.equal(id, pullRequestId, name);
    assert.deepEqual(
      pullRequest?.approvalRules?.map(({ approvalRuleName }) => approvalRuleName),
      ['One'],
    );
    const { commentsForPullRequestData: before } = await mary.codecommit.getCommentsForPullRequest({ pullRequestId: id });
    const { approvals } = await mary.codecommit.getPullRequestApprovalStates({ pullRequestId: id, revisionId: pullRequest?.revisionId });
    if (posted) assert.equal(before?.[0]?.comments?.[0]?.commentId, posted.comment?.commentId);
    if (approved) assert.equal(approvals?.length, 1);
    await again.comment?.();
    await again.approve?.();
    const { commentsForPullRequestData: afterwards } = await mary.codecommit.getCommentsForPullRequest({ pullRequestId: id });
    assert.equal(afterwards?.flatMap(({ comments }) => comments!).length ?? 0, again.comment ? 1 : 0);
    const { pullRequestEvents } = await mary.codecommit.describePullRequestEvents({ pullRequestId: id });
    const history = pullRequestEvents?.map(({ pullRequestEventType }) => pullRequestEventType?.replace('PULL_REQUEST_', ''));
    assert.deepEqual(history, ['CREATED', 'APPROVAL_RULE_CREATED', ...(again.approve ? ['APPROVAL_STATE_CHANGED'] : [])]);
  }
  const done = tried.filter(({ approved }) => approved).length;
  assert.ok(done > 0, 'the server was killed before it had done anything');
  const created = await reviews.told(({ detail }) => detail.event === 'pullRequestCreated', tried.length);
  assert.equal(new Set(created.map(({ detail }) => detail.pullRequestId)).size, tried.length);
});
