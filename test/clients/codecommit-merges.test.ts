import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { CodeCommit } from '@aws-sdk/client-codecommit';
import { IAM } from '@aws-sdk/client-iam';
import { git } from '../../src/git/client.ts';
import { signGit, withCredentials } from '../support/git.ts';
import { startServer, type TestServer } from '../support/server.ts';

let server: TestServer;
let codecommit: CodeCommit;
let home: string;

before(async () => {
  server = await startServer();
  codecommit = new CodeCommit(server.client);
  home = await mkdtemp(path.join(tmpdir(), 'penstock-merges-'));
});
after(async () => {
  await server.stop();
  await rm(home, { recursive: true, force: true });
});

const named = (name: string) => (error: Error) => error.name === name;

/** What a side makes of the base: contents by path, `undefined` deletes. */
type Files = Record<string, string | undefined>;

async function commit(repositoryName: string, branchName: string, parentCommitId: string | undefined, files: Files): Promise<string> {
  const entries = Object.entries(files);
  const { commitId } = await codecommit.createCommit({
    repositoryName,
    branchName,
    parentCommitId,
    putFiles: entries.flatMap(([filePath, text]) => (text === undefined ? [] : [{ filePath, fileContent: Buffer.from(text) }])),
    deleteFiles: entries.flatMap(([filePath, text]) => (text === undefined ? [{ filePath }] : [])),
  });
  return commitId!;
}

/** A repository with `main` and `topic` that parted at one commit. */
async function parted(repositoryName: string, files: { base: Files; source: Files; destination?: Files }) {
  await codecommit.createRepository({ repositoryName });
  const base = await commit(repositoryName, 'main', undefined, files.base);
  await codecommit.createBranch({ repositoryName, branchName: 'topic', commitId: base });
  const source = await commit(repositoryName, 'topic', base, files.source);
  const destination = files.destination ? await commit(repositoryName, 'main', base, files.destination) : base;
  const tips = { repositoryName, sourceCommitSpecifier: 'topic', destinationCommitSpecifier: 'main' };
  return { base, source, destination, tips };
}

async function contents(repositoryName: string, commitSpecifier: string | undefined, filePath: string): Promise<string> {
  const { fileContent } = await codecommit.getFile({ repositoryName, commitSpecifier, filePath });
  return Buffer.from(fileContent!).toString();
}

const lines = (...changed: string[]) => [...changed, 'b', 'c', 'd', 'e'].map((line) => `${line}\n`).join('');

test('a branch that is behind is moved forward, without a commit', async () => {
  const { base, source, tips } = await parted('forward', { base: { a: '1' }, source: { a: '2' } });
  const options = await codecommit.getMergeOptions(tips);
  assert.deepEqual(options.mergeOptions, ['FAST_FORWARD_MERGE', 'SQUASH_MERGE', 'THREE_WAY_MERGE']);
  assert.deepEqual([options.baseCommitId, options.sourceCommitId, options.destinationCommitId], [base, source, base]);
  const merged = await codecommit.mergeBranchesByFastForward(tips);
  assert.equal(merged.commitId, source);
  const { branch } = await codecommit.getBranch({ repositoryName: 'forward', branchName: 'main' });
  assert.equal(branch?.commitId, source);
  // Nothing is left to be merged.
  assert.equal((await codecommit.mergeBranchesByThreeWay(tips)).commitId, source);
});

test('changes of different files merge in both ways, as git can read', async () => {
  const { source, destination, tips } = await parted('apart', {
    base: { a: '1', b: '1', 'd/x': 'x' },
    source: { a: '2', 'd/x': undefined, 'new/file': 'n' },
    destination: { b: '2' },
  });
  const { mergeOptions } = await codecommit.getMergeOptions(tips);
  assert.deepEqual(mergeOptions, ['SQUASH_MERGE', 'THREE_WAY_MERGE']);
  await assert.rejects(codecommit.mergeBranchesByFastForward(tips), named('ManualMergeRequiredException'));
  const stored = await codecommit.createUnreferencedMergeCommit({
    ...tips,
    mergeOption: 'SQUASH_MERGE',
    authorName: 'Grace',
    email: 'grace@example.com',
    commitMessage: 'Squashed',
  });
  const squashed = (await codecommit.getCommit({ repositoryName: 'apart', commitId: stored.commitId })).commit!;
  assert.deepEqual([squashed.parents, squashed.message, squashed.author?.name], [[destination], 'Squashed', 'Grace']);
  assert.equal((await codecommit.getMergeCommit(tips)).mergedCommitId, stored.commitId);

  const merged = await codecommit.mergeBranchesByThreeWay({ ...tips, keepEmptyFolders: true });
  const directory = path.join(home, 'apart');
  await git(home, ['clone', '-q', `${server.endpoint}/v1/repos/apart`, directory], withCredentials(signGit(server, 'apart')));
  assert.equal(await git(directory, ['rev-parse', 'HEAD', 'HEAD^1', 'HEAD^2']), [merged.commitId, destination, source].join('\n'));
  assert.equal(await git(directory, ['ls-files']), ['a', 'b', 'd/.gitkeep', 'new/file'].join('\n'));
  assert.equal(await git(directory, ['show', 'HEAD:a', 'HEAD:b']), '22');
  await git(directory, ['fsck', '--strict']);
});

test('one file changed by both: a conflict of files, but of lines only where the same lines changed', async () => {
  const { tips } = await parted('lines', {
    base: { f: lines('a') },
    source: { f: lines('source') },
    destination: { f: `${lines('a')}destination\n` },
  });
  assert.deepEqual((await codecommit.getMergeOptions(tips)).mergeOptions, []);
  await assert.rejects(codecommit.mergeBranchesByThreeWay(tips), named('ManualMergeRequiredException'));
  const byLine = { ...tips, conflictDetailLevel: 'LINE_LEVEL' } as const;
  assert.deepEqual((await codecommit.getMergeOptions(byLine)).mergeOptions, ['SQUASH_MERGE', 'THREE_WAY_MERGE']);
  const conflicts = await codecommit.getMergeConflicts({ ...tips, mergeOption: 'THREE_WAY_MERGE' });
  assert.equal(conflicts.mergeable, false);
  assert.deepEqual(
    conflicts.conflictMetadataList?.map(({ filePath, numberOfConflicts, contentConflict }) => [
      filePath,
      numberOfConflicts,
      contentConflict,
    ]),
    [['f', 1, true]],
  );
  const described = await codecommit.describeMergeConflicts({ ...byLine, mergeOption: 'THREE_WAY_MERGE', filePath: 'f' });
  assert.equal(described.conflictMetadata?.numberOfConflicts, 0);
  assert.deepEqual(
    described.mergeHunks?.map(({ isConflict, source, destination }) => [
      isConflict,
      Buffer.from(source!.hunkContent!, 'base64').toString(),
      [destination!.startLine, destination!.endLine],
    ]),
    [
      [false, 'source\n', [1, 1]],
      [false, '', [6, 6]],
    ],
  );
  const merged = await codecommit.mergeBranchesBySquash(byLine);
  assert.equal(await contents('lines', merged.commitId, 'f'), `${lines('source')}destination\n`);
});

test('the same lines changed by both: each strategy, and the own words of the caller', async () => {
  const { base, tips } = await parted('same', {
    base: { f: lines('a'), g: 'g', gone: 'x', bin: 'a\0b' },
    source: { f: lines('source'), g: 'source', gone: undefined, bin: 'source\0' },
    destination: { f: `${lines('destination')}more\n`, g: 'destination', gone: 'changed', bin: 'destination\0' },
  });
  const question = { ...tips, mergeOption: 'THREE_WAY_MERGE', conflictDetailLevel: 'LINE_LEVEL' } as const;
  const first = await codecommit.getMergeConflicts({ ...question, maxConflictFiles: 3 });
  const second = await codecommit.getMergeConflicts({ ...question, maxConflictFiles: 3, nextToken: first.nextToken });
  const list = [...first.conflictMetadataList!, ...second.conflictMetadataList!];
  assert.deepEqual(
    list.map(({ filePath, numberOfConflicts }) => [filePath, numberOfConflicts]),
    [
      ['bin', 1],
      ['f', 1],
      ['g', 1],
      ['gone', 1],
    ],
  );
  assert.equal(second.nextToken, undefined);
  assert.deepEqual(list[0]?.isBinaryFile, { source: true, destination: true, base: true });
  assert.deepEqual(list[3]?.mergeOperations, { source: 'D', destination: 'M' });
  const batch = await codecommit.batchDescribeMergeConflicts({ ...question, filePaths: ['f', 'nowhere'] });
  assert.deepEqual(
    batch.errors?.map(({ filePath, exceptionName }) => [filePath, exceptionName]),
    [['nowhere', 'FileDoesNotExistException']],
  );
  assert.deepEqual(
    batch.conflicts?.[0]?.mergeHunks?.map(({ isConflict }) => isConflict),
    [true, false],
  );

  const make = { ...question, mergeOption: 'SQUASH_MERGE' } as const;
  const theirs = await codecommit.createUnreferencedMergeCommit({ ...make, conflictResolutionStrategy: 'ACCEPT_SOURCE' });
  assert.equal(await contents('same', theirs.commitId, 'f'), `${lines('source')}more\n`);
  assert.equal(await contents('same', theirs.commitId, 'bin'), 'source\0');
  await assert.rejects(contents('same', theirs.commitId, 'gone'), named('FileDoesNotExistException'));
  const whole = { ...make, conflictDetailLevel: 'FILE_LEVEL', conflictResolutionStrategy: 'ACCEPT_DESTINATION' } as const;
  const ours = await codecommit.createUnreferencedMergeCommit(whole);
  assert.equal(await contents('same', ours.commitId, 'f'), `${lines('destination')}more\n`);
  assert.equal(await contents('same', ours.commitId, 'gone'), 'changed');

  const automatic = { ...tips, conflictResolutionStrategy: 'AUTOMERGE' } as const;
  await assert.rejects(codecommit.mergeBranchesByThreeWay(automatic), named('ManualMergeRequiredException'));
  const replaceContents = [
    { filePath: 'f', replacementType: 'USE_NEW_CONTENT', content: Buffer.from('mine'), fileMode: 'EXECUTABLE' },
    { filePath: 'g', replacementType: 'KEEP_BASE' },
    { filePath: 'bin', replacementType: 'KEEP_SOURCE' },
  ] as const;
  const conflictResolution = { replaceContents: [...replaceContents], deleteFiles: [{ filePath: 'gone' }] };
  const merged = await codecommit.mergeBranchesByThreeWay({ ...automatic, conflictResolution });
  const { files } = await codecommit.getFolder({ repositoryName: 'same', folderPath: '/', commitSpecifier: merged.commitId });
  assert.deepEqual(
    files?.map(({ relativePath, fileMode }) => [relativePath, fileMode]),
    [
      ['bin', 'NORMAL'],
      ['f', 'EXECUTABLE'],
      ['g', 'NORMAL'],
    ],
  );
  assert.equal(await contents('same', merged.commitId, 'f'), 'mine');
  assert.equal(await contents('same', merged.commitId, 'g'), await contents('same', base, 'g'));
});

test('a file here and a folder there', async () => {
  const { tips } = await parted('kinds', {
    base: { keep: 'k', 'dir/a': 'a' },
    source: { 'dir/a': undefined, dir: 'now a file' },
    destination: { 'dir/b': 'b' },
  });
  const question = { ...tips, mergeOption: 'SQUASH_MERGE' } as const;
  const { conflictMetadataList } = await codecommit.getMergeConflicts(question);
  assert.deepEqual(
    conflictMetadataList?.map(({ filePath, objectTypeConflict, objectTypes }) => [filePath, objectTypeConflict, objectTypes]),
    [['dir', true, { source: 'FILE', destination: 'DIRECTORY', base: 'DIRECTORY' }]],
  );
  const source = await codecommit.createUnreferencedMergeCommit({ ...question, conflictResolutionStrategy: 'ACCEPT_SOURCE' });
  assert.equal(await contents('kinds', source.commitId, 'dir'), 'now a file');
  const merged = await codecommit.mergeBranchesBySquash({ ...tips, conflictResolutionStrategy: 'ACCEPT_DESTINATION' });
  assert.equal(await contents('kinds', merged.commitId, 'dir/b'), 'b');
});

test('of several merges at once exactly one wins', async () => {
  const { destination, tips } = await parted('race', { base: { a: '1' }, source: { a: '2' }, destination: { b: '2' } });
  const request = { ...tips, destinationCommitSpecifier: destination, targetBranch: 'main' };
  const results = await Promise.allSettled(
    [1, 2, 3, 4].map((each) => codecommit.mergeBranchesByThreeWay({ ...request, commitMessage: `Merge ${each}` })),
  );
  const lost = results.flatMap((result) => (result.status === 'rejected' ? [result.reason.name] : []));
  assert.deepEqual(lost, Array(3).fill('ConcurrentReferenceUpdateException'));
});

test('what merges refuse', async () => {
  const { base, tips } = await parted('refusing', { base: { a: '1' }, source: { a: '2' }, destination: { a: '3', b: '2' } });
  const repositoryName = 'refusing';
  const merge = (more: object) => codecommit.mergeBranchesByThreeWay({ ...tips, conflictResolutionStrategy: 'AUTOMERGE', ...more });
  const resolving = (conflictResolution: object) => merge({ conflictResolution });
  await assert.rejects(merge({ repositoryName: 'none' }), named('RepositoryDoesNotExistException'));
  await assert.rejects(merge({ sourceCommitSpecifier: 'none' }), named('CommitDoesNotExistException'));
  await assert.rejects(merge({ sourceCommitSpecifier: 'a..b' }), named('InvalidCommitException'));
  await assert.rejects(merge({ targetBranch: 'a..b' }), named('InvalidTargetBranchException'));
  await assert.rejects(merge({ targetBranch: 'none' }), named('BranchDoesNotExistException'));
  await assert.rejects(merge({ targetBranch: 'topic' }), named('ConcurrentReferenceUpdateException'));
  await assert.rejects(merge({ destinationCommitSpecifier: base }), named('BranchNameRequiredException'));
  await assert.rejects(merge({ conflictDetailLevel: 'WORD_LEVEL' }), named('InvalidConflictDetailLevelException'));
  await assert.rejects(merge({ conflictResolutionStrategy: 'BEST' }), named('InvalidConflictResolutionStrategyException'));
  await assert.rejects(merge({ email: 'a<b' }), named('InvalidEmailException'));
  await assert.rejects(merge({ authorName: 'n'.repeat(1001) }), named('NameLengthExceededException'));
  const keep = { filePath: 'a', replacementType: 'KEEP_SOURCE' };
  await assert.rejects(resolving({ replaceContents: [keep, keep] }), named('MultipleConflictResolutionEntriesException'));
  await assert.rejects(
    resolving({ replaceContents: [keep], deleteFiles: [{ filePath: '/a' }] }),
    named('MultipleConflictResolutionEntriesException'),
  );
  await assert.rejects(resolving({ replaceContents: [keep, { ...keep, filePath: 'b' }] }), named('InvalidConflictResolutionException'));
  await assert.rejects(
    resolving({ replaceContents: [keep], deleteFiles: [{ filePath: 'none' }] }),
    named('InvalidConflictResolutionException'),
  );
  await assert.rejects(resolving({ replaceContents: [{ ...keep, filePath: '../x' }] }), named('InvalidPathException'));
  await assert.rejects(resolving({ replaceContents: [{ ...keep, replacementType: 'MINE' }] }), named('InvalidReplacementTypeException'));
  const fresh = { filePath: 'a', replacementType: 'USE_NEW_CONTENT' };
  await assert.rejects(resolving({ replaceContents: [fresh] }), named('ReplacementContentRequiredException'));
  await assert.rejects(
    resolving({ replaceContents: [{ ...keep, content: Buffer.from('x') }] }),
    named('InvalidReplacementContentException'),
  );
  const many = Array.from({ length: 101 }, (_, index) => ({ filePath: `f${index}` }));
  await assert.rejects(resolving({ deleteFiles: many }), named('MaximumConflictResolutionEntriesExceededException'));
  await assert.rejects(
    codecommit.createUnreferencedMergeCommit({ ...tips, mergeOption: 'FAST_FORWARD_MERGE' }),
    named('InvalidMergeOptionException'),
  );
  const question = { ...tips, mergeOption: 'SQUASH_MERGE' } as const;
  await assert.rejects(codecommit.getMergeConflicts({ ...question, nextToken: 'x' }), named('InvalidContinuationTokenException'));
  await assert.rejects(codecommit.getMergeConflicts({ ...question, maxConflictFiles: 0 }), named('InvalidMaxConflictFilesException'));
  await assert.rejects(
    codecommit.describeMergeConflicts({ ...question, filePath: 'a', maxMergeHunks: 0 }),
    named('InvalidMaxMergeHunksException'),
  );
  await assert.rejects(codecommit.describeMergeConflicts({ ...question, filePath: 'none' }), named('FileDoesNotExistException'));
  await assert.rejects(
    codecommit.getMergeConflicts({ ...tips, mergeOption: 'OCTOPUS' as 'SQUASH_MERGE' }),
    named('InvalidMergeOptionException'),
  );
  const { branch } = await codecommit.getBranch({ repositoryName, branchName: 'main' });
  const { branch: topic } = await codecommit.getBranch({ repositoryName, branchName: 'topic' });
  assert.notEqual(branch?.commitId, topic?.commitId);
});

test('histories without a common commit, or too far apart, are not compared', async () => {
  await codecommit.createRepository({ repositoryName: 'far' });
  const directory = path.join(home, 'far');
  await git(home, ['init', '-q', '-b', 'main', directory]);
  const tree = await git(directory, ['hash-object', '-t', 'tree', '-w', '/dev/null']);
  const make = async (parent?: string) => git(directory, ['commit-tree', tree, '-m', parent ?? 'root', ...(parent ? ['-p', parent] : [])]);
  const root = await make();
  const stranger = await git(directory, ['commit-tree', tree, '-m', 'stranger']);
  const stream = [
    `reset refs/heads/long\nfrom ${root}\n`,
    ...Array.from({ length: 1000 }, (_, index) => `commit refs/heads/long\ncommitter a <a@b> ${1e9 + index} +0000\ndata 1\nx\n`),
  ].join('\n');
  await writeFile(path.join(home, 'stream'), stream);
  await git(directory, ['-c', 'alias.load=!git fast-import --quiet <../stream', 'load']);
  await git(directory, ['update-ref', 'refs/heads/main', await make(root)]);
  await git(directory, ['update-ref', 'refs/heads/stranger', stranger]);
  const all = 'refs/heads/*:refs/heads/*';
  await git(directory, ['push', '-q', `${server.endpoint}/v1/repos/far`, all], withCredentials(signGit(server, 'far')));
  const far = { repositoryName: 'far', destinationCommitSpecifier: 'main' };
  for (const sourceCommitSpecifier of ['long', 'stranger']) {
    await assert.rejects(codecommit.getMergeOptions({ ...far, sourceCommitSpecifier }), named('TipsDivergenceExceededException'));
  }
  assert.equal((await codecommit.getMergeCommit({ ...far, sourceCommitSpecifier: 'stranger' })).baseCommitId, undefined);
});

test('protected branches are protected from merges too', async () => {
  const { base, tips } = await parted('protected', { base: { a: '1' }, source: { a: '2' } });
  const iam = new IAM(server.client);
  await iam.createUser({ UserName: 'merger' });
  const { AccessKey } = await iam.createAccessKey({ UserName: 'merger' });
  const deny = { StringEquals: { 'codecommit:References': ['refs/heads/main'] }, Null: { 'codecommit:References': 'false' } };
  const Statement = [
    { Effect: 'Allow', Action: 'codecommit:*', Resource: '*' },
    { Effect: 'Deny', Action: 'codecommit:Merge*', Resource: '*', Condition: deny },
  ];
  await iam.putUserPolicy({ UserName: 'merger', PolicyName: 'p', PolicyDocument: JSON.stringify({ Version: '2012-10-17', Statement }) });
  const credentials = { accessKeyId: AccessKey!.AccessKeyId!, secretAccessKey: AccessKey!.SecretAccessKey! };
  const merger = new CodeCommit({ ...server.client, credentials });
  await assert.rejects(merger.mergeBranchesByFastForward(tips), named('AccessDeniedException'));
  await assert.rejects(merger.mergeBranchesBySquash({ ...tips, targetBranch: 'refs/heads/main' }), named('AccessDeniedException'));
  await codecommit.createBranch({ repositoryName: 'protected', branchName: 'open', commitId: base });
  await merger.mergeBranchesByFastForward({ ...tips, destinationCommitSpecifier: 'open' });
});

test('a file that both sides made, differently', async () => {
  const { tips } = await parted('made', { base: { a: '1' }, source: { new: 'x\n' }, destination: { new: 'y\n' } });
  const automatic = { ...tips, conflictResolutionStrategy: 'AUTOMERGE' } as const;
  const { conflictMetadataList } = await codecommit.getMergeConflicts({ ...automatic, mergeOption: 'SQUASH_MERGE' });
  assert.deepEqual(conflictMetadataList?.[0]?.mergeOperations, { source: 'A', destination: 'A' });
  const merged = await codecommit.mergeBranchesBySquash({ ...tips, conflictResolutionStrategy: 'ACCEPT_SOURCE' });
  assert.equal(await contents('made', merged.commitId, 'new'), 'x\n');
});

test('modes and submodules merge as contents do', async () => {
  const { base, tips } = await parted('modes', { base: { f: '1', run: 'r' }, source: { f: '2' } });
  const setMode = async (branchName: string, parentCommitId: string, filePath: string, fileMode: 'EXECUTABLE') =>
    codecommit.createCommit({ repositoryName: 'modes', branchName, parentCommitId, setFileModes: [{ filePath, fileMode }] });
  await setMode('main', base, 'f', 'EXECUTABLE');
  const directory = path.join(home, 'modes');
  const env = withCredentials(signGit(server, 'modes'));
  await git(home, ['clone', '-q', '-b', 'topic', `${server.endpoint}/v1/repos/modes`, directory], env);
  await git(directory, ['update-index', '--add', '--cacheinfo', `160000,${base},module`]);
  await git(directory, ['commit', '-qm', 'Add a submodule']);
  await git(directory, ['push', '-q', 'origin', 'topic'], env);
  await codecommit.mergeBranchesByThreeWay(tips);
  const again = { ...tips, sourceCommitSpecifier: 'next' };
  const { branch } = await codecommit.getBranch({ repositoryName: 'modes', branchName: 'main' });
  await codecommit.createBranch({ repositoryName: 'modes', branchName: 'next', commitId: branch?.commitId });
  await git(directory, ['fetch', '-q', 'origin'], env);
  await git(directory, ['checkout', '-q', '-b', 'next', 'origin/next']);
  assert.equal(await git(directory, ['ls-files', '--format=%(objectmode) %(path)']), '100755 f\n160000 module\n100644 run');
  assert.equal(await git(directory, ['show', 'HEAD:f']), '2');
  await git(directory, ['update-index', '--cacheinfo', `160000,${branch?.commitId},module`]);
  await git(directory, ['commit', '-qm', 'Move the submodule']);
  await git(directory, ['push', '-q', 'origin', 'next'], env);
  await commit('modes', 'main', branch?.commitId, { other: 'o' });
  const merged = await codecommit.mergeBranchesBySquash(again);
  const { subModules } = await codecommit.getFolder({ repositoryName: 'modes', folderPath: '/', commitSpecifier: merged.commitId });
  assert.equal(subModules?.[0]?.commitId, branch?.commitId);
});
