/** SNS's errors in its own words. */
import { AwsError } from '../../platform/errors.ts';

export function invalid(what: string, reason?: string): AwsError {
  return new AwsError('InvalidParameter', `Invalid parameter: ${what}${reason === undefined ? '' : ` Reason: ${reason}`}`);
}

export function notFound(what: 'Topic' | 'Subscription'): AwsError {
  return new AwsError('NotFound', `${what} does not exist`);
}
