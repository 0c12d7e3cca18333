/**
 * Many requests' questions as one query, and many requests' changes as one statement.
 *
 * What several requests want of the database at the same moment costs little more than what one of them wants: a round trip, its system calls
 * and (for a change) the wait for the disk come once for all. Whoever comes while a batch is under way waits for the next one, so batches grow
 * with the load and a lone request waits for nobody.
 *
 * Nothing is remembered: a batch is sent after each of its requests came, so each sees whatever was acknowledged before it.
 */
import type { RawBuilder } from 'kysely';
import type { Platform, Reader, Transaction } from '../platform.ts';
import { isAway } from './pool.ts';

const MAX_ITEMS = 100;
/** While the database works on one, the next is being gathered; a second one keeps a slow one from holding up all. */
const MAX_UNDER_WAY = 2;
const TRIES_THROUGH_GAPS = 3;

interface BatchOptions<Item, Answer> {
  /** Answers in the order of the items. Throwing fails them all; then each is tried alone, so that only the guilty one fails. */
  run(items: Item[]): Promise<Answer[]>;
  /** What the item is about. No two of one batch are about the same. */
  key(item: Item): string;
  /** Those about the same share one answer. Else they go in different batches. */
  share: boolean;
}

interface Waiter<Answer> {
  resolve(answer: Answer): void;
  reject(error: unknown): void;
}

interface Entry<Item, Answer> {
  item: Item;
  waiters: Waiter<Answer>[];
}

class Batcher<Item, Answer> {
  readonly #options: BatchOptions<Item, Answer>;
  /** By key, in the order in which they came: one for each batch to come, or one for all who share it. */
  readonly #waiting = new Map<string, Entry<Item, Answer>[]>();
  #underWay = 0;
  #scheduled = false;

  constructor(options: BatchOptions<Item, Answer>) {
    this.#options = options;
  }

  add(item: Item): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const key = this.#options.key(item);
      const before = this.#waiting.get(key);
      if (!before) this.#waiting.set(key, [{ item, waiters: [{ resolve, reject }] }]);
      else if (this.#options.share) before[0]!.waiters.push({ resolve, reject });
      else before.push({ item, waiters: [{ resolve, reject }] });
      this.#schedule();
    });
  }

  /** After all that has arrived by now was read, so that it comes along. */
  #schedule(): void {
    if (this.#scheduled || this.#underWay === MAX_UNDER_WAY || this.#waiting.size === 0) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#underWay++;
      this.#send(this.#take()).finally(() => {
        this.#underWay--;
        this.#schedule();
      });
      this.#schedule();
    });
  }

  #take(): Entry<Item, Answer>[] {
    const batch: Entry<Item, Answer>[] = [];
    for (const [key, entries] of [...this.#waiting].slice(0, MAX_ITEMS)) {
      batch.push(entries.shift()!);
      this.#waiting.delete(key);
      // Behind those that have not had their turn yet.
      if (entries.length > 0) this.#waiting.set(key, entries);
    }
    return batch;
  }

  async #send(batch: Entry<Item, Answer>[]): Promise<void> {
    try {
      const answers = await this.#options.run(batch.map(({ item }) => item));
      for (const [index, { waiters }] of batch.entries()) for (const { resolve } of waiters) resolve(answers[index]!);
    } catch (error) {
      // Without a database all fare alike.
      if (batch.length > 1 && !isAway(error)) await Promise.all(batch.map((entry) => this.#send([entry])));
      else for (const { waiters } of batch) for (const { reject } of waiters) reject(error);
    }
  }
}

/**
 * A read of single things that requests share: `batchedRead({ key, run })` is a function that a handler calls for one item. Answers are shared
 * too, so nobody may change them.
 */
export function batchedRead<Item, Answer>(options: {
  /** Everything that tells one item from another, the account and the region among it. */
  key(item: Item): string;
  /** One query for all; answers in the order of the items. */
  run(read: Reader, items: Item[]): Promise<Answer[]>;
}): (platform: Pick<Platform, 'read'>, item: Item) => Promise<Answer> {
  const { key } = options;
  const batchers = new WeakMap<Reader, Batcher<Item, Answer>>();
  return ({ read }, item) => {
    let batcher = batchers.get(read);
    if (!batcher) {
      batcher = new Batcher({ key, share: true, run: (items) => throughGap(() => options.run(read, items)) });
      batchers.set(read, batcher);
    }
    return batcher.add(item);
  };
}

/**
 * A small change of single rows that requests make together: `batchedChange({ key, statement })` is a function that a handler calls for one
 * item. True when the statement gave its row back, and then it has been committed.
 */
export function batchedChange<Item extends Row, Row>(options: {
  /** The row that the item changes, also of what the statement gives back. Two changes of one row are two statements. */
  key(item: Row): string;
  /**
   * One statement for all, which is a transaction by itself and so costs one round trip. It must not wait for locks that others may hold long,
   * and making the same change again must do no harm: it is sent again when the connection broke and nobody knows whether it was made.
   */
  statement(items: Item[]): RawBuilder<Row>;
}): (platform: Pick<Platform, 'read'>, item: Item) => Promise<boolean> {
  const { key, statement } = options;
  const batchers = new WeakMap<Reader, Batcher<Item, boolean>>();
  return ({ read }, item) => {
    let batcher = batchers.get(read);
    if (!batcher) {
      const run = async (items: Item[]): Promise<boolean[]> => {
        const { rows } = await throughGap(() => statement(items).execute(read));
        const done = new Set(rows.map(key));
        return items.map((each) => done.has(key(each)));
      };
      batcher = new Batcher<Item, boolean>({ key, share: false, run });
      batchers.set(read, batcher);
    }
    return batcher.add(item);
  };
}

/** What may be asked again is no reason to fail when the connection broke under it: the next one comes when the database is back. */
async function throughGap<T>(ask: () => Promise<T>): Promise<T> {
  for (let tried = 1; ; tried++) {
    try {
      return await ask();
    } catch (error) {
      if (!isAway(error) || tried === TRIES_THROUGH_GAPS) throw error;
    }
  }
}

/** The items as the parameter of `json_to_recordset`, which makes rows of them: one text for any number, so that the statement stays the same. */
export function asRecords(items: object[]): string {
  const text = JSON.stringify(items);
  // Half a surrogate pair is no text to PostgreSQL.
  return /\\ud[89a-f]/.test(text) ? JSON.stringify(items, (_, value) => (typeof value === 'string' ? value.toWellFormed() : value)) : text;
}

/** An item that is like no other, so that any number of them come into one batch. */
interface Turn<Item> {
  item: Item;
  turn: number;
}

/**
 * What requests add up in rows that they may share: the items of all that wait go into one transaction, so that they wait neither for each
 * other's locks nor for the disk one after the other. One that fails is tried without the others. Not tried again is what may have been
 * committed before its connection broke.
 */
export function gatheredWrite<Item>(
  write: (tx: Transaction, items: Item[]) => Promise<void>,
): (platform: Pick<Platform, 'read' | 'transaction'>, item: Item) => Promise<void> {
  const batchers = new WeakMap<Reader, Batcher<Turn<Item>, undefined>>();
  let turns = 0;
  return (platform, item) => {
    let batcher = batchers.get(platform.read);
    if (!batcher) {
      const run = async (items: Turn<Item>[]): Promise<undefined[]> => {
        await platform.transaction((tx) =>
          write(
            tx,
            items.map((entry) => entry.item),
          ),
        );
        return items.map(() => undefined);
      };
      batcher = new Batcher({ key: ({ turn }) => String(turn), share: false, run });
      batchers.set(platform.read, batcher);
    }
    turns += 1;
    return batcher.add({ item, turn: turns });
  };
}
