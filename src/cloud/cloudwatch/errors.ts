/** CloudWatch's errors in its own words. */
import { AwsError } from '../../platform/errors.ts';

export function invalidValue(message: string): AwsError {
  return new AwsError('InvalidParameterValue', message);
}

export function invalidCombination(message: string): AwsError {
  return new AwsError('InvalidParameterCombination', message);
}

/** Of the alarms and of GetMetricData, which have this code for all that is wrong. */
export function invalid(message: string): AwsError {
  return new AwsError('ValidationError', message, { status: 400 });
}

/** A part of AWS's offer that is not here. */
export function notThere(what: string): AwsError {
  return invalid(`Penstock does not have ${what}.`);
}
