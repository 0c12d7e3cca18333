/** The AWS CLI as people use it on S3. Skipped, and said so, where there is no `aws`. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { startServer, type TestServer } from '../support/server.ts';

const run = promisify(execFile);
const hasCli = await run('aws', ['--version']).then(
  () => true,
  () => false,
);

describe('aws s3', { skip: hasCli ? false : 'there is no AWS CLI', concurrency: true }, () => {
  let server: TestServer;
  let folder: string;

  before(async () => {
    server = await startServer();
    folder = await mkdtemp(path.join(tmpdir(), 'penstock-s3-cli-'));
  });
  after(async () => {
    await server?.stop();
    if (folder) await rm(folder, { recursive: true });
  });

  async function aws(...args: string[]): Promise<string> {
    const { stdout } = await run('aws', args, { env: server.env, cwd: folder });
    return stdout;
  }

  test('mb, cp, ls, mv, rm, rb', async () => {
    await writeFile(path.join(folder, 'small.txt'), 'from the command line\n');
    assert.equal(await aws('s3', 'mb', 's3://cli-basic'), 'make_bucket: cli-basic\n');
    await aws('s3', 'cp', 'small.txt', 's3://cli-basic/some folder/small.txt');
    assert.match(await aws('s3', 'ls', 's3://cli-basic/some folder/'), / 22 small\.txt\n$/);
    assert.match(await aws('s3', 'ls', 's3://cli-basic'), /PRE some folder\//);
    assert.match(await aws('s3', 'ls'), /cli-basic/);
    assert.equal(await aws('s3', 'cp', 's3://cli-basic/some folder/small.txt', '-'), 'from the command line\n');
    await aws(
      's3',
      'mv',
      's3://cli-basic/some folder/small.txt',
      's3://cli-basic/moved.txt',
      '--content-type',
      'text/x',
      '--metadata-directive',
      'REPLACE',
    );
    const head = JSON.parse(await aws('s3api', 'head-object', '--bucket', 'cli-basic', '--key', 'moved.txt'));
    assert.equal(head.ContentType, 'text/x');
    await assert.rejects(aws('s3', 'rb', 's3://cli-basic'), /BucketNotEmpty/);
    await aws('s3', 'rb', 's3://cli-basic', '--force');
    await assert.rejects(aws('s3', 'ls', 's3://cli-basic'), /NoSuchBucket/);
  });

  test('20 MB go up in parts and come down in ranges', async () => {
    const bytes = randomBytes(20 * 1024 * 1024);
    await writeFile(path.join(folder, 'large.bin'), bytes);
    await aws('s3', 'mb', 's3://cli-large');
    await aws('s3', 'cp', 'large.bin', 's3://cli-large/large.bin', '--no-progress');
    const head = JSON.parse(await aws('s3api', 'head-object', '--bucket', 'cli-large', '--key', 'large.bin'));
    assert.match(head.ETag, /-3"$/);
    await aws('s3', 'cp', 's3://cli-large/large.bin', 'back.bin', '--no-progress');
    assert.ok(bytes.equals(await readFile(path.join(folder, 'back.bin'))));
    await aws('s3', 'cp', 's3://cli-large/large.bin', 's3://cli-large/copy.bin', '--no-progress');
    await aws('s3', 'cp', 's3://cli-large/copy.bin', 'back2.bin', '--no-progress');
    assert.ok(bytes.equals(await readFile(path.join(folder, 'back2.bin'))));
  });

  test('sync up, down and away', async () => {
    const tree = path.join(folder, 'tree');
    const files = ['a.txt', 'deep/er/b.txt', 'ümläut &<>.txt', 'with space.txt', 'plus+sign.txt'];
    for (const file of files) {
      await mkdir(path.dirname(path.join(tree, file)), { recursive: true });
      await writeFile(path.join(tree, file), file);
    }
    await aws('s3', 'mb', 's3://cli-sync');
    await aws('s3', 'sync', 'tree', 's3://cli-sync/p');
    assert.equal(await aws('s3', 'sync', 'tree', 's3://cli-sync/p'), '', 'nothing is left to do');
    await aws('s3', 'sync', 's3://cli-sync/p', 'tree2');
    for (const file of files) assert.equal(await readFile(path.join(folder, 'tree2', file), 'utf8'), file);
    await rm(path.join(tree, 'a.txt'));
    assert.match(await aws('s3', 'sync', 'tree', 's3://cli-sync/p', '--delete'), /^delete: s3:\/\/cli-sync\/p\/a\.txt\n$/);
    assert.equal((await aws('s3', 'rm', 's3://cli-sync', '--recursive')).trim().split('\n').length, 4);
  });

  test('presigned URLs work with no other credentials, and only as they were signed', async () => {
    await aws('s3', 'mb', 's3://cli-presign');
    await writeFile(path.join(folder, 'given.txt'), 'given away');
    await aws('s3', 'cp', 'given.txt', 's3://cli-presign/a folder/given ü.txt');
    const url = (await aws('s3', 'presign', 's3://cli-presign/a folder/given ü.txt')).trim();
    assert.equal(await (await fetch(url)).text(), 'given away');
    const other = await fetch(url.replace('given', 'taken'));
    assert.equal(other.status, 403);
    assert.match(await other.text(), /<Code>SignatureDoesNotMatch<\/Code>/);
    const unsigned = await fetch(`${server.endpoint}/cli-presign/a%20folder/given%20%C3%BC.txt`);
    assert.equal(unsigned.status, 403);
  });
});
