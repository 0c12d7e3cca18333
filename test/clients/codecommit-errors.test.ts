/**
 * Every error of CodeCommit's model that a caller can provoke without approval rules and comments: by name, and for each operation what is said
 * of members that are missing or break a constraint. A name that nobody provokes here must stand in `unprovokable` with the reason.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { CodeCommit } from '@aws-sdk/client-codecommit';
import { git } from '../../src/git/client.ts';
import type { ServiceModel } from '../../src/platform/model.ts';
import { type Provocation, provocationsOf, repositoryName, triggersOf } from '../support/codecommit-errors.ts';
import { signGit, withCredentials } from '../support/git.ts';
import { startServer, type TestServer } from '../support/server.ts';

const model = JSON.parse(readFileSync(new URL('../../models/codecommit.json', import.meta.url), 'utf8')) as ServiceModel;
const MB = 1024 * 1024;

let server: TestServer;
let home: string;
const pullRequests = { open: '', closed: '' };
let provocations: Provocation[];

/** Branches of one repository, each for some of the errors below. */
function history(): string {
  const file = (name: string, text: string, mode = '100644') =>
    mode === '160000' ? `M ${mode} ${text} ${name}\n` : `M ${mode} inline ${name}\ndata ${Buffer.byteLength(text)}\n${text}\n`;
  let time = 1_600_000_000;
  const commit = (branch: string, from: string | undefined, changes: string[]) =>
    `commit refs/heads/${branch}\ncommitter Ada <ada@example.com> ${time++} +0000\ndata 1\n.\n${from ? `from refs/heads/${from}\n` : ''}${changes.join('')}\n`;
  const huge = 'x'.repeat(7 * MB);
  const many = Array.from({ length: 50_001 }, (_, index) => `M 100644 :1 many/${index % 250}/${index}\n`);
  return [
    'blob\nmark :1\ndata 0\n\n',
    commit('base', undefined, [file('a', 'base'), file('dir/b', 'b'), file('sub', '1'.repeat(40), '160000')]),
    commit('main', 'base', [file('a', 'main')]),
    commit('side', 'base', [file('a', 'side')]),
    commit('ahead', 'main', [file('new', 'n')]),
    commit('many', 'base', many),
    commit('huge', 'base', [file('huge', huge)]),
    commit('huge1', 'huge', [file('huge', `${huge}1`)]),
    commit('huge2', 'huge', [file('huge', `${huge}2`)]),
    commit('unrelated', undefined, [file('u', 'u')]),
  ].join('');
}

before(async () => {
  server = await startServer({ env: { PENSTOCK_REPOSITORY_LIMIT: '3' } });
  home = await mkdtemp(path.join(tmpdir(), 'penstock-errors-'));
  const codecommit = new CodeCommit(server.client);
  for (const name of [repositoryName, 'empty', 'third']) await codecommit.createRepository({ repositoryName: name });
  await git(home, ['init', '-q', '--bare', home]);
  const child = spawn('git', ['-C', home, 'fast-import', '--quiet', '--depth=0'], { stdio: ['pipe', 'ignore', 'inherit'] });
  child.stdin.end(history());
  assert.deepEqual(await once(child, 'close'), [0, null]);
  await git(home, ['tag', 'v1', 'base']);
  const url = `${server.endpoint}/v1/repos/${repositoryName}`;
  await git(home, ['push', '-q', url, 'main'], withCredentials(signGit(server, repositoryName)));
  await git(home, ['push', '-q', '--all', url], withCredentials(signGit(server, repositoryName)));
  await git(home, ['push', '-q', '--tags', url], withCredentials(signGit(server, repositoryName)));
  const names = (await git(home, ['for-each-ref', '--format=%(refname:short) %(objectname)'])).split('\n');
  const commits: Record<string, string> = Object.fromEntries(names.map((line) => line.split(' ')));
  for (const state of ['open', 'closed'] as const) {
    const targets = [{ repositoryName, sourceReference: 'side', destinationReference: 'main' }];
    const made = await codecommit.createPullRequest({ title: state, targets, clientRequestToken: state });
    pullRequests[state] = made.pullRequest!.pullRequestId!;
  }
  await codecommit.updatePullRequestStatus({ pullRequestId: pullRequests.closed, pullRequestStatus: 'CLOSED' });
  provocations = provocationsOf({ region: server.region, account: server.account, commits, pullRequests });
});
after(async () => {
  await server.stop();
  await rm(home, { recursive: true, force: true });
});

/** An operation by its name in the model, with an input that need not be one. */
function call(operation: string, input: object): Promise<unknown> {
  const client = new CodeCommit(server.client) as unknown as Record<string, (input: object) => Promise<unknown>>;
  return client[operation.charAt(0).toLowerCase() + operation.slice(1)]!(input);
}

test('each error is answered to the call that deserves it', async (t) => {
  for (const [error, operation, input] of provocations) {
    await t.test(`${operation}: ${error}`, () =>
      assert.rejects(call(operation, input()), (thrown: Error & { $metadata?: { httpStatusCode: number } }) => {
        assert.equal(thrown.name, error, thrown.message);
        assert.equal(thrown.$metadata?.httpStatusCode, 400);
        assert.notEqual(thrown.message, '');
        return true;
      }),
    );
  }
});

test('everything that names a repository says that there is none', async () => {
  for (const operation of operations()) {
    const { members, errors } = inputOf(operation);
    if (!errors.has('RepositoryDoesNotExistException') || !members.includes('repositoryName')) continue;
    const input = { ...(sample(model.operations[operation]!.input!.shape) as object), ...valid(operation), repositoryName: 'absent' };
    await assert.rejects(call(operation, input), { name: 'RepositoryDoesNotExistException' }, operation);
  }
});

/** These have tests of their own, where their rules, templates, comments and keys are. */
const elsewhere = /Approval|Override|Comment|Reaction|EncryptionKey/;

function operations(): string[] {
  return Object.keys(model.operations).filter((name) => !elsewhere.test(name) && name !== 'UploadArchive');
}

function inputOf(operation: string) {
  const { input, errors } = model.operations[operation]!;
  const shape = model.shapes[input!.shape]!;
  return { members: Object.keys(shape.members ?? {}), errors: new Set(errors?.map((error) => error.shape)) };
}

/** What a sample of the model's shapes would not get right. */
function valid(operation: string): object {
  const id = '1'.repeat(40);
  return {
    ...('filePath' in (model.shapes[model.operations[operation]!.input!.shape]!.members ?? {}) ? { filePath: 'a' } : {}),
    ...(operation === 'BatchGetCommits' ? { commitIds: [id] } : {}),
    ...(operation.startsWith('GetBlob') ? { blobId: id, afterBlobId: id, beforeBlobId: id } : {}),
    ...(operation === 'CreateBranch' || operation === 'GetCommit' ? { commitId: id } : {}),
    ...(operation === 'CreateCommit'
      ? { putFiles: [{ filePath: 'a', fileContent: Buffer.from('a') }], deleteFiles: [], setFileModes: [] }
      : {}),
    ...(operation.endsWith('RepositoryTriggers') ? triggersOf(server, {}) : {}),
    ...(operation.startsWith('MergePullRequest') ? { pullRequestId: pullRequests.open, sourceCommitId: undefined } : {}),
    ...(operation === 'CreateUnreferencedMergeCommit' ? { mergeOption: 'SQUASH_MERGE' } : {}),
    ...(operation === 'ListPullRequests' ? { authorArn: undefined } : {}),
    email: undefined,
    nextToken: undefined,
    NextToken: undefined,
  };
}

/** A value that satisfies a shape by itself. */
function sample(name: string): unknown {
  const shape = model.shapes[name]!;
  if (shape.type === 'structure')
    return Object.fromEntries(Object.entries(shape.members ?? {}).map(([key, ref]) => [key, sample(ref.shape)]));
  if (shape.type === 'list') return [sample(shape.member!.shape)];
  if (shape.type === 'map') return { key: 'value' };
  if (shape.type === 'string') return shape.enum?.[0] ?? 'x';
  if (shape.type === 'blob') return Buffer.from('x');
  if (shape.type === 'boolean') return false;
  return 1;
}

/** Members whose absence or form the model has no error for in this operation. */
const general = new Set([
  'ListFileCommitHistory filePath',
  'UpdatePullRequestDescription description',
  'MergePullRequestBySquash fileMode',
  'MergePullRequestByThreeWay fileMode',
]);

test('a member that is missing or breaks a constraint is named by the error', async () => {
  const seen = new Set<string>();
  for (const operation of operations()) {
    const { input, errors } = model.operations[operation]!;
    const known = new Set(errors?.map((error) => error.shape));
    const whole = sample(input!.shape) as object;
    for (const { keys, values } of breaches(input!.shape)) {
      for (const value of values) {
        const error = await call(operation, replaced(whole, keys, value)).then(
          () => assert.fail(`${operation} took ${keys.join('.')} = ${String(value).slice(0, 20)}`),
          (thrown: Error) => thrown.name,
        );
        const unnamed = error === 'ValidationException' && general.has(`${operation} ${keys.at(-1)}`);
        assert.ok(unnamed || known.has(error), `${operation} ${keys.join('.')} = ${String(value).slice(0, 20)}: ${error}`);
        seen.add(error);
      }
    }
  }
  const named = operations().flatMap((operation) => [...inputOf(operation).errors]);
  const provoked = new Set([...seen, ...provocations.map(([error]) => error), 'RepositoryDoesNotExistException']);
  const missing = [...new Set(named)].filter((error) => !provoked.has(error) && !(error in unprovokable));
  assert.deepEqual(missing, [], 'every error has a provocation or a reason');
  const idle = Object.keys(unprovokable).filter((error) => provoked.has(error));
  assert.deepEqual(idle, [], 'what is provoked needs no reason');
});

/** Every way to break one member's constraints, one at a time. */
function* breaches(name: string, keys: (string | number)[] = []): Generator<{ keys: (string | number)[]; values: unknown[] }> {
  const shape = model.shapes[name]!;
  if (shape.type === 'list') yield* breaches(shape.member!.shape, [...keys, 0]);
  for (const [key, { shape: member }] of Object.entries(shape.type === 'structure' ? (shape.members ?? {}) : {})) {
    const { type, enum: allowed, min, max, pattern } = model.shapes[member]!;
    const values: unknown[] = [];
    if (shape.required?.includes(key)) values.push(undefined);
    if (allowed) values.push('NOPE');
    if (type === 'string' && max && max < 100_000) values.push('x'.repeat(max + 1));
    if (type === 'string' && min) values.push('');
    if (pattern) values.push('?!');
    yield { keys: [...keys, key], values };
    yield* breaches(member, [...keys, key]);
  }
}

function replaced(whole: object, keys: (string | number)[], value: unknown): object {
  const copy = structuredClone(whole) as Record<string | number, any>;
  let inner = copy;
  for (const key of keys.slice(0, -1)) inner = inner[key];
  inner[keys.at(-1)!] = value;
  return copy;
}

const key = 'repositories are tested with keys of their own where those are';
const unprovokable: Record<string, string> = {
  EncryptionIntegrityChecksFailedException: key,
  EncryptionKeyAccessDeniedException: key,
  EncryptionKeyDisabledException: key,
  EncryptionKeyNotFoundException: key,
  EncryptionKeyUnavailableException: key,
  EncryptionKeyInvalidUsageException: key,
  OperationNotAllowedException: 'nobody is kept from making repositories but by policies, which answer AccessDeniedException',
  TagPolicyException: 'there are no organizations, so there are no tag policies',
  InvalidDeletionParameterException: 'keepEmptyFolders is the only such parameter, and every boolean is valid',
  ActorDoesNotExistException: 'an ARN of nobody has no events: the answer is an empty list',
  AuthorDoesNotExistException: 'an ARN of nobody has no pull requests: the answer is an empty list',
  ClientRequestTokenRequiredException: 'the model does not require a token',
  TargetRequiredException: 'an entry of targets cannot be absent',
  InvalidTargetException: 'targets are checked by their members, each with an error of its own',
  MaximumOpenPullRequestsExceededException: 'it takes 1,000 pull requests',
  PullRequestApprovalRulesNotSatisfiedException: 'tested with approval rules',
  RepositoryTriggerBranchNameListRequiredException: 'no branches at all stand for every branch',
};
