/**
 * Takes the journals of this process, and those that dead processes left, into the database. It stands back while requests keep the process
 * busy: then it takes only a small share of the time, and what waits is in the journal.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Platform } from '../../platform/platform.ts';
import { JournalMovedError, ship, shippedSoFar } from './batch.ts';
import type { Journal, Segment } from './journal/journal.ts';
import { lives, ownerLine, ownerOf, readLines, removeSegment, segmentIds, segmentPath } from './journal/segment.ts';

/** How often it is looked how busy the process is. */
const TICK_MS = 250;
/** What is recorded waits for so many ticks; longer in a busy process, since larger batches cost less. */
const IDLE_TICKS = 4;
const BUSY_TICKS = 20;
const READ_BYTES = 256 * 1024;
/** A segment that is shipped whole is closed when it has grown so far, so that its file goes. */
const WORTH_CLOSING = 1024 * 1024;
/**
 * When the process does more than this of other things, shipping takes only a small part of the time: enough for a thousand events a second.
 * More than that waits for a calmer time, since it costs a fifth of what the cheapest call does.
 */
const BUSY = 0.1;
const BUSY_SHARE = 0.02;
/** Between batches, so that requests which have come meanwhile are answered. */
const PAUSE_MS = 2;
const MAX_PAUSE_MS = 2_000;
/** So much that waits is not let grow for the sake of speed: the disk is not endless. */
const URGENT_BYTES = 4 * 1024 * 1024 * 1024;
const RETRY_MS = 2_000;
const HURRIED_RETRY_MS = 50;
const LOOK_FOR_LEFT_MS = 5_000;
/** How long a stop waits for what is not shipped yet; the next start does the rest. */
const STOP_MS = 5_000;
const LAST_BATCH_MS = 2_000;

export class Shipper {
  readonly #platform: Platform;
  readonly #journal: Journal;
  /** Where the next batch of each segment begins. */
  readonly #places = new Map<string, number>();
  readonly #timers: NodeJS.Timeout[];
  #running: Promise<void> | undefined;
  #pause = new AbortController();
  #lastTick = performance.eventLoopUtilization();
  #ticks = 0;
  #busy = false;
  #stopped = false;
  #hurry = false;

  constructor(platform: Platform, journal: Journal) {
    this.#platform = platform;
    this.#journal = journal;
    this.#timers = [setInterval(() => this.#tick(), TICK_MS).unref(), setInterval(() => void this.takeOver(), LOOK_FOR_LEFT_MS).unref()];
  }

  /** Resolves when all that was in this process's journal by now is stored, or after `timeoutMs`. */
  async flush(timeoutMs: number): Promise<void> {
    this.#journal.writeNow();
    const target = this.#journal.segments.map((segment) => ({ segment, size: segment.size }));
    const deadline = performance.now() + timeoutMs;
    const behind = (): boolean =>
      target.some(({ segment, size }) => this.#journal.segments.includes(segment) && this.#placeOf(segment) < size);
    this.#hurry = true;
    this.#pause.abort();
    try {
      while (behind() && performance.now() < deadline) {
        await Promise.race([this.#wake(), delay(Math.max(0, deadline - performance.now()), undefined, { ref: false })]);
      }
    } finally {
      this.#hurry = false;
    }
  }

  async stop(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    this.#journal.close();
    await this.flush(STOP_MS);
    this.#stopped = true;
    this.#pause.abort();
    // A database that is away does not keep the process: the next start does the rest.
    await Promise.race([this.#running, delay(LAST_BATCH_MS, undefined, { ref: false })]);
  }

  /** An event loop that waits for the database is idle for moments only: what counts is the share over a while. */
  #tick(): void {
    const now = performance.eventLoopUtilization();
    this.#busy = performance.eventLoopUtilization(now, this.#lastTick).utilization > BUSY;
    this.#lastTick = now;
    this.#ticks += 1;
    if (this.#ticks < (this.#busy ? BUSY_TICKS : IDLE_TICKS)) return;
    this.#ticks = 0;
    void this.#wake();
  }

  #wake(): Promise<void> {
    this.#running ??= this.#shipAll()
      .catch(async (error) => {
        this.#platform.log.warn({ error: (error as Error).message }, 'the audit journal could not be stored; tried again soon');
        await this.#rest(this.#hurry ? HURRIED_RETRY_MS : RETRY_MS);
      })
      .finally(() => {
        this.#running = undefined;
      });
    return this.#running;
  }

  async #shipAll(): Promise<void> {
    const { segments } = this.#journal;
    while (segments.length > 0 && !this.#stopped) {
      const segment = segments[0]!;
      if (await this.#shipSome(segment)) continue;
      if (segment === segments.at(-1) && !segment.closed && segment.size >= WORTH_CLOSING) this.#journal.rotate();
      if (!segment.closed) return;
      // It may have grown before it was closed.
      if (await this.#shipSome(segment)) continue;
      if (this.#placeOf(segment) < segment.size) {
        this.#platform.log.error({ journal: segment.id, at: this.#placeOf(segment) }, 'the rest of an audit journal cannot be read');
      }
      segments.shift();
      await this.#forget(segment.id);
    }
  }

  /** One batch; false when there was nothing more. */
  async #shipSome(segment: Segment): Promise<boolean> {
    const from = this.#placeOf(segment);
    if (from >= segment.size) return false;
    const began = performance.now();
    const to = await this.#shipFrom(segment.id, segment.head, from);
    if (to === from) return false;
    this.#places.set(segment.id, to);
    await this.#standBack(performance.now() - began);
    return true;
  }

  #placeOf({ id, head }: Segment): number {
    return this.#places.get(id) ?? head;
  }

  /** Where the next batch begins; `from` when there was no whole line. */
  async #shipFrom(id: string, head: number, from: number): Promise<number> {
    const { lines, end } = await readLines(segmentPath(this.#journal.folder, id), from, READ_BYTES);
    if (lines.length === 0) return from;
    try {
      // The first line is none of the events: to the database a journal begins after it.
      await ship(this.#platform, { journal: id, from: from - head, to: end - head, lines });
      return end;
    } catch (error) {
      if (!(error instanceof JournalMovedError)) throw error;
      return head + (await shippedSoFar(this.#platform, id));
    }
  }

  /** Its own work makes the process busy too: then it goes slower for a moment, which does no harm. */
  async #standBack(workMs: number): Promise<void> {
    if (this.#hurry) return;
    const calm = !this.#busy || this.#waiting() > URGENT_BYTES;
    await this.#rest(calm ? PAUSE_MS : Math.min(MAX_PAUSE_MS, workMs / BUSY_SHARE));
  }

  /** Cut short when somebody is in a hurry. */
  async #rest(ms: number): Promise<void> {
    this.#pause = new AbortController();
    await delay(ms, undefined, { ref: false, signal: this.#pause.signal }).catch(() => {});
  }

  #waiting(): number {
    return this.#journal.segments.reduce((sum, segment) => sum + segment.size - this.#placeOf(segment), 0);
  }

  /** Only the file: the row tells others, which may be at it too, that all is done. It goes when the events go. */
  async #forget(id: string): Promise<void> {
    await removeSegment(this.#journal.folder, id);
    this.#places.delete(id);
  }

  /** Ships what dead processes left in the folder. Several may do so at once: each batch is stored by one of them. */
  async takeOver(): Promise<void> {
    const { folder, segments } = this.#journal;
    try {
      for (const id of await segmentIds(folder)) {
        if (this.#stopped) return;
        if (segments.some((segment) => segment.id === id)) continue;
        await this.#takeOne(id);
      }
    } catch (error) {
      this.#platform.log.warn({ error: (error as Error).message }, 'a journal that was left behind could not be stored; tried again soon');
    }
  }

  async #takeOne(id: string): Promise<void> {
    const { folder } = this.#journal;
    const file = segmentPath(folder, id);
    const owner = await ownerOf(file).catch(gone);
    if (owner === 'gone' || (owner && (await lives(owner, this.#platform.processes)))) return;
    const head = owner ? Buffer.byteLength(ownerLine(owner)) : 0;
    let place = head + (await shippedSoFar(this.#platform, id));
    for (let before = -1; before < place && !this.#stopped; ) {
      before = place;
      place = await this.#shipFrom(id, head, place);
    }
    if (!this.#stopped) await this.#forget(id);
  }
}

function gone(error: NodeJS.ErrnoException): 'gone' {
  if (error.code === 'ENOENT') return 'gone';
  throw error;
}
