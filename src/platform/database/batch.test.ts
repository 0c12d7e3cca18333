import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { RawBuilder } from 'kysely';
import type { Platform, Reader } from '../platform.ts';
import { batchedChange, batchedRead } from './batch.ts';

/** Rows that a read looks at, with the batches in which it did; each batch ends when `release` is called. */
function gated() {
  const batches: string[][] = [];
  const gates: (() => void)[] = [];
  return {
    batches,
    async pass(items: string[]): Promise<void> {
      batches.push(items);
      await new Promise<void>((resolve) => gates.push(resolve));
    },
    release: () => gates.shift()!(),
  };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));
const reader = (): Pick<Platform, 'read'> => ({ read: {} as Reader });

describe('reads', () => {
  it('that come together are one query, and one answer for the same key', async () => {
    const batches: string[][] = [];
    const find = batchedRead<string, { name: string }>({
      key: (name) => name,
      async run(_, names) {
        batches.push(names);
        return names.map((name) => ({ name }));
      },
    });
    const platform = reader();
    const answers = await Promise.all(['a', 'b', 'a', 'c'].map((name) => find(platform, name)));
    assert.deepEqual(
      answers.map(({ name }) => name),
      ['a', 'b', 'a', 'c'],
    );
    assert.equal(answers[0], answers[2]);
    assert.deepEqual(batches, [['a', 'b', 'c']]);
  });

  it('that come while two queries are under way go together in the next', async () => {
    const gate = gated();
    const find = batchedRead<string, string>({
      key: (name) => name,
      async run(_, names) {
        await gate.pass(names);
        return names;
      },
    });
    const platform = reader();
    const asked = [find(platform, 'a')];
    await turn();
    asked.push(find(platform, 'b'));
    await turn();
    asked.push(find(platform, 'c'));
    await turn();
    asked.push(find(platform, 'd'));
    await turn();
    assert.deepEqual(gate.batches, [['a'], ['b']]);
    gate.release();
    await asked[0];
    await turn();
    await turn();
    assert.deepEqual(gate.batches, [['a'], ['b'], ['c', 'd']]);
    gate.release();
    gate.release();
    assert.deepEqual(await Promise.all(asked), ['a', 'b', 'c', 'd']);
  });

  it('see what was written before they were asked, though an older query for the same thing is still under way', async () => {
    let row = 'old';
    const gate = gated();
    const find = batchedRead<string, string>({
      key: (name) => name,
      async run(_, names) {
        const seen = row;
        await gate.pass(names);
        return names.map(() => seen);
      },
    });
    const platform = reader();
    const before = find(platform, 'a');
    await turn();
    row = 'new';
    const after = find(platform, 'a');
    await turn();
    gate.release();
    gate.release();
    assert.deepEqual([await before, await after], ['old', 'new']);
  });

  it('of different installations in one process do not meet', async () => {
    const readers: Reader[] = [];
    const find = batchedRead<string, Reader>({
      key: (name) => name,
      async run(read, names) {
        readers.push(read);
        return names.map(() => read);
      },
    });
    const [one, other] = [reader(), reader()];
    assert.deepEqual(await Promise.all([find(one, 'a'), find(other, 'a')]), [one.read, other.read]);
    assert.equal(readers.length, 2);
  });

  it('are at most a hundred in a query', async () => {
    const sizes: number[] = [];
    const find = batchedRead<number, number>({
      key: String,
      async run(_, numbers) {
        sizes.push(numbers.length);
        return numbers;
      },
    });
    const platform = reader();
    const numbers = Array.from({ length: 250 }, (_, n) => n);
    assert.deepEqual(await Promise.all(numbers.map((n) => find(platform, n))), numbers);
    assert.deepEqual(sizes, [100, 100, 50]);
  });

  it('fail alone when only one of them is at fault, and all together with the connection', async () => {
    let away = false;
    const tried: string[][] = [];
    const find = batchedRead<string, string>({
      key: (name) => name,
      async run(_, names) {
        tried.push(names);
        if (away) throw Object.assign(new Error('gone'), { code: 'ECONNRESET' });
        if (names.includes('bad')) throw Object.assign(new Error('invalid byte sequence'), { code: '22021' });
        return names;
      },
    });
    const platform = reader();
    const outcome = (names: string[]) => Promise.allSettled(names.map((name) => find(platform, name)));
    assert.deepEqual(
      (await outcome(['a', 'bad', 'b'])).map(({ status }) => status),
      ['fulfilled', 'rejected', 'fulfilled'],
    );
    away = true;
    tried.length = 0;
    assert.deepEqual(
      (await outcome(['a', 'b', 'a'])).map((each) => each.status === 'rejected' && each.reason.code),
      ['ECONNRESET', 'ECONNRESET', 'ECONNRESET'],
    );
    // A read may be asked again at once: before each, the pool waits for the database.
    assert.deepEqual(tried, Array(3).fill(['a', 'b']));
  });
});

describe('changes', () => {
  /** A statement that does `work` and gives back what that gives. */
  const statement = <Row>(work: () => Promise<Row[]>) => ({ execute: async () => ({ rows: await work() }) }) as unknown as RawBuilder<Row>;

  it('that come together are one statement, but each change of one row has its own; who gets no row back is told', async () => {
    const statements: string[][] = [];
    const change = batchedChange<{ row: string; value: number }, { row: string }>({
      key: ({ row }) => row,
      statement: (items) =>
        statement(async () => {
          statements.push(items.map(({ row, value }) => row + value));
          return items.filter(({ row }) => row !== 'b').map(({ row }) => ({ row }));
        }),
    });
    const platform = reader();
    const items = [
      { row: 'a', value: 1 },
      { row: 'b', value: 1 },
      { row: 'a', value: 2 },
      { row: 'c', value: 1 },
      { row: 'a', value: 3 },
    ];
    assert.deepEqual(await Promise.all(items.map((item) => change(platform, item))), [true, false, true, true, true]);
    assert.deepEqual(statements, [['a1', 'b1', 'c1'], ['a2'], ['a3']]);
  });

  it('are made again when the connection broke, and fail when it goes on breaking', async () => {
    let gaps = 1;
    let calls = 0;
    const change = batchedChange<{ row: string }, { row: string }>({
      key: ({ row }) => row,
      statement: (items) =>
        statement(async () => {
          calls++;
          if (gaps-- > 0) throw Object.assign(new Error('gone'), { code: '57P01' });
          return items;
        }),
    });
    const platform = reader();
    const outcome = () => Promise.allSettled(['a', 'b'].map((row) => change(platform, { row })));
    assert.deepEqual(
      (await outcome()).map(({ status }) => status),
      ['fulfilled', 'fulfilled'],
    );
    assert.equal(calls, 2);
    gaps = 100;
    assert.deepEqual(
      (await outcome()).map((each) => each.status === 'rejected' && each.reason.code),
      ['57P01', '57P01'],
    );
  });
});
