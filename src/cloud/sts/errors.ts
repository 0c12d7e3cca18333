/** STS's errors in STS's words. */
import { AwsError } from '../../platform/errors.ts';

export function accessDenied(message: string): AwsError {
  return new AwsError('AccessDenied', message, { status: 403 });
}

export function validationError(message: string): AwsError {
  return new AwsError('ValidationError', message, { status: 400 });
}

export function invalidParameter(message: string): AwsError {
  return new AwsError('InvalidParameterValue', message, { status: 400 });
}

/** There are no second factors here, so no code can be right. */
export function refuseMultiFactor(serialNumber: string | undefined, tokenCode: string | undefined): void {
  if (serialNumber === undefined && tokenCode === undefined) return;
  throw accessDenied('MultiFactorAuthentication failed with invalid MFA one time pass code.');
}
