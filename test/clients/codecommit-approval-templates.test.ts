import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { refused } from '../support/refused.ts';
import { approvers, type Reviewer, Reviews } from '../support/reviews.ts';
import { startServer, type TestServer } from '../support/server.ts';

let server: TestServer;
let reviews: Reviews;
let mary: Reviewer;

before(async () => {
  server = await startServer();
  reviews = await Reviews.open(server);
  mary = await reviews.user('Mary');
});
after(() => server.stop());

async function template(approvalRuleTemplateName: string, approvalRuleTemplateContent = approvers(1)) {
  const made = await reviews.codecommit.createApprovalRuleTemplate({ approvalRuleTemplateName, approvalRuleTemplateContent });
  return made.approvalRuleTemplate!;
}

test('new pull requests get the rules of the templates that are for their destination, as the templates are then', async () => {
  await reviews.repository('whole');
  const main = await template('main', approvers(1, undefined, { DestinationReferences: ['refs/heads/main', 'refs/heads/rel*'] }));
  await template('other', approvers(1, undefined, { DestinationReferences: ['refs/heads/dev'] }));
  const unassociated = await reviews.open('whole');
  assert.deepEqual(unassociated.approvalRules, []);
  for (const approvalRuleTemplateName of ['main', 'other', 'main']) {
    await mary.codecommit.associateApprovalRuleTemplateWithRepository({ approvalRuleTemplateName, repositoryName: 'whole' });
  }
  assert.deepEqual((await reviews.get(unassociated.pullRequestId)).approvalRules, []);
  const { pullRequestId, revisionId, approvalRules, creationDate } = await reviews.open('whole');
  const [rule] = approvalRules!;
  assert.deepEqual(approvalRules, [
    {
      approvalRuleId: rule?.approvalRuleId,
      approvalRuleName: 'main',
      approvalRuleContent: main.approvalRuleTemplateContent,
      ruleContentSha256: main.ruleContentSha256,
      creationDate,
      lastModifiedDate: creationDate,
      lastModifiedUser: main.lastModifiedUser,
      originApprovalRuleTemplate: { approvalRuleTemplateId: main.approvalRuleTemplateId, approvalRuleTemplateName: 'main' },
    },
  ]);
  const onRule = { pullRequestId, approvalRuleName: 'main' };
  const newRuleContent = approvers(2);
  await refused(
    mary.codecommit.updatePullRequestApprovalRuleContent({ ...onRule, newRuleContent }),
    'CannotModifyApprovalRuleFromTemplateException',
  );
  await refused(mary.codecommit.deletePullRequestApprovalRule(onRule), 'CannotDeleteApprovalRuleFromTemplateException');

  // Whatever happens to the template, the rule stays.
  const existingRuleContentSha256 = main.ruleContentSha256;
  const ofMain = { approvalRuleTemplateName: 'main' };
  const { approvalRuleTemplate: updated } = await mary.codecommit.updateApprovalRuleTemplateContent({
    ...ofMain,
    newRuleContent,
    existingRuleContentSha256,
  });
  assert.deepEqual([updated?.approvalRuleTemplateContent, updated?.lastModifiedUser], [newRuleContent, mary.arn]);
  await mary.codecommit.updateApprovalRuleTemplateName({ oldApprovalRuleTemplateName: 'main', newApprovalRuleTemplateName: 'two' });
  await refused(mary.codecommit.getApprovalRuleTemplate(ofMain), 'ApprovalRuleTemplateDoesNotExistException');
  assert.deepEqual((await reviews.get(pullRequestId)).approvalRules, approvalRules);
  assert.equal((await reviews.open('whole')).approvalRules?.[0]?.approvalRuleContent, newRuleContent);
  const ofTwo = { approvalRuleTemplateName: 'two', repositoryName: 'whole' };
  await refused(mary.codecommit.deleteApprovalRuleTemplate(ofTwo), 'ApprovalRuleTemplateInUseException');
  await mary.codecommit.disassociateApprovalRuleTemplateFromRepository(ofTwo);
  await mary.codecommit.disassociateApprovalRuleTemplateFromRepository(ofTwo);
  const { approvalRuleTemplateId } = await mary.codecommit.deleteApprovalRuleTemplate(ofTwo);
  assert.equal(approvalRuleTemplateId, main.approvalRuleTemplateId);
  assert.equal((await mary.codecommit.deleteApprovalRuleTemplate(ofTwo)).approvalRuleTemplateId, undefined);
  assert.deepEqual((await reviews.open('whole')).approvalRules, []);
  assert.deepEqual((await reviews.get(pullRequestId)).approvalRules, approvalRules);

  const merging = { pullRequestId, repositoryName: 'whole' };
  await refused(mary.codecommit.mergePullRequestByThreeWay(merging), 'PullRequestApprovalRulesNotSatisfiedException');
  await mary.codecommit.overridePullRequestApprovalRules({ pullRequestId, revisionId, overrideStatus: 'OVERRIDE' });
  await mary.codecommit.mergePullRequestByThreeWay(merging);
  const { pullRequestEvents } = await mary.codecommit.describePullRequestEvents({ pullRequestId });
  assert.deepEqual(
    pullRequestEvents?.map(({ pullRequestEventType }) => pullRequestEventType),
    [
      'PULL_REQUEST_CREATED',
      'PULL_REQUEST_APPROVAL_RULE_CREATED',
      'PULL_REQUEST_APPROVAL_RULE_OVERRIDDEN',
      'PULL_REQUEST_MERGE_STATE_CHANGED',
      'PULL_REQUEST_STATUS_CHANGED',
    ],
  );

  const told = await reviews.told(({ detail }) => detail.approvalRuleTemplateId === main.approvalRuleTemplateId, 6);
  const { repositoryMetadata } = await mary.codecommit.getRepository({ repositoryName: 'whole' });
  const repositories = { whole: repositoryMetadata!.repositoryId };
  const resources = [repositoryMetadata!.Arn];
  const brief = new Map(told.map((event) => [event.detail.event, event]));
  assert.deepEqual(told.map(({ detail }) => detail.event).sort(), [
    'approvalRuleTemplateAssociatedWithRepository',
    'approvalRuleTemplateCreated',
    'approvalRuleTemplateDeleted',
    'approvalRuleTemplateDisassociatedFromRepository',
    'approvalRuleTemplateUpdated',
    'approvalRuleTemplateUpdated',
  ]);
  const associated = brief.get('approvalRuleTemplateAssociatedWithRepository')!;
  assert.deepEqual([associated.resources, associated.detail.repositories], [resources, repositories]);
  const created = brief.get('approvalRuleTemplateCreated')!;
  const { notificationBody, creationDate: made, lastModifiedDate, ...detail } = created.detail;
  assert.equal(created['detail-type'], 'CodeCommit Approval Rule Template Change');
  assert.deepEqual(created.resources, []);
  assert.match(notificationBody, /has been created: main\. The ID of the created template is: /);
  assert.match(made + lastModifiedDate, /^\w{3} \w{3} \d\d [\d:]{8} UTC \d{4}/);
  assert.deepEqual(detail, {
    approvalRuleTemplateContentSha256: main.ruleContentSha256,
    approvalRuleTemplateId: main.approvalRuleTemplateId,
    approvalRuleTemplateName: 'main',
    callerUserArn: main.lastModifiedUser,
    event: 'approvalRuleTemplateCreated',
    repositories: {},
  });
});

test('many repositories at once, with what went wrong for some', async () => {
  await template('batch');
  for (const repositoryName of ['one', 'two', 'full']) await reviews.codecommit.createRepository({ repositoryName });
  for (let i = 0; i < 25; i++) {
    const { approvalRuleTemplateName } = await template(`full ${i}`);
    await reviews.codecommit.associateApprovalRuleTemplateWithRepository({ approvalRuleTemplateName, repositoryName: 'full' });
  }
  const of = { approvalRuleTemplateName: 'batch' };
  const tooMany = 'MaximumRuleTemplatesAssociatedWithRepositoryException';
  await refused(reviews.codecommit.associateApprovalRuleTemplateWithRepository({ ...of, repositoryName: 'full' }), tooMany);
  const repositoryNames = ['two', 'none', 'full', 'one', 'one'];
  const made = await mary.codecommit.batchAssociateApprovalRuleTemplateWithRepositories({ ...of, repositoryNames });
  assert.deepEqual(made.associatedRepositoryNames, ['one', 'two']);
  assert.deepEqual(
    made.errors?.map(({ repositoryName, errorCode }) => [repositoryName, errorCode]),
    [
      ['full', tooMany],
      ['none', 'RepositoryDoesNotExistException'],
    ],
  );
  const listed = async (more: object = {}) => mary.codecommit.listRepositoriesForApprovalRuleTemplate({ ...of, ...more });
  assert.deepEqual((await listed()).repositoryNames, ['one', 'two']);
  const first = await listed({ maxResults: 1 });
  const second = await listed({ maxResults: 1, nextToken: first.nextToken });
  assert.deepEqual([first.repositoryNames, second.repositoryNames, second.nextToken], [['one'], ['two'], undefined]);
  const ofFull = await mary.codecommit.listAssociatedApprovalRuleTemplatesForRepository({ repositoryName: 'full', maxResults: 20 });
  const { approvalRuleTemplateNames, nextToken } = await mary.codecommit.listAssociatedApprovalRuleTemplatesForRepository({
    repositoryName: 'full',
    maxResults: 20,
    nextToken: ofFull.nextToken,
  });
  assert.deepEqual([ofFull.approvalRuleTemplateNames?.length, approvalRuleTemplateNames?.length, nextToken], [20, 5, undefined]);
  const gone = await mary.codecommit.batchDisassociateApprovalRuleTemplateFromRepositories({ ...of, repositoryNames });
  assert.deepEqual(gone.disassociatedRepositoryNames, ['full', 'one', 'two']);
  assert.deepEqual(
    gone.errors?.map(({ errorCode }) => errorCode),
    ['RepositoryDoesNotExistException'],
  );
  assert.deepEqual((await listed()).repositoryNames, []);

  const told = await reviews.told(({ detail }) => /^batch/.test(detail.event), 2);
  const repositories = told.map(({ detail, resources }) => [detail.event, Object.keys(detail.repositories), resources.length]);
  assert.deepEqual(repositories.sort(), [
    ['batchAssociateApprovalRuleTemplateWithRepositories', ['one', 'two'], 2],
    ['batchDisassociateApprovalRuleTemplateFromRepositories', ['one', 'two'], 2],
  ]);

  // A pull request takes all 25, and 5 more by hand.
  await reviews.commit('full', 'main', undefined, 'a', '1');
  const { branch } = await reviews.codecommit.getBranch({ repositoryName: 'full', branchName: 'main' });
  await reviews.codecommit.createBranch({ repositoryName: 'full', branchName: 'topic', commitId: branch?.commitId });
  const { pullRequestId, approvalRules } = await reviews.open('full');
  assert.equal(approvalRules?.length, 25);
  const rule = (approvalRuleName: string) =>
    mary.codecommit.createPullRequestApprovalRule({ pullRequestId, approvalRuleName, approvalRuleContent: approvers(1) });
  for (let i = 0; i < 5; i++) await rule(`by hand ${i}`);
  await refused(rule('one more'), 'NumberOfRulesExceededException');
});

test('templates are listed in pages, described, and gone with nothing but themselves', async () => {
  for (const name of ['list b', 'list a', 'list c']) await template(name);
  const names: string[] = [];
  let nextToken: string | undefined;
  do {
    const page = await mary.codecommit.listApprovalRuleTemplates({ maxResults: 2, nextToken });
    names.push(...page.approvalRuleTemplateNames!);
    nextToken = page.nextToken;
  } while (nextToken);
  assert.deepEqual(
    names.filter((name) => name.startsWith('list')),
    ['list a', 'list b', 'list c'],
  );
  const of = { approvalRuleTemplateName: 'list a' };
  const described = await mary.codecommit.updateApprovalRuleTemplateDescription({ ...of, approvalRuleTemplateDescription: 'For all' });
  assert.equal(described.approvalRuleTemplate?.approvalRuleTemplateDescription, 'For all');
  const emptied = await mary.codecommit.updateApprovalRuleTemplateDescription({ ...of, approvalRuleTemplateDescription: '' });
  assert.equal(emptied.approvalRuleTemplate?.approvalRuleTemplateDescription, undefined);
  // A repository that goes takes its associations along.
  await reviews.codecommit.createRepository({ repositoryName: 'gone' });
  await mary.codecommit.associateApprovalRuleTemplateWithRepository({ ...of, repositoryName: 'gone' });
  await reviews.codecommit.deleteRepository({ repositoryName: 'gone' });
  await mary.codecommit.deleteApprovalRuleTemplate(of);
});

test('permissions: on the repositories of associations, on everything for templates themselves', async () => {
  await template('guarded');
  await reviews.repository('mine');
  await reviews.repository('theirs');
  const limited = await reviews.user('Limited', [
    { Effect: 'Allow', Action: 'codecommit:*', Resource: `arn:aws:codecommit:*:*:mine` },
    { Effect: 'Allow', Action: ['codecommit:GetApprovalRuleTemplate'], Resource: '*' },
  ]);
  const of = { approvalRuleTemplateName: 'guarded' };
  await limited.codecommit.getApprovalRuleTemplate(of);
  await limited.codecommit.associateApprovalRuleTemplateWithRepository({ ...of, repositoryName: 'mine' });
  await limited.codecommit.batchDisassociateApprovalRuleTemplateFromRepositories({ ...of, repositoryNames: ['mine'] });
  const { pullRequestId } = await reviews.open('theirs');
  const approvalRule = { pullRequestId, approvalRuleName: 'r', approvalRuleContent: approvers(1) };
  for (const denied of [
    () => limited.codecommit.associateApprovalRuleTemplateWithRepository({ ...of, repositoryName: 'theirs' }),
    () => limited.codecommit.batchAssociateApprovalRuleTemplateWithRepositories({ ...of, repositoryNames: ['mine', 'theirs'] }),
    () => limited.codecommit.listAssociatedApprovalRuleTemplatesForRepository({ repositoryName: 'theirs' }),
    () => limited.codecommit.listRepositoriesForApprovalRuleTemplate(of),
    () => limited.codecommit.listApprovalRuleTemplates({}),
    () => limited.codecommit.deleteApprovalRuleTemplate(of),
    () => limited.codecommit.createPullRequestApprovalRule(approvalRule),
  ]) {
    await refused(denied(), 'AccessDeniedException');
  }
  const tagged = await reviews.user('Tagged', [
    { Effect: 'Allow', Action: 'codecommit:*', Resource: '*', Condition: { StringEquals: { 'aws:ResourceTag/team': 'web' } } },
  ]);
  await refused(tagged.codecommit.createPullRequestApprovalRule(approvalRule), 'AccessDeniedException');
  const resourceArn = `arn:aws:codecommit:${server.region}:${server.account}:theirs`;
  await reviews.codecommit.tagResource({ resourceArn, tags: { team: 'web' } });
  await tagged.codecommit.createPullRequestApprovalRule(approvalRule);
});
