/** Values that are longer than KMS encrypts itself: sealed here under a data key of KMS, which goes with them, wrapped. */
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import type { Clients } from './aws.ts';

const NONCE_BYTES = 12;
const TAG_BYTES = 16;

type Context = Record<string, string>;

/** `<wrapped data key>.<nonce, tag and text>` in base64. The caller needs `kms:GenerateDataKey`. Throws what KMS says. */
export async function sealUnderDataKey(kms: Clients['kms'], keyId: string, context: Context, plain: Uint8Array): Promise<string> {
  const made = await kms.generateDataKey({ KeyId: keyId, KeySpec: 'AES_256', EncryptionContext: context });
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv('aes-256-gcm', made.Plaintext!, nonce);
  const text = Buffer.concat([cipher.update(plain), cipher.final()]);
  return `${Buffer.from(made.CiphertextBlob!).toString('base64')}.${Buffer.concat([nonce, cipher.getAuthTag(), text]).toString('base64')}`;
}

/** The caller needs `kms:Decrypt`, and the context must be the one that it was sealed with. Throws what KMS says. */
export async function openUnderDataKey(kms: Clients['kms'], context: Context, sealed: string): Promise<Buffer> {
  const [wrapped, body] = sealed.split('.').map((part) => Buffer.from(part, 'base64'));
  const { Plaintext: key } = await kms.decrypt({ CiphertextBlob: wrapped!, EncryptionContext: context });
  const decipher = createDecipheriv('aes-256-gcm', key!, body!.subarray(0, NONCE_BYTES));
  decipher.setAuthTag(body!.subarray(NONCE_BYTES, NONCE_BYTES + TAG_BYTES));
  return Buffer.concat([decipher.update(body!.subarray(NONCE_BYTES + TAG_BYTES)), decipher.final()]);
}
