/** Key policies as documents: the usual one, and what is asked of those that users write. */
import { compilePolicy, PolicyError } from '../../platform/policy/document.ts';
import { evaluate } from '../../platform/policy/evaluate.ts';
import { validatePolicy } from '../../platform/policy/validate.ts';
import type { RequestContext } from '../../platform/service.ts';
import { callConditions } from './access.ts';
import { kmsError } from './errors.ts';

const MAX_POLICY_BYTES = 32_768;

/** What a key gets that was made without a policy: its account may say who uses it. */
export function defaultPolicy(account: string): string {
  return JSON.stringify(
    {
      Version: '2012-10-17',
      Id: 'key-default-1',
      Statement: [
        {
          Sid: 'Enable IAM User Permissions',
          Effect: 'Allow',
          Principal: { AWS: `arn:aws:iam::${account}:root` },
          Action: 'kms:*',
          Resource: '*',
        },
      ],
    },
    null,
    2,
  );
}

/** Throws when the document is no key policy, or would lock out whoever sets it (unless they insist). */
export function checkKeyPolicy(
  ctx: RequestContext,
  { policy, arn, bypassLockout }: { policy: string; arn: string; bypassLockout: boolean },
): void {
  if (Buffer.byteLength(policy) > MAX_POLICY_BYTES)
    throw kmsError('LimitExceededException', 'Policy size exceeds the limit of 32768 bytes.');
  try {
    validatePolicy(policy, 'resource');
  } catch (error) {
    if (!(error instanceof PolicyError)) throw error;
    throw malformed(error.message);
  }
  if (!bypassLockout && !mayPutAgain(ctx, policy, arn)) {
    throw malformed('The new key policy will not allow you to update the key policy in the future.');
  }
}

const EVERYTHING = compilePolicy(JSON.stringify({ Version: '2012-10-17', Statement: [{ Effect: 'Allow', Action: '*', Resource: '*' }] }));

/** Asked of the policy alone: what the caller's own policies say may be changed by others. */
function mayPutAgain(ctx: RequestContext, policy: string, arn: string): boolean {
  const conditions = new Map(Object.entries(callConditions(ctx)).map(([key, value]) => [key.toLowerCase(), value]));
  const verdict = evaluate({
    principal: ctx.principal,
    action: 'kms:PutKeyPolicy',
    resource: arn,
    resolve: (key) => conditions.get(key) ?? callerValue(ctx, key),
    identity: [EVERYTHING],
    resourcePolicy: compilePolicy(policy),
    resourcePolicyRequired: true,
  });
  return verdict.decision === 'allowed';
}

function callerValue({ principal, region, sourceIp }: RequestContext, key: string): string | undefined {
  switch (key) {
    case 'aws:principalaccount':
      return principal.account;
    case 'aws:principalarn':
      return principal.type === 'AssumedRole' ? principal.roleArn : principal.arn;
    case 'aws:requestedregion':
      return region;
    case 'aws:sourceip':
      return sourceIp;
    default:
      return undefined;
  }
}

function malformed(message: string) {
  return kmsError('MalformedPolicyDocumentException', message);
}
