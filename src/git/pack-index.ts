/** Reads a pack's index (gitformat-pack, version 2): which objects it has and how much room each takes. */
import { setImmediate } from 'node:timers/promises';

export interface PackedObject {
  id: string;
  /** Bytes in the pack: compressed, perhaps a delta. */
  packedSize: number;
}

/** So many entries are looked at between two turns of the event loop: about 10 ms. */
const ENTRIES_A_TURN = 500_000;

/**
 * Objects that take at least `minimum` bytes of a pack of `packSize` bytes. `reverse` is its reverse index: positions in the index in the
 * order of the pack, so that the end of each object is known without sorting millions of offsets.
 */
export async function largePackedObjects(index: Buffer, reverse: Buffer, packSize: number, minimum: number): Promise<PackedObject[]> {
  if (index.readUInt32BE(0) !== 0xff744f63 || index.readUInt32BE(4) !== 2) throw new Error('Not a pack index of version 2.');
  if (reverse.toString('latin1', 0, 4) !== 'RIDX' || reverse.readUInt32BE(4) !== 1) throw new Error('Not a reverse index of version 1.');
  const count = objectCount(index);
  const large: PackedObject[] = [];
  for (let i = 0; i < count; i++) {
    if (i % ENTRIES_A_TURN === ENTRIES_A_TURN - 1) await setImmediate();
    const position = reverse.readUInt32BE(12 + i * 4);
    const end = i + 1 < count ? offsetAt(index, reverse.readUInt32BE(12 + (i + 1) * 4)) : packSize - 20;
    const packedSize = end - offsetAt(index, position);
    const id = 8 + 256 * 4 + position * 20;
    if (packedSize >= minimum) large.push({ id: index.toString('hex', id, id + 20), packedSize });
  }
  return large;
}

/** How many objects the pack of this index has. */
export function objectCount(index: Buffer): number {
  return index.readUInt32BE(8 + 255 * 4);
}

/** Where an object begins in the pack; undefined when it is not there. Looks where the first byte's ids are, then halves. */
export function packOffset(index: Buffer, id: string): number | undefined {
  const wanted = Buffer.from(id, 'hex');
  const first = wanted[0]!;
  let low = first === 0 ? 0 : index.readUInt32BE(8 + (first - 1) * 4);
  let high = index.readUInt32BE(8 + first * 4);
  while (low < high) {
    const middle = (low + high) >>> 1;
    const at = 8 + 256 * 4 + middle * 20;
    const order = wanted.compare(index, at, at + 20);
    if (order === 0) return offsetAt(index, middle);
    if (order < 0) high = middle;
    else low = middle + 1;
  }
  return undefined;
}

/** The offset of the object at a position: 31 bits, or the place of its 64 bits in the table behind. */
function offsetAt(index: Buffer, position: number): number {
  const count = objectCount(index);
  const short = 8 + 256 * 4 + count * 24;
  const offset = index.readUInt32BE(short + position * 4);
  return offset < 0x80000000 ? offset : Number(index.readBigUInt64BE(short + count * 4 + (offset - 0x80000000) * 8));
}
