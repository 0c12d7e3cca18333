/** The policy of a key. Each has exactly one, called `default`. */
import { operation } from '../../platform/service.ts';
import { onOwnKey } from './access.ts';
import { changeKey } from './change-key.ts';
import { kmsError, refusePendingDeletion } from './errors.ts';
import { findOwnKey } from './keys.ts';
import { checkKeyPolicy } from './policy-rules.ts';

const NAME = 'default';

function requireName(name: string | undefined): void {
  if (name !== undefined && name !== NAME) throw kmsError('NotFoundException', 'No such policy exists');
}

export const getKeyPolicy = operation('kms', 'GetKeyPolicy', {
  authorize: onOwnKey(),
  async handle(ctx, input) {
    requireName(input.PolicyName);
    const { policy } = await findOwnKey(ctx, input.KeyId);
    return { Policy: policy, PolicyName: NAME };
  },
});

export const putKeyPolicy = operation('kms', 'PutKeyPolicy', {
  authorize: onOwnKey((input) => ({
    'kms:BypassPolicyLockoutSafetyCheck': String(input.BypassPolicyLockoutSafetyCheck ?? false),
  })),
  async handle(ctx, input) {
    requireName(input.PolicyName);
    await changeKey(ctx, input.KeyId, (key) => {
      refusePendingDeletion(key);
      checkKeyPolicy(ctx, { policy: input.Policy, arn: key.arn, bypassLockout: input.BypassPolicyLockoutSafetyCheck ?? false });
      return { policy: input.Policy };
    });
    return {};
  },
});

export const listKeyPolicies = operation('kms', 'ListKeyPolicies', {
  authorize: onOwnKey(),
  async handle(_, input) {
    // No marker is ever given, so none can be right.
    if (input.Marker !== undefined) throw kmsError('InvalidMarkerException', 'Invalid Marker provided');
    return { PolicyNames: [NAME], Truncated: false };
  },
});
