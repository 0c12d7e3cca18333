import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, test } from 'node:test';
import type { FileVersion } from '@aws-sdk/client-codecommit';
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

/** Commits of one branch, one after another; gives a function that makes the next. */
async function repository(repositoryName: string) {
  await codecommit.createRepository({ repositoryName });
  let parentCommitId: string | undefined;
  return async (files: Record<string, string | Buffer | null>, commitMessage: string) => {
    const changes = Object.entries(files);
    const { commitId } = await codecommit.createCommit({
      repositoryName,
      branchName: 'main',
      parentCommitId,
      commitMessage,
      putFiles: changes.flatMap(([filePath, text]) => (text === null ? [] : [{ filePath, fileContent: Buffer.from(text) }])),
      deleteFiles: changes.flatMap(([filePath, text]) => (text === null ? [{ filePath }] : [])),
    });
    parentCommitId = commitId;
    return commitId!;
  };
}

async function allVersions(repositoryName: string, filePath: string, maxResults: number): Promise<FileVersion[]> {
  const versions: FileVersion[] = [];
  let nextToken: string | undefined;
  do {
    const page = await codecommit.listFileCommitHistory({ repositoryName, filePath, maxResults, nextToken });
    versions.push(...page.revisionDag!);
    nextToken = page.nextToken;
  } while (nextToken);
  return versions;
}

test('the history of a file: its commits, contents, names and what came next', async () => {
  const commit = await repository('history');
  const text = 'some text\nof several lines\nthat stay the same\n';
  const one = await commit({ 'a.txt': text, other: 'x' }, 'one');
  await commit({ other: 'y' }, 'not this file');
  const two = await commit({ 'a.txt': null, 'dir/b.txt': `${text}more\n` }, 'two');
  const three = await commit({ 'dir/b.txt': text }, 'three');

  const whole = await allVersions('history', 'dir/b.txt', 100);
  assert.deepEqual(
    whole.map(({ commit, path, revisionChildren }) => [commit!.commitId, commit!.message, path, revisionChildren]),
    [
      [three, 'three', 'dir/b.txt', []],
      [two, 'two', 'dir/b.txt', [three]],
      [one, 'one', 'a.txt', [two]],
    ],
  );
  const { blobId } = await codecommit.getFile({ repositoryName: 'history', filePath: 'dir/b.txt' });
  assert.equal(whole[0]!.blobId, blobId);
  assert.equal(whole[2]!.blobId, blobId, 'the first content again');
  const got = await codecommit.getCommit({ repositoryName: 'history', commitId: two });
  assert.deepEqual(whole[1]!.commit, got.commit);

  for (const size of [1, 2]) assert.deepEqual(await allVersions('history', 'dir/b.txt', size), whole, `in pages of ${size}`);
  const earlier = await codecommit.listFileCommitHistory({ repositoryName: 'history', filePath: 'a.txt', commitSpecifier: one });
  assert.deepEqual(
    earlier.revisionDag!.map((version) => version.commit!.commitId),
    [one],
  );
  const gone = await allVersions('history', 'a.txt', 10);
  assert.deepEqual(
    gone.map((version) => [version.commit!.commitId, version.blobId !== undefined]),
    [
      [two, false],
      [one, true],
    ],
    'the commit that deleted a file belongs to its history and has no content of it',
  );
  const folder = await allVersions('history', 'dir', 10);
  assert.deepEqual(
    folder.map((version) => version.commit!.commitId),
    [three, two],
  );
  assert.deepEqual((await codecommit.listFileCommitHistory({ repositoryName: 'history', filePath: 'nowhere' })).revisionDag, []);
});

test('the last commit of every file of a folder, asked for one by one', async () => {
  const commit = await repository('folder');
  const names = ['a', 'b b', 'ä', 'nested'];
  const last = new Map<string, string>();
  const first = await commit(Object.fromEntries(names.map((name) => [`x/${name}${name === 'nested' ? '/f' : ''}`, '1'])), 'all');
  for (const name of names) last.set(name, first);
  last.set('ä', await commit({ 'x/ä': '2' }, 'umlaut'));
  last.set('nested', await commit({ 'x/nested/f': '2' }, 'below'));
  for (let round = 0; round < 2; round++) {
    await Promise.all(
      names.map(async (name) => {
        const { revisionDag } = await codecommit.listFileCommitHistory({
          repositoryName: 'folder',
          filePath: `x/${name}`,
          maxResults: 1,
        });
        assert.equal(revisionDag![0]!.commit!.commitId, last.get(name), name);
      }),
    );
    last.set('a', await commit({ 'x/a': `${round + 2}` }, 'again'));
  }
});

test('names that git could take for options or patterns are names', async () => {
  const commit = await repository('names');
  const names = ['*', ':(top)a', '-1', '--all', '[ab]', 'a b\\c', ':/x', 'a'];
  const first = await commit(
    Object.fromEntries(
      names.flatMap((name) => [
        [name, '1'],
        [`:f/${name.replaceAll('/', '')}`, '1'],
      ]),
    ),
    'all',
  );
  const last = await commit({ a: '2', ':f/a': '2' }, 'a');
  for (const name of names) {
    const ask = { repositoryName: 'names', filePath: name };
    const expected = name === 'a' ? [last, first] : [first];
    const { revisionDag } = await codecommit.listFileCommitHistory(ask);
    assert.deepEqual(
      revisionDag!.map((version) => version.commit!.commitId),
      expected,
      name,
    );
    const newest = await codecommit.listFileCommitHistory({ ...ask, filePath: `:f/${name.replaceAll('/', '')}`, maxResults: 1 });
    assert.equal(newest.revisionDag![0]!.commit!.commitId, expected[0], `:f/${name}`);
  }
});

test('what cannot have a history is refused', async () => {
  const commit = await repository('refused');
  await commit({ a: '1' }, 'one');
  await commit({ a: '2' }, 'two');
  const ask = { repositoryName: 'refused', filePath: 'a' };
  await assert.rejects(codecommit.listFileCommitHistory({ ...ask, maxResults: 0 }), named('InvalidMaxResultsException'));
  await assert.rejects(codecommit.listFileCommitHistory({ ...ask, nextToken: 'made up' }), named('InvalidContinuationTokenException'));
  await assert.rejects(codecommit.listFileCommitHistory({ ...ask, commitSpecifier: 'absent' }), named('CommitDoesNotExistException'));
  await assert.rejects(codecommit.listFileCommitHistory({ ...ask, commitSpecifier: 'a..b' }), named('InvalidCommitException'));
  await assert.rejects(codecommit.listFileCommitHistory({ ...ask, repositoryName: 'absent' }), named('RepositoryDoesNotExistException'));
  await assert.rejects(codecommit.listFileCommitHistory({ ...ask, filePath: '../a' }), named('InvalidPathException'));
  const { nextToken } = await codecommit.listFileCommitHistory({ ...ask, maxResults: 1 });
  await assert.rejects(
    codecommit.listFileCommitHistory({ ...ask, filePath: 'b', nextToken }),
    named('InvalidContinuationTokenException'),
    'a token is for one path',
  );
});

test('the differences of two blobs, line by line', async () => {
  const commit = await repository('blobs');
  const lines = Array.from({ length: 60 }, (_, index) => `line ${index + 1}`);
  const text = (changed: Record<number, string | null> = {}) =>
    lines.flatMap((line, index) => (changed[index + 1] === null ? [] : [changed[index + 1] ?? line])).join('\n');
  const versions = {
    before: text(),
    after: `${text({ 2: 'second', 30: null, 31: 'x\ny', 60: '  line   60' })}\n`,
    binary: Buffer.from([1, 0, 2]),
    empty: '',
    crlf: 'ä\r\nend',
  };
  await commit(versions, 'all');
  const ids = new Map<string, string>();
  for (const name of Object.keys(versions)) {
    ids.set(name, (await codecommit.getFile({ repositoryName: 'blobs', filePath: name })).blobId!);
  }
  const differences = (before: string | undefined, after: string, more = {}) =>
    codecommit.getBlobDifferences({
      repositoryName: 'blobs',
      beforeBlobId: before && ids.get(before),
      afterBlobId: ids.get(after),
      ...more,
    });

  const both = await differences('before', 'after', { contextLines: 1 });
  assert.deepEqual([both.isBinary, both.beforeBlobSize, both.afterBlobSize], [false, versions.before.length, versions.after.length]);
  assert.deepEqual(both.hunks![0], {
    beforeStartLine: 1,
    beforeLineCount: 3,
    afterStartLine: 1,
    afterLineCount: 3,
    changes: [
      { type: 'CONTEXT', beforeLineNumber: 1, afterLineNumber: 1, content: 'line 1' },
      { type: 'DELETE', beforeLineNumber: 2, content: 'line 2' },
      { type: 'ADD', afterLineNumber: 2, content: 'second' },
      { type: 'CONTEXT', beforeLineNumber: 3, afterLineNumber: 3, content: 'line 3' },
    ],
  });
  assert.deepEqual(
    both.hunks!.map((hunk) => [hunk.beforeStartLine, hunk.beforeLineCount, hunk.afterStartLine, hunk.afterLineCount]),
    [
      [1, 3, 1, 3],
      [29, 4, 29, 4],
      [59, 2, 59, 2],
    ],
  );
  const closer = await differences('before', 'after', { contextLines: 20 });
  assert.equal(closer.hunks!.length, 1, 'hunks that touch are one');
  const blind = await differences('before', 'after', { contextLines: 0, ignoreWhitespace: true });
  assert.equal(blind.hunks!.length, 2, 'line 60 differs in white space only');

  const pages: unknown[] = [];
  let NextToken: string | undefined;
  do {
    const page = await differences('before', 'after', { contextLines: 1, MaxResults: 2, NextToken });
    pages.push(...page.hunks!);
    NextToken = page.NextToken;
  } while (NextToken);
  assert.deepEqual(pages, both.hunks);

  assert.deepEqual((await differences('before', 'before')).hunks, []);
  assert.deepEqual(await differences(undefined, 'empty').then(({ hunks, beforeBlobSize }) => [hunks, beforeBlobSize]), [[], 0]);
  assert.deepEqual((await differences(undefined, 'crlf')).hunks, [
    {
      beforeStartLine: 0,
      beforeLineCount: 0,
      afterStartLine: 1,
      afterLineCount: 2,
      changes: [
        { type: 'ADD', afterLineNumber: 1, content: 'ä\r' },
        { type: 'ADD', afterLineNumber: 2, content: 'end' },
      ],
    },
  ]);
  const binary = await differences('before', 'binary');
  assert.deepEqual([binary.isBinary, binary.hunks], [true, []]);

  await assert.rejects(differences('before', 'after', { contextLines: 21 }), named('ValidationException'));
  await assert.rejects(differences('before', 'after', { MaxResults: 0 }), named('InvalidMaxResultsException'));
  await assert.rejects(differences('before', 'after', { NextToken: 'x' }), named('InvalidContinuationTokenException'));
  await assert.rejects(differences('before', 'after', { afterBlobId: 'main' }), named('InvalidBlobIdException'));
  await assert.rejects(differences('before', 'after', { beforeBlobId: '1'.repeat(40) }), named('BlobIdDoesNotExistException'));
});

test('a file of many lines is told in hunks of the size that the model allows', async () => {
  const commit = await repository('long');
  const many = '\n'.repeat(60_001);
  await commit({ many, few: many.slice(0, 10), noise: randomBytes(10).toString('hex') }, 'one');
  const blob = async (filePath: string) => (await codecommit.getFile({ repositoryName: 'long', filePath })).blobId;
  const afterBlobId = await blob('many');
  for (const beforeBlobId of [undefined, await blob('few')]) {
    let [expected, NextToken] = [beforeBlobId ? 8 : 1, undefined as string | undefined];
    do {
      const page = await codecommit.getBlobDifferences({ repositoryName: 'long', beforeBlobId, afterBlobId, NextToken });
      for (const hunk of page.hunks!) {
        assert.ok(hunk.changes!.length <= 25_000);
        assert.equal(hunk.afterStartLine, expected, 'each goes on where the one before ended');
        assert.equal(hunk.changes!.at(-1)!.afterLineNumber, expected + hunk.afterLineCount! - 1);
        expected += hunk.afterLineCount!;
      }
      NextToken = page.NextToken;
    } while (NextToken);
    assert.equal(expected, 60_002);
  }
});

test('two files that differ everywhere are compared page by page', async () => {
  const commit = await repository('everywhere');
  const text = (other: string) => Array.from({ length: 100_000 }, (_, index) => (index % 2 ? 'same' : `${other}${index}`)).join('\n');
  await commit({ one: text('a'), two: text('b') }, 'one');
  const blob = async (filePath: string) => (await codecommit.getFile({ repositoryName: 'everywhere', filePath })).blobId;
  const ask = { repositoryName: 'everywhere', beforeBlobId: await blob('one'), afterBlobId: await blob('two'), contextLines: 0 };
  const first = await codecommit.getBlobDifferences({ ...ask, MaxResults: 5000 });
  assert.equal(first.hunks!.length, 1000, 'no page has more');
  const second = await codecommit.getBlobDifferences({ ...ask, MaxResults: 3, NextToken: first.NextToken });
  assert.deepEqual(
    second.hunks!.map(({ beforeStartLine, beforeLineCount, changes }) => [beforeStartLine, beforeLineCount, changes!.length]),
    [
      [2001, 1, 2],
      [2003, 1, 2],
      [2005, 1, 2],
    ],
  );
  assert.ok(second.NextToken);
});
