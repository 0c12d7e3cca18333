/** Makes a pack from objects in memory (gitformat-pack): how the API's own commits enter a repository. */
import { createHash } from 'node:crypto';
import { promisify } from 'node:util';
import { deflate } from 'node:zlib';
import type { ObjectType } from './objects.ts';
import { objectId } from './objects.ts';

const compress = promisify(deflate);
const typeNumbers: Record<ObjectType, number> = { commit: 1, tree: 2, blob: 3, tag: 4 };

/** Collects new objects, each once, and writes them as one pack. */
export class PackWriter {
  readonly #objects = new Map<string, { type: ObjectType; data: Uint8Array }>();

  /** The object's id; adding the same object again changes nothing. */
  add(type: ObjectType, data: Uint8Array): string {
    const id = objectId(type, data);
    this.#objects.set(id, { type, data });
    return id;
  }

  get(id: string): { type: ObjectType; data: Uint8Array } | undefined {
    return this.#objects.get(id);
  }

  async toBuffer(): Promise<Buffer> {
    const header = Buffer.alloc(12);
    header.write('PACK');
    header.writeUInt32BE(2, 4);
    header.writeUInt32BE(this.#objects.size, 8);
    const parts: Buffer[] = [header];
    for (const { type, data } of this.#objects.values()) parts.push(entryHeader(typeNumbers[type], data.length), await compress(data));
    const body = Buffer.concat(parts);
    return Buffer.concat([body, createHash('sha1').update(body).digest()]);
  }
}

/** Type and size: four bits of size beside the type, then seven a byte, lowest first. */
function entryHeader(type: number, size: number): Buffer {
  const bytes: number[] = [];
  let byte = (type << 4) | (size & 0x0f);
  let rest = Math.floor(size / 16);
  while (rest > 0) {
    bytes.push(byte | 0x80);
    byte = rest & 0x7f;
    rest = Math.floor(rest / 128);
  }
  bytes.push(byte);
  return Buffer.from(bytes);
}
