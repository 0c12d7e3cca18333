/** Reads a pack's index (gitformat-pack, version 2): which objects it has and how much room each takes. */

export interface PackedObject {
  id: string;
  /** Bytes in the pack: compressed, perhaps a delta. */
  packedSize: number;
}

/** Objects that take at least `minimum` bytes of a pack of `packSize` bytes. */
export function largePackedObjects(index: Buffer, packSize: number, minimum: number): PackedObject[] {
  if (index.readUInt32BE(0) !== 0xff744f63 || index.readUInt32BE(4) !== 2) throw new Error('Not a pack index of version 2.');
  const count = objectCount(index);
  const ids = 8 + 256 * 4;
  const offsets = new Float64Array(count);
  for (let i = 0; i < count; i++) offsets[i] = offsetAt(index, i);
  const sorted = offsets.slice().sort();
  const ends = new Map<number, number>();
  for (let i = 0; i < count; i++) {
    const start = sorted[i]!;
    const end = sorted[i + 1] ?? packSize - 20;
    if (end - start >= minimum) ends.set(start, end);
  }
  if (ends.size === 0) return [];
  const large: PackedObject[] = [];
  for (let i = 0; i < count; i++) {
    const end = ends.get(offsets[i]!);
    if (end !== undefined) large.push({ id: index.toString('hex', ids + i * 20, ids + i * 20 + 20), packedSize: end - offsets[i]! });
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
