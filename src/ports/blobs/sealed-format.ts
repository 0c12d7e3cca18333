/**
 * How a blob looks at rest:
 *
 *     header   magic (8), nonce (12), data key under the store's key (32), tag (16); the blob's key is associated data
 *     chunks   65,536 plain bytes each (the last 0 to 65,536), encrypted, with a tag (16)
 *     footer   plain size (8) and SHA-256 (32), encrypted, with a tag (16)
 *
 * AES-256-GCM throughout. Each blob has its own random data key, so nonces may simply count: index, last-or-not, and what is sealed. Hence a
 * chunk that is moved, dropped or taken from another blob does not open, and neither does a file cut short or given another blob's name.
 *
 * Blobs under a wrapping key have another magic, and the key of their chunks is HMAC-SHA256 of the data key under the wrapping key. Their header
 * and footer open with the store's key alone, so that a store can be listed and swept whoever holds the wrapping keys.
 */
import { type CipherKey, createCipheriv, createDecipheriv, createHmac, randomBytes } from 'node:crypto';
import { BlobCorruptError, BlobKeyError } from './port.ts';

export const CHUNK_BYTES = 65_536;
const TAG_BYTES = 16;
const NONCE_BYTES = 12;
const KEY_BYTES = 32;
const MAGIC = Buffer.from('PSBLOB1\n');
const WRAPPED_MAGIC = Buffer.from('PSBLOB2\n');
export const SEALED_CHUNK_BYTES = CHUNK_BYTES + TAG_BYTES;
export const HEADER_BYTES = MAGIC.length + NONCE_BYTES + KEY_BYTES + TAG_BYTES;
export const FOOTER_BYTES = 8 + 32 + TAG_BYTES;

const CHUNK = 0;
const LAST_CHUNK = 1;
const FOOTER = 2;

export interface Footer {
  size: number;
  /** lower-case hex */
  sha256: string;
}

/** A new data key, and the header that carries it. */
export function newHeader(storeKey: Buffer, blobKey: string, wrapped: boolean): { dataKey: Buffer; header: Buffer } {
  const dataKey = randomBytes(KEY_BYTES);
  const nonce = randomBytes(NONCE_BYTES);
  return { dataKey, header: Buffer.concat([wrapped ? WRAPPED_MAGIC : MAGIC, nonce, seal(storeKey, nonce, dataKey, Buffer.from(blobKey))]) };
}

/** The data key out of a header, and whether chunks need a wrapping key. */
export function openHeader(storeKey: Buffer, blobKey: string, header: Buffer): { dataKey: Buffer; wrapped: boolean } {
  const magic = header.subarray(0, MAGIC.length);
  const wrapped = magic.equals(WRAPPED_MAGIC);
  if (header.length !== HEADER_BYTES || !(wrapped || magic.equals(MAGIC))) {
    throw new BlobCorruptError(`Blob ${blobKey} does not begin as one.`);
  }
  const rest = header.subarray(MAGIC.length);
  const dataKey = open(storeKey, rest.subarray(0, NONCE_BYTES), rest.subarray(NONCE_BYTES), blobKey, 'header', Buffer.from(blobKey));
  return { dataKey, wrapped };
}

/** The key of a blob's chunks. */
export function chunkKeyOf(blobKey: string, dataKey: Buffer, wrapped: boolean, wrappingKey: Uint8Array | undefined): Buffer {
  if (!wrapped) return dataKey;
  if (!wrappingKey) throw new BlobKeyError(`Blob ${blobKey} is under a wrapping key.`);
  return createHmac('sha256', wrappingKey).update('penstock blob chunks').update(dataKey).digest();
}

/** The chunk in the pieces that it came in, sealed piece by piece: at this rate of bytes every copy counts. */
export function sealChunk(dataKey: CipherKey, index: number, last: boolean, plain: Uint8Array[]): Buffer[] {
  const cipher = createCipheriv('aes-256-gcm', dataKey, countingNonce(index, last ? LAST_CHUNK : CHUNK));
  return [...plain.map((piece) => cipher.update(piece)), cipher.final(), cipher.getAuthTag()];
}

export function openChunk(dataKey: Buffer, blobKey: string, index: number, last: boolean, sealed: Buffer): Buffer {
  return open(dataKey, countingNonce(index, last ? LAST_CHUNK : CHUNK), sealed, blobKey, `chunk ${index}`);
}

export function sealFooter(dataKey: Buffer, footer: Footer): Buffer {
  const plain = Buffer.alloc(8 + 32);
  plain.writeBigUInt64BE(BigInt(footer.size));
  plain.write(footer.sha256, 8, 'hex');
  return seal(dataKey, countingNonce(0, FOOTER), plain);
}

/** `fileBytes` is the length of the whole file: it must fit the size that the footer tells. */
export function openFooter(dataKey: Buffer, blobKey: string, sealed: Buffer, fileBytes: number): Footer {
  const plain = open(dataKey, countingNonce(0, FOOTER), sealed, blobKey, 'footer');
  const footer = { size: Number(plain.readBigUInt64BE()), sha256: plain.toString('hex', 8) };
  if (fileBytes !== sealedBytes(footer.size)) throw new BlobCorruptError(`Blob ${blobKey} has not the length that its footer tells.`);
  return footer;
}

/** Even an empty blob has one (empty, last) chunk. */
export function chunkCount(size: number): number {
  return Math.max(1, Math.ceil(size / CHUNK_BYTES));
}

/** Length of the file of a blob of `size` plain bytes. */
export function sealedBytes(size: number): number {
  return HEADER_BYTES + size + chunkCount(size) * TAG_BYTES + FOOTER_BYTES;
}

/** The other way round: how many plain bytes are in a file of that length. */
export function plainSize(blobKey: string, fileBytes: number): number {
  const chunks = fileBytes - HEADER_BYTES - FOOTER_BYTES;
  const size = chunks - Math.max(1, Math.ceil(chunks / SEALED_CHUNK_BYTES)) * TAG_BYTES;
  if (size < 0 || sealedBytes(size) !== fileBytes) throw new BlobCorruptError(`Blob ${blobKey} has a length that no blob has.`);
  return size;
}

function countingNonce(index: number, what: number): Buffer {
  const nonce = Buffer.alloc(NONCE_BYTES);
  nonce.writeUIntBE(index, 2, 6);
  nonce[NONCE_BYTES - 1] = what;
  return nonce;
}

function seal(key: Buffer, nonce: Buffer, plain: Uint8Array, associated?: Buffer): Buffer {
  const cipher = createCipheriv('aes-256-gcm', key, nonce);
  if (associated) cipher.setAAD(associated);
  return Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
}

function open(key: Buffer, nonce: Buffer, sealed: Buffer, blobKey: string, part: string, associated?: Buffer): Buffer {
  if (sealed.length < TAG_BYTES) throw new BlobCorruptError(`Blob ${blobKey}: its ${part} is cut short.`);
  const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG_BYTES });
  if (associated) decipher.setAAD(associated);
  decipher.setAuthTag(sealed.subarray(-TAG_BYTES));
  const plain = decipher.update(sealed.subarray(0, -TAG_BYTES));
  try {
    decipher.final();
  } catch (cause) {
    throw new BlobCorruptError(`Blob ${blobKey}: its ${part} is damaged, or the store's key is another.`, { cause });
  }
  return plain;
}
