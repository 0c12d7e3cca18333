/**
 * Every operation that the AWS CLI's reference gives an example of, in one story, by the unmodified CLI. The scenario's `shapes.json` holds, for
 * each, the members that the documented answer shows: ours must show them too.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { IAM } from '@aws-sdk/client-iam';
import { type AwsCli, installedClis, openCli } from '../support/aws-cli.ts';
import { startServer, type TestServer } from '../support/server.ts';

const shapes = JSON.parse(readFileSync(path.join(import.meta.dirname, '../scenarios/codecommit-cli/shapes.json'), 'utf8')) as Record<
  string,
  string[]
>;

let server: TestServer;
let reviewer: { AWS_ACCESS_KEY_ID: string; AWS_SECRET_ACCESS_KEY: string };

/** A second user, for what nobody may do with his own pull request. */
before(async () => {
  server = await startServer();
  const iam = new IAM(server.client);
  const UserName = 'reviewer';
  await iam.createUser({ UserName });
  await iam.attachUserPolicy({ UserName, PolicyArn: 'arn:aws:iam::aws:policy/AWSCodeCommitPowerUser' });
  const { AccessKey: key } = await iam.createAccessKey({ UserName });
  iam.destroy();
  reviewer = { AWS_ACCESS_KEY_ID: key!.AccessKeyId!, AWS_SECRET_ACCESS_KEY: key!.SecretAccessKey! };
});
after(() => server?.stop());

const clis = installedClis();
describe('the examples of the AWS CLI reference', { skip: clis.length === 0 && 'no AWS CLI is installed' }, () => {
  for (const cli of clis) it(`are answered as documented, by version ${cli.version}`, () => story(cli));
});

/** The value is JSON or text; `true` and the like stand for themselves. */
type Options = Record<string, string | number | object>;

async function story(cli: AwsCli): Promise<void> {
  const sessions = [openCli(cli, server), openCli(cli, server, reviewer)];
  const untried = new Set(Object.keys(shapes));
  const aws: Aws = async (operation, options = {}, user = ADMINISTRATOR) => {
    const args = Object.entries(options).flatMap(([name, value]) => [
      `--${name}`,
      ...(Array.isArray(value) && value.every((one) => typeof one === 'string')
        ? value
        : [typeof value === 'object' ? JSON.stringify(value) : String(value)]),
    ]);
    const { status, output, error } = await sessions[user]!.run(['codecommit', operation, ...args]);
    assert.equal(status, 0, `aws codecommit ${operation} ${args.join(' ')}\n${error}`);
    const answer = output.trim() === '' ? {} : JSON.parse(output);
    const lacking = (shapes[operation] ?? []).filter((wanted) => !shows(answer, wanted.split('.')));
    assert.deepEqual(lacking, [], `aws codecommit ${operation} does not show what the reference does, but ${output}`);
    untried.delete(operation);
    return answer;
  };
  try {
    await repositories(aws, cli);
    await reviews(aws, cli);
    await endings(aws, cli);
  } finally {
    for (const session of sessions) await session.close();
  }
  assert.deepEqual([...untried], [], 'examples that the story leaves out');
}

type Aws = (operation: string, options?: Options, user?: number) => Promise<any>;
const ADMINISTRATOR = 0;
const REVIEWER = 1;

/** Whether a member is there; of a list's elements, in at least one. */
function shows(value: unknown, [step, ...rest]: string[]): boolean {
  if (step === undefined) return true;
  const list = step.endsWith('[]');
  const inner = (value as Record<string, unknown> | undefined)?.[list ? step.slice(0, -2) : step];
  if (inner === undefined) return false;
  return list ? (inner as unknown[]).some((element) => shows(element, rest)) : shows(inner, rest);
}

const nameOf = (what: string, { version }: AwsCli): string => `${what}-v${version}`;
const base64 = (text: string): string => Buffer.from(text).toString('base64');

async function repositories(aws: Aws, cli: AwsCli): Promise<void> {
  const name = nameOf('MyDemoRepo', cli);
  const other = nameOf('MyOtherDemoRepo', cli);
  const repository = { 'repository-name': name };
  // A blob inside a structure is base64 for version 2, and text for version 1.
  const content = (text: string): string => (cli.version === 2 ? base64(text) : text);
  await aws('create-repository', { ...repository, 'repository-description': 'My demonstration repository' });
  await aws('create-repository', { 'repository-name': other, 'repository-description': 'Another' });
  const first = await aws('create-commit', {
    ...repository,
    'branch-name': 'main',
    'put-files': [
      { filePath: 'readme.md', fileContent: content('one\ntwo\nthree\n') },
      { filePath: 'src/app.js', fileContent: content('one();\ntwo();\nthree();\n') },
    ],
  });
  await aws('create-branch', { ...repository, 'branch-name': 'feature', 'commit-id': first.commitId });
  const put = async (branch: string, file: string, text: string, parent: string): Promise<string> => {
    const options = { ...repository, 'branch-name': branch, 'file-path': file, 'parent-commit-id': parent, name: 'Maria Garcia' };
    const more = { email: 'maria_garcia@example.com', 'commit-message': 'Change.' };
    return (await aws('put-file', { ...options, ...more, 'file-content': cli.version === 2 ? base64(text) : text })).commitId;
  };
  const feature = await put('feature', 'readme.md', 'one\nTWO of the feature\nthree\n', first.commitId);
  const main = await put('main', 'readme.md', 'one\ntwo of main\nthree\n', first.commitId);
  await put('main', 'other.md', 'x', main);
  await aws('create-commit', {
    'repository-name': other,
    'branch-name': 'main',
    'put-files': [{ filePath: 'a', fileContent: content('a') }],
  });
  await aws('get-repository', repository);
  await aws('list-repositories');
  await aws('batch-get-repositories', { 'repository-names': [name, other] });
  await aws('update-repository-description', { ...repository, 'repository-description': 'This description was changed' });
  await aws('get-branch', { ...repository, 'branch-name': 'main' });
  await aws('list-branches', repository);
  await aws('get-commit', { ...repository, 'commit-id': feature });
  await aws('batch-get-commits', { ...repository, 'commit-ids': [first.commitId, feature] });
  await aws('get-folder', { ...repository, 'folder-path': '' });
  const file = await aws('get-file', { ...repository, 'commit-specifier': 'main', 'file-path': 'readme.md' });
  await aws('get-blob', { ...repository, 'blob-id': file.blobId });
  const range = { 'before-commit-specifier': first.commitId, 'after-commit-specifier': feature };
  await aws('get-differences', { ...repository, ...range, 'before-path': 'readme.md', 'after-path': 'readme.md' });
  const merge = { ...repository, 'source-commit-specifier': 'feature', 'destination-commit-specifier': 'main' };
  const detailed = { ...merge, 'merge-option': 'THREE_WAY_MERGE', 'conflict-detail-level': 'LINE_LEVEL' };
  await aws('get-merge-options', merge);
  await aws('get-merge-conflicts', detailed);
  await aws('describe-merge-conflicts', { ...detailed, 'file-path': 'readme.md' });
  await aws('batch-describe-merge-conflicts', detailed);
  const author = { 'author-name': 'Jorge Souza', email: 'jorge_souza@example.com', 'commit-message': 'Merging.' };
  const settled = { 'conflict-resolution-strategy': 'ACCEPT_SOURCE' };
  await aws('create-unreferenced-merge-commit', { ...merge, ...settled, 'merge-option': 'THREE_WAY_MERGE' });
  for (const branch of ['into-fast', 'into-squash', 'into-three']) {
    await aws('create-branch', { ...repository, 'branch-name': branch, 'commit-id': branch === 'into-fast' ? first.commitId : main });
  }
  const into = (branch: string) => ({ ...merge, 'destination-commit-specifier': branch, 'target-branch': branch });
  await aws('merge-branches-by-fast-forward', into('into-fast'));
  await aws('merge-branches-by-squash', { ...into('into-squash'), ...author, ...settled });
  const three = await aws('merge-branches-by-three-way', { ...into('into-three'), ...author, ...settled });
  assert.match(three.commitId, /^[0-9a-f]{40}$/);
  const merged = { ...repository, 'source-commit-specifier': feature, 'destination-commit-specifier': main };
  await aws('get-merge-commit', { ...merged, ...settled });
}

async function reviews(aws: Aws, cli: AwsCli): Promise<void> {
  const name = nameOf('MyDemoRepo', cli);
  const other = nameOf('MyOtherDemoRepo', cli);
  const repository = { 'repository-name': name };
  const pool = { ApprovalPoolMembers: [`CodeCommitApprovers:${server.account}:user/*`] };
  const rule = (NumberOfApprovalsNeeded: number, more: object = {}) => ({
    Version: '2018-11-08',
    ...more,
    Statements: [{ Type: 'Approvers', NumberOfApprovalsNeeded, ...pool }],
  });
  const named = nameOf('2-approver-rule-for-main', cli);
  const template = { 'approval-rule-template-name': named };
  const content = rule(2, { DestinationReferences: ['refs/heads/main'] });
  await aws('create-approval-rule-template', {
    ...template,
    'approval-rule-template-content': content,
    'approval-rule-template-description': 'Requires two developers.',
  });
  await aws('get-approval-rule-template', template);
  await aws('list-approval-rule-templates');
  await aws('update-approval-rule-template-content', {
    ...template,
    'new-rule-content': rule(1, { DestinationReferences: ['refs/heads/main'] }),
  });
  await aws('update-approval-rule-template-description', { ...template, 'approval-rule-template-description': 'Requires one.' });
  await aws('associate-approval-rule-template-with-repository', { ...template, ...repository });
  await aws('batch-associate-approval-rule-template-with-repositories', { ...template, 'repository-names': [name, other] });
  await aws('list-associated-approval-rule-templates-for-repository', repository);
  await aws('list-repositories-for-approval-rule-template', template);

  const open = async (source: string): Promise<any> => {
    const targets = [{ repositoryName: name, sourceReference: source, destinationReference: 'main' }];
    const answer = await aws('create-pull-request', {
      title: `Merge ${source}`,
      description: 'Please review these changes by Tuesday',
      'client-request-token': `${cli.version}-${source}`,
      targets,
    });
    return answer.pullRequest;
  };
  const request = await open('feature');
  const number = { 'pull-request-id': request.pullRequestId };
  const revision = { ...number, 'revision-id': request.revisionId };
  await aws('get-pull-request', number);
  await aws('list-pull-requests', { ...repository, 'pull-request-status': 'OPEN' });
  await aws('update-pull-request-title', { ...number, title: 'Consolidation' });
  await aws('update-pull-request-description', { ...number, description: 'Updated.' });
  const own = { ...number, 'approval-rule-name': 'Require two approved approvers' };
  await aws('create-pull-request-approval-rule', { ...own, 'approval-rule-content': rule(2) });
  await aws('update-pull-request-approval-rule-content', { ...own, 'new-rule-content': rule(1) });
  await aws('delete-pull-request-approval-rule', own);
  await aws('evaluate-pull-request-approval-rules', revision);
  await aws('override-pull-request-approval-rules', { ...revision, 'override-status': 'OVERRIDE' });
  await aws('get-pull-request-override-state', revision);
  await aws('update-pull-request-approval-state', { ...revision, 'approval-state': 'APPROVE' }, REVIEWER);
  await aws('get-pull-request-approval-states', revision);

  const target = request.pullRequestTargets[0];
  const commits = { ...repository, 'before-commit-id': target.destinationCommit, 'after-commit-id': target.sourceCommit };
  const location = { filePath: 'readme.md', filePosition: 2, relativeFileVersion: 'AFTER' };
  const token = (what: string) => ({ 'client-request-token': `${cli.version}-${what}` });
  const comment = { ...commits, location, content: 'Can you add a test case for this?' };
  const posted = await aws('post-comment-for-pull-request', { ...number, ...comment, ...token('pull') });
  await aws('post-comment-for-compared-commit', { ...comment, ...token('compared') });
  const id = { 'comment-id': posted.comment.commentId };
  await aws('post-comment-reply', { 'in-reply-to': posted.comment.commentId, content: 'Good catch.', ...token('reply') });
  await aws('put-comment-reaction', { ...id, 'reaction-value': ':thumbsup:' });
  await aws('get-comment-reactions', id);
  await aws('update-comment', { ...id, content: 'Fixed as requested.' });
  await aws('get-comment', id);
  await aws('get-comments-for-pull-request', number);
  await aws('get-comments-for-compared-commit', commits);
  await aws('delete-comment-content', id);

  const by = { ...repository, 'author-name': 'Jorge Souza', email: 'jorge_souza@example.com', 'commit-message': 'Merging.' };
  const settled = { 'conflict-detail-level': 'LINE_LEVEL', 'conflict-resolution-strategy': 'ACCEPT_SOURCE' };
  await aws('merge-pull-request-by-squash', { ...number, ...by, ...settled, 'source-commit-id': target.sourceCommit });
  await aws('create-branch', { ...repository, 'branch-name': 'late', 'commit-id': target.sourceCommit });
  const late = await open('late');
  const lateRevision = { 'pull-request-id': late.pullRequestId, 'revision-id': late.revisionId };
  await aws('override-pull-request-approval-rules', { ...lateRevision, 'override-status': 'OVERRIDE' });
  await aws('merge-pull-request-by-three-way', { 'pull-request-id': late.pullRequestId, ...by, ...settled });
  const tip = (await aws('get-branch', { ...repository, 'branch-name': 'main' })).branch.commitId;
  await aws('create-branch', { ...repository, 'branch-name': 'ahead', 'commit-id': tip });
  const file = { ...repository, 'branch-name': 'ahead', 'file-path': 'src/app.js', 'parent-commit-id': tip };
  await aws('delete-file', file);
  const ahead = await open('ahead');
  const aheadRevision = { 'pull-request-id': ahead.pullRequestId, 'revision-id': ahead.revisionId };
  await aws('override-pull-request-approval-rules', { ...aheadRevision, 'override-status': 'OVERRIDE' });
  await aws('merge-pull-request-by-fast-forward', { 'pull-request-id': ahead.pullRequestId, ...repository });
  await aws('create-branch', { ...repository, 'branch-name': 'dropped', 'commit-id': target.sourceCommit });
  const dropped = await open('dropped');
  await aws('update-pull-request-status', { 'pull-request-id': dropped.pullRequestId, 'pull-request-status': 'CLOSED' });
  await aws('describe-pull-request-events', { 'pull-request-id': dropped.pullRequestId });

  await aws('disassociate-approval-rule-template-from-repository', { ...template, ...repository });
  await aws('batch-disassociate-approval-rule-template-from-repositories', { ...template, 'repository-names': [name, other] });
  const renamed = nameOf('1-approver-rule', cli);
  await aws('update-approval-rule-template-name', {
    'old-approval-rule-template-name': named,
    'new-approval-rule-template-name': renamed,
  });
  await aws('delete-approval-rule-template', { 'approval-rule-template-name': renamed });
}

async function endings(aws: Aws, cli: AwsCli): Promise<void> {
  const name = nameOf('MyDemoRepo', cli);
  const repository = { 'repository-name': name };
  const trigger = {
    name: 'MyFirstTrigger',
    destinationArn: `arn:aws:sns:${server.region}:${server.account}:MyCodeCommitTopic`,
    customData: 'for us',
    branches: ['main', 'preprod'],
    events: ['all'],
  };
  await aws('put-repository-triggers', { ...repository, triggers: [trigger] });
  await aws('get-repository-triggers', repository);
  await aws('test-repository-triggers', { ...repository, triggers: [trigger] });
  const resource = { 'resource-arn': `arn:aws:codecommit:${server.region}:${server.account}:${name}` };
  await aws('tag-resource', { ...resource, tags: { Status: 'Secret', Team: 'Saanvi' } });
  await aws('list-tags-for-resource', resource);
  await aws('untag-resource', { ...resource, 'tag-keys': ['Status'] });
  await aws('delete-branch', { ...repository, 'branch-name': 'ahead' });
  await aws('update-default-branch', { ...repository, 'default-branch-name': 'feature' });
  const renamed = nameOf('MyRenamedDemoRepo', cli);
  await aws('update-repository-name', { 'old-name': name, 'new-name': renamed });
  await aws('delete-repository', { 'repository-name': renamed });
}
