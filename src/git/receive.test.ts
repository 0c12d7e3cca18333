import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { git, tryGit } from './client.ts';
import { serveMemoryRepository } from './memory-repository.ts';
import { ZERO_ID } from './objects.ts';
import { FLUSH, packet } from './pkt-line.ts';

let home: string;
let server: Awaited<ReturnType<typeof serveMemoryRepository>>;
let work: string;

before(async () => {
  home = await mkdtemp(path.join(tmpdir(), 'penstock-receive-'));
  server = await serveMemoryRepository();
  work = path.join(home, 'work');
  await git(home, ['init', '-q', work]);
  await git(work, ['remote', 'add', 'origin', server.url]);
});
after(async () => {
  await server.close();
  await rm(home, { recursive: true, force: true });
});

async function commit(name: string, content: string | Buffer): Promise<string> {
  await mkdir(path.dirname(path.join(work, name)), { recursive: true });
  await writeFile(path.join(work, name), content);
  await git(work, ['add', '.']);
  await git(work, ['commit', '-qm', `change ${name}`]);
  return git(work, ['rev-parse', 'HEAD']);
}

async function post(commands: string[], rest: Buffer, capabilities = 'report-status side-band-64k'): Promise<string> {
  const lines = commands.map((command, index) => packet(index === 0 ? `${command}\0 ${capabilities}` : command));
  const body = Buffer.concat([...lines, FLUSH, rest]);
  const answer = await fetch(`${server.url}/git-receive-pack`, { method: 'POST', body });
  assert.equal(answer.status, 200);
  return answer.text();
}

/** It is cleared after the client has its answer. */
async function quarantineIsEmpty(): Promise<void> {
  const incoming = path.join(server.directory, 'cache/git/memory/incoming');
  for (let tries = 0; (await readdir(incoming)).length > 0 && tries < 200; tries++) await new Promise((resolve) => setTimeout(resolve, 25));
  assert.deepEqual(await readdir(incoming), []);
}

test('takes a first push and serves it again', async () => {
  const head = await commit('README.md', 'hello\n');
  await git(work, ['push', '-q', 'origin', 'main']);
  assert.equal(server.refs.get('refs/heads/main')?.objectId, head);
  const clone = path.join(home, 'clone');
  await git(home, ['clone', '-q', server.url, clone]);
  assert.equal(await git(clone, ['rev-parse', 'HEAD']), head);
  assert.equal(await git(clone, ['rev-parse', '--abbrev-ref', 'HEAD']), 'main');
});

test('completes thin packs and keeps nothing in quarantine', async () => {
  await commit('big.txt', `${randomBytes(20_000).toString('hex')}\n`);
  await git(work, ['push', '-q', 'origin', 'main']);
  await commit('big.txt', `${await git(work, ['show', 'HEAD:big.txt'])}\nmore\n`);
  await git(work, ['push', '-q', 'origin', 'main']);
  await quarantineIsEmpty();
});

test('is made again from blobs and rows after the cache is lost', async () => {
  await rm(path.join(server.directory, 'cache'), { recursive: true });
  const clone = path.join(home, 'again');
  await git(home, ['clone', '-q', server.url, clone]);
  assert.equal(await git(clone, ['rev-parse', 'HEAD']), await git(work, ['rev-parse', 'HEAD']));
  await git(clone, ['fsck', '--strict']);
});

test('pushes tags, which are peeled for clients, and deletes them', async () => {
  await git(work, ['tag', '-a', '-m', 'one', 'v1']);
  await git(work, ['push', '-q', 'origin', 'v1']);
  assert.equal(server.refs.get('refs/tags/v1')?.peeledId, await git(work, ['rev-parse', 'HEAD']));
  assert.match(await git(work, ['ls-remote', 'origin']), /refs\/tags\/v1\^\{\}/);
  await git(work, ['push', '-q', 'origin', ':refs/tags/v1']);
  assert.equal(server.refs.has('refs/tags/v1'), false);
});

test('serves shallow and partial clones, and takes pushes from them', async () => {
  for (const [name, option] of [
    ['shallow', '--depth=1'],
    ['partial', '--filter=blob:none'],
  ] as const) {
    const clone = path.join(home, name);
    await git(home, ['clone', '-q', option, server.url, clone]);
    await writeFile(path.join(clone, `${name}.txt`), name);
    await git(clone, ['add', '.']);
    await git(clone, ['commit', '-qm', name]);
    await git(clone, ['push', '-q', 'origin', 'main']);
    assert.equal(server.refs.get('refs/heads/main')?.objectId, await git(clone, ['rev-parse', 'HEAD']));
  }
  await git(work, ['pull', '-q', 'origin', 'main']);
});

test('refuses a history whose parents nobody has', async () => {
  const other = await serveMemoryRepository();
  try {
    const outcome = await tryGit(path.join(home, 'shallow'), ['push', other.url, 'main']);
    assert.notEqual(outcome.code, 0);
    assert.match(outcome.stderr, /shallow update not allowed/);
    assert.equal(other.refs.size, 0);
  } finally {
    await other.close();
  }
});

test('tells which references the policy denies, and takes the others', async () => {
  server.denied.add('refs/heads/main');
  const before = server.refs.get('refs/heads/main')?.objectId;
  await commit('denied.txt', 'x');
  const outcome = await tryGit(work, ['push', 'origin', 'main', 'main:side']);
  assert.match(outcome.stderr, /! \[remote rejected\] main -> main \(denied by policy\)/);
  assert.match(outcome.stderr, /\[new branch\] +main -> side/);
  assert.equal(server.refs.get('refs/heads/main')?.objectId, before);
  const atomic = await tryGit(work, ['push', '--atomic', 'origin', 'main', 'main:both']);
  assert.match(atomic.stderr, /main -> both \(atomic push failure\)/);
  assert.equal(server.refs.has('refs/heads/both'), false);
  server.denied.clear();
});

test('refuses names that are no references', async () => {
  const head = await git(work, ['rev-parse', 'HEAD']);
  const names = [
    'refs/heads/a..b',
    'refs/heads/../../config',
    'HEAD',
    'refs/heads/x.lock',
    'refs/heads/a b',
    'refs/heads//a',
    'refs/x',
    'config',
  ];
  const answer = await post(
    names.map((name) => `${ZERO_ID} ${head} ${name}`),
    emptyPack,
  );
  for (const name of names) assert.ok(answer.includes(`ng ${name} funny refname`), name);
});

test('refuses packs that are broken, cut off or none, and stays well', async () => {
  const head = await git(work, ['rev-parse', 'HEAD']);
  for (const pack of [
    randomBytes(5000),
    Buffer.concat([Buffer.from('PACK\0\0\0\x02\0\0\0\x05'), randomBytes(5000)]),
    emptyPack.subarray(0, 11),
    Buffer.alloc(0),
  ]) {
    const answer = await post([`${ZERO_ID} ${'1'.repeat(40)} refs/heads/broken`], pack);
    assert.match(answer, /ng refs\/heads\/broken unpacker error/);
    assert.doesNotMatch(answer, /unpack ok/);
  }
  assert.match(
    await post([`${ZERO_ID} ${'1'.repeat(40)} refs/heads/broken`], emptyPack),
    /ng refs\/heads\/broken missing necessary objects/,
  );
  assert.equal(server.refs.has('refs/heads/broken'), false);
  assert.match(await post([`${ZERO_ID} ${head} refs/heads/fine`], emptyPack), /ok refs\/heads\/fine/);
});

test('lets branches point at commits only', async () => {
  const tree = await git(work, ['rev-parse', 'HEAD^{tree}']);
  assert.match(await post([`${ZERO_ID} ${tree} refs/heads/tree`], emptyPack), /ng refs\/heads\/tree failed to update ref/);
});

test('answers broken requests in the protocol', async () => {
  for (const body of ['zzzz', '0003', 'ffff', '0010garbagegarb', '0032want', `${packet('x'.repeat(100)).toString()}0000`]) {
    const answer = await fetch(`${server.url}/git-receive-pack`, { method: 'POST', body });
    assert.match(await answer.text(), /^[0-9a-f]{4}ERR /, body);
  }
  assert.equal((await fetch(`${server.url}/git-receive-pack`, { method: 'POST', body: '0000' })).status, 200);
});

test('takes 4,000 references at once and no more', async () => {
  const head = await git(work, ['rev-parse', 'HEAD']);
  const names = Array.from({ length: 4001 }, (_, index) => `refs/tags/many-${index}`);
  const command = (name: string) => `${ZERO_ID} ${head} ${name}`;
  assert.match(await post(names.map(command), emptyPack), /ng refs\/tags\/many-0 more than 4000 references/);
  const answer = await post(names.slice(0, 4000).map(command), emptyPack);
  assert.equal(answer.match(/ok refs\/tags\/many-/g)?.length, 4000);
  assert.equal((await git(work, ['ls-remote', '--tags', 'origin'])).split('\n').length, 4000);
});

test('kills what a client left behind', async () => {
  const aborted = new AbortController();
  const body = new ReadableStream({
    start(controller) {
      controller.enqueue(Buffer.concat([packet(`${ZERO_ID} ${'2'.repeat(40)} refs/heads/gone\0 report-status`), FLUSH]));
      controller.enqueue(Buffer.from('PACK\0\0\0\x02\0\0\0\x05'));
      setTimeout(() => aborted.abort(), 100);
    },
  });
  const options = { method: 'POST', body, duplex: 'half', signal: aborted.signal } as RequestInit;
  await assert.rejects(fetch(`${server.url}/git-receive-pack`, options));
  await quarantineIsEmpty();
});

const emptyPack = Buffer.from('5041434b0000000200000000029d08823bd8a8eab510ad6ac75c823cfd3ed31e', 'hex');
