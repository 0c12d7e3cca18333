/**
 * Values of SecureString parameters, encrypted by KMS for whoever puts them and decrypted for whoever asks, with their own permissions. KMS encrypts
 * at most 4 KiB; longer values are sealed under a data key.
 */
import { AwsError } from '../../platform/errors.ts';
import { openUnderDataKey, sealUnderDataKey } from '../../platform/kms-envelope.ts';
import type { RequestContext } from '../../platform/service.ts';

export const DEFAULT_KEY = 'alias/aws/ssm';
const KMS_LIMIT = 4096;
/** In front of a value under a data key. */
const ENVELOPE = 'envelope:';

/** The text to keep. Throws InvalidKeyId, or what KMS says to the caller. */
export function encryptValue(ctx: RequestContext, arn: string, keyId: string, value: string): Promise<string> {
  const plain = Buffer.from(value);
  return forCaller(async () => {
    const { kms } = ctx.aws.asPrincipal(ctx.principal, ctx.region, 'ssm');
    const EncryptionContext = { PARAMETER_ARN: arn };
    if (plain.length > KMS_LIMIT) return ENVELOPE + (await sealUnderDataKey(kms, keyId, EncryptionContext, plain));
    const { CiphertextBlob } = await kms.encrypt({ KeyId: keyId, Plaintext: plain, EncryptionContext });
    return Buffer.from(CiphertextBlob!).toString('base64');
  });
}

export function decryptValue(ctx: RequestContext, arn: string, kept: string): Promise<string> {
  return forCaller(async () => {
    const { kms } = ctx.aws.asPrincipal(ctx.principal, ctx.region, 'ssm');
    const EncryptionContext = { PARAMETER_ARN: arn };
    if (kept.startsWith(ENVELOPE)) return (await openUnderDataKey(kms, EncryptionContext, kept.slice(ENVELOPE.length))).toString();
    const { Plaintext } = await kms.decrypt({ CiphertextBlob: Buffer.from(kept, 'base64'), EncryptionContext });
    return Buffer.from(Plaintext!).toString();
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
