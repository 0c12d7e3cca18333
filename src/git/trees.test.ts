import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { formatCommit, formatTree, objectId, parseCommit, parseTree, toEntryName } from './objects.ts';
import { PackWriter } from './pack-writer.ts';
import type { Edit } from './tree-edit.ts';
import { editTree, TreeConflictError } from './tree-edit.ts';
import type { ReadById } from './trees.ts';
import { differences, entryAt } from './trees.ts';

let directory: string;
const git = (args: string[], input?: Buffer | string) =>
  execFileSync('git', args, { cwd: directory, input, env: { ...process.env, GIT_DIR: directory } });

before(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'penstock-trees-'));
  execFileSync('git', ['init', '-q', '--bare', directory]);
});
after(() => rm(directory, { recursive: true, force: true }));

/** Reads what the writer has, else what the repository has. */
const readFrom =
  (writer: PackWriter): ReadById =>
  async (id) => {
    const made = writer.get(id);
    if (made) return { type: made.type, data: Buffer.from(made.data) };
    return { type: 'tree', data: git(['cat-file', 'tree', id]) };
  };

async function edit(root: string | undefined, edits: Record<string, string | null>, keepEmptyFolders = false): Promise<string> {
  const writer = new PackWriter();
  const changes = new Map<string, Edit>(
    Object.entries(edits).map(([name, content]) => [
      toEntryName(name),
      content === null ? 'delete' : { mode: '100644', id: writer.add('blob', Buffer.from(content)) },
    ]),
  );
  const id = await editTree({ read: readFrom(writer), writer, keepEmptyFolders }, root, changes);
  git(['index-pack', '--stdin', '--strict', '--fix-thin'], await writer.toBuffer());
  return id;
}

const list = (id: string) => git(['ls-tree', '-r', '--name-only', '-z', id]).toString().split('\0').slice(0, -1);

test('trees are written in the order that git demands, with any names', async () => {
  const id = await edit(undefined, { 'a.b': '1', 'a/c': '2', a0: '3', 'ä ö/ü\t"': '4', '深/い': '5' });
  assert.deepEqual(list(id), ['a.b', 'a/c', 'a0', 'ä ö/ü\t"', '深/い']);
  const data = git(['cat-file', 'tree', id]);
  assert.deepEqual(formatTree(parseTree(data)), data);
  assert.equal(objectId('tree', data), id);
});

test('deleting the last file of a folder takes the folder, or leaves .gitkeep', async () => {
  const id = await edit(undefined, { 'a/b/c': '1', d: '2' });
  assert.deepEqual(list(await edit(id, { 'a/b/c': null })), ['d']);
  assert.deepEqual(list(await edit(id, { 'a/b/c': null }, true)), ['a/b/.gitkeep', 'd']);
  assert.deepEqual(list(await edit(id, { 'a/b/c': null, d: null })), []);
});

test('files and folders of one name conflict, unless one makes room', async () => {
  const id = await edit(undefined, { 'a/b': '1', c: '2' });
  await assert.rejects(edit(id, { a: 'x' }), (error) => error instanceof TreeConflictError && error.kind === 'file-is-directory');
  await assert.rejects(edit(id, { 'c/d': 'x' }), (error) => error instanceof TreeConflictError && error.kind === 'directory-is-file');
  assert.deepEqual(list(await edit(id, { 'a/b': null, a: 'x' })), ['a', 'c']);
  assert.deepEqual(list(await edit(id, { c: null, 'c/d': 'x' })), ['a/b', 'c/d']);
});

test('differences are those of git diff-tree, from any place on', async () => {
  const names = Array.from({ length: 60 }, (_, index) => `d${index % 5}/${index % 7 === 0 ? 'deep/er/' : ''}f${index}`);
  const one = await edit(undefined, Object.fromEntries([...names, 'x.y', 'x/z', 'file', 'folder/a'].map((name) => [name, `1${name}`])));
  const two = await edit(one, {
    ...Object.fromEntries(names.filter((_, index) => index % 3 === 0).map((name) => [name, '2'])),
    ...Object.fromEntries(names.filter((_, index) => index % 3 === 1).map((name) => [name, null])),
    file: null,
    'file/now': 'folder',
    'folder/a': null,
    folder: 'file',
    'x-': 'new',
  });
  const expected = git(['diff-tree', '-r', '--no-renames', '--name-only', one, two]).toString().trim().split('\n');
  const read = readFrom(new PackWriter());
  const root = (id: string) => ({ mode: '40000', name: '', id });
  const found = async (from?: string) => {
    const paths: string[] = [];
    for await (const { path: name } of differences(read, root(one), root(two), from)) paths.push(name);
    return paths;
  };
  assert.deepEqual(await found(), expected);
  for (const [index, name] of expected.entries()) assert.deepEqual(await found(name), expected.slice(index + 1), `from ${name}`);
  assert.equal((await entryAt(read, two, 'file/now'))?.mode, '100644');
  assert.equal(await entryAt(read, two, 'file/now/more'), undefined);
  assert.equal(await entryAt(read, two, 'nothing'), undefined);
});

test('commits are read as they were written, signatures and odd people too', () => {
  const person = { name: 'Ada Lovelace', email: 'ada@example.com', date: '1484167798 -0800' };
  const commit = {
    tree: '1'.repeat(40),
    parents: ['2'.repeat(40), '3'.repeat(40)],
    author: person,
    committer: person,
    message: 'Hello\n\nworld\n',
  };
  assert.deepEqual(parseCommit(formatCommit(commit)), { ...commit, additionalData: '' });
  const signed = `tree ${'1'.repeat(40)}\nauthor  <> 0 +0000\ncommitter x <y>\ngpgsig -----BEGIN\n line\n -----END\n\nm`;
  const parsed = parseCommit(Buffer.from(signed));
  assert.equal(parsed.additionalData, 'gpgsig -----BEGIN\n line\n -----END');
  assert.deepEqual([parsed.author, parsed.committer.date], [{ name: '', email: '', date: '0 +0000' }, '']);
  const evil = formatCommit({ ...commit, author: { ...person, name: 'a\nparent <x>\0' } }).toString();
  assert.match(evil, /\nauthor aparent x <ada@example.com>/);
});
