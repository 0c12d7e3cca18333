/** Values of secrets, sealed under data keys of KMS by whoever puts them and opened by whoever asks, with their own permissions. */
import { AwsError } from '../../platform/errors.ts';
import { openUnderDataKey, sealUnderDataKey } from '../../platform/kms-envelope.ts';
import type { RequestContext } from '../../platform/service.ts';
import { invalidParameter, invalidRequest } from './errors.ts';
import { secretArn } from './secret.ts';
import type { Secret, Version } from './tables.ts';

const DEFAULT_KEY = 'alias/aws/secretsmanager';
const MAX_BYTES = 65_536;

export interface Given {
  SecretString?: string;
  SecretBinary?: Uint8Array;
}

type Owner = Pick<Secret, 'account' | 'region' | 'name' | 'suffix' | 'kms_key_id'>;

/** What a request gives as the value: text or bytes, not both; undefined for neither. */
export function givenValue({ SecretString, SecretBinary }: Given): { plain: Buffer; isBinary: boolean } | undefined {
  if (SecretString !== undefined && SecretBinary !== undefined) {
    throw invalidRequest("You can't specify both a binary secret value and a string secret value in the same secret.");
  }
  const plain = SecretBinary === undefined ? SecretString && Buffer.from(SecretString) : Buffer.from(SecretBinary);
  if (!plain) return undefined;
  if (plain.length > MAX_BYTES) throw invalidParameter(`The secret value must not be longer than ${MAX_BYTES} bytes.`);
  return { plain, isBinary: SecretBinary !== undefined };
}

/** The columns of a version that hold its value. */
export async function sealValue(
  ctx: RequestContext,
  owner: Owner,
  versionId: string,
  { plain, isBinary }: { plain: Buffer; isBinary: boolean },
): Promise<Pick<Version, 'value' | 'is_binary' | 'kms_key_id'>> {
  const keyId = owner.kms_key_id ?? DEFAULT_KEY;
  const { kms } = ctx.aws.asPrincipal(ctx.principal, owner.region, 'secretsmanager');
  try {
    const value = await sealUnderDataKey(kms, keyId, contextOf(owner, versionId), plain);
    return { value, is_binary: isBinary, kms_key_id: owner.kms_key_id ?? 'DefaultEncryptionKey' };
  } catch (error) {
    throw keyTrouble(error, 'EncryptionFailure');
  }
}

export async function openValue(ctx: RequestContext, owner: Owner, version: Version): Promise<Buffer> {
  const { kms } = ctx.aws.asPrincipal(ctx.principal, owner.region, 'secretsmanager');
  try {
    return await openUnderDataKey(kms, contextOf(owner, version.version_id), version.value);
  } catch (error) {
    throw keyTrouble(error, 'DecryptionFailure');
  }
}

export async function describeValue(ctx: RequestContext, owner: Owner, version: Version) {
  const plain = await openValue(ctx, owner, version);
  return version.is_binary ? { SecretBinary: plain } : { SecretString: plain.toString() };
}

function contextOf(owner: Owner, versionId: string): Record<string, string> {
  return { SecretARN: secretArn(owner), SecretVersionId: versionId };
}

function keyTrouble(error: unknown, code: 'EncryptionFailure' | 'DecryptionFailure'): unknown {
  if (!(error instanceof AwsError)) return error;
  // As on AWS: a denied key is told as denied access to KMS.
  if (error.code === 'AccessDeniedException') return new AwsError('AccessDeniedException', 'Access to KMS is not allowed');
  return new AwsError(code, `Secrets Manager can't use the KMS key of the secret: ${error.message}`);
}
