/** Events in and out, on a real database with a clock of the test's own. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { openPlatform, type TestPlatform } from '../../../test/support/platform.ts';
import type { Input, Output } from '../../platform/service.ts';
import { purge, retention } from './purge.ts';
import { logs } from './service.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
let now = Date.parse('2026-11-22T12:00:00Z');
let store: TestPlatform;

before(async () => {
  store = await openPlatform(logs, { now: () => new Date(now) });
});
after(() => store?.[Symbol.asyncDispose]());

let made = 0;
/** A stream of its own for each test. */
async function stream(): Promise<{ logGroupName: string; logStreamName: string }> {
  const name = { logGroupName: `/group/${++made}`, logStreamName: 'stream' };
  await store.call('logs', 'CreateLogGroup', { logGroupName: name.logGroupName });
  await store.call('logs', 'CreateLogStream', name);
  return name;
}

function put(name: { logGroupName: string; logStreamName: string }, logEvents: { timestamp: number; message: string }[]) {
  return store.call('logs', 'PutLogEvents', { ...name, logEvents });
}

function get(input: Input<'logs', 'GetLogEvents'>): Promise<Output<'logs', 'GetLogEvents'>> {
  return store.call('logs', 'GetLogEvents', input);
}

const messages = (page: { events?: { message?: string }[] }): string[] => page.events!.map(({ message }) => message!);

/** A repeatable stream of numbers below `limit`. */
function random(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
    return Math.floor((state / 0x80000000) * limit);
  };
}

async function readAll(input: Input<'logs', 'GetLogEvents'>): Promise<string[]> {
  const found: string[] = [];
  let page = await get(input);
  const next = () => (input.startFromHead ? page.nextForwardToken! : page.nextBackwardToken!);
  for (;;) {
    if (input.startFromHead) found.push(...messages(page));
    else found.unshift(...messages(page));
    const token = next();
    page = await get({ ...input, nextToken: token });
    if (next() === token) {
      assert.deepEqual(page.events, []);
      return found;
    }
  }
}

describe('GetLogEvents', () => {
  test('tokens lead through a stream both ways and stand still at its ends', async () => {
    const name = await stream();
    const empty = await get({ ...name, startFromHead: true });
    assert.deepEqual(empty.events, []);
    assert.equal((await get({ ...name, nextToken: empty.nextForwardToken })).nextForwardToken, empty.nextForwardToken);

    await put(
      name,
      [1, 2, 3, 4, 5].map((number) => ({ timestamp: now + number, message: `m${number}` })),
    );
    const follow = await get({ ...name, nextToken: empty.nextForwardToken });
    assert.deepEqual(messages(follow), ['m1', 'm2', 'm3', 'm4', 'm5']);

    const tail = await get({ ...name, limit: 2 });
    assert.deepEqual(messages(tail), ['m4', 'm5']);
    assert.equal(tail.events![0]!.ingestionTime, now);
    const earlier = await get({ ...name, limit: 2, nextToken: tail.nextBackwardToken });
    assert.deepEqual(messages(earlier), ['m2', 'm3']);
    const first = await get({ ...name, limit: 2, nextToken: earlier.nextBackwardToken });
    assert.deepEqual(messages(first), ['m1']);
    const none = await get({ ...name, limit: 2, nextToken: first.nextBackwardToken });
    assert.deepEqual([none.events, none.nextBackwardToken], [[], first.nextBackwardToken]);
    assert.deepEqual(messages(await get({ ...name, nextToken: none.nextForwardToken })), ['m1', 'm2', 'm3', 'm4', 'm5']);

    const atEnd = await get({ ...name, nextToken: tail.nextForwardToken });
    assert.deepEqual([atEnd.events, atEnd.nextForwardToken], [[], tail.nextForwardToken]);
    assert.deepEqual(messages(await get({ ...name, limit: 1, nextToken: atEnd.nextBackwardToken })), ['m5']);
    await put(name, [{ timestamp: now + 5, message: 'm6' }]);
    assert.deepEqual(messages(await get({ ...name, nextToken: tail.nextForwardToken })), ['m6']);
  });

  test('the start is part of a span of time, its end is not', async () => {
    const name = await stream();
    await put(
      name,
      [1, 2, 3].map((number) => ({ timestamp: now + number, message: `m${number}` })),
    );
    assert.deepEqual(messages(await get({ ...name, startTime: now + 2, endTime: now + 3 })), ['m2']);
    assert.deepEqual(messages(await get({ ...name, startTime: 2 ** 63, startFromHead: true })), []);
    assert.deepEqual(messages(await get({ ...name, endTime: 0 })), []);
  });

  test('a token of another stream, or none at all, is refused', async () => {
    const [one, other] = [await stream(), await stream()];
    const { nextForwardToken } = await get(one);
    for (const nextToken of [nextForwardToken!, 'f/x', 'x', 'b/', nextForwardToken!.replace('f/', 'g/')]) {
      await assert.rejects(get({ ...other, nextToken }), {
        code: 'InvalidParameterException',
        message: 'The specified nextToken is invalid.',
      });
    }
  });

  for (const seed of [1, 2, 3]) {
    test(`events that come late are read in order, whatever the page (${seed})`, async () => {
      const name = await stream();
      const pick = random(seed);
      const all: { at: number; order: number; message: string }[] = [];
      for (let batch = 0; batch < 40; batch++) {
        // Most batches go on where the last ended; some go back by up to three hours, some span hours.
        const start = now - 3 * HOUR + (pick(4) === 0 ? pick(3 * HOUR) : batch * 60_000);
        const span = pick(5) === 0 ? 2 * HOUR : 5;
        const times = Array.from({ length: 1 + pick(30) }, () => start + pick(span)).sort((a, b) => a - b);
        const events = times.map((timestamp, index) => ({ timestamp, message: `${batch}.${index}` }));
        for (const { timestamp, message } of events) all.push({ at: timestamp, order: all.length, message });
        await put(name, events);
      }
      const expected = all.toSorted((a, b) => a.at - b.at || a.order - b.order).map(({ message }) => message);
      assert.deepEqual(await readAll({ ...name, startFromHead: true, limit: 1 + pick(60) }), expected);
      assert.deepEqual(await readAll({ ...name, startFromHead: false, limit: 1 + pick(60) }), expected);
      const found: string[] = [];
      let nextToken: string | undefined;
      do {
        const page = await store.call('logs', 'FilterLogEvents', { logGroupName: name.logGroupName, limit: 1 + pick(60), nextToken });
        found.push(...messages(page));
        nextToken = page.nextToken;
      } while (nextToken !== undefined);
      assert.deepEqual(found, expected);
    });
  }

  test('a page ends at a mebibyte, but one event always fits', async () => {
    const name = await stream();
    const large = 'x'.repeat(700_000);
    for (const letter of ['a', 'b', 'c']) await put(name, [{ timestamp: now, message: letter + large }]);
    await put(name, [{ timestamp: now, message: 'y'.repeat(1_048_550) }]);
    await put(name, [{ timestamp: now, message: 'z' }]);
    const pages: string[][] = [];
    let page = await get({ ...name, startFromHead: true });
    while (page.events!.length > 0) {
      pages.push(messages(page).map((message) => message[0]!));
      page = await get({ ...name, nextToken: page.nextForwardToken });
    }
    assert.deepEqual(pages, [['a'], ['b'], ['c'], ['y'], ['z']]);
  });
});

describe('PutLogEvents', () => {
  test('what a batch may not be', async () => {
    const name = await stream();
    const refused = (events: { timestamp: number; message: string }[], message: RegExp) =>
      assert.rejects(put(name, events), { code: 'InvalidParameterException', message });
    await refused(
      [
        { timestamp: now + 1, message: 'a' },
        { timestamp: now, message: 'b' },
      ],
      /^Log events in a single PutLogEvents request must be in chronological order\.$/,
    );
    await refused(
      [
        { timestamp: now - DAY - 1, message: 'a' },
        { timestamp: now, message: 'b' },
      ],
      /cannot span more than 24 hours\.$/,
    );
    await refused([{ timestamp: now, message: 'é'.repeat(524_276) }], /^Log event too large: 1048578 bytes exceeds limit of 1048576$/);
    const half = { timestamp: now, message: 'x'.repeat(524_263) };
    await refused([half, half], /^Upload too large: 1048578 bytes exceeds limit of 1048576$/);
    assert.deepEqual(await readAll({ ...name, startFromHead: true }), []);
  });

  test('events out of time are left out and told', async () => {
    const name = await stream();
    const old = [now - 15 * DAY, now - 14 * DAY - 1].map((timestamp) => ({ timestamp, message: 'old' }));
    const result = await put(name, [...old, { timestamp: now - 14 * DAY, message: 'just' }]);
    assert.deepEqual(result.rejectedLogEventsInfo, {
      tooOldLogEventEndIndex: 2,
      expiredLogEventEndIndex: undefined,
      tooNewLogEventStartIndex: undefined,
    });
    const late = [now, now + 2 * HOUR, now + 2 * HOUR + 1].map((timestamp) => ({ timestamp, message: String(timestamp - now) }));
    assert.equal((await put(name, late)).rejectedLogEventsInfo!.tooNewLogEventStartIndex, 2);
    assert.deepEqual(await readAll({ ...name, startFromHead: true }), ['just', '0', String(2 * HOUR)]);
    const all = await put(name, old);
    assert.equal(all.rejectedLogEventsInfo!.tooOldLogEventEndIndex, 2);
    await store.call('logs', 'PutRetentionPolicy', { logGroupName: name.logGroupName, retentionInDays: 1 });
    const expired = await put(name, [
      { timestamp: now - DAY - 1, message: 'expired' },
      { timestamp: now - DAY, message: 'kept' },
    ]);
    assert.equal(expired.rejectedLogEventsInfo!.expiredLogEventEndIndex, 1);
  });

  test('any text comes back as it was', async () => {
    const name = await stream();
    const texts = ['\u0000\u0001', 'ключ 😀', '\ud800'.toWellFormed(), '{"a":"\\n"}', ' spaces \r\n', '\u2028'];
    await put(
      name,
      texts.map((message) => ({ timestamp: now, message })),
    );
    assert.deepEqual(await readAll({ ...name, startFromHead: true }), texts);
  });

  test('two writers of one stream lose nothing', async () => {
    const name = await stream();
    const writer = async (letter: string) => {
      for (let index = 0; index < 30; index++) await put(name, [{ timestamp: now, message: `${letter}${index}` }]);
    };
    await Promise.all(['a', 'b', 'c'].map(writer));
    const found = await readAll({ ...name, startFromHead: true, limit: 7 });
    assert.equal(found.length, 90);
    for (const letter of ['a', 'b', 'c']) {
      assert.deepEqual(
        found.filter((message) => message[0] === letter),
        Array.from({ length: 30 }, (_, index) => `${letter}${index}`),
      );
    }
  });
});

describe('FilterLogEvents', () => {
  test('streams are interleaved, chosen by name or prefix, and searched by pattern', async () => {
    const { logGroupName, logStreamName } = await stream();
    for (const other of ['other', 'other-2']) await store.call('logs', 'CreateLogStream', { logGroupName, logStreamName: other });
    for (const [index, name] of [logStreamName, 'other', 'other-2', logStreamName].entries()) {
      await put({ logGroupName, logStreamName: name }, [{ timestamp: now + index, message: `${index} of ${name}` }]);
    }
    const filter = async (input: Partial<Input<'logs', 'FilterLogEvents'>>) =>
      (await store.call('logs', 'FilterLogEvents', { logGroupName, ...input })).events!.map(
        ({ message, logStreamName: from }) => `${message} in ${from}`,
      );
    const lines = ['0 of stream in stream', '1 of other in other', '2 of other-2 in other-2', '3 of stream in stream'];
    assert.deepEqual(await filter({}), lines);
    assert.deepEqual(await filter({ logStreamNamePrefix: 'other' }), lines.slice(1, 3));
    assert.deepEqual(await filter({ logStreamNames: ['stream', 'other-2'] }), [lines[0], lines[2], lines[3]]);
    assert.deepEqual(await filter({ filterPattern: '"of stream"' }), [lines[0], lines[3]]);
    assert.deepEqual(await filter({ filterPattern: '[n > 0, of, s = other*]' }), lines.slice(1, 3));
    assert.deepEqual(await filter({ startTime: now + 1, endTime: now + 2 }), lines.slice(1, 3));
    assert.deepEqual(await filter({ logStreamNamePrefix: 'no' }), []);
    await assert.rejects(filter({ logStreamNames: ['no'] }), { code: 'ResourceNotFoundException' });
    await assert.rejects(filter({ logStreamNames: ['stream'], logStreamNamePrefix: 's' }), { code: 'InvalidParameterException' });
    await assert.rejects(filter({ filterPattern: '{ $.a' }), { code: 'InvalidParameterException', message: /^Invalid filter pattern/ });
  });

  test('a call that has looked at much gives a token, and the calls together find all, once', async () => {
    const name = await stream();
    const filler = 'x'.repeat(1000);
    for (let batch = 0; batch < 40; batch++) {
      const events = Array.from({ length: 1000 }, (_, index) => ({
        timestamp: now - HOUR + batch * 10,
        message: index === 500 ? `needle ${batch}` : filler,
      }));
      await put(name, events);
    }
    const found: string[] = [];
    let calls = 0;
    let nextToken: string | undefined;
    do {
      const page = await store.call('logs', 'FilterLogEvents', { logGroupName: name.logGroupName, filterPattern: 'needle', nextToken });
      found.push(...messages(page));
      nextToken = page.nextToken;
      calls++;
    } while (nextToken !== undefined);
    assert.deepEqual(
      found,
      Array.from({ length: 40 }, (_, batch) => `needle ${batch}`),
    );
    assert.ok(calls > 1);
  });
});

describe('what is past', () => {
  const chunkCount = async (): Promise<number> => (await store.platform.read.selectFrom('logs.chunks').select('id').execute()).length;
  const signal = new AbortController().signal;

  test('retention hides events at once and frees their rows', async () => {
    const name = await stream();
    for (const group of await retention.pending(store.platform)) await retention.run(store.platform, group, signal);
    const rows = await chunkCount();
    for (const days of [5, 3, 1]) await put(name, [{ timestamp: now - days * DAY, message: `${days} days` }]);
    await store.call('logs', 'PutRetentionPolicy', { logGroupName: name.logGroupName, retentionInDays: 3 });
    assert.deepEqual(await readAll({ ...name, startFromHead: true }), ['3 days', '1 days']);
    now += 1;
    assert.deepEqual(await readAll({ ...name, startFromHead: true }), ['1 days']);
    assert.equal((await store.jobs()).at(-1)!.payload.kind, 'logs.retention');
    const due = await retention.pending(store.platform);
    assert.equal(due.length, 1);
    await retention.run(store.platform, due[0]!, signal);
    assert.equal(await chunkCount(), rows + 1);
    assert.deepEqual(await retention.pending(store.platform), []);
    const { logStreams } = await store.call('logs', 'DescribeLogStreams', { logGroupName: name.logGroupName });
    assert.equal(logStreams![0]!.firstEventTimestamp, now - 1 - DAY);
    await store.call('logs', 'DeleteRetentionPolicy', { logGroupName: name.logGroupName });
    now += 10 * DAY;
    assert.deepEqual(await readAll({ ...name, startFromHead: true }), ['1 days']);
  });

  test('deleted streams and groups take their events along', async () => {
    const name = await stream();
    const rows = await chunkCount();
    await put(name, [{ timestamp: now, message: 'a' }]);
    await store.call('logs', 'DeleteLogStream', name);
    assert.deepEqual((await store.call('logs', 'FilterLogEvents', { logGroupName: name.logGroupName })).events, []);
    await store.call('logs', 'CreateLogStream', name);
    assert.deepEqual(await readAll({ ...name, startFromHead: true }), []);
    await put(name, [{ timestamp: now, message: 'b' }]);
    await store.call('logs', 'DeleteLogGroup', { logGroupName: name.logGroupName });
    assert.equal(await chunkCount(), rows + 2);
    assert.deepEqual(await purge.pending(store.platform), ['streams']);
    await purge.run(store.platform, 'streams', signal);
    assert.equal(await chunkCount(), rows);
    assert.deepEqual(await purge.pending(store.platform), []);
  });

  test('a protected group is not deleted', async () => {
    await store.call('logs', 'CreateLogGroup', { logGroupName: 'protected', deletionProtectionEnabled: true });
    await assert.rejects(store.call('logs', 'DeleteLogGroup', { logGroupName: 'protected' }), { code: 'ValidationException' });
  });
});
