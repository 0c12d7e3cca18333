import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { CodeCommit } from '@aws-sdk/client-codecommit';
import { git } from '../../src/git/client.ts';
import { signGit, withCredentials } from '../support/git.ts';
import { startServer, type TestServer } from '../support/server.ts';

let server: TestServer;
let codecommit: CodeCommit;
let home: string;

before(async () => {
  server = await startServer();
  codecommit = new CodeCommit(server.client);
  home = await mkdtemp(path.join(tmpdir(), 'penstock-files-'));
});
after(async () => {
  await server.stop();
  await rm(home, { recursive: true, force: true });
});

const named = (name: string) => (error: Error) => error.name === name;
const bytes = (text: string) => Buffer.from(text);

async function repository(name: string) {
  await codecommit.createRepository({ repositoryName: name });
  return { repositoryName: name, branchName: 'main' };
}

async function clone(name: string): Promise<string> {
  const directory = path.join(home, `${name}-${randomBytes(4).toString('hex')}`);
  await git(home, ['clone', '-q', `${server.endpoint}/v1/repos/${name}`, directory], withCredentials(signGit(server, name)));
  return directory;
}

test('files are put, read back by API and git, and deleted', async () => {
  const main = await repository('files');
  const first = await codecommit.putFile({
    ...main,
    filePath: 'docs/read me.md',
    fileContent: bytes('hello\n'),
    commitMessage: 'Begin',
    name: 'Grace',
    email: 'grace@example.com',
  });
  const second = await codecommit.putFile({
    ...main,
    parentCommitId: first.commitId,
    filePath: '/run.sh',
    fileContent: bytes('#!/bin/sh\n'),
    fileMode: 'EXECUTABLE',
  });
  const file = await codecommit.getFile({ repositoryName: 'files', filePath: 'docs/read me.md' });
  assert.equal(Buffer.from(file.fileContent!).toString(), 'hello\n');
  assert.deepEqual([file.blobId, file.fileMode, file.fileSize, file.commitId], [first.blobId, 'NORMAL', 6, second.commitId]);
  const blob = await codecommit.getBlob({ repositoryName: 'files', blobId: second.blobId });
  assert.equal(Buffer.from(blob.content!).toString(), '#!/bin/sh\n');

  const directory = await clone('files');
  assert.equal(await git(directory, ['ls-files', '--format=%(objectmode) %(path)']), '100644 docs/read me.md\n100755 run.sh');
  assert.equal(await git(directory, ['log', '-1', '--format=%an <%ae> %s', first.commitId!]), 'Grace <grace@example.com> Begin');
  await git(directory, ['fsck', '--strict']);

  const { commit } = await codecommit.getCommit({ repositoryName: 'files', commitId: first.commitId });
  assert.equal(commit?.message, 'Begin');
  assert.match(commit!.author!.date!, /^\d+ \+0000$/);
  assert.deepEqual(commit?.parents, []);

  const gone = await codecommit.deleteFile({
    ...main,
    parentCommitId: second.commitId,
    filePath: 'docs/read me.md',
    keepEmptyFolders: true,
  });
  assert.equal(gone.blobId, first.blobId);
  const { files } = await codecommit.getFolder({ repositoryName: 'files', folderPath: 'docs' });
  assert.deepEqual(
    files?.map(({ relativePath }) => relativePath),
    ['.gitkeep'],
  );
  await codecommit.deleteRepository({ repositoryName: 'files' });
});

test('what PutFile and DeleteFile refuse', async () => {
  const main = await repository('refused');
  await assert.rejects(
    codecommit.putFile({ ...main, filePath: 'a', fileContent: bytes('a'), parentCommitId: '1'.repeat(40) }),
    named('ParentCommitDoesNotExistException'),
  );
  const { commitId } = await codecommit.putFile({ ...main, filePath: 'a', fileContent: bytes('a') });
  const next = await codecommit.putFile({ ...main, parentCommitId: commitId, filePath: 'd/b', fileContent: bytes('b') });
  const put = (more: object) =>
    codecommit.putFile({ ...main, parentCommitId: next.commitId, filePath: 'c', fileContent: bytes('c'), ...more });
  await assert.rejects(put({ parentCommitId: undefined }), named('ParentCommitIdRequiredException'));
  await assert.rejects(put({ parentCommitId: 'main' }), named('InvalidParentCommitIdException'));
  await assert.rejects(put({ parentCommitId: '1'.repeat(40) }), named('ParentCommitDoesNotExistException'));
  await assert.rejects(put({ parentCommitId: commitId }), named('ParentCommitIdOutdatedException'));
  await assert.rejects(put({ branchName: 'other' }), named('BranchDoesNotExistException'));
  await assert.rejects(put({ filePath: 'a', fileContent: bytes('a') }), named('SameFileContentException'));
  await assert.rejects(put({ filePath: 'd' }), named('FileNameConflictsWithDirectoryNameException'));
  await assert.rejects(put({ filePath: 'a/b' }), named('DirectoryNameConflictsWithFileNameException'));
  for (const filePath of [
    '../x',
    'a/../b',
    '.git/config',
    'x/.GIT/y',
    'a//b',
    './..',
    'a\0b',
    'git~1',
    `${'x/'.repeat(3000)}y`,
    'folder/',
  ]) {
    await assert.rejects(put({ filePath }), named('InvalidPathException'), filePath);
  }
  await assert.rejects(put({ fileContent: Buffer.alloc(6 * 1024 * 1024 + 1) }), named('FileContentSizeLimitExceededException'));
  await assert.rejects(put({ email: 'a\nb' }), named('InvalidEmailException'));
  await assert.rejects(put({ name: 'n'.repeat(2000) }), named('NameLengthExceededException'));
  await assert.rejects(put({ fileMode: 'TREE' }), named('InvalidFileModeException'));
  await assert.rejects(put({ repositoryName: 'absent' }), named('RepositoryDoesNotExistException'));
  const remove = (filePath: string) => codecommit.deleteFile({ ...main, parentCommitId: next.commitId, filePath });
  await assert.rejects(remove('absent'), named('FileDoesNotExistException'));
  await assert.rejects(remove('d'), named('FileDoesNotExistException'));
  assert.equal((await codecommit.getBranch(main)).branch?.commitId, next.commitId);
  await codecommit.deleteRepository({ repositoryName: 'refused' });
});

test('one commit puts, copies, moves, deletes and changes modes', async () => {
  const main = await repository('many');
  const first = await codecommit.createCommit({
    ...main,
    authorName: 'Grace',
    commitMessage: 'Begin',
    putFiles: [
      { filePath: 'a/one.txt', fileContent: bytes('1') },
      { filePath: 'a/two.txt', fileContent: bytes('2'), fileMode: 'EXECUTABLE' },
      { filePath: 'link', fileContent: bytes('a/one.txt'), fileMode: 'SYMLINK' },
      { filePath: 'old/only.txt', fileContent: bytes('x') },
    ],
  });
  assert.equal(first.filesAdded?.length, 4);
  const second = await codecommit.createCommit({
    ...main,
    parentCommitId: first.commitId,
    keepEmptyFolders: true,
    putFiles: [
      { filePath: 'copy.txt', sourceFile: { filePath: 'a/one.txt' } },
      { filePath: 'b/moved.txt', sourceFile: { filePath: 'a/two.txt', isMove: true } },
      { filePath: 'a/three.txt', fileContent: bytes('3') },
    ],
    deleteFiles: [{ filePath: 'old/only.txt' }],
    setFileModes: [{ filePath: 'a/one.txt', fileMode: 'EXECUTABLE' }],
  });
  const paths = (files: { absolutePath?: string }[] | undefined) => files?.map(({ absolutePath }) => absolutePath);
  assert.deepEqual(paths(second.filesAdded), ['a/three.txt', 'b/moved.txt', 'copy.txt', 'old/.gitkeep']);
  assert.deepEqual(paths(second.filesUpdated), ['a/one.txt']);
  assert.deepEqual(paths(second.filesDeleted), ['a/two.txt', 'old/only.txt']);
  const directory = await clone('many');
  assert.equal(
    await git(directory, ['ls-files', '--format=%(objectmode) %(path)']),
    '100755 a/one.txt\n100644 a/three.txt\n100755 b/moved.txt\n100644 copy.txt\n120000 link\n100644 old/.gitkeep',
  );
  assert.equal(await git(directory, ['rev-parse', 'HEAD^{tree}']), second.treeId);
  await git(directory, ['fsck', '--strict']);

  const folder = await codecommit.getFolder({ repositoryName: 'many', folderPath: '/' });
  assert.deepEqual(paths(folder.subFolders), ['a', 'b', 'old']);
  assert.deepEqual(paths(folder.files), ['copy.txt']);
  assert.deepEqual(paths(folder.symbolicLinks), ['link']);
  assert.deepEqual(folder.subModules, []);
  await assert.rejects(codecommit.getFolder({ repositoryName: 'many', folderPath: 'nothing' }), named('FolderDoesNotExistException'));
  await assert.rejects(codecommit.getFolder({ repositoryName: 'many', folderPath: 'copy.txt' }), named('FolderDoesNotExistException'));
  await codecommit.deleteRepository({ repositoryName: 'many' });
});

test('what CreateCommit refuses', async () => {
  const main = await repository('conflicts');
  const { commitId } = await codecommit.createCommit({
    ...main,
    putFiles: [
      { filePath: 'a', fileContent: bytes('a') },
      { filePath: 'd/b', fileContent: bytes('b') },
    ],
  });
  const content = { fileContent: bytes('x') };
  const cases: [string, object][] = [
    ['FileEntryRequiredException', {}],
    ['FileEntryRequiredException', { putFiles: [], deleteFiles: [] }],
    [
      'MaximumFileEntriesExceededException',
      { putFiles: Array.from({ length: 101 }, (_, index) => ({ filePath: `f${index}`, ...content })) },
    ],
    ['SourceFileOrContentRequiredException', { putFiles: [{ filePath: 'x' }] }],
    ['FileContentAndSourceFileSpecifiedException', { putFiles: [{ filePath: 'x', ...content, sourceFile: { filePath: 'a' } }] }],
    [
      'SamePathRequestException',
      {
        putFiles: [
          { filePath: 'x', ...content },
          { filePath: '/x', ...content },
        ],
      },
    ],
    ['SamePathRequestException', { putFiles: [{ filePath: 'a', ...content }], deleteFiles: [{ filePath: 'a' }] }],
    [
      'PutFileEntryConflictException',
      {
        putFiles: [
          { filePath: 'x', ...content },
          { filePath: 'x/y', ...content },
        ],
      },
    ],
    ['RestrictedSourceFileException', { putFiles: [{ filePath: 'x', sourceFile: { filePath: 'a' } }], deleteFiles: [{ filePath: 'a' }] }],
    ['FileDoesNotExistException', { putFiles: [{ filePath: 'x', sourceFile: { filePath: 'nothing' } }] }],
    ['FileDoesNotExistException', { deleteFiles: [{ filePath: 'nothing' }] }],
    ['FileDoesNotExistException', { setFileModes: [{ filePath: 'd', fileMode: 'NORMAL' }] }],
    ['FileModeRequiredException', { setFileModes: [{ filePath: 'a' }] }],
    ['NoChangeException', { putFiles: [{ filePath: 'a', fileContent: bytes('a') }] }],
    ['NoChangeException', { setFileModes: [{ filePath: 'a', fileMode: 'NORMAL' }] }],
    ['FileNameConflictsWithDirectoryNameException', { putFiles: [{ filePath: 'd', ...content }] }],
    ['DirectoryNameConflictsWithFileNameException', { putFiles: [{ filePath: 'a/x', ...content }] }],
    ['InvalidPathException', { putFiles: [{ filePath: '../x', ...content }] }],
    ['PathRequiredException', { putFiles: [content] }],
    [
      'FolderContentSizeLimitExceededException',
      { putFiles: ['x', 'y'].map((name) => ({ filePath: `big/${name}`, fileContent: Buffer.alloc(3.5 * 1024 * 1024) })) },
    ],
  ];
  for (const [expected, input] of cases) {
    await assert.rejects(codecommit.createCommit({ ...main, parentCommitId: commitId, ...input }), named(expected), expected);
  }
  // A file may take the place of a folder that the same commit empties.
  const swapped = await codecommit.createCommit({
    ...main,
    parentCommitId: commitId,
    putFiles: [{ filePath: 'd', ...content }],
    deleteFiles: [{ filePath: 'd/b' }],
  });
  assert.deepEqual([swapped.filesAdded?.length, swapped.filesDeleted?.length], [1, 1]);
  await codecommit.deleteRepository({ repositoryName: 'conflicts' });
});

test('of commits made at once on one branch exactly one wins', async () => {
  const main = await repository('race');
  const { commitId } = await codecommit.putFile({ ...main, filePath: 'a', fileContent: bytes('a') });
  const outcomes = await Promise.allSettled(
    Array.from({ length: 6 }, (_, index) =>
      codecommit.createCommit({ ...main, parentCommitId: commitId, putFiles: [{ filePath: `f${index}`, fileContent: bytes('x') }] }),
    ),
  );
  const won = outcomes.filter((outcome) => outcome.status === 'fulfilled');
  assert.equal(won.length, 1);
  for (const outcome of outcomes) if (outcome.status === 'rejected') assert.equal(outcome.reason.name, 'ParentCommitIdOutdatedException');
  assert.equal((await codecommit.getBranch(main)).branch?.commitId, won[0]!.value.commitId);
  await codecommit.deleteRepository({ repositoryName: 'race' });
});

test('commits are named by branch, tag, HEAD, full reference and id', async () => {
  const main = await repository('names');
  const one = await codecommit.putFile({ ...main, filePath: 'f', fileContent: bytes('1') });
  const two = await codecommit.putFile({ ...main, parentCommitId: one.commitId, filePath: 'f', fileContent: bytes('2') });
  const directory = await clone('names');
  await git(directory, ['tag', '-a', '-m', 'annotated', 'v1', one.commitId!]);
  await git(directory, ['push', '-q', 'origin', 'v1'], withCredentials(signGit(server, 'names')));
  const content = async (commitSpecifier: string | undefined) =>
    Buffer.from((await codecommit.getFile({ repositoryName: 'names', filePath: 'f', commitSpecifier })).fileContent!).toString();
  for (const specifier of [undefined, 'HEAD', 'main', 'refs/heads/main', two.commitId])
    assert.equal(await content(specifier), '2', specifier);
  for (const specifier of ['v1', 'refs/tags/v1', one.commitId]) assert.equal(await content(specifier), '1', specifier);
  await assert.rejects(content('nothing'), named('CommitDoesNotExistException'));
  await assert.rejects(content('f'.repeat(40)), named('CommitDoesNotExistException'));
  await assert.rejects(content('main~1'), named('InvalidCommitException'));
  await assert.rejects(content('--all'), named('CommitDoesNotExistException'));
  await assert.rejects(
    codecommit.putFile({ ...main, branchName: 'v1', parentCommitId: two.commitId, filePath: 'x', fileContent: bytes('x') }),
    named('BranchNameIsTagNameException'),
  );

  const absent = '0123456789'.repeat(4);
  const batch = await codecommit.batchGetCommits({ repositoryName: 'names', commitIds: [two.commitId!, absent, 'short'] });
  assert.deepEqual(
    batch.commits?.map(({ commitId, parents }) => [commitId, parents]),
    [[two.commitId, [one.commitId]]],
  );
  assert.deepEqual(
    batch.errors?.map(({ commitId, errorCode }) => [commitId, errorCode]),
    [
      [absent, 'CommitIdDoesNotExistException'],
      ['short', 'InvalidCommitIdException'],
    ],
  );
  await assert.rejects(
    codecommit.batchGetCommits({ repositoryName: 'names', commitIds: Array(101).fill(absent) }),
    named('CommitIdsLimitExceededException'),
  );
  await assert.rejects(codecommit.getCommit({ repositoryName: 'names', commitId: 'main' }), named('InvalidCommitIdException'));
  await assert.rejects(codecommit.getBlob({ repositoryName: 'names', blobId: one.treeId }), named('BlobIdDoesNotExistException'));
  await assert.rejects(codecommit.getBlob({ repositoryName: 'names', blobId: '../x' }), named('InvalidBlobIdException'));
  await codecommit.deleteRepository({ repositoryName: 'names' });
});

test('differences are those that git tells, page by page', async () => {
  const main = await repository('differ');
  const names = Array.from({ length: 40 }, (_, index) => `d${index % 4}/e${index % 3}/f${index}`);
  const put = (text: string, list: string[]) => list.map((filePath) => ({ filePath, fileContent: bytes(text + filePath) }));
  const one = await codecommit.createCommit({ ...main, putFiles: [...put('1', names), ...put('1', ['x.y', 'x/z', 'gone', 'becomes'])] });
  const two = await codecommit.createCommit({
    ...main,
    parentCommitId: one.commitId,
    putFiles: [...put('2', names.slice(0, 20)), ...put('2', ['x/z', 'new', 'becomes/folder'])],
    deleteFiles: [{ filePath: 'gone' }, { filePath: 'becomes' }],
  });
  const directory = await clone('differ');
  const expected = (await git(directory, ['diff-tree', '-r', '--no-renames', '--name-status', one.commitId!, two.commitId!]))
    .split('\n')
    .map((line) => line.split('\t'));
  const found: string[][] = [];
  let NextToken: string | undefined;
  do {
    const page = await codecommit.getDifferences({
      repositoryName: 'differ',
      beforeCommitSpecifier: one.commitId,
      afterCommitSpecifier: 'main',
      MaxResults: 7,
      NextToken,
    });
    assert.ok(page.differences!.length <= 7);
    for (const { changeType, beforeBlob, afterBlob } of page.differences!) found.push([changeType!, (afterBlob ?? beforeBlob)!.path!]);
    NextToken = page.NextToken;
  } while (NextToken);
  assert.deepEqual(found, expected);

  const within = await codecommit.getDifferences({
    repositoryName: 'differ',
    beforeCommitSpecifier: one.commitId,
    afterCommitSpecifier: two.commitId,
    afterPath: 'x',
  });
  assert.deepEqual(
    within.differences?.map(({ afterBlob }) => afterBlob?.path),
    ['x/z'],
  );
  const file = await codecommit.getDifferences({
    repositoryName: 'differ',
    beforeCommitSpecifier: one.commitId,
    afterCommitSpecifier: two.commitId,
    afterPath: 'x/z',
    beforePath: 'x.y',
  });
  assert.deepEqual(
    file.differences?.map(({ beforeBlob, afterBlob, changeType }) => [beforeBlob?.path, afterBlob?.path, changeType]),
    [['x.y', 'x/z', 'M']],
  );
  const all = await codecommit.getDifferences({ repositoryName: 'differ', afterCommitSpecifier: one.commitId });
  assert.equal(all.differences?.length, 44);
  const ask = (more: object) => codecommit.getDifferences({ repositoryName: 'differ', afterCommitSpecifier: 'main', ...more });
  await assert.rejects(ask({ MaxResults: 0 }), named('InvalidMaxResultsException'));
  await assert.rejects(ask({ NextToken: 'x' }), named('InvalidContinuationTokenException'));
  await assert.rejects(ask({ afterPath: 'nothing' }), named('PathDoesNotExistException'));
  await assert.rejects(ask({ afterCommitSpecifier: 'no' }), named('CommitDoesNotExistException'));
  await assert.rejects(ask({ afterCommitSpecifier: undefined }), named('CommitRequiredException'));
  await codecommit.deleteRepository({ repositoryName: 'differ' });
});
