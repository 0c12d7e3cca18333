/** Storing, looking up and forgetting on a real database, at times of the test's choosing. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, test } from 'node:test';
import { sql } from 'kysely';
import { openPlatform, type TestPlatform } from '../../../test/support/platform.ts';
import type { Config } from '../../platform/config.ts';
import type { Platform } from '../../platform/platform.ts';
import { JournalMovedError, ship, shippedSoFar } from './batch.ts';
import { callerText, factLine } from './journal/facts.ts';
import { purge } from './purge.ts';
import { cloudtrail } from './service.ts';

const DAY_MS = 86_400_000;
const NOW = Date.parse('2026-06-15T12:00:00Z');

let opened: TestPlatform;
let now = NOW;

before(async () => {
  const config = { cloudtrail: { recording: true, deliverySeconds: 300, digestSeconds: 3_600 } } as Config;
  const aws = { asService: () => ({ events: { listRules: async () => ({ Rules: [] }) } }) } as unknown as Platform['aws'];
  opened = await openPlatform(cloudtrail, { config, aws, now: () => new Date(now) });
});
after(() => opened[Symbol.asyncDispose]());

const caller = callerText({
  account: '123456789012',
  region: 'us-east-1',
  principal: { type: 'User', account: '123456789012', arn: 'arn:aws:iam::123456789012:user/a', id: 'AIDA', name: 'a' },
  accessKeyId: undefined,
  sourceIp: '10.0.0.1',
  userAgent: 'test',
  invokedBy: undefined,
});

function line(time: number, repositoryName: string, operation = 'GetRepository'): string {
  const input = JSON.stringify({ repositoryName });
  const parts = {
    time,
    requestId: randomUUID(),
    service: 'codecommit',
    operation,
    caller,
    tls: undefined,
    error: undefined,
    output: 'null',
  };
  return factLine({ ...parts, input }).trimEnd();
}

const store = (lines: string[]) => ship(opened.platform, { journal: randomUUID(), from: 0, to: 100, lines });

async function names(lookup: { AttributeKey: 'ResourceName' | 'ReadOnly'; AttributeValue: string }): Promise<string[]> {
  const found: string[] = [];
  let NextToken: string | undefined;
  do {
    const page = await opened.call('cloudtrail', 'LookupEvents', { LookupAttributes: [lookup], NextToken });
    for (const { CloudTrailEvent } of page.Events!) found.push(JSON.parse(CloudTrailEvent!).requestParameters.repositoryName);
    NextToken = page.NextToken;
  } while (NextToken);
  return found;
}

test('lines are stored once, in their order only, whoever tries', async () => {
  const journal = randomUUID();
  const first = { journal, from: 0, to: 10, lines: [line(NOW, 'once')] };
  await Promise.allSettled([ship(opened.platform, first), ship(opened.platform, first)]);
  await assert.rejects(ship(opened.platform, first), JournalMovedError);
  await assert.rejects(ship(opened.platform, { journal, from: 20, to: 30, lines: [line(NOW, 'too early')] }), JournalMovedError);
  await ship(opened.platform, { journal, from: 10, to: 20, lines: [line(NOW, 'next')] });
  assert.equal(await shippedSoFar(opened.platform, journal), 20);
  assert.deepEqual(await names({ AttributeKey: 'ResourceName', AttributeValue: 'once' }), ['once']);
  assert.deepEqual(await names({ AttributeKey: 'ResourceName', AttributeValue: 'too early' }), []);
  assert.deepEqual(await names({ AttributeKey: 'ResourceName', AttributeValue: 'next' }), ['next']);
});

test('lines that cannot be read, and operations that nobody knows any more, are left out', async () => {
  await store(['\0\0\0', '[1,2', line(NOW, 'whole'), line(NOW, 'whole', 'NoLongerThere')]);
  assert.deepEqual(await names({ AttributeKey: 'ResourceName', AttributeValue: 'whole' }), ['whole']);
});

test('a rare event among many chunks is found over several pages', async () => {
  await store([line(NOW - 3_000_000, 'rare', 'DeleteRepository')]);
  for (let n = 0; n < 300; n++) await store([line(NOW - 2_000_000 + n, `common-${n}`)]);
  assert.deepEqual(await names({ AttributeKey: 'ReadOnly', AttributeValue: 'false' }), ['rare']);
  const all = await names({ AttributeKey: 'ReadOnly', AttributeValue: 'true' });
  const common = all.filter((name) => name.startsWith('common-'));
  assert.deepEqual(
    common,
    Array.from({ length: 300 }, (_, n) => `common-${299 - n}`),
  );
});

test('chunks that overlap in time come out in order', async () => {
  const at = (seconds: number) => NOW + 1_000_000 + seconds * 1_000;
  await store([0, 4, 8].map((n) => line(at(n), `overlap-${n}`)));
  await store([2, 6].map((n) => line(at(n), `overlap-${n}`)));
  await store([1, 9].map((n) => line(at(n), `overlap-${n}`)));
  const all = (await names({ AttributeKey: 'ReadOnly', AttributeValue: 'true' })).filter((name) => name.startsWith('overlap-'));
  assert.deepEqual(
    all,
    [9, 8, 6, 4, 2, 1, 0].map((n) => `overlap-${n}`),
  );
});

test('after 90 days events are gone, their partition too', async () => {
  await store([line(NOW - 89 * DAY_MS, 'old')]);
  await store([line(NOW - 80 * DAY_MS, 'younger')]);
  assert.deepEqual(await names({ AttributeKey: 'ResourceName', AttributeValue: 'old' }), ['old']);
  now = NOW + 3 * DAY_MS;
  assert.deepEqual(await names({ AttributeKey: 'ResourceName', AttributeValue: 'old' }), []);
  await purge(opened.platform);
  const { rows } = await sql<{ name: string }>`select relname as name from pg_inherits join pg_class on pg_class.oid = inhrelid
    where inhparent = 'cloudtrail.chunks'::regclass order by relname`.execute(opened.platform.read as never);
  assert.deepEqual(
    rows.map(({ name }) => name),
    ['chunks_20260327', 'chunks_20260615'],
  );
  assert.deepEqual(await names({ AttributeKey: 'ResourceName', AttributeValue: 'younger' }), ['younger']);
});
