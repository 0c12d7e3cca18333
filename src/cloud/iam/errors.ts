/** IAM's errors in IAM's words; statuses are the model's. */
import { AwsError } from '../../platform/errors.ts';
import { PolicyError } from '../../platform/policy/document.ts';
import { type PolicyUse, validatePolicy } from '../../platform/policy/validate.ts';
import type { EntityKind } from './tables.ts';

export function noSuchEntity(kind: EntityKind, name: string): AwsError {
  const texts: Record<EntityKind, string> = {
    user: `The user with name ${name} cannot be found.`,
    group: `The group with name ${name} cannot be found.`,
    role: `The role with name ${name} cannot be found.`,
    policy: `Policy ${name} was not found.`,
    'instance-profile': `Instance Profile ${name} cannot be found.`,
  };
  return new AwsError('NoSuchEntity', texts[kind]);
}

export function alreadyExists(kind: EntityKind, name: string): AwsError {
  const texts: Record<EntityKind, string> = {
    user: `User with name ${name} already exists.`,
    group: `Group with name ${name} already exists.`,
    role: `Role with name ${name} already exists.`,
    policy: `A policy called ${name} already exists. Duplicate names are not allowed.`,
    'instance-profile': `Instance Profile ${name} already exists.`,
  };
  return new AwsError('EntityAlreadyExists', texts[kind]);
}

export function quotaExceeded(quota: string, limit: number): AwsError {
  return new AwsError('LimitExceeded', `Cannot exceed quota for ${quota}: ${limit}`);
}

/** Deleting what others still depend on; `first` says what must be done before. */
export function deleteConflict(first: string): AwsError {
  return new AwsError('DeleteConflict', `Cannot delete entity, must ${first} first.`);
}

export function invalidInput(message: string): AwsError {
  return new AwsError('InvalidInput', message);
}

export function validationError(message: string): AwsError {
  return new AwsError('ValidationError', message, { status: 400 });
}

/** MalformedPolicyDocument unless the text is a policy for this use; names its AWS principals. */
export function checkPolicy(text: string, use: PolicyUse): { principals: string[] } {
  try {
    return validatePolicy(text, use);
  } catch (error) {
    if (error instanceof PolicyError) throw new AwsError('MalformedPolicyDocument', error.message);
    throw error;
  }
}
