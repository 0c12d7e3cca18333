import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Writable } from 'node:stream';
import { after, before, test } from 'node:test';
import { git, tryGit } from './client.ts';
import { CloneCache } from './clone-cache.ts';
import { serveMemoryRepository } from './memory-repository.ts';
import { FLUSH, packet } from './pkt-line.ts';
import { parseClone } from './upload-request.ts';

let home: string;
let server: Awaited<ReturnType<typeof serveMemoryRepository>>;
let work: string;
let clones = 0;

before(async () => {
  home = await mkdtemp(path.join(tmpdir(), 'penstock-clones-'));
  server = await serveMemoryRepository();
  work = path.join(home, 'work');
  await git(home, ['init', '-q', work]);
  await git(work, ['remote', 'add', 'origin', server.url]);
  for (const name of ['one', 'two', 'three']) await push(name, 1_000_000);
});
after(async () => {
  await server.close();
  await rm(home, { recursive: true, force: true });
});

async function push(name: string, bytes: number, ...more: string[]): Promise<string> {
  await writeFile(path.join(work, name), randomBytes(bytes));
  await git(work, ['add', '.']);
  await git(work, ['commit', '-qm', name]);
  await git(work, ['push', '-q', 'origin', 'HEAD', ...more]);
  return git(work, ['rev-parse', 'HEAD']);
}

async function clone(...options: string[]): Promise<string> {
  const target = path.join(home, `clone-${clones++}`);
  await git(home, ['clone', '-q', ...options, server.url, target]);
  return target;
}

/** While git could not read a single object. */
async function withoutPacks<T>(work: () => Promise<T>): Promise<T> {
  const folder = path.join(server.directory, 'cache/git/memory/objects/pack');
  await rename(folder, `${folder}-away`);
  try {
    return await work();
  } finally {
    await rename(`${folder}-away`, folder);
  }
}

const cloneRequest = (...lines: string[]) =>
  Buffer.concat([packet('command=fetch'), packet('agent=test/1'), Buffer.from('0001'), ...lines.map((line) => packet(line)), FLUSH]);

test('an identical clone is answered without git', async () => {
  await clone();
  const { answers, bytes } = server.store.clones.size;
  assert.deepEqual([answers, bytes > 3_000_000], [1, true]);
  const again = await withoutPacks(() => clone());
  await git(again, ['fsck', '--full', '--strict']);
  assert.equal(await git(again, ['rev-parse', 'HEAD']), await git(work, ['rev-parse', 'HEAD']));
  assert.equal(server.store.clones.size.answers, 1);
});

test('shallow and partial clones have answers of their own, as good as the first ones', async () => {
  const kinds = [
    ['--depth=1'],
    ['--filter=blob:none', '--no-checkout'],
    ['--filter=tree:0', '--no-checkout'],
    ['--depth=2', '--no-single-branch'],
  ];
  for (const kind of kinds) {
    const count = server.store.clones.size.answers;
    const [first, second] = [await clone(...kind), await withoutPacks(() => clone(...kind))];
    assert.equal(server.store.clones.size.answers, count + 1, kind.join(' '));
    const commits = (of: string) => git(of, ['rev-list', '--count', 'HEAD']);
    assert.equal(await commits(second), await commits(first));
  }
  // A partial clone fetches the rest when it needs it.
  const partial = await clone('--filter=blob:none');
  await git(partial, ['checkout', '-q', 'HEAD~1']);
  await git(partial, ['fsck', '--strict']);
});

test('clones at the same time share one run of git', async () => {
  await push('four', 2_000_000);
  const count = server.store.clones.size.answers;
  const all = await Promise.all(Array.from({ length: 8 }, () => clone()));
  for (const each of all) assert.equal(await git(each, ['rev-list', '--count', 'HEAD']), '4');
  await git(all[7]!, ['fsck', '--full', '--strict']);
  assert.equal(server.store.clones.size.answers, count + 1);
});

test('a push elsewhere leaves the answer right', async () => {
  await git(work, ['checkout', '-q', '-b', 'side']);
  const side = await push('side', 500_000);
  await git(work, ['checkout', '-q', 'main']);
  const kind = ['--single-branch', '--branch', 'side', '--no-tags'];
  await clone(...kind);
  await push('five', 1000);
  // Somebody has looked at the new references.
  await server.open();
  assert.equal(await git(await withoutPacks(() => clone(...kind)), ['rev-parse', 'HEAD']), side);
});

test('tags that come along are those of now', async () => {
  await clone('--single-branch');
  await git(work, ['tag', '-a', '-m', 'now', 'now']);
  await git(work, ['push', '-q', 'origin', 'now']);
  assert.equal(await git(await clone('--single-branch'), ['tag']), 'now');
});

test('who leaves early harms nobody', async () => {
  const tip = await push('six', 4_000_000);
  const body = cloneRequest(`want ${tip}`, 'ofs-delta', 'done');
  const { port } = new URL(server.url);
  const socket = connect(Number(port), '127.0.0.1');
  socket.write(
    `POST /r/git-upload-pack HTTP/1.1\r\nHost: x\r\nGit-Protocol: version=2\r\nContent-Length: ${body.length}\r\nContent-Type: application/x-git-upload-pack-request\r\n\r\n`,
  );
  socket.write(body);
  await new Promise((resolve) => socket.once('data', resolve));
  socket.destroy();
  const target = await clone();
  await git(target, ['fsck', '--full', '--strict']);
  assert.equal(await git(target, ['rev-parse', 'HEAD']), tip);
});

test('what git cannot answer is not kept', async () => {
  const { answers } = server.store.clones.size;
  const body = cloneRequest(`want ${'1'.repeat(40)}`, 'done');
  const answer = await fetch(`${server.url}/git-upload-pack`, { method: 'POST', headers: { 'git-protocol': 'version=2' }, body });
  assert.match(await answer.text(), /not our ref/);
  assert.equal(server.store.clones.size.answers, answers);
  assert.equal((await tryGit(home, ['ls-remote', server.url])).code, 0);
});

test('keeps to its limits: what was asked for last stays', async () => {
  const root = path.join(home, 'limited');
  const limited = new CloneCache(root, { total: 100_000_000, answers: 2 });
  const view = await server.open();
  const tips = (await git(work, ['rev-list', '-3', 'HEAD'])).split('\n');
  const sink = () => new Writable({ write: (_chunk, _encoding, done) => done() });
  for (const tip of tips) {
    const request = parseClone(cloneRequest(`want ${tip}`, 'done'))!;
    assert.equal(await limited.serve(view, request, sink(), new AbortController().signal), true);
  }
  while (limited.size.answers > 2) await new Promise(setImmediate);
  const [directory] = await readdir(root);
  while ((await readdir(path.join(root, directory!))).length > 2) await new Promise(setImmediate);
  assert.equal(limited.size.answers, 2);
  await limited.close();
  assert.deepEqual(await readdir(root), []);
  await limited.serve(view, parseClone(cloneRequest(`want ${tips[0]}`, 'done'))!, sink(), new AbortController().signal);
  limited.forget(path.join(view.objects, '..', 'another'));
  assert.equal(limited.size.answers, 1);
  limited.forget(path.dirname(view.objects));
  assert.equal(limited.size.answers, 0);
  const tiny = new CloneCache(root, { total: 1000 });
  assert.equal(await tiny.serve(view, parseClone(cloneRequest(`want ${tips[0]}`, 'done'))!, sink(), new AbortController().signal), false);
});
