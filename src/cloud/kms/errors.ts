/** Errors that many operations share; texts as KMS words them. */
import { AwsError } from '../../platform/errors.ts';
import type { ShapeOf } from '../../platform/service.ts';
import type { KeyUsage } from './tables.ts';

type Code =
  | 'AccessDeniedException'
  | 'DisabledException'
  | 'DryRunOperationException'
  | 'IncorrectKeyException'
  | 'InvalidArnException'
  | 'InvalidCiphertextException'
  | 'InvalidGrantTokenException'
  | 'InvalidKeyUsageException'
  | 'InvalidMarkerException'
  | 'KMSInvalidStateException'
  | 'LimitExceededException'
  | 'MalformedPolicyDocumentException'
  | 'NotFoundException'
  | 'TagException'
  | 'UnsupportedOperationException'
  | 'ValidationException';

/** The status is the model's. */
export function kmsError(code: Code, message: string): AwsError {
  return new AwsError(code, message);
}

interface Held {
  arn: string;
  state: 'Enabled' | 'Disabled' | 'PendingDeletion';
  usage: KeyUsage;
}

export function keyMissing(arn: string): AwsError {
  return kmsError('NotFoundException', `Key '${arn}' does not exist`);
}

export function refusePendingDeletion(key: Held): void {
  if (key.state === 'PendingDeletion') throw kmsError('KMSInvalidStateException', `${key.arn} is pending deletion.`);
}

/** Throws unless the key is enabled. */
export function requireEnabled(key: Held): void {
  refusePendingDeletion(key);
  if (key.state === 'Disabled') throw kmsError('DisabledException', `${key.arn} is disabled.`);
}

/** Throws unless the key is enabled and made for this. */
export function requireUsable(key: Held, usage: KeyUsage, operation: string): void {
  requireEnabled(key);
  if (key.usage !== usage) throw invalidUsage(`${key.arn} key usage is ${key.usage} which is not valid for ${operation}.`);
}

export function invalidUsage(message: string): AwsError {
  return kmsError('InvalidKeyUsageException', message);
}

/** The last thing before the work: whoever only tries learns that it would have been done. */
export function endDryRun(dryRun: boolean | undefined): void {
  if (dryRun) throw kmsError('DryRunOperationException', 'The request would have succeeded, but the DryRun option is set.');
}

/** Answers for Nitro enclaves need an attestation, which there is nobody here to give. */
export function refuseRecipient(recipient: ShapeOf<'kms', 'RecipientInfo'> | undefined): void {
  if (recipient) throw kmsError('UnsupportedOperationException', 'Recipient is not supported: there are no Nitro enclaves here.');
}
