/** What limits a session beyond its role: session policies and tags. */
import { AwsError } from '../../platform/errors.ts';
import { PolicyError } from '../../platform/policy/document.ts';
import { validatePolicy } from '../../platform/policy/validate.ts';
import type { Principal } from '../../platform/principal.ts';
import type { Input, RequestContext } from '../../platform/service.ts';
import { invalidParameter, validationError } from './errors.ts';

type AssumeRoleInput = Input<'sts', 'AssumeRole'>;

/** Bytes of session policy, policy ARNs and tags together that a session can carry. */
const PACKED_BYTES = 4096;
const MAX_POLICY = 2048;
const MAX_POLICY_ARNS = 10;

/** Throws MalformedPolicyDocument, PackedPolicyTooLarge, or ValidationError for managed policies that do not exist. */
export async function checkSessionPolicies(
  ctx: RequestContext,
  account: string,
  { Policy, PolicyArns = [] }: AssumeRoleInput,
): Promise<void> {
  if (Policy !== undefined) {
    try {
      validatePolicy(Policy, 'identity');
    } catch (error) {
      if (error instanceof PolicyError) throw new AwsError('MalformedPolicyDocument', error.message);
      throw error;
    }
    if (Policy.length > MAX_POLICY) throw tooLarge(Math.ceil((Policy.length / MAX_POLICY) * 100));
  }
  if (PolicyArns.length > MAX_POLICY_ARNS) throw validationError(`Member must have length less than or equal to ${MAX_POLICY_ARNS}`);
  const { iam } = ctx.aws.asService('sts', { account, region: ctx.region });
  for (const { arn } of PolicyArns) {
    if (arn === undefined) throw validationError('A session policy needs an ARN.');
    await iam.getPolicy({ PolicyArn: arn }).catch((error) => {
      throw error instanceof AwsError ? validationError(`Policy ${arn} does not exist or is not attachable.`) : error;
    });
  }
}

/** How much of the space is used, in percent; undefined when nothing is. */
export function packedSize({ Policy = '', PolicyArns = [], Tags = [] }: AssumeRoleInput): number | undefined {
  const parts = [Policy, ...PolicyArns.map(({ arn = '' }) => arn), ...Tags.flatMap(({ Key, Value }) => [Key, Value])];
  const bytes = parts.reduce((sum, part) => sum + Buffer.byteLength(part), 0);
  if (bytes === 0) return undefined;
  const percent = Math.ceil((bytes / PACKED_BYTES) * 100);
  if (percent > 100) throw tooLarge(percent);
  return percent;
}

function tooLarge(percent: number): AwsError {
  return new AwsError('PackedPolicyTooLarge', `Packed policy consumes ${percent}% of allotted space, please use smaller policy.`);
}

export interface SessionTags {
  tags: Record<string, string> | undefined;
  transitiveTagKeys: string[] | undefined;
}

/** The tags of the new session: those that are asked for, and those that the caller's session hands on. */
export function sessionTags(
  principal: Principal,
  { Tags = [], TransitiveTagKeys = [] }: Pick<AssumeRoleInput, 'Tags' | 'TransitiveTagKeys'>,
): SessionTags {
  const same = (a: string, b: string): boolean => a.toLowerCase() === b.toLowerCase();
  const keys = Tags.map(({ Key }) => Key);
  if (new Set(keys.map((key) => key.toLowerCase())).size < keys.length) {
    throw invalidParameter('Duplicate tag keys found. Please note that Tag keys are case insensitive.');
  }
  if (TransitiveTagKeys.some((key) => !keys.some((given) => same(given, key)))) {
    throw invalidParameter('The specified transitive tag key must be included in the requested tags.');
  }
  const caller = principal.type === 'AssumedRole' ? principal.session : undefined;
  const inherited = (caller?.transitiveTagKeys ?? []).map((key) => [key, caller?.tags?.[key] ?? ''] as const);
  if (inherited.some(([key]) => keys.some((given) => same(given, key)))) {
    throw invalidParameter(
      "One of the specified transitive tag keys can't be set because it conflicts with a transitive tag key from the calling session.",
    );
  }
  const all = [...inherited, ...Tags.map(({ Key, Value }) => [Key, Value] as const)];
  const transitive = [...inherited.map(([key]) => key), ...keys.filter((key) => TransitiveTagKeys.some((one) => same(one, key)))];
  return {
    tags: all.length > 0 ? Object.fromEntries(all) : undefined,
    transitiveTagKeys: transitive.length > 0 ? transitive : undefined,
  };
}
