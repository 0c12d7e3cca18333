import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { request as httpRequest } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { CodeCommit } from '@aws-sdk/client-codecommit';
import { IAM } from '@aws-sdk/client-iam';
import { git, tryGit } from '../../src/git/client.ts';
import { basic, signGit, withCredentials } from '../support/git.ts';
import type { SshKey } from '../support/git-ssh.ts';
import { sshKeyOf, sshOptions, withSshKey } from '../support/git-ssh.ts';
import { startServer, type TestServer } from '../support/server.ts';

const RATE = 20;
const ZERO = '0'.repeat(40);

let server: TestServer;
let codecommit: CodeCommit;
let home: string;
let key: SshKey;
let ssh: Record<string, string>;

before(async () => {
  server = await startServer({ env: { PENSTOCK_GIT_RATE: String(RATE) } });
  const iam = new IAM(server.client);
  codecommit = new CodeCommit(server.client);
  home = await mkdtemp(path.join(tmpdir(), 'penstock-doors-'));
  await iam.createUser({ UserName: 'ada' });
  await iam.attachUserPolicy({ UserName: 'ada', PolicyArn: 'arn:aws:iam::aws:policy/AWSCodeCommitFullAccess' });
  key = await sshKeyOf(iam, 'ada', home);
  ssh = await withSshKey(server, home, key);
});
after(async () => {
  await server.stop();
  await rm(home, { recursive: true, force: true });
});

const doors = ['http', 'ssh'] as const;
type Door = (typeof doors)[number];
const url = (door: Door, name: string) => `${door === 'ssh' ? server.sshEndpoint : server.endpoint}/v1/repos/${name}`;
const env = (door: Door, name: string) => (door === 'ssh' ? ssh : withCredentials(signGit(server, name)));

async function repository(door: Door, what: string): Promise<{ name: string; work: string }> {
  const name = `${what}-${door}`;
  await codecommit.createRepository({ repositoryName: name });
  const work = path.join(home, name);
  await git(home, ['init', '-q', work]);
  await git(work, ['remote', 'add', 'origin', url(door, name)]);
  return { name, work };
}

async function commit(work: string, name: string, content: string): Promise<string> {
  await writeFile(path.join(work, name), content);
  await git(work, ['add', '-A']);
  await git(work, ['commit', '-qm', `change ${name}`]);
  return git(work, ['rev-parse', 'HEAD']);
}

async function clone(door: Door, name: string): Promise<string> {
  const place = path.join(home, `${name}-clone-${Math.random()}`);
  await git(home, ['clone', '-q', url(door, name), place], env(door, name));
  return place;
}

for (const door of doors) {
  test(`${door}: a clone of nothing can make the first push`, async () => {
    const { name } = await repository(door, 'nothing');
    const place = await clone(door, name);
    const head = await commit(place, 'a', '1');
    await git(place, ['push', '-q', 'origin', 'HEAD'], env(door, name));
    assert.equal(await git(await clone(door, name), ['rev-parse', 'HEAD']), head);
  });

  test(`${door}: a detached HEAD is pushed to a branch, and a tag is cloned detached`, async () => {
    const { name, work } = await repository(door, 'detached');
    const first = await commit(work, 'a', '1');
    await git(work, ['tag', 'v1']);
    await git(work, ['push', '-q', 'origin', 'main', 'v1'], env(door, name));
    await git(work, ['checkout', '-q', '--detach']);
    const loose = await commit(work, 'b', '2');
    await git(work, ['push', '-q', 'origin', 'HEAD:refs/heads/loose'], env(door, name));
    assert.equal((await codecommit.getBranch({ repositoryName: name, branchName: 'loose' })).branch?.commitId, loose);
    const place = path.join(home, `${name}-at-tag`);
    await git(home, ['clone', '-q', '--branch', 'v1', url(door, name), place], env(door, name));
    assert.equal(await git(place, ['rev-parse', 'HEAD']), first);
    assert.equal(await git(place, ['rev-parse', '--abbrev-ref', 'HEAD']), 'HEAD');
  });

  test(`${door}: histories without a common commit live side by side and are merged`, async () => {
    const { name, work } = await repository(door, 'unrelated');
    await commit(work, 'a', '1');
    await git(work, ['push', '-q', 'origin', 'main'], env(door, name));
    await git(work, ['checkout', '-q', '--orphan', 'other']);
    const root = await commit(work, 'b', '2');
    await git(work, ['push', '-q', 'origin', 'other'], env(door, name));
    const refused = await tryGit(work, ['push', 'origin', 'other:main'], env(door, name));
    assert.match(refused.stderr, /rejected/);
    const place = await clone(door, name);
    await git(place, ['merge', '-q', '--allow-unrelated-histories', '-m', 'both', 'origin/other']);
    await git(place, ['push', '-q', 'origin', 'main'], env(door, name));
    await git(work, ['fetch', '-q', 'origin'], env(door, name));
    assert.equal(await git(work, ['merge-base', 'origin/main', 'other']), root);
    await git(work, ['push', '-q', '--force', 'origin', 'other:main'], env(door, name));
    assert.equal((await codecommit.getBranch({ repositoryName: name, branchName: 'main' })).branch?.commitId, root);
  });

  test(`${door}: a history of renames comes back as it was`, async () => {
    const { name, work } = await repository(door, 'renames');
    await mkdir(path.join(work, 'place-0'));
    for (let file = 0; file < 50; file++) await writeFile(path.join(work, 'place-0', `${file}.txt`), `${'line\n'.repeat(100)}${file}`);
    await commit(work, 'README', 'x');
    await git(work, ['push', '-q', 'origin', 'main'], env(door, name));
    for (let turn = 1; turn <= 5; turn++) {
      await rename(path.join(work, `place-${turn - 1}`), path.join(work, `place-${turn}`));
      await commit(work, 'README', String(turn));
    }
    await git(work, ['push', '-q', 'origin', 'main'], env(door, name));
    const place = await clone(door, name);
    await git(place, ['fsck', '--full', '--strict']);
    const log = await git(place, ['log', '--follow', '--format=%H', '--', 'place-5/7.txt']);
    assert.equal(log.split('\n').length, 6);
  });

  test(`${door}: the pusher sees deltas being resolved`, async () => {
    const { name, work } = await repository(door, 'progress');
    const lines = Array.from({ length: 5000 }, (_, index) => `line ${index}`);
    for (let turn = 0; turn < 3; turn++) await commit(work, 'text', [...lines, String(turn)].join('\n'));
    const { stderr } = await tryGit(work, ['push', '--progress', 'origin', 'main'], env(door, name));
    assert.match(stderr, /remote: Resolving deltas: 100% \(\d+\/\d+\)/);
  });
}

test('ssh: 4,000 references in one push, and no more', async () => {
  const door = 'ssh';
  // Over HTTP git itself takes a minute to say so many; git.test.ts says them by hand.
  const { name, work } = await repository(door, 'many');
  const head = await commit(work, 'a', '1');
  await git(work, ['push', '-q', 'origin', 'main'], env(door, name));
  // Packed by hand: git itself takes long to make so many one by one.
  const refs = Array.from({ length: 4001 }, (_, index) => `${head} refs/tags/t${String(index).padStart(4, '0')}`);
  await writeFile(path.join(work, '.git', 'packed-refs'), `# pack-refs with: peeled fully-peeled sorted \n${refs.join('\n')}\n`);
  const refused = await tryGit(work, ['push', '-q', 'origin', 'refs/tags/*:refs/tags/*'], env(door, name));
  assert.match(refused.stderr, /remote rejected\] t0000 -> t0000 \(more than 4000 references in one push\)/);
  await writeFile(path.join(work, '.git', 'packed-refs'), `# pack-refs with: peeled fully-peeled sorted \n${refs.slice(1).join('\n')}\n`);
  await git(work, ['push', '-q', 'origin', 'refs/tags/*:refs/tags/*'], env(door, name));
  assert.equal((await git(work, ['ls-remote', '--tags', 'origin'], env(door, name))).split('\n').length, 4000);
});

function post(name: string, body: Buffer, headers: Record<string, string> = {}) {
  return fetch(`${server.endpoint}/v1/repos/${name}/git-receive-pack`, {
    method: 'POST',
    headers: { authorization: basic(signGit(server, name)), 'content-type': 'application/x-git-receive-pack-request', ...headers },
    body: new Uint8Array(body),
  });
}

const pkt = (text: string) => Buffer.from(`${(text.length + 4).toString(16).padStart(4, '0')}${text}`);

test('a compressed push is taken, one that unpacks to gigabytes or to nothing is not', async () => {
  const { name } = await repository('http', 'gzip');
  const command = Buffer.concat([pkt(`${ZERO} ${'1'.repeat(40)} refs/heads/main\0 report-status`), Buffer.from('0000')]);
  const gzip = { 'content-encoding': 'gzip' };
  const answer = await post(name, gzipSync(Buffer.concat([command, Buffer.from('no pack')])), gzip);
  assert.match(await answer.text(), /ng refs\/heads\/main unpacker error/);
  const bomb = gzipSync(Buffer.concat([command, Buffer.from('PACK\0\0\0\x02\0\0\0\x01'), Buffer.alloc(70 * 1024 * 1024)]));
  await post(name, bomb, gzip)
    .then((response) => response.text())
    .catch(() => {});
  await post(name, Buffer.from('no gzip'), gzip)
    .then((response) => response.text())
    .catch(() => {});
  assert.deepEqual((await codecommit.listBranches({ repositoryName: name })).branches, []);
  assert.equal(server.log(), '');
});

test('a client that asks before it sends is told to go on', async () => {
  const { name } = await repository('http', 'expect');
  const request = httpRequest(`${server.endpoint}/v1/repos/${name}/git-receive-pack`, {
    method: 'POST',
    headers: {
      authorization: basic(signGit(server, name)),
      'content-type': 'application/x-git-receive-pack-request',
      expect: '100-continue',
      'transfer-encoding': 'chunked',
    },
  });
  request.flushHeaders();
  await once(request, 'continue');
  request.end('0000');
  const [response] = await once(request, 'response');
  assert.equal(response.statusCode, 200);
  response.resume();
});

test('a push that breaks off leaves nothing, over either door', async () => {
  for (const door of doors) {
    const { name } = await repository(door, 'broken');
    const { repositoryId } = (await codecommit.getRepository({ repositoryName: name })).repositoryMetadata!;
    const start = Buffer.concat([
      pkt(`${ZERO} ${'1'.repeat(40)} refs/heads/main\0 report-status`),
      Buffer.from('0000PACK\0\0\0\x02\0\0\0\x05'),
    ]);
    const incoming = path.join(server.dataDir, 'cache', 'git', repositoryId!, 'incoming');
    const waiting = async () => (await readdir(incoming).catch(() => [])).length;
    let breakOff: () => void;
    if (door === 'http') {
      const headers = { authorization: basic(signGit(server, name)), 'content-type': 'application/x-git-receive-pack-request' };
      const request = httpRequest(`${server.endpoint}/v1/repos/${name}/git-receive-pack`, { method: 'POST', headers });
      request.on('error', () => {}).write(start);
      breakOff = () => request.destroy();
    } else {
      const child = execFile('ssh', [
        ...(await sshOptions(server, home, key)),
        `${key.id}@127.0.0.1`,
        `git-receive-pack '/v1/repos/${name}'`,
      ]);
      child.stdin!.on('error', () => {}).write(start);
      breakOff = () => child.kill('SIGKILL');
    }
    while ((await waiting()) === 0) await new Promise((resolve) => setTimeout(resolve, 20));
    breakOff();
    while ((await waiting()) > 0) await new Promise((resolve) => setTimeout(resolve, 20));
    assert.deepEqual((await codecommit.listBranches({ repositoryName: name })).branches, []);
  }
});

test('whoever asks too often hears `Rate Exceeded`, others do not', async () => {
  const { name } = await repository('http', 'busy');
  const authorization = basic(signGit(server, name));
  const ask = () =>
    fetch(`${url('http', name)}/info/refs?service=git-upload-pack`, { headers: { authorization, 'git-protocol': 'version=2' } });
  let exceeded: Response | undefined;
  for (let turn = 0; turn < 100 && !exceeded; turn++) {
    const answers = await Promise.all(Array.from({ length: RATE }, ask));
    exceeded = answers.find((answer) => answer.status === 429);
  }
  assert.equal(await exceeded?.text(), 'Rate Exceeded\n');
  assert.ok(exceeded!.headers.get('retry-after'));
  await git(home, ['ls-remote', url('ssh', 'nothing-ssh')], ssh);
});
