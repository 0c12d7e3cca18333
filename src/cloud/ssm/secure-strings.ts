/**
 * Values of SecureString parameters, encrypted by KMS for whoever puts them and decrypted for whoever asks, with their own permissions. KMS encrypts
 * at most 4 KiB; longer values are encrypted here under a data key, which goes with them.
 */
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { AwsError } from '../../platform/errors.ts';
import type { RequestContext } from '../../platform/service.ts';

export const DEFAULT_KEY = 'alias/aws/ssm';
const KMS_LIMIT = 4096;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
/** In front of a value under a data key: `ENVELOPE.<wrapped data key>.<nonce, tag and text>`. Base64 has no dot. */
const ENVELOPE = 'envelope.';

/** The text to keep. Throws InvalidKeyId, or what KMS says to the caller. */
export async function encryptValue(ctx: RequestContext, arn: string, keyId: string, value: string): Promise<string> {
  const plain = Buffer.from(value);
  return forCaller(async () => {
    const { kms } = ctx.aws.asPrincipal(ctx.principal, ctx.region, 'ssm');
    const EncryptionContext = { PARAMETER_ARN: arn };
    if (plain.length <= KMS_LIMIT) {
      const { CiphertextBlob } = await kms.encrypt({ KeyId: keyId, Plaintext: plain, EncryptionContext });
      return Buffer.from(CiphertextBlob!).toString('base64');
    }
    const { Plaintext: key, CiphertextBlob: wrapped } = await kms.generateDataKey({ KeyId: keyId, KeySpec: 'AES_256', EncryptionContext });
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv('aes-256-gcm', key!, nonce);
    const text = Buffer.concat([cipher.update(plain), cipher.final()]);
    return `${ENVELOPE}${Buffer.from(wrapped!).toString('base64')}.${Buffer.concat([nonce, cipher.getAuthTag(), text]).toString('base64')}`;
  });
}

export async function decryptValue(ctx: RequestContext, arn: string, kept: string): Promise<string> {
  return forCaller(async () => {
    const { kms } = ctx.aws.asPrincipal(ctx.principal, ctx.region, 'ssm');
    const EncryptionContext = { PARAMETER_ARN: arn };
    const [wrapped, sealed] = kept.startsWith(ENVELOPE) ? kept.slice(ENVELOPE.length).split('.') : [kept, undefined];
    const { Plaintext } = await kms.decrypt({ CiphertextBlob: Buffer.from(wrapped!, 'base64'), EncryptionContext });
    if (sealed === undefined) return Buffer.from(Plaintext!).toString();
    const bytes = Buffer.from(sealed, 'base64');
    const decipher = createDecipheriv('aes-256-gcm', Plaintext!, bytes.subarray(0, NONCE_BYTES));
    decipher.setAuthTag(bytes.subarray(NONCE_BYTES, NONCE_BYTES + TAG_BYTES));
    return Buffer.concat([decipher.update(bytes.subarray(NONCE_BYTES + TAG_BYTES)), decipher.final()]).toString();
  });
}

const KEY_TROUBLE = new Set([
  'NotFoundException',
  'DisabledException',
  'KMSInvalidStateException',
  'InvalidKeyUsageException',
  'InvalidArnException',
]);

async function forCaller<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof AwsError && KEY_TROUBLE.has(error.code)) throw new AwsError('InvalidKeyId', error.message);
    throw error;
  }
}
