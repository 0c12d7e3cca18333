import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, open, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { CodeCommit } from '@aws-sdk/client-codecommit';
import { S3 } from '@aws-sdk/client-s3';
import { git, tryGit } from '../../src/git/client.ts';
import { signGit, withCredentials } from '../support/git.ts';
import { cleanEnvironment, startServer, type TestServer } from '../support/server.ts';

const main = path.join(import.meta.dirname, '..', '..', 'src', 'main.ts');
let home: string;
let dataDir: string;
let server: TestServer;

before(async () => {
  home = await mkdtemp(path.join(tmpdir(), 'penstock-verify-'));
  dataDir = path.join(home, 'data');
  server = await startServer({ dataDir });
  const work = path.join(home, 'work');
  await git(home, ['init', '-q', work]);
  for (const repositoryName of ['healthy', 'harmed', 'cut']) {
    await new CodeCommit(server.client).createRepository({ repositoryName });
    for (const part of ['one', 'two']) {
      await writeFile(path.join(work, part), randomBytes(200_000));
      await git(work, ['add', '.']);
      await git(work, ['commit', '-qm', part]);
      await git(work, ['tag', '-f', '-a', '-m', part, part]);
      await git(work, ['push', '-q', '--follow-tags', url(repositoryName), 'main'], env(repositoryName));
    }
  }
  const s3 = new S3(server.client);
  await s3.createBucket({ Bucket: 'kept' });
  await s3.putObject({ Bucket: 'kept', Key: 'object', Body: randomBytes(300_000) });
});
after(async () => {
  await server.stop();
  await rm(home, { recursive: true, force: true });
});

const url = (name: string) => `${server.endpoint}/v1/repos/${name}`;
const env = (name: string) => withCredentials(signGit(server, name));

function verify(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    const command = ['verify', '--data', dataDir, ...args];
    execFile(
      process.execPath,
      [main, ...command],
      { env: { ...cleanEnvironment(), PENSTOCK_LOG_LEVEL: 'warn' } },
      (error, stdout, stderr) => resolve({ code: error ? Number(error.code) : 0, stdout, stderr }),
    );
  });
}

/** Files of blobs whose keys begin so, the oldest first. */
async function blobFiles(...prefix: string[]): Promise<string[]> {
  const folder = path.join(dataDir, 'blobs', 'data', ...prefix);
  const files = (await readdir(folder, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile());
  const paths = files.map((file) => path.join(file.parentPath, file.name));
  const ages = new Map(await Promise.all(paths.map(async (file) => [file, (await stat(file)).mtimeMs] as const)));
  return paths.sort((a, b) => ages.get(a)! - ages.get(b)!);
}

async function flip(file: string, at: number): Promise<void> {
  await using handle = await open(file, 'r+');
  const { buffer } = await handle.read(Buffer.alloc(1), 0, 1, at);
  buffer[0]! ^= 1;
  await handle.write(buffer, 0, 1, at);
}

test('finds nothing where nothing is broken, beside the running server', async () => {
  const { code, stdout, stderr } = await verify();
  assert.equal(stderr, '');
  assert.match(stdout, /^Verified 3 repositories, 6 packs, 9 references, 1 other blob: all is well\.\n$/);
  assert.equal(code, 0);
  assert.deepEqual(
    (await readdir(path.join(dataDir, 'cache'))).filter((name) => name.startsWith('verify')),
    [],
  );
});

test('refuses what is not there', async () => {
  const none = await verify('nobody');
  assert.deepEqual([none.code, none.stdout], [1, '']);
  assert.match(none.stderr, /There is no repository nobody\./);
  const empty = path.join(home, 'empty');
  const { code, stderr } = await verify('--data', empty);
  assert.equal(code, 1);
  assert.match(stderr, /There is nothing to verify in/);
  await assert.rejects(stat(empty), { code: 'ENOENT' });
});

test('names a damaged blob, the references that it breaks, and harms nobody else', async () => {
  const codecommit = new CodeCommit(server.client);
  const id = async (repositoryName: string) => (await codecommit.getRepository({ repositoryName })).repositoryMetadata!.repositoryId!;
  const [first] = await blobFiles('git', await id('harmed'));
  await flip(first!, 100_000);
  const [, last] = await blobFiles('git', await id('cut'));
  await writeFile(last!, (await readFile(last!)).subarray(0, 1000));
  const [object] = await blobFiles('s3');
  await flip(object!, 70_000);

  const { code, stdout } = await verify();
  assert.equal(code, 1);
  const lines = stdout.trim().split('\n');
  const about = (name: string) => lines.filter((line) => line.startsWith(`repository ${name} (123456789012, us-east-1): `));
  assert.deepEqual(about('healthy'), []);
  const harmed = about('harmed').join('\n');
  assert.match(harmed, new RegExp(`blob git/\\S*${path.basename(first!)}: .*chunk 1 is damaged`));
  assert.match(harmed, /reference refs\/heads\/main: /);
  assert.match(harmed, /reference refs\/tags\/one: /);
  const cut = about('cut').join('\n');
  assert.match(cut, new RegExp(`blob git/\\S*${path.basename(last!)}: `));
  assert.match(cut, /reference refs\/heads\/main: /);
  assert.doesNotMatch(cut, /refs\/tags\/one/, 'what needs only the other pack is whole');
  assert.match(stdout, new RegExp(`^blob s3/\\S*${path.basename(object!)}: .*damaged`, 'm'));
  assert.match(lines.at(-1)!, /^Verified 3 repositories, .*: \d+ faults\.$/);
  assert.equal((await verify('healthy')).code, 0);
  assert.equal((await verify('healthy', 'harmed')).code, 1);

  // A server whose cache is lost notices too, tells the client so, and goes on serving the others.
  await rm(path.join(dataDir, 'cache'), { recursive: true });
  await git(home, ['clone', '-q', url('healthy'), path.join(home, 'clone')], env('healthy'));
  const refused = await tryGit(home, ['clone', '-q', url('harmed'), path.join(home, 'none')], env('harmed'));
  assert.notEqual(refused.code, 0);
  assert.match(server.log(), /is damaged/);
});

test('works without a server', async () => {
  await server.kill();
  const { code, stdout } = await verify('healthy');
  assert.match(stdout, /^Verified 1 repository, 2 packs, 3 references, 0 other blobs: all is well\.$/m);
  assert.equal(code, 0);
  await server.restart();
});
