/** Lines of a journal become stored events: rendered, packed, and kept together with how far the journal has come, all or nothing. */
import { createCipheriv } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Platform, Transaction } from '../../platform/platform.ts';
import { ensurePartitions, insertChunks, packAll } from './chunks.ts';
import { eventsForRules } from './event-bridge.ts';
import { type Fact, parseFact } from './journal/facts.ts';
import { type Rendered, render } from './render.ts';
import { inOtherAccounts } from './shared.ts';
import { handToTrails } from './waiting.ts';

/** Requests wait no longer than it takes to render so many. */
const LINES_A_TURN = 40;

/** Lines of one journal, from byte `from` to byte `to` of it. */
export interface Batch {
  journal: string;
  from: number;
  to: number;
  lines: string[];
}

/** The journal is further than this batch believes: another process has looked after it. */
export class JournalMovedError extends Error {
  override readonly name = 'JournalMovedError';
}

/** How much of a journal is stored already. */
export async function shippedSoFar(platform: Platform, journal: string): Promise<number> {
  const row = await platform.read.selectFrom('cloudtrail.journals').select('shipped').where('id', '=', journal).executeTakeFirst();
  return row?.shipped ?? 0;
}

/** Stores the batch. When it returns, that is committed; JournalMovedError when it had been done, or was not next. */
export async function ship(platform: Platform, batch: Batch): Promise<void> {
  const events = await renderAll(platform, batch);
  const packed = await packAll(events);
  const chunks = packed.map(({ chunk }) => chunk);
  await ensurePartitions(
    platform,
    chunks.map(({ day }) => day),
  );
  const wanted = await eventsForRules(platform, events);
  await platform.transaction(async (tx) => {
    await moveOn(tx, batch);
    const taken = await handToTrails(platform, tx, packed);
    // Data events are for trails only.
    await insertChunks(
      tx,
      chunks.filter(({ id, data }) => !data || taken.has(id)),
    );
    if (wanted.length > 0) await tx.emit(...wanted);
  });
}

/** Only from where the batch begins: two processes with the same batch cannot both store it. */
async function moveOn(tx: Transaction, { journal, from, to }: Batch): Promise<void> {
  const moved =
    from === 0
      ? await tx.sql
          .insertInto('cloudtrail.journals')
          .values({ id: journal, shipped: to })
          .onConflict((conflict) => conflict.doNothing())
          .returning('id')
          .executeTakeFirst()
      : await tx.sql
          .updateTable('cloudtrail.journals')
          .set({ shipped: to, moved_at: new Date() })
          .where('id', '=', journal)
          .where('shipped', '=', from)
          .returning('id')
          .executeTakeFirst();
  if (!moved) throw new JournalMovedError(`Journal ${journal} is not at ${from}.`);
}

async function renderAll(platform: Platform, { journal, from, lines }: Batch): Promise<Rendered[]> {
  // A line may be an event of two accounts.
  const idOf = eventIds(journal, from, 2 * lines.length);
  const events: Rendered[] = [];
  for (const [at, line] of lines.entries()) {
    if (at % LINES_A_TURN === LINES_A_TURN - 1) await nextTurn();
    const fact = readFact(platform, journal, line);
    const event = fact && render(fact, idOf(at));
    if (event) events.push(event, ...inOtherAccounts(fact, event, () => idOf(lines.length + at)));
  }
  return events;
}

/** A power failure may leave a part of a line, or zeros where lines were. */
function readFact(platform: Platform, journal: string, line: string): Fact | undefined {
  try {
    return parseFact(line);
  } catch {
    platform.log.warn({ journal, length: line.length }, 'a line of the audit journal cannot be read, and is left out');
    return undefined;
  }
}

/**
 * Ids that look random and are always the same for the same lines: the journal's id enciphers the place of each. All in one go, since
 * every event needs one.
 */
function eventIds(journal: string, from: number, count: number): (at: number) => string {
  const plain = Buffer.alloc(count * 16);
  for (let at = 0; at < count; at++) {
    plain.writeDoubleBE(from, at * 16);
    plain.writeUInt32BE(at, at * 16 + 8);
  }
  const cipher = createCipheriv('aes-128-ecb', Buffer.from(journal.replaceAll('-', ''), 'hex'), null).setAutoPadding(false);
  const bytes = Buffer.concat([cipher.update(plain), cipher.final()]);
  return (at) => asUuid(bytes.subarray(at * 16, at * 16 + 16));
}

function asUuid(bytes: Buffer): string {
  bytes[6] = (bytes[6]! & 0x0f) | 0x40;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  const hex = bytes.toString('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}
