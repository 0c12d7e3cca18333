/** Looks at single objects of a pack on disk without starting git: enough to tell what a reference shall point at. */
import type { FileHandle } from 'node:fs/promises';
import { open } from 'node:fs/promises';
import { promisify } from 'node:util';
import { constants, inflate } from 'node:zlib';
import type { ObjectType } from './objects.ts';

const unpack = promisify(inflate);
/** By the three bits of an entry's first byte; deltas (6, 7) tell nothing of their type. */
const types: (ObjectType | undefined)[] = [undefined, 'commit', 'tree', 'blob', 'tag'];
/** Bytes of an entry that are read: an annotated tag's head is at its beginning. */
const READ = 4096;

export interface PackEntry {
  /** Undefined for a delta. */
  type: ObjectType | undefined;
  /** The beginning of its content; only of tags. */
  head: Buffer | undefined;
}

export async function readPackEntries(pack: string, offsets: number[]): Promise<PackEntry[]> {
  const file = await open(pack);
  try {
    const entries: PackEntry[] = [];
    for (const offset of offsets) entries.push(await readEntry(file, offset));
    return entries;
  } finally {
    await file.close();
  }
}

async function readEntry(file: FileHandle, offset: number): Promise<PackEntry> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(READ), 0, READ, offset);
  const type = types[(buffer[0]! >> 4) & 7];
  if (type !== 'tag') return { type, head: undefined };
  let start = 0;
  while (buffer[start]! & 0x80) start++;
  const head = await unpack(buffer.subarray(start + 1, bytesRead), { finishFlush: constants.Z_SYNC_FLUSH });
  return { type, head };
}
