/** CreateKey, and what may be said of a key beside its material: DescribeKey, ListKeys, UpdateKeyDescription. */
import { randomUUID } from 'node:crypto';
import { type Input, operation } from '../../platform/service.ts';
import { callConditions, onKey, onOwnKey } from './access.ts';
import { changeKey } from './change-key.ts';
import { describe } from './describe.ts';
import { kmsError, refusePendingDeletion } from './errors.ts';
import { findKey, type Key, keyArn } from './keys.ts';
import { addMaterial, makeMaterial } from './material.ts';
import { pageOf } from './pages.ts';
import { checkKeyPolicy, defaultPolicy } from './policy-rules.ts';
import { specOf } from './specs.ts';
import type { KeyRow, KeySpec, KeyUsage } from './tables.ts';
import { checkTags, tagsOf } from './tags.ts';

export const createKey = operation('kms', 'CreateKey', {
  authorize(input, ctx) {
    const requestTags = tagsOf(input.Tags ?? []);
    const conditions = {
      ...callConditions(ctx),
      'kms:KeySpec': wantedSpec(input),
      'kms:KeyUsage': input.KeyUsage ?? 'ENCRYPT_DECRYPT',
      'kms:KeyOrigin': input.Origin ?? 'AWS_KMS',
      'kms:MultiRegion': String(input.MultiRegion ?? false),
      'kms:BypassPolicyLockoutSafetyCheck': String(input.BypassPolicyLockoutSafetyCheck ?? false),
    };
    const create = { resource: '*', conditions, requestTags };
    return input.Tags?.length ? [create, { ...create, action: 'kms:TagResource' }] : [create];
  },
  async handle(ctx, input) {
    refuseForeign(input);
    const { spec, usage } = wantedKind(input);
    const tags = checkTags(input.Tags ?? []);
    const id = randomUUID();
    const { account, region } = ctx;
    const policy = input.Policy ?? defaultPolicy(account);
    checkKeyPolicy(ctx, { policy, arn: keyArn(ctx, id), bypassLockout: input.BypassPolicyLockoutSafetyCheck ?? false });
    const plain = await makeMaterial(spec);
    const key: KeyRow = {
      account,
      region,
      id,
      spec,
      usage,
      state: 'Enabled',
      description: input.Description ?? '',
      service: null,
      policy,
      tags,
      created_at: ctx.now(),
      deletion_at: null,
      deletion_days: null,
      rotation_days: null,
      next_rotation_at: null,
      generation: 1,
    };
    const material = await ctx.transaction(async (tx) => {
      await tx.sql
        .insertInto('kms.keys')
        .values({ ...key, tags: JSON.stringify(tags) })
        .execute();
      return addMaterial(tx, ctx.keyring, { keyId: id, generation: 1, plain });
    });
    return { KeyMetadata: describe(key, material) };
  },
  partial: 'keys of one region with material of our own making; no SM2, no KEY_AGREEMENT',
});

function wantedSpec({ KeySpec: spec, CustomerMasterKeySpec: older }: Input<'kms', 'CreateKey'>): KeySpec {
  return spec ?? older ?? 'SYMMETRIC_DEFAULT';
}

/** Key stores, imported material and keys of several regions are not here. */
function refuseForeign(input: Input<'kms', 'CreateKey'>): void {
  if (input.KeySpec !== undefined && input.CustomerMasterKeySpec !== undefined) {
    throw kmsError(
      'ValidationException',
      'You cannot specify KeySpec and CustomerMasterKeySpec in the same request. CustomerMasterKeySpec is deprecated.',
    );
  }
  if (input.MultiRegion) throw kmsError('UnsupportedOperationException', 'Multi-Region keys are not supported.');
  if (input.Origin !== undefined && input.Origin !== 'AWS_KMS') {
    throw kmsError('UnsupportedOperationException', `Keys of the origin ${input.Origin} are not supported.`);
  }
  if (input.CustomKeyStoreId !== undefined || input.XksKeyId !== undefined) {
    throw kmsError('UnsupportedOperationException', 'Custom key stores are not supported.');
  }
}

function wantedKind(input: Input<'kms', 'CreateKey'>): { spec: KeySpec; usage: KeyUsage } {
  const name = wantedSpec(input);
  const spec = specOf(name);
  if (!spec) throw kmsError('UnsupportedOperationException', `The key spec ${name} is not supported.`);
  if (input.KeyUsage === 'KEY_AGREEMENT') throw kmsError('UnsupportedOperationException', 'The key usage KEY_AGREEMENT is not supported.');
  if (input.KeyUsage === undefined && name !== 'SYMMETRIC_DEFAULT') {
    throw kmsError('ValidationException', `You must specify a KeyUsage value for all KMS keys except for symmetric encryption keys.`);
  }
  const usage = input.KeyUsage ?? 'ENCRYPT_DECRYPT';
  if (!spec.usages.includes(usage)) throw kmsError('ValidationException', `KeyUsage ${usage} is not compatible with KeySpec ${name}`);
  return { spec: name, usage };
}

export const describeKey = operation('kms', 'DescribeKey', {
  authorize: onKey('DescribeKey'),
  async handle(ctx, input) {
    const key = await findKey(ctx, input.KeyId);
    return { KeyMetadata: describe(key, materialId(key)) };
  },
});

export function materialId(key: Key): string {
  return key.materials.get(key.generation)!.id;
}

export const listKeys = operation('kms', 'ListKeys', {
  authorize: () => '*',
  async handle(ctx, input) {
    const page = pageOf<string>(ctx, `kms:ListKeys:${ctx.account}:${ctx.region}`, input, { usual: 100 });
    let query = ctx.read
      .selectFrom('kms.keys')
      .select('id')
      .where('account', '=', ctx.account)
      .where('region', '=', ctx.region)
      .orderBy('id')
      .limit(page.limit + 1);
    if (page.after !== undefined) query = query.where('id', '>', page.after);
    const { items, ...rest } = page.cut(await query.execute(), (row) => row.id);
    return { Keys: items.map(({ id }) => ({ KeyId: id, KeyArn: keyArn(ctx, id) })), ...rest };
  },
});

export const updateKeyDescription = operation('kms', 'UpdateKeyDescription', {
  authorize: onOwnKey(),
  async handle(ctx, input) {
    await changeKey(ctx, input.KeyId, (key) => {
      refusePendingDeletion(key);
      return { description: input.Description };
    });
    return {};
  },
});
