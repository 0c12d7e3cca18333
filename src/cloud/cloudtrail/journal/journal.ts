/**
 * The journal of this process: each call is in it before its answer leaves. A write to a file survives the process, whatever kills it, so all
 * that clients wait for is one system call for the calls of one turn of the event loop; once a second the file is synced, for when the power
 * fails.
 */
import { randomUUID } from 'node:crypto';
import { closeSync, fdatasync, ftruncateSync, mkdirSync, openSync, rmSync, writeSync } from 'node:fs';
import type { Logger } from '../../../platform/log.ts';
import { type Owner, ownerLine, segmentPath } from './segment.ts';

/** A segment that has grown so far is closed; another follows. */
const SEGMENT_BYTES = 16 * 1024 * 1024;
const SYNC_MS = 1_000;
const TELL_MS = 10_000;

export interface Segment {
  id: string;
  /** Bytes of its first line, which says whose it is. */
  head: number;
  /** Bytes written so far, the first line's among them. */
  size: number;
  closed: boolean;
}

export class Journal {
  readonly folder: string;
  /** Oldest first; the last may be open. Whoever has shipped a closed one takes it away. */
  readonly segments: Segment[] = [];
  readonly #log: Logger;
  readonly #owner: () => Owner;
  readonly #timer: NodeJS.Timeout;
  #text = '';
  #lines = 0;
  #turn: PromiseWithResolvers<void> | undefined;
  #fd = -1;
  #current: Segment | undefined;
  #synced = true;
  #lost = 0;
  #toldAt = Number.NEGATIVE_INFINITY;

  constructor(folder: string, owner: () => Owner, log: Logger) {
    this.folder = folder;
    this.#owner = owner;
    this.#log = log;
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    this.#timer = setInterval(() => this.#sync(), SYNC_MS).unref();
  }

  /**
   * Resolves when the line, newline and all, is written: at the end of this turn. When it cannot be written (a full disk), the call that it
   * tells of goes on all the same, as on AWS, and the log says how many are missing.
   */
  append(line: string): Promise<void> {
    this.#text += line;
    this.#lines += 1;
    if (!this.#turn) {
      this.#turn = Promise.withResolvers<void>();
      setImmediate(() => this.#write());
    }
    return this.#turn.promise;
  }

  #write(): void {
    if (!this.#turn) return;
    const text = this.#text;
    const lines = this.#lines;
    const turn = this.#turn;
    this.#text = '';
    this.#lines = 0;
    this.#turn = undefined;
    try {
      const segment = this.#open();
      const bytes = writeSync(this.#fd, text);
      // ASCII nearly always; the length in bytes is only asked when the numbers differ.
      if (bytes !== text.length && bytes !== Buffer.byteLength(text)) this.#undo(segment);
      segment.size += bytes;
      this.#synced = false;
      if (segment.size >= SEGMENT_BYTES) this.rotate();
    } catch (error) {
      this.#lost += lines;
      this.#tell(error as Error);
    }
    turn.resolve();
  }

  /** All that was appended so far is written when it returns. */
  writeNow(): void {
    this.#write();
  }

  /** Closes the segment in use, if any: the next line begins another. */
  rotate(): void {
    if (!this.#current) return;
    const fd = this.#fd;
    this.#current.closed = true;
    this.#current = undefined;
    this.#fd = -1;
    fdatasync(fd, () => closeSync(fd));
  }

  close(): void {
    clearInterval(this.#timer);
    this.#write();
    this.rotate();
  }

  #open(): Segment {
    if (this.#current) return this.#current;
    const id = randomUUID();
    const file = segmentPath(this.folder, id);
    const fd = openSync(file, 'ax', 0o600);
    const head = ownerLine(this.#owner());
    try {
      if (writeSync(fd, head) !== head.length) throw new Error('no space left on device');
    } catch (error) {
      closeSync(fd);
      rmSync(file, { force: true });
      throw error;
    }
    this.#fd = fd;
    this.#current = { id, head: head.length, size: head.length, closed: false };
    this.segments.push(this.#current);
    return this.#current;
  }

  /** Half a line is worse than none: the next would be lost with it. */
  #undo(segment: Segment): never {
    ftruncateSync(this.#fd, segment.size);
    throw new Error('only a part could be written: no space left on device');
  }

  #sync(): void {
    if (this.#synced || this.#fd < 0) return;
    this.#synced = true;
    fdatasync(this.#fd, (error) => error && this.#log.warn({ error: error.message }, 'the audit journal could not be synced'));
  }

  #tell(error: Error): void {
    if (performance.now() - this.#toldAt < TELL_MS) return;
    this.#toldAt = performance.now();
    this.#log.error({ error: error.message, lost: this.#lost }, 'calls are answered but NOT recorded: the audit journal cannot be written');
  }
}
