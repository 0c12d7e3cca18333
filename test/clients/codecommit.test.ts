import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { CodeCommit } from '@aws-sdk/client-codecommit';
import { startServer, type TestServer } from '../support/server.ts';

let server: TestServer;
let codecommit: CodeCommit;

before(async () => {
  server = await startServer();
  codecommit = new CodeCommit(server.client);
});
after(() => server.stop());

const named = (name: string) => (error: Error) => error.name === name;
const bytes = (text: string) => Buffer.from(text);

test('a repository is made, found, described, renamed and deleted', async () => {
  const { repositoryMetadata: made } = await codecommit.createRepository({
    repositoryName: 'first',
    repositoryDescription: 'The first one',
    tags: { team: 'a' },
  });
  assert.equal(made?.repositoryName, 'first');
  assert.equal(made?.Arn, `arn:aws:codecommit:${server.region}:${server.account}:first`);
  assert.equal(made?.cloneUrlHttp, `${server.endpoint}/v1/repos/first`);
  assert.equal(made?.defaultBranch, undefined);
  assert.match(made!.repositoryId!, /^[0-9a-f-]{36}$/);

  await codecommit.updateRepositoryDescription({ repositoryName: 'first', repositoryDescription: 'Another' });
  const { repositoryMetadata: read } = await codecommit.getRepository({ repositoryName: 'first' });
  assert.equal(read?.repositoryDescription, 'Another');
  await codecommit.updateRepositoryDescription({ repositoryName: 'first' });
  assert.equal((await codecommit.getRepository({ repositoryName: 'first' })).repositoryMetadata?.repositoryDescription, undefined);

  await codecommit.createRepository({ repositoryName: 'taken' });
  await assert.rejects(codecommit.updateRepositoryName({ oldName: 'first', newName: 'taken' }), named('RepositoryNameExistsException'));
  await codecommit.updateRepositoryName({ oldName: 'first', newName: 'second' });
  await assert.rejects(codecommit.getRepository({ repositoryName: 'first' }), named('RepositoryDoesNotExistException'));
  assert.equal((await codecommit.getRepository({ repositoryName: 'second' })).repositoryMetadata?.repositoryId, made?.repositoryId);
  await assert.rejects(codecommit.updateRepositoryName({ oldName: 'first', newName: 'third' }), named('RepositoryDoesNotExistException'));

  assert.equal((await codecommit.deleteRepository({ repositoryName: 'second' })).repositoryId, made?.repositoryId);
  assert.equal((await codecommit.deleteRepository({ repositoryName: 'second' })).repositoryId, undefined);
  await codecommit.deleteRepository({ repositoryName: 'taken' });
});

test('repository names that cannot be are refused, and one name is one repository', async () => {
  for (const repositoryName of ['a b', 'x.git', 'ä', 'a/b', '..', 'x'.repeat(101)]) {
    await assert.rejects(codecommit.createRepository({ repositoryName }), named('InvalidRepositoryNameException'), repositoryName);
  }
  await assert.rejects(codecommit.createRepository({} as never), named('RepositoryNameRequiredException'));
  await assert.rejects(
    codecommit.createRepository({ repositoryName: 'x', repositoryDescription: 'd'.repeat(1001) }),
    named('InvalidRepositoryDescriptionException'),
  );
  await assert.rejects(
    codecommit.createRepository({ repositoryName: 'x', kmsKeyId: 'alias/nothing' }),
    named('EncryptionKeyNotFoundException'),
  );
  const outcomes = await Promise.allSettled(Array.from({ length: 5 }, () => codecommit.createRepository({ repositoryName: 'once' })));
  assert.equal(outcomes.filter(({ status }) => status === 'fulfilled').length, 1);
  for (const outcome of outcomes) if (outcome.status === 'rejected') assert.equal(outcome.reason.name, 'RepositoryNameExistsException');
  await codecommit.deleteRepository({ repositoryName: 'once' });
});

test('repositories are listed in either order, and got many at a time', async () => {
  for (const name of ['b', 'a', 'c']) await codecommit.createRepository({ repositoryName: name });
  const names = async (options: Parameters<typeof codecommit.listRepositories>[0]) =>
    (await codecommit.listRepositories(options)).repositories?.map(({ repositoryName }) => repositoryName);
  assert.deepEqual(await names({}), ['a', 'b', 'c']);
  assert.deepEqual(await names({ sortBy: 'repositoryName', order: 'descending' }), ['c', 'b', 'a']);
  assert.deepEqual(await names({ sortBy: 'lastModifiedDate' }), ['b', 'a', 'c']);
  assert.deepEqual(await names({ sortBy: 'lastModifiedDate', order: 'descending' }), ['c', 'a', 'b']);
  await assert.rejects(codecommit.listRepositories({ nextToken: 'forged' }), named('InvalidContinuationTokenException'));
  await assert.rejects(codecommit.listRepositories({ sortBy: 'size' as never }), named('InvalidSortByException'));
  await assert.rejects(codecommit.listRepositories({ order: 'up' as never }), named('InvalidOrderException'));

  const batch = await codecommit.batchGetRepositories({ repositoryNames: ['a', 'missing', 'c'] });
  assert.deepEqual(
    batch.repositories?.map(({ repositoryName }) => repositoryName),
    ['a', 'c'],
  );
  assert.deepEqual(batch.repositoriesNotFound, ['missing']);
  await assert.rejects(codecommit.batchGetRepositories({ repositoryNames: [] }), named('RepositoryNamesRequiredException'));
  const many = Array.from({ length: 101 }, (_, index) => `r${index}`);
  await assert.rejects(codecommit.batchGetRepositories({ repositoryNames: many }), named('MaximumRepositoryNamesExceededException'));
  for (const name of ['a', 'b', 'c']) await codecommit.deleteRepository({ repositoryName: name });
});

test('branches are made from commits, listed, made the default and deleted', async () => {
  const repositoryName = 'branches';
  await codecommit.createRepository({ repositoryName });
  const branch = (branchName: string) => ({ repositoryName, branchName });
  const { commitId } = await codecommit.putFile({ ...branch('trunk'), filePath: 'a', fileContent: bytes('a') });
  assert.equal((await codecommit.getRepository({ repositoryName })).repositoryMetadata?.defaultBranch, 'trunk');

  await codecommit.createBranch({ ...branch('feature/one'), commitId });
  assert.deepEqual((await codecommit.getBranch(branch('feature/one'))).branch, { branchName: 'feature/one', commitId });
  assert.deepEqual((await codecommit.listBranches({ repositoryName })).branches, ['feature/one', 'trunk']);
  await assert.rejects(codecommit.createBranch({ ...branch('feature/one'), commitId }), named('BranchNameExistsException'));
  // A reference cannot be a folder of another.
  await assert.rejects(codecommit.createBranch({ ...branch('feature'), commitId }), named('InvalidBranchNameException'));
  await assert.rejects(codecommit.createBranch({ ...branch('trunk/x'), commitId }), named('InvalidBranchNameException'));
  await assert.rejects(codecommit.createBranch({ ...branch('x'), commitId: '1'.repeat(40) }), named('CommitDoesNotExistException'));
  await assert.rejects(codecommit.createBranch({ ...branch('x'), commitId: 'main' }), named('InvalidCommitIdException'));
  for (const name of ['a..b', 'a b', '-x', 'x.lock', '/x', 'x/', 'a//b', '@{x', commitId!, 'x~1', 'x^', 'x:y', '..', '../../HEAD']) {
    await assert.rejects(codecommit.createBranch({ ...branch(name), commitId }), named('InvalidBranchNameException'), name);
  }

  await assert.rejects(codecommit.deleteBranch(branch('trunk')), named('DefaultBranchCannotBeDeletedException'));
  await assert.rejects(codecommit.updateDefaultBranch({ repositoryName, defaultBranchName: 'no' }), named('BranchDoesNotExistException'));
  await codecommit.updateDefaultBranch({ repositoryName, defaultBranchName: 'feature/one' });
  assert.deepEqual((await codecommit.deleteBranch(branch('trunk'))).deletedBranch, { branchName: 'trunk', commitId });
  assert.equal((await codecommit.deleteBranch(branch('trunk'))).deletedBranch, undefined);
  await assert.rejects(codecommit.getBranch(branch('trunk')), named('BranchDoesNotExistException'));
  await assert.rejects(codecommit.getBranch({ branchName: 'x' }), named('RepositoryNameRequiredException'));
  await assert.rejects(codecommit.getBranch({ repositoryName }), named('BranchNameRequiredException'));
  await assert.rejects(codecommit.listBranches({ repositoryName, nextToken: 'x' }), named('InvalidContinuationTokenException'));
  await codecommit.deleteRepository({ repositoryName });
});

test('a deleted repository is gone with all it had, also for one of the same name', async () => {
  const repositoryName = 'phoenix';
  await codecommit.createRepository({ repositoryName });
  const { commitId } = await codecommit.putFile({ repositoryName, branchName: 'main', filePath: 'a', fileContent: bytes('secret') });
  await codecommit.deleteRepository({ repositoryName });
  await codecommit.createRepository({ repositoryName });
  assert.deepEqual((await codecommit.listBranches({ repositoryName })).branches, []);
  await assert.rejects(codecommit.getCommit({ repositoryName, commitId }), named('CommitIdDoesNotExistException'));
  await assert.rejects(codecommit.getFile({ repositoryName, filePath: 'a' }), named('CommitDoesNotExistException'));
  await codecommit.deleteRepository({ repositoryName });
});

test('tags are added, replaced, removed and checked', async () => {
  const repositoryName = 'tagged';
  const { repositoryMetadata } = await codecommit.createRepository({ repositoryName, tags: { a: '1' } });
  const resourceArn = repositoryMetadata!.Arn!;
  await codecommit.tagResource({ resourceArn, tags: { a: '2', ключ: 'значение' } });
  assert.deepEqual((await codecommit.listTagsForResource({ resourceArn })).tags, { a: '2', ключ: 'значение' });
  await codecommit.untagResource({ resourceArn, tagKeys: ['a', 'absent'] });
  assert.deepEqual((await codecommit.listTagsForResource({ resourceArn })).tags, { ключ: 'значение' });
  await assert.rejects(codecommit.tagResource({ resourceArn, tags: { 'aws:x': '1' } }), named('InvalidSystemTagUsageException'));
  await assert.rejects(codecommit.tagResource({ resourceArn, tags: { 'a*': '1' } }), named('InvalidTagsMapException'));
  const many = Object.fromEntries(Array.from({ length: 50 }, (_, index) => [`k${index}`, 'v']));
  await assert.rejects(codecommit.tagResource({ resourceArn, tags: many }), named('TooManyTagsException'));
  await assert.rejects(codecommit.createRepository({ repositoryName: 'x', tags: { ...many, one: 'more' } }), named('TooManyTagsException'));
  await assert.rejects(codecommit.listTagsForResource({ resourceArn: 'arn:aws:s3:::x' }), named('InvalidResourceArnException'));
  await assert.rejects(codecommit.listTagsForResource({ resourceArn: `${resourceArn}x` }), named('RepositoryDoesNotExistException'));
  await codecommit.deleteRepository({ repositoryName });
});
