/** Every error that the model names for pull requests and their merges. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import pg from 'pg';
import { git } from '../../src/git/client.ts';
import { signGit, withCredentials } from '../support/git.ts';
import { startPostgres, type TestPostgres } from '../support/postgres.ts';
import { type Provoked, provokeAll, readModel } from '../support/provoke.ts';
import { approvers, type OpenPullRequest, Reviews } from '../support/reviews.ts';
import { startServer, type TestServer } from '../support/server.ts';

const model = readModel('codecommit');
const notByCallers = 'keys of customers are the subject of the tests of encryption';
const excused: Record<string, string> = {
  EncryptionIntegrityChecksFailed: notByCallers,
  EncryptionKeyAccessDenied: notByCallers,
  EncryptionKeyDisabled: notByCallers,
  EncryptionKeyNotFound: notByCallers,
  EncryptionKeyUnavailable: notByCallers,
  ConcurrentReferenceUpdate: 'only a race brings it about: see the test of several merges at once',
  ReferenceDoesNotExist: 'a pull request is closed when one of its branches goes, so no merge meets it',
  InvalidTarget: 'each member of a target has errors of its own',
  TargetRequired: 'a list of targets without one is TargetsRequired',
};

let postgres: TestPostgres;
let database: pg.Client;
let server: TestServer;
let reviews: Reviews;
let home: string;
let open: OpenPullRequest;
let conflict: OpenPullRequest;
let unrelated: OpenPullRequest;
let large: OpenPullRequest;
let many: OpenPullRequest;
let guarded: OpenPullRequest;
let closed: OpenPullRequest;
let base: string;

before(async () => {
  home = await mkdtemp(path.join(tmpdir(), 'penstock-pull-errors-'));
  postgres = await startPostgres();
  server = await startServer({ env: { PENSTOCK_DATABASE_URL: postgres.url } });
  database = new pg.Client(postgres.url);
  await database.connect();
  reviews = await Reviews.open(server);
  ({ base } = await reviews.repository('errors'));
  await reviews.repository('other');
  await makeBranches();
  const from = async (branch: string, destinationReference = 'main') => {
    const targets = [{ repositoryName: 'errors', sourceReference: branch, destinationReference }];
    const { pullRequest } = await reviews.codecommit.createPullRequest({
      title: branch,
      targets,
      clientRequestToken: `${branch} to ${destinationReference}`,
    });
    return pullRequest as OpenPullRequest;
  };
  open = await from('topic');
  conflict = await from('conflict', 'diverged');
  unrelated = await from('unrelated');
  large = await from('large', 'large-too');
  many = await from('many', 'diverged');
  guarded = await from('guarded');
  const rule = { pullRequestId: guarded.pullRequestId, approvalRuleName: 'r', approvalRuleContent: approvers(1) };
  await reviews.codecommit.createPullRequestApprovalRule(rule);
  closed = await from('guarded', 'diverged');
  await reviews.codecommit.updatePullRequestStatus({ pullRequestId: closed.pullRequestId, pullRequestStatus: 'CLOSED' });
});
after(async () => {
  await database?.end();
  await server?.stop();
  await postgres?.[Symbol.asyncDispose]();
  await rm(home, { recursive: true, force: true });
});

/** What the API cannot make: branches without a common commit, and files beyond its limit. */
async function makeBranches(): Promise<void> {
  const env = withCredentials(signGit(server, 'errors'));
  await git(home, ['clone', '-q', `${server.endpoint}/v1/repos/errors`, home], env);
  const branch = async (name: string, files: Record<string, string>, ...from: string[]) => {
    await git(home, ['checkout', '-q', ...(from.length > 0 ? from : ['-b', name, base])]);
    for (const [file, text] of Object.entries(files)) await writeFile(path.join(home, file), text);
    await git(home, ['add', '.']);
    await git(home, ['commit', '-qm', name]);
  };
  await branch('diverged', { a: 'theirs\n', d: 'd' });
  await branch('conflict', { a: 'ours\n' });
  await branch('guarded', { g: 'g' });
  const megabytes = 7 * 1024 * 1024;
  await branch('large', { a: 'x'.repeat(megabytes) });
  await branch('large-too', { a: 'y'.repeat(megabytes) });
  await branch('unrelated', { u: 'u' }, '--orphan', 'unrelated');
  await git(home, ['tag', 'v1']);
  const lines = Array.from({ length: 50_001 }, (_, index) => `M 100644 :1 many/${Math.floor(index / 100)}/${index}`);
  const many = ['blob', 'mark :1', 'data 1', 'x', 'commit refs/heads/many', 'committer M <m@example.com> 1 +0000', 'data 1', 'm'];
  const input = [...many, `from ${base}`, ...lines, ''].join('\n');
  const { status, stderr } = spawnSync('git', ['fast-import', '--quiet'], { cwd: home, input });
  assert.equal(status, 0, String(stderr));
  await git(home, ['push', '-q', 'origin', '--all'], env);
  await git(home, ['push', '-q', 'origin', 'v1'], env);
}

const ofPullRequest = {
  PullRequestIdRequired: { pullRequestId: undefined },
  InvalidPullRequestId: { pullRequestId: 'first' },
  PullRequestDoesNotExist: { pullRequestId: '999999' },
};
const ofOpen = { ...ofPullRequest, PullRequestAlreadyClosed: async () => ({ pullRequestId: closed.pullRequestId }) };
const ofTitle = { TitleRequired: { title: ' ' }, InvalidTitle: { title: 'x'.repeat(151) } };
const ofDescription = { InvalidDescription: { description: 'x'.repeat(10_241) } };
const ofRepository = {
  RepositoryNameRequired: { repositoryName: undefined },
  InvalidRepositoryName: { repositoryName: 'no good' },
  RepositoryDoesNotExist: { repositoryName: 'none' },
};
const ofPages = { InvalidMaxResults: { maxResults: 0 }, InvalidContinuationToken: { nextToken: 'x' } };
const ofMerge = {
  ...ofOpen,
  ...ofRepository,
  RepositoryNotAssociatedWithPullRequest: { repositoryName: 'other' },
  InvalidCommitId: { sourceCommitId: 'x' },
  TipOfSourceReferenceIsDifferent: async () => ({ sourceCommitId: base }),
  ManualMergeRequired: async () => ({ pullRequestId: conflict.pullRequestId }),
  PullRequestApprovalRulesNotSatisfied: async () => ({ pullRequestId: guarded.pullRequestId }),
};
const target = { repositoryName: 'errors', sourceReference: 'topic' };
const targets = (...changed: object[]) => ({ targets: changed.map((change) => ({ ...target, ...change })) });

/** Resolutions of the pull request that has a conflict. */
function resolving(conflictResolution: object, conflictResolutionStrategy = 'AUTOMERGE') {
  return async () => ({ pullRequestId: conflict.pullRequestId, conflictResolution, conflictResolutionStrategy });
}
const replacing = (...changed: object[]) =>
  resolving({ replaceContents: changed.map((change) => ({ filePath: 'a', replacementType: 'KEEP_SOURCE', ...change })) });
const megabytes = (count: number) => Buffer.alloc(count * 1024 * 1024, 'x');
const ofCommits = {
  TipsDivergenceExceeded: async () => ({ pullRequestId: unrelated.pullRequestId }),
  MaximumItemsToCompareExceeded: async () => ({ pullRequestId: many.pullRequestId }),
  MaximumFileContentToLoadExceeded: async () => ({ pullRequestId: large.pullRequestId }),
  NameLengthExceeded: { authorName: 'x'.repeat(1025) },
  InvalidEmail: { email: '<x>' },
  CommitMessageLengthExceeded: { commitMessage: 'x'.repeat(20 * 2 ** 20 + 1) },
  InvalidConflictDetailLevel: { conflictDetailLevel: 'WORD_LEVEL' },
  InvalidConflictResolutionStrategy: { conflictResolutionStrategy: 'GUESS' },
  InvalidConflictResolution: resolving({ deleteFiles: [{ filePath: 'a' }] }, 'ACCEPT_SOURCE'),
  ReplacementTypeRequired: replacing({ replacementType: undefined }),
  InvalidReplacementType: replacing({ replacementType: 'KEEP_BOTH' }),
  MultipleConflictResolutionEntries: replacing({}, { filePath: '/a' }),
  ReplacementContentRequired: replacing({ replacementType: 'USE_NEW_CONTENT' }),
  InvalidReplacementContent: replacing({ content: Buffer.from('x') }),
  MaximumConflictResolutionEntriesExceeded: replacing(...Array.from({ length: 101 }, (_, index) => ({ filePath: `f${index}` }))),
  PathRequired: replacing({ filePath: undefined }),
  InvalidPath: replacing({ filePath: '../a' }),
  InvalidFileMode: replacing({ fileMode: 'STICKY' }),
  FolderContentSizeLimitExceeded: replacing(
    { replacementType: 'USE_NEW_CONTENT', content: megabytes(4) },
    { replacementType: 'USE_NEW_CONTENT', content: megabytes(4), filePath: 'b' },
  ),
  FileContentSizeLimitExceeded: replacing({ replacementType: 'USE_NEW_CONTENT', content: megabytes(7) }),
};

function provocations(): Record<string, Provoked> {
  const { pullRequestId } = open;
  const merging = { input: { pullRequestId, repositoryName: 'errors' }, errors: { ...ofMerge, ...ofCommits } };
  return {
    GetPullRequest: { input: { pullRequestId }, errors: ofPullRequest },
    ListPullRequests: {
      input: { repositoryName: 'errors' },
      errors: {
        ...ofRepository,
        ...ofPages,
        InvalidAuthorArn: { authorArn: 'Mary' },
        AuthorDoesNotExist: { authorArn: 'arn:aws:iam::123456789012:user/Nobody' },
        InvalidPullRequestStatus: { pullRequestStatus: 'HALF' },
      },
    },
    DescribePullRequestEvents: {
      input: { pullRequestId },
      errors: {
        ...ofPullRequest,
        ...ofPages,
        ActorDoesNotExist: { actorArn: 'arn:aws:sts::123456789012:assumed-role/None/Session' },
        InvalidActorArn: { actorArn: 'arn:x\u0000' },
        InvalidPullRequestEventType: { pullRequestEventType: 'PULL_REQUEST_EATEN' },
      },
    },
    UpdatePullRequestTitle: { input: { pullRequestId, title: 'T' }, errors: { ...ofOpen, ...ofTitle } },
    UpdatePullRequestDescription: { input: { pullRequestId, description: 'D' }, errors: { ...ofOpen, ...ofDescription } },
    UpdatePullRequestStatus: {
      input: { pullRequestId, pullRequestStatus: 'CLOSED' },
      errors: {
        ...ofPullRequest,
        PullRequestStatusRequired: { pullRequestStatus: undefined },
        InvalidPullRequestStatus: { pullRequestStatus: 'HALF' },
        InvalidPullRequestStatusUpdate: { pullRequestStatus: 'OPEN' },
      },
    },
    CreatePullRequest: {
      input: { title: 'T', targets: [target] },
      errors: {
        ...ofTitle,
        ...ofDescription,
        TargetsRequired: targets(),
        InvalidTargets: targets({}, {}),
        MultipleRepositoriesInPullRequest: targets({}, { repositoryName: 'other' }),
        RepositoryNameRequired: targets({ repositoryName: undefined }),
        InvalidRepositoryName: targets({ repositoryName: 'no good' }),
        RepositoryDoesNotExist: targets({ repositoryName: 'none' }),
        ReferenceNameRequired: targets({ sourceReference: '' }),
        InvalidReferenceName: targets({ sourceReference: 'a\u0000b' }),
        ReferenceDoesNotExist: targets({ sourceReference: 'none' }),
        ReferenceTypeNotSupported: targets({ sourceReference: 'v1' }),
        SourceAndDestinationAreSame: targets({ destinationReference: 'refs/heads/topic' }),
        ClientRequestTokenRequired: { clientRequestToken: '' },
        InvalidClientRequestToken: { clientRequestToken: 'x'.repeat(257) },
        IdempotencyParameterMismatch: { clientRequestToken: 'topic to main' },
        MaximumOpenPullRequestsExceeded: async () => {
          await database.query(`insert into codecommit.pull_requests (account, region, id, repository_id, title, status, author, source_ref,
              destination_ref, source_commit, destination_commit, revision_id, request_hash, created_at, last_activity_at, checked_source,
              checked_destination)
            select account, region, 1000 + n, repository_id, title, status, author, source_ref, destination_ref, source_commit,
              destination_commit, revision_id, request_hash, now(), now(), checked_source, checked_destination
            from codecommit.pull_requests, generate_series(1, 995) n where id = ${pullRequestId}`);
          return {};
        },
      },
    },
    MergePullRequestByFastForward: { input: merging.input, errors: ofMerge },
    MergePullRequestBySquash: merging,
    MergePullRequestByThreeWay: merging,
  };
}

describe('each operation refuses with each of its errors', () => {
  for (const operation of Object.keys(model.operations)) {
    if (!/PullRequest(?!Approval|Override)/.test(operation) || /Comment|Approval/.test(operation)) continue;
    test(operation, () => provokeAll(reviews.codecommit, model, operation, provocations()[operation]!, excused));
  }
});
