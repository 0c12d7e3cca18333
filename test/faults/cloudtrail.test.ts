/** The audit under kill -9: what was answered is recorded, once; trails deliver it, once. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { gunzipSync } from 'node:zlib';
import { CloudTrail } from '@aws-sdk/client-cloudtrail';
import { IAM } from '@aws-sdk/client-iam';
import { S3 } from '@aws-sdk/client-s3';
import { STS } from '@aws-sdk/client-sts';
import { startPostgres } from '../support/postgres.ts';
import { startServer, type TestServer } from '../support/server.ts';

const ROUNDS = 3;
const CALLERS = 8;

/** Calls as fast as it can from several sides until the server is gone; the names in the user agents of those that were answered. */
async function callUntilGone(server: TestServer, round: string, answered: string[]): Promise<void> {
  await Promise.all(
    Array.from({ length: CALLERS }, async (_, caller) => {
      for (let n = 0; ; n++) {
        const name = `${round}-${caller}-${n}`;
        const sts = new STS({ ...server.client, customUserAgent: `call/${name}` });
        try {
          await sts.getCallerIdentity({});
          answered.push(name);
        } catch {
          return;
        } finally {
          sts.destroy();
        }
      }
    }),
  );
}

const nameIn = (userAgent: string): string | undefined => /call\/(\S+)/.exec(userAgent)?.[1];

async function recordedCalls(server: TestServer): Promise<string[]> {
  const cloudtrail = new CloudTrail(server.client);
  const names: string[] = [];
  let NextToken: string | undefined;
  do {
    const page = await cloudtrail.lookupEvents({
      LookupAttributes: [{ AttributeKey: 'EventName', AttributeValue: 'GetCallerIdentity' }],
      NextToken,
    });
    for (const { CloudTrailEvent } of page.Events!) names.push(nameIn(JSON.parse(CloudTrailEvent!).userAgent) ?? 'nameless');
    NextToken = page.NextToken;
  } while (NextToken);
  cloudtrail.destroy();
  return names;
}

function requireOnce(found: string[], answered: string[]): void {
  const times = new Map<string, number>();
  for (const name of found) times.set(name, (times.get(name) ?? 0) + 1);
  assert.deepEqual(
    answered.filter((name) => !times.has(name)),
    [],
    'answered and not recorded',
  );
  assert.deepEqual(
    [...times].filter(([, count]) => count > 1),
    [],
    'recorded more than once',
  );
}

async function allRecorded(server: TestServer, answered: string[]): Promise<string[]> {
  for (;;) {
    const found = await recordedCalls(server);
    const known = new Set(found);
    if (answered.every((name) => known.has(name))) return found;
    await delay(200);
  }
}

test('whatever was answered before a kill is recorded and delivered once', async () => {
  await using server = await startServer({ env: { PENSTOCK_CLOUDTRAIL_DELIVERY_SECONDS: '1' } });
  const s3 = new S3(server.client);
  const cloudtrail = new CloudTrail(server.client);
  await s3.createBucket({ Bucket: 'killed' });
  const allow = (Action: string, Resource: string) => ({
    Effect: 'Allow',
    Principal: { Service: 'cloudtrail.amazonaws.com' },
    Action,
    Resource,
  });
  const Statement = [allow('s3:GetBucketAcl', 'arn:aws:s3:::killed'), allow('s3:PutObject', 'arn:aws:s3:::killed/*')];
  await s3.putBucketPolicy({ Bucket: 'killed', Policy: JSON.stringify({ Statement }) });
  await cloudtrail.createTrail({ Name: 'killed', S3BucketName: 'killed' });
  await cloudtrail.startLogging({ Name: 'killed' });

  const answered: string[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const calls = callUntilGone(server, `round${round}`, answered);
    // At another point of a second's work each time.
    await delay(700 + Math.random() * 900);
    await server.kill();
    await calls;
    await server.restart();
  }
  assert.ok(answered.length > 50);
  requireOnce(await allRecorded(server, answered), answered);

  const delivered = async (): Promise<string[]> => {
    const names: string[] = [];
    const { Contents = [] } = await s3.listObjectsV2({ Bucket: 'killed' });
    for (const { Key } of Contents.filter(({ Key }) => Key!.endsWith('.gz'))) {
      const { Body } = await s3.getObject({ Bucket: 'killed', Key });
      for (const { eventName, userAgent } of JSON.parse(gunzipSync(await Body!.transformToByteArray()).toString()).Records) {
        if (eventName === 'GetCallerIdentity') names.push(nameIn(userAgent) ?? 'nameless');
      }
    }
    return names;
  };
  for (;;) {
    const found = await delivered();
    if (answered.every((name) => found.includes(name))) break;
    await delay(200);
  }
  requireOnce(await delivered(), answered);
});

test('another process of the same data directory takes over what a killed one left', async () => {
  await using database = await startPostgres();
  const dataDir = await mkdtemp(path.join(tmpdir(), 'penstock-audit-'));
  const env = { PENSTOCK_DATABASE_URL: database.url, PENSTOCK_MASTER_KEY: 'b2'.repeat(32) };
  const first = await startServer({ env, dataDir });
  const second = await startServer({ env, dataDir });
  try {
    const answered: string[] = [];
    const calls = callUntilGone(first, 'first', answered);
    await delay(800);
    await first.kill();
    await calls;
    requireOnce(await allRecorded(second, answered), answered);
  } finally {
    await first.stop().catch(() => {});
    await second.stop();
    await rm(dataDir, { recursive: true, force: true });
  }
});

test('while the database is away, calls that need none are answered and recorded when it is back', async () => {
  await using database = await startPostgres();
  await using server = await startServer({ env: { PENSTOCK_DATABASE_URL: database.url, PENSTOCK_MASTER_KEY: 'c3'.repeat(32) } });
  const answered: string[] = [];
  const call = async (name: string): Promise<void> => {
    const sts = new STS({ ...server.client, customUserAgent: `call/${name}` });
    await sts.getCallerIdentity({});
    sts.destroy();
    answered.push(name);
  };
  await call('before');
  await database.stop();
  for (let n = 0; n < 20; n++) await call(`away-${n}`);
  await database.start();
  await new IAM(server.client).listUsers({});
  requireOnce(await allRecorded(server, answered), answered);
});

test('with a full disk calls are answered, the log says that they are not recorded, and what follows is recorded again', async (t) => {
  const home = await mkdtemp(path.join(tmpdir(), 'penstock-audit-full-'));
  const full = path.join(home, 'cloudtrail');
  await mkdir(full);
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', full], { stdio: 'ignore' });
  } catch {
    await rm(home, { recursive: true });
    return t.skip('nothing may be mounted here');
  }
  try {
    await using server = await startServer({ dataDir: home });
    const named = (name: string) => new STS({ ...server.client, customUserAgent: `call/${name}` }).getCallerIdentity({});
    await named('before');
    assert.ok((await recordedCalls(server)).includes('before'));
    const filler = path.join(full, 'filler');
    assert.throws(() => writeFileSync(filler, Buffer.alloc(2 * 1024 * 1024)), { code: 'ENOSPC' });
    for (let n = 0; n < 50; n++) await named(`full-${n}-${'x'.repeat(200)}`);
    assert.match(server.log(), /calls are answered but NOT recorded/);
    await rm(filler);
    await named('after');
    const found = await recordedCalls(server);
    assert.ok(found.includes('after'));
    assert.ok(found.includes('before'));
  } finally {
    execFileSync('umount', ['-l', full]);
    await rm(home, { recursive: true, force: true });
  }
});
