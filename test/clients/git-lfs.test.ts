import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { request as httpRequest } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { CodeCommit } from '@aws-sdk/client-codecommit';
import { IAM } from '@aws-sdk/client-iam';
import { git, tryGit } from '../../src/git/client.ts';
import { basic, signGit } from '../support/git.ts';
import { sshKeyOf, withSshKey } from '../support/git-ssh.ts';
import { startServer, type TestServer } from '../support/server.ts';

let server: TestServer;
let iam: IAM;
let codecommit: CodeCommit;
let home: string;
let lfsInstalled: boolean;

before(async () => {
  server = await startServer({ env: { PENSTOCK_LFS_MAX_BYTES: String(20 * 1024 * 1024) } });
  iam = new IAM(server.client);
  codecommit = new CodeCommit(server.client);
  home = await mkdtemp(path.join(tmpdir(), 'penstock-lfs-'));
  lfsInstalled = (await tryGit(home, ['lfs', 'version'])).code === 0;
});
after(async () => {
  await server.stop();
  await rm(home, { recursive: true, force: true });
});

const everything = { Effect: 'Allow', Action: 'codecommit:*', Resource: '*' };
const skipped = 'git-lfs is not installed';

async function user(UserName: string, ...Statement: object[]): Promise<{ user: string; password: string }> {
  await iam.createUser({ UserName });
  await iam.putUserPolicy({ UserName, PolicyName: 'all', PolicyDocument: JSON.stringify({ Version: '2012-10-17', Statement }) });
  const asked = { UserName, ServiceName: 'codecommit.amazonaws.com' };
  const { ServiceSpecificCredential: made } = await iam.createServiceSpecificCredential(asked);
  return { user: made!.ServiceUserName!, password: made!.ServicePassword! };
}

/** git's settings by environment: a helper that knows this password. */
function withHelper({ user: name, password }: { user: string; password: string }): Record<string, string> {
  const settings = [
    ['init.defaultBranch', 'main'],
    ['credential.helper', `!f() { test "$1" = get && echo 'username=${name}' && echo 'password=${password}'; }; f`],
  ];
  const keys = settings.flatMap(([key, value], index) => [
    [`GIT_CONFIG_KEY_${index}`, key!],
    [`GIT_CONFIG_VALUE_${index}`, value!],
  ]);
  return { GIT_CONFIG_COUNT: String(settings.length), ...Object.fromEntries(keys) };
}

/** A work tree that keeps `*.bin` by LFS. */
async function lfsTree(name: string, url: string): Promise<string> {
  const work = path.join(home, name);
  await git(home, ['init', '-q', work]);
  await git(work, ['lfs', 'install', '--local']);
  await git(work, ['remote', 'add', 'origin', url]);
  await git(work, ['lfs', 'track', '*.bin']);
  return work;
}

async function commit(work: string, name: string, content: Buffer): Promise<string> {
  await writeFile(path.join(work, name), content);
  await git(work, ['add', '.']);
  await git(work, ['commit', '-qm', `change ${name}`]);
  return createHash('sha256').update(content).digest('hex');
}

const lfsUrl = (name: string) => `${server.endpoint}/v1/repos/${name}.git/info/lfs`;

interface BatchObject {
  oid: string;
  size: number;
  error?: { code: number; message: string };
  actions?: Record<string, { href: string; header: { Authorization: string }; expires_in: number }>;
}

async function ask(name: string, place: string, body: unknown, authorization = basic(signGit(server, name))) {
  const headers: Record<string, string> = { accept: 'application/vnd.git-lfs+json', 'content-type': 'application/vnd.git-lfs+json' };
  if (authorization) headers.authorization = authorization;
  const init = body === undefined ? { headers } : { method: 'POST', headers, body: typeof body === 'string' ? body : JSON.stringify(body) };
  const answer = await fetch(`${lfsUrl(name)}/${place}`, init);
  assert.equal(answer.headers.get('content-type'), 'application/vnd.git-lfs+json');
  const text = await answer.text();
  return { status: answer.status, headers: answer.headers, body: (text === '' ? undefined : JSON.parse(text)) as any };
}

async function batch(name: string, operation: string, objects: { oid: string; size: number }[]): Promise<BatchObject[]> {
  const { status, body } = await ask(name, 'objects/batch', { operation, transfers: ['basic'], objects });
  assert.equal(status, 200, JSON.stringify(body));
  assert.equal(body.transfer, 'basic');
  return body.objects;
}

const made = (content: Buffer) => ({ oid: createHash('sha256').update(content).digest('hex'), size: content.length });

test('git-lfs pushes and clones large files, and uploads nothing twice', async (t) => {
  if (!lfsInstalled) return t.skip(skipped);
  const ada = withHelper(await user('ada', everything));
  await codecommit.createRepository({ repositoryName: 'art' });
  const url = `${server.endpoint}/v1/repos/art`;
  const work = await lfsTree('art', url);
  const [picture, film] = [randomBytes(300_000), randomBytes(12_000_000)];
  await commit(work, 'picture.bin', picture);
  await commit(work, 'film.bin', film);
  await commit(work, 'empty.bin', Buffer.alloc(0));
  const pushed = await tryGit(work, ['push', 'origin', 'main'], ada);
  assert.equal(pushed.code, 0, pushed.stderr);
  assert.match(pushed.stderr + pushed.stdout, /Uploading LFS objects: 100% \(2\/2\)|^/);
  const folder = await codecommit.getFile({ repositoryName: 'art', filePath: 'film.bin' });
  assert.match(Buffer.from(folder.fileContent!).toString(), /^version https:\/\/git-lfs/);

  const clone = path.join(home, 'art-clone');
  await git(home, ['clone', '-q', url, clone], ada);
  await git(clone, ['lfs', 'install', '--local']);
  await git(clone, ['lfs', 'pull'], ada);
  assert.deepEqual(await readFile(path.join(clone, 'film.bin')), film);
  assert.deepEqual(await readFile(path.join(clone, 'picture.bin')), picture);

  assert.deepEqual(await batch('art', 'upload', [made(film)]), [made(film)], 'no action for what is there');
});

test('git-lfs finds its way and its rights over SSH', async (t) => {
  if (!lfsInstalled) return t.skip(skipped);
  await user('grace', everything);
  const key = await sshKeyOf(iam, 'grace', home);
  const env = await withSshKey(server, home, key);
  const { repositoryMetadata } = await codecommit.createRepository({ repositoryName: 'ssh-art' });
  const work = await lfsTree('ssh-art', repositoryMetadata!.cloneUrlSsh!);
  const content = randomBytes(500_000);
  await commit(work, 'a.bin', content);
  await git(work, ['push', '-q', 'origin', 'main'], env);
  const clone = path.join(home, 'ssh-art-clone');
  await git(home, ['clone', '-q', repositoryMetadata!.cloneUrlSsh!, clone], env);
  await git(clone, ['lfs', 'install', '--local']);
  await git(clone, ['lfs', 'pull'], env);
  assert.deepEqual(await readFile(path.join(clone, 'a.bin')), content);
  await git(clone, ['lfs', 'lock', 'a.bin'], env);
  assert.match(await git(work, ['lfs', 'locks'], env), /a\.bin\s+grace/);
  await git(clone, ['lfs', 'unlock', 'a.bin'], env);
  assert.equal(await git(work, ['lfs', 'locks'], env), '');
});

test('who may only pull uploads nothing, and a protected branch takes no objects', async () => {
  await codecommit.createRepository({ repositoryName: 'guarded' });
  const reader = basic(await user('reader', { Effect: 'Allow', Action: 'codecommit:GitPull', Resource: '*' }));
  const content = made(Buffer.from('x'));
  const upload = { operation: 'upload', objects: [content] };
  assert.equal((await ask('guarded', 'objects/batch', { operation: 'download', objects: [content] }, reader)).status, 200);
  const denied = await ask('guarded', 'objects/batch', upload, reader);
  assert.equal(denied.status, 403);
  assert.match(denied.body.message, /not authorized to perform: codecommit:GitPush/);
  const writer = basic(
    await user('writer', everything, {
      Effect: 'Deny',
      Action: 'codecommit:GitPush',
      Resource: '*',
      Condition: { StringEquals: { 'codecommit:References': 'refs/heads/main' }, Null: { 'codecommit:References': 'false' } },
    }),
  );
  assert.equal((await ask('guarded', 'objects/batch', { ...upload, ref: { name: 'refs/heads/main' } }, writer)).status, 403);
  assert.equal((await ask('guarded', 'objects/batch', { ...upload, ref: { name: 'refs/heads/side' } }, writer)).status, 200);
  const anonymous = await ask('guarded', 'objects/batch', upload, '');
  assert.equal(anonymous.status, 401);
  assert.match(anonymous.headers.get('lfs-authenticate')!, /^Basic realm=/);
  assert.equal((await ask('guarded', 'objects/batch', upload, basic({ user: 'x-at-123456789012', password: 'guess' }))).status, 401);
  assert.equal((await ask('absent', 'objects/batch', upload)).status, 404);
});

test('what is not the announced content is not stored; what is can be read in parts', async () => {
  await codecommit.createRepository({ repositoryName: 'exact' });
  const content = randomBytes(100_000);
  const object = made(content);
  const [described] = await batch('exact', 'upload', [object]);
  const { upload, verify } = described!.actions!;
  assert.equal(upload!.expires_in, 3600);
  const put = (body: Buffer, headers: Record<string, string> = upload!.header, href = upload!.href) =>
    fetch(href, { method: 'PUT', headers, body: new Uint8Array(body) });
  const check = () => ask('exact', 'verify', object, verify!.header.Authorization);
  const bent = Buffer.from(content);
  bent[5]! ^= 1;
  assert.equal((await put(bent)).status, 422);
  assert.equal((await put(content.subarray(1))).status, 422);
  assert.equal((await put(Buffer.concat([content, content]))).status, 422);
  assert.equal((await put(content, {})).status, 401);
  assert.equal((await put(content, { authorization: `${upload!.header.Authorization}A` })).status, 401);
  assert.equal((await put(content, upload!.header, upload!.href.replace(object.oid, 'a'.repeat(64)))).status, 401);
  assert.equal((await put(content, upload!.header, upload!.href.replace('/exact', '/guarded'))).status, 401);
  assert.equal((await check()).status, 404);
  assert.deepEqual((await batch('exact', 'download', [object]))[0]!.error, { code: 404, message: 'Object does not exist' });
  // An upload that breaks off.
  await new Promise<void>((resolve) => {
    const half = httpRequest(upload!.href, { method: 'PUT', headers: { ...upload!.header, 'content-length': content.length } });
    half.on('error', () => resolve());
    half.write(content.subarray(0, 50_000), () => half.destroy());
  });
  assert.equal((await put(content)).status, 200);
  assert.equal((await put(content)).status, 200, 'again');
  assert.equal((await check()).status, 200);
  assert.equal((await ask('exact', 'verify', made(bent), verify!.header.Authorization)).status, 422);

  const { download } = (await batch('exact', 'download', [object]))[0]!.actions!;
  const get = (range?: string) => fetch(download!.href, { headers: { ...download!.header, ...(range && { range }) } });
  assert.deepEqual(Buffer.from(await (await get()).arrayBuffer()), content);
  const rest = await get('bytes=60000-');
  assert.equal(rest.status, 206);
  assert.equal(rest.headers.get('content-range'), 'bytes 60000-99999/100000');
  assert.deepEqual(Buffer.from(await rest.arrayBuffer()), content.subarray(60_000));
  assert.deepEqual(Buffer.from(await (await get('bytes=-10')).arrayBuffer()), content.subarray(-10));
  assert.equal((await get('bytes=100000-')).status, 416);
  assert.equal((await fetch(download!.href)).status, 401);
  assert.equal((await put(content, download!.header)).status, 401, 'leave to read is none to write');
});

test('requests that are none are refused in the form of the API', async () => {
  const object = made(Buffer.from('x'));
  const status = async (body: unknown) => (await ask('exact', 'objects/batch', body)).status;
  assert.equal(await status('{'), 422);
  assert.equal(await status('[]'), 422);
  assert.equal(await status({ operation: 'delete', objects: [object] }), 422);
  assert.equal(await status({ operation: 'upload' }), 422);
  assert.equal(await status({ operation: 'upload', objects: [object], transfers: ['ssh'] }), 422);
  assert.equal(await status({ operation: 'upload', objects: [object], hash_algo: 'sha1' }), 409);
  assert.equal(await status({ operation: 'upload', objects: Array.from({ length: 1001 }, () => object) }), 413);
  assert.equal(await status(`"${'x'.repeat(5_000_000)}"`), 413);
  const odd = [{ oid: '../../etc/passwd', size: 1 }, { oid: object.oid, size: -1 }, { oid: object.oid.toUpperCase(), size: 1 }, null, 7];
  const described = await batch('exact', 'upload', [
    ...(odd as { oid: string; size: number }[]),
    { oid: object.oid, size: 30 * 1024 * 1024 },
  ]);
  assert.deepEqual(
    described.map(({ error }) => error?.code),
    [422, 422, 422, 422, 422, 422],
  );
  assert.match(described.at(-1)!.error!.message, /at most 20971520/);
});

test('locks have one owner each, come by pages, and are released by force', async () => {
  await codecommit.createRepository({ repositoryName: 'locked' });
  const own = await user('locker', everything);
  const create = (file: string, authorization?: string) => ask('locked', 'locks', { path: file }, authorization);
  const first = await create('a.psd', basic(own));
  assert.equal(first.status, 201);
  assert.equal(first.body.lock.owner.name, 'locker');
  const second = await create('a.psd');
  assert.equal(second.status, 409);
  assert.equal(second.body.lock.id, first.body.lock.id);
  for (const file of ['b', 'c']) await create(file);
  const page = await ask('locked', 'locks?limit=2', undefined);
  assert.deepEqual(
    page.body.locks.map((lock: { path: string }) => lock.path),
    ['a.psd', 'b'],
  );
  const next = await ask('locked', `locks?limit=2&cursor=${page.body.next_cursor}`, undefined);
  assert.deepEqual(
    next.body.locks.map((lock: { path: string }) => lock.path),
    ['c'],
  );
  assert.equal(next.body.next_cursor, undefined);
  assert.equal((await ask('locked', 'locks?cursor=x', undefined)).status, 422);
  assert.equal((await ask('locked', 'locks?path=b', undefined)).body.locks.length, 1);
  const seen = await ask('locked', 'locks/verify', {}, basic(own));
  assert.deepEqual([seen.body.ours.length, seen.body.theirs.length], [1, 2]);
  const { id } = first.body.lock;
  assert.equal((await ask('locked', `locks/${id}/unlock`, {})).status, 403);
  assert.equal((await ask('locked', `locks/${id}/unlock`, { force: true })).status, 200);
  assert.equal((await ask('locked', `locks/${id}/unlock`, { force: true })).status, 404);
  assert.equal((await ask('locked', 'locks/1/unlock', {})).status, 404);
  assert.equal((await create('')).status, 422);
});

test('the objects go with their repository', async () => {
  await codecommit.createRepository({ repositoryName: 'short' });
  const content = randomBytes(1000);
  const [described] = await batch('short', 'upload', [made(content)]);
  const { href, header } = described!.actions!.upload!;
  assert.equal((await fetch(href, { method: 'PUT', headers: header, body: new Uint8Array(content) })).status, 200);
  const stored = async () =>
    (await readdir(path.join(server.dataDir, 'blobs'), { recursive: true })).some((name) => name.includes(made(content).oid));
  assert.equal(await stored(), true);
  await codecommit.deleteRepository({ repositoryName: 'short' });
  assert.equal((await fetch(href, { method: 'PUT', headers: header, body: new Uint8Array(content) })).status, 404);
  while (await stored()) await new Promise((resolve) => setTimeout(resolve, 20));
});
