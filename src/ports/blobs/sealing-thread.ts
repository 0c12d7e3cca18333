/**
 * A thread that seals what is put into the blob store. Encrypting and hashing leave two buffers behind for each one that comes in; beside the
 * models and rows of a server each of the collections that this brings costs more than the encrypting, here next to nothing.
 */
import { createHash, createSecretKey, type Hash, type KeyObject } from 'node:crypto';
import { writevSync } from 'node:fs';
import { parentPort } from 'node:worker_threads';
import { CHUNK_BYTES, sealChunk } from './sealed-format.ts';

/** Orders of one put, told apart by its number. The file's position is the thread's until it has answered `done`, `dropped` or an error. */
export type SealingOrder =
  | { put: number; begin: { fd: number; dataKey: Uint8Array; slots: Uint8Array[] } }
  /** The first `length` bytes of a slot: whole chunks, but for the last. */
  | { put: number; slot: number; length: number; last: boolean }
  | { put: number; drop: true };

export type SealingAnswer =
  /** The slot may be filled again. */
  | { put: number; free: number }
  | { put: number; done: { size: number; sha256: string } }
  | { put: number; dropped: true }
  | { put: number; error: { message: string; code: string | undefined } };

interface Put {
  fd: number;
  key: KeyObject;
  slots: Uint8Array[];
  digest: Hash;
  size: number;
  chunks: number;
}

const puts = new Map<number, Put>();
const port = parentPort!;
const answer = (message: SealingAnswer) => port.postMessage(message);

port.on('message', (order: SealingOrder) => {
  const { put: number } = order;
  if ('drop' in order) {
    puts.delete(number);
    answer({ put: number, dropped: true });
  } else if ('begin' in order) {
    const { fd, dataKey, slots } = order.begin;
    // As an object the key is taken over by the cipher once, not for each chunk.
    puts.set(number, { fd, key: createSecretKey(dataKey), slots, digest: createHash('sha256'), size: 0, chunks: 0 });
  } else {
    const put = puts.get(number);
    if (put) sealSlot(number, put, order);
  }
});

function sealSlot(number: number, put: Put, { slot, length, last }: { slot: number; length: number; last: boolean }): void {
  try {
    const plain = put.slots[slot]!.subarray(0, length);
    put.digest.update(plain);
    put.size += length;
    const sealed: Buffer[] = [];
    for (let at = 0; at < length; at += CHUNK_BYTES) {
      const end = Math.min(at + CHUNK_BYTES, length);
      sealed.push(...sealChunk(put.key, put.chunks++, last && end === length, [plain.subarray(at, end)]));
    }
    writeAll(put.fd, sealed);
    if (last) puts.delete(number);
    answer(last ? { put: number, done: { size: put.size, sha256: put.digest.digest('hex') } } : { put: number, free: slot });
  } catch (error) {
    puts.delete(number);
    const { message, code } = error as NodeJS.ErrnoException;
    answer({ put: number, error: { message, code } });
  }
}

function writeAll(fd: number, buffers: Uint8Array[]): void {
  let rest = buffers;
  while (rest.length > 0) {
    let written = writevSync(fd, rest);
    // A short write is how a disk that fills up first shows; writing the rest then tells the reason.
    while (rest.length > 0 && written >= rest[0]!.length) written -= rest.shift()!.length;
    if (written > 0) rest = [rest[0]!.subarray(written), ...rest.slice(1)];
  }
}
