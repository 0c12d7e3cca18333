/** Seals a body of any size into an open file: a small one here, a larger one on a thread of its own (see sealing-thread.ts for why). */
import { createHash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import { Writable } from 'node:stream';
import { Worker } from 'node:worker_threads';
import { CHUNK_BYTES, type Footer, sealChunk } from './sealed-format.ts';
import type { SealingAnswer, SealingOrder } from './sealing-thread.ts';

/** What is not larger is sealed at once: cheaper than asking the thread. */
const SMALL_BYTES = 4 * CHUNK_BYTES;
/** One is filled while another is sealed and written. */
const SLOT_BYTES = 8 * CHUNK_BYTES;
const SLOTS = 4;
/** After so many bytes what is written begins to go to the disk, so that the sync at the end has little left to wait for. */
const SYNC_BYTES = 8 * 1024 * 1024;
/** Memory of so many puts is kept for the next ones. */
const KEPT_RINGS = 4;
/** The thread ends when nothing was put for so long. */
const IDLE_MS = 30_000;

/**
 * Takes the plain bytes and writes the sealed chunks behind what the file has; `footer` is what the footer must tell, once this has finished.
 * The file may be closed when this has emitted `close`, not before.
 */
export class SealingWriter extends Writable {
  readonly #file: FileHandle;
  readonly #dataKey: Buffer;
  /** The body while it may still be a small one. */
  #small: Uint8Array[] = [];
  #smallBytes = 0;
  #put: ThreadPut | undefined;
  #unsynced = 0;
  footer: Footer = { size: 0, sha256: '' };

  constructor(file: FileHandle, dataKey: Buffer) {
    super({ highWaterMark: SLOT_BYTES });
    this.#file = file;
    this.#dataKey = dataKey;
  }

  override _write(piece: Buffer, _encoding: string, callback: (error?: Error | null) => void): void {
    this.#take(piece).then(() => callback(), callback);
  }

  override _final(callback: (error?: Error | null) => void): void {
    const sealed = this.#put ? this.#put.finish() : this.#sealSmall();
    sealed.then((footer) => {
      this.footer = footer;
      callback();
    }, callback);
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    (this.#put?.drop() ?? Promise.resolve()).then(() => callback(error));
  }

  async #take(piece: Buffer): Promise<void> {
    if (this.#put) {
      await this.#put.write(piece);
      this.#syncNowAndThen(piece.length);
      return;
    }
    this.#small.push(piece);
    this.#smallBytes += piece.length;
    if (this.#smallBytes <= SMALL_BYTES) return;
    this.#put = startThread().begin(this.#file.fd, this.#dataKey);
    for (const each of this.#small.splice(0)) await this.#put.write(each);
  }

  #syncNowAndThen(bytes: number): void {
    this.#unsynced += bytes;
    if (this.#unsynced < SYNC_BYTES) return;
    this.#unsynced = Number.NEGATIVE_INFINITY;
    const again = () => {
      this.#unsynced = 0;
    };
    // Should this fail, so does the one that counts.
    this.#file.datasync().then(again, again);
  }

  async #sealSmall(): Promise<Footer> {
    const plain = Buffer.concat(this.#small);
    const sealed: Buffer[] = [];
    // Even an empty body has one chunk.
    for (let index = 0, at = 0; index === 0 || at < plain.length; index++, at += CHUNK_BYTES) {
      sealed.push(...sealChunk(this.#dataKey, index, at + CHUNK_BYTES >= plain.length, [plain.subarray(at, at + CHUNK_BYTES)]));
    }
    await this.#file.writeFile(Buffer.concat(sealed));
    return { size: plain.length, sha256: createHash('sha256').update(plain).digest('hex') };
  }
}

type Send = (order: { slot: number; length: number; last: boolean } | { drop: true }) => void;

/** One put's side of the conversation with the thread. */
class ThreadPut {
  readonly #send: Send;
  readonly slots: Uint8Array[];
  readonly #free = Array.from({ length: SLOTS - 1 }, (_, index) => index + 1);
  #slot = 0;
  #filled = 0;
  #waiting: (() => void) | undefined;
  #failure: Error | undefined;
  #footer: Footer | undefined;
  #ended = false;

  constructor(slots: Uint8Array[], send: Send) {
    this.slots = slots;
    this.#send = send;
  }

  async write(piece: Uint8Array): Promise<void> {
    for (let at = 0; at < piece.length; ) {
      // A full slot is held back until more comes: its last chunk may be the last of all.
      if (this.#filled === SLOT_BYTES) await this.#next();
      const part = piece.subarray(at, at + SLOT_BYTES - this.#filled);
      this.slots[this.#slot]!.set(part, this.#filled);
      this.#filled += part.length;
      at += part.length;
    }
  }

  async finish(): Promise<Footer> {
    if (this.#failure) throw this.#failure;
    this.#send({ slot: this.#slot, length: this.#filled, last: true });
    await this.#until(() => this.#footer !== undefined);
    return this.#footer!;
  }

  /** Resolves when the thread has nothing more to do with the file. */
  async drop(): Promise<void> {
    if (this.#ended) return;
    this.#send({ drop: true });
    while (!this.#ended) await this.#wait();
  }

  received(answer: SealingAnswer): void {
    if ('free' in answer) this.#free.push(answer.free);
    else this.#ended = true;
    if ('done' in answer) this.#footer = answer.done;
    if ('error' in answer) this.#failure = Object.assign(new Error(answer.error.message), { code: answer.error.code });
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.();
  }

  async #next(): Promise<void> {
    this.#send({ slot: this.#slot, length: SLOT_BYTES, last: false });
    await this.#until(() => this.#free.length > 0);
    this.#slot = this.#free.shift()!;
    this.#filled = 0;
  }

  async #until(met: () => boolean): Promise<void> {
    while (!met()) {
      if (this.#failure) throw this.#failure;
      if (this.#ended) throw new Error('The put was dropped.');
      await this.#wait();
    }
  }

  #wait(): Promise<void> {
    const before = this.#waiting;
    return new Promise((resolve) => {
      this.#waiting = () => {
        before?.();
        resolve();
      };
    });
  }
}

class SealingThread {
  readonly #worker = new Worker(new URL(`./sealing-thread${import.meta.url.slice(-3)}`, import.meta.url));
  readonly #puts = new Map<number, ThreadPut>();
  readonly #rings: Uint8Array[][] = [];
  #numbers = 0;
  #idle: NodeJS.Timeout | undefined;
  ended = false;

  constructor() {
    this.#worker.on('message', (answer: SealingAnswer) => this.#received(answer));
    this.#worker.on('error', (error) => this.#end(error.message));
    this.#worker.on('exit', () => this.#end('it has ended'));
  }

  begin(fd: number, dataKey: Buffer): ThreadPut {
    const put = this.#numbers++;
    const slots = this.#rings.pop() ?? Array.from({ length: SLOTS }, () => new Uint8Array(new SharedArrayBuffer(SLOT_BYTES)));
    const begun = new ThreadPut(slots, (order) => this.#worker.postMessage({ put, ...order }));
    this.#puts.set(put, begun);
    this.#rings.length = Math.min(this.#rings.length, KEPT_RINGS);
    this.#worker.postMessage({ put, begin: { fd, dataKey, slots } } satisfies SealingOrder);
    clearTimeout(this.#idle);
    // The process must not end before what it puts is there.
    this.#worker.ref();
    return begun;
  }

  #received(answer: SealingAnswer): void {
    const put = this.#puts.get(answer.put);
    if (!put) return;
    if (!('free' in answer)) this.#release(answer.put, put);
    put.received(answer);
  }

  #release(number: number, put: ThreadPut): void {
    this.#puts.delete(number);
    this.#rings.push(put.slots);
    if (this.#puts.size > 0) return;
    this.#worker.unref();
    this.#idle = setTimeout(() => {
      this.ended = true;
      this.#worker.terminate().catch(() => {});
    }, IDLE_MS).unref();
  }

  #end(reason: string): void {
    this.ended = true;
    for (const [put, each] of this.#puts)
      each.received({ put, error: { message: `The sealing thread failed: ${reason}`, code: undefined } });
    this.#puts.clear();
  }
}

let thread: SealingThread | undefined;

function startThread(): SealingThread {
  if (!thread || thread.ended) thread = new SealingThread();
  return thread;
}
