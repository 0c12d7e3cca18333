/**
 * Ciphertexts of symmetric keys. They tell their key, so that Decrypt need not be told:
 *
 *     version (1), key id (16), generation (4), length of the service's name (1) and the name, salt (16), nonce (12), sealed bytes, tag (16)
 *
 * Each message has a key of its own, HMAC-SHA256 of the salt under the material, so that a key may encrypt any number of messages. All that
 * stands before the sealed bytes, and the encryption context, are associated data.
 */
import { createCipheriv, createDecipheriv, createHmac, type KeyObject, randomBytes } from 'node:crypto';
import { kmsError } from './errors.ts';

const VERSION = 1;
const ID_BYTES = 16;
const SALT_BYTES = 16;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const FIXED_BYTES = 1 + ID_BYTES + 4 + 1;

export interface CiphertextHead {
  keyId: string;
  generation: number;
  /** The service by way of which it was made, e.g. `s3`; undefined for what a principal asked for himself. */
  via: string | undefined;
}

export function sealText(material: KeyObject, head: CiphertextHead, context: Record<string, string>, plain: Uint8Array): Buffer {
  const salt = randomBytes(SALT_BYTES);
  const nonce = randomBytes(NONCE_BYTES);
  const front = Buffer.concat([encodeHead(head), salt, nonce]);
  const cipher = createCipheriv('aes-256-gcm', messageKey(material, salt), nonce).setAAD(associated(front, context));
  return Buffer.concat([front, cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
}

/** What a ciphertext tells of itself, not yet proven; throws InvalidCiphertextException. */
export function readHead(text: Uint8Array): CiphertextHead {
  const bytes = Buffer.from(text);
  if (bytes.length < FIXED_BYTES || bytes[0] !== VERSION) throw invalidCiphertext();
  const nameBytes = bytes[FIXED_BYTES - 1]!;
  if (bytes.length < FIXED_BYTES + nameBytes + SALT_BYTES + NONCE_BYTES + TAG_BYTES) throw invalidCiphertext();
  const hex = bytes.toString('hex', 1, 1 + ID_BYTES);
  const keyId = `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
  const via = bytes.toString('latin1', FIXED_BYTES, FIXED_BYTES + nameBytes) || undefined;
  return { keyId, generation: bytes.readUInt32BE(1 + ID_BYTES), via };
}

/** The plain bytes; throws InvalidCiphertextException when anything, also the context, is not what was sealed. */
export function openText(material: KeyObject, text: Uint8Array, context: Record<string, string>): Buffer {
  const bytes = Buffer.from(text);
  const saltAt = FIXED_BYTES + bytes[FIXED_BYTES - 1]!;
  const nonceAt = saltAt + SALT_BYTES;
  const sealedAt = nonceAt + NONCE_BYTES;
  const decipher = createDecipheriv(
    'aes-256-gcm',
    messageKey(material, bytes.subarray(saltAt, nonceAt)),
    bytes.subarray(nonceAt, sealedAt),
    {
      authTagLength: TAG_BYTES,
    },
  );
  decipher.setAAD(associated(bytes.subarray(0, sealedAt), context)).setAuthTag(bytes.subarray(-TAG_BYTES));
  try {
    return Buffer.concat([decipher.update(bytes.subarray(sealedAt, -TAG_BYTES)), decipher.final()]);
  } catch {
    throw invalidCiphertext();
  }
}

/** KMS does not tell what is wrong with a ciphertext. */
export function invalidCiphertext() {
  return kmsError('InvalidCiphertextException', '');
}

function encodeHead({ keyId, generation, via = '' }: CiphertextHead): Buffer {
  const head = Buffer.alloc(FIXED_BYTES);
  head[0] = VERSION;
  head.write(keyId.replaceAll('-', ''), 1, 'hex');
  head.writeUInt32BE(generation, 1 + ID_BYTES);
  head[FIXED_BYTES - 1] = via.length;
  return Buffer.concat([head, Buffer.from(via, 'latin1')]);
}

function messageKey(material: KeyObject, salt: Uint8Array): Buffer {
  return createHmac('sha256', material).update('penstock kms message').update(salt).digest();
}

/** The order in which a context is written does not matter. */
function associated(front: Uint8Array, context: Record<string, string>): Buffer {
  const pairs = Object.entries(context).sort(([a], [b]) => (a < b ? -1 : 1));
  return Buffer.concat([front, Buffer.from(JSON.stringify(pairs))]);
}
