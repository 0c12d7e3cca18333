/** What time does to messages: tried with a clock that is set. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { openPlatform, type TestPlatform } from '../../../test/support/platform.ts';
import type { Config } from '../../platform/config.ts';
import { SignalHub } from '../../platform/signals.ts';
import { sqs } from './service.ts';

const SECOND_MS = 1000;
const DAY_MS = 86_400_000;

let penstock: TestPlatform;
let now = Date.parse('2026-11-22T12:00:00Z');

before(async () => {
  const config = { endpoints: { http: 'http://127.0.0.1:4600' }, serviceEndpoints: {} } as unknown as Config;
  penstock = await openPlatform(sqs, { now: () => new Date(now), config, signals: new SignalHub() });
});
after(() => penstock?.[Symbol.asyncDispose]());

async function queue(QueueName: string, Attributes: Record<string, string> = {}): Promise<string> {
  return (await penstock.call('sqs', 'CreateQueue', { QueueName, Attributes })).QueueUrl!;
}
const send = (QueueUrl: string, MessageBody: string, more: object = {}) =>
  penstock.call('sqs', 'SendMessage', { QueueUrl, MessageBody, ...more });
const receive = async (QueueUrl: string): Promise<string[]> => {
  const { Messages = [] } = await penstock.call('sqs', 'ReceiveMessage', { QueueUrl, MaxNumberOfMessages: 10 });
  return Messages.map(({ Body }) => Body!);
};
const sweep = () => sqs.reconcilers['sqs.sweep']!.run(penstock.platform, 'all', new AbortController().signal);
const rows = async (): Promise<number> => {
  const { count } = await penstock.platform.read
    .selectFrom('sqs.messages')
    .select((eb) => eb.fn.countAll<number>().as('count'))
    .executeTakeFirstOrThrow();
  return count;
};

describe('messages in time', () => {
  test('come again when nobody deleted them, and late when they are delayed', async () => {
    const url = await queue('again', { VisibilityTimeout: '30' });
    await send(url, 'x');
    await send(url, 'late', { DelaySeconds: 60 });
    assert.deepEqual(await receive(url), ['x']);
    now += 29 * SECOND_MS;
    assert.deepEqual(await receive(url), []);
    now += SECOND_MS;
    assert.deepEqual(await receive(url), ['x']);
    now += 30 * SECOND_MS;
    assert.deepEqual((await receive(url)).sort(), ['late', 'x']);
  });

  test('are forgotten after their retention, and their rows with them', async () => {
    const url = await queue('kept', { MessageRetentionPeriod: '3600' });
    const before = await rows();
    await send(url, 'old');
    now += 3600 * SECOND_MS;
    await send(url, 'young');
    assert.deepEqual(await receive(url), ['young']);
    assert.equal(await rows(), before + 2);
    await sweep();
    assert.equal(await rows(), before + 1);
  });

  test('of purged and deleted queues are gone at once, and their rows by and by', async () => {
    const [purged, deleted] = [await queue('purged'), await queue('deleted')];
    const before = await rows();
    for (const url of [purged, deleted]) await send(url, 'x');
    await penstock.call('sqs', 'PurgeQueue', { QueueUrl: purged });
    await penstock.call('sqs', 'DeleteQueue', { QueueUrl: deleted });
    assert.deepEqual(await receive(purged), []);
    // A queue of the same name has none of the old one's messages.
    assert.deepEqual(await receive(await queue('deleted')), []);
    await sweep();
    assert.equal(await rows(), before);
    await assert.rejects(penstock.call('sqs', 'PurgeQueue', { QueueUrl: purged }), { code: 'PurgeQueueInProgress' });
    now += 60 * SECOND_MS;
    await penstock.call('sqs', 'PurgeQueue', { QueueUrl: purged });
  });

  test('of a FIFO queue may be repeated after five minutes', async () => {
    const url = await queue('repeated.fifo', { FifoQueue: 'true' });
    const again = () => send(url, 'x', { MessageGroupId: 'g', MessageDeduplicationId: 'd' });
    const first = await again();
    now += 299 * SECOND_MS;
    assert.equal((await again()).MessageId, first.MessageId);
    now += SECOND_MS;
    assert.notEqual((await again()).MessageId, first.MessageId);
    assert.deepEqual(await receive(url), ['x', 'x']);
  });

  test('keep their age in a dead-letter queue', async () => {
    const dead = await queue('dead');
    const deadLetterTargetArn = 'arn:aws:sqs:us-east-1:123456789012:dead';
    const url = await queue('short', {
      RedrivePolicy: JSON.stringify({ deadLetterTargetArn, maxReceiveCount: 1 }),
      VisibilityTimeout: '0',
    });
    await send(url, 'x');
    await receive(url);
    now += DAY_MS;
    assert.deepEqual(await receive(url), []);
    now += 3 * DAY_MS;
    assert.deepEqual(await receive(dead), [], 'four days old, as long as the queue keeps anything');
  });
});
