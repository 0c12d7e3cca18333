/** New material for a key that stays the same key: what older material encrypted can still be read. */
import { randomBytes } from 'node:crypto';
import { sql } from 'kysely';
import type { Platform, Transaction } from '../../platform/platform.ts';
import { operation, type Reconciler, type ShapeOf } from '../../platform/service.ts';
import { onOwnKey } from './access.ts';
import { changeKey, type LockedKey, lockKey } from './change-key.ts';
import { kmsError, refusePendingDeletion, requireEnabled } from './errors.ts';
import { findOwnKey, type Key, keyChanged } from './keys.ts';
import { addMaterial, type MaterialRow } from './material.ts';
import { pageOf } from './pages.ts';
import { nextRotation } from './rotation-time.ts';
import { isSymmetric } from './specs.ts';
import { deleteKey, KEY_WORK } from './states.ts';

const USUAL_DAYS = 365;
/** Over the whole life of a key (developer guide, "Resource quotas"). */
const MAX_ON_DEMAND = 25;
const SECRET_BYTES = 32;

function requireRotatable(key: Pick<Key, 'spec' | 'arn'>): void {
  if (!isSymmetric(key)) {
    throw kmsError('UnsupportedOperationException', `${key.arn} cannot be rotated: only symmetric encryption keys can.`);
  }
}

export const enableKeyRotation = operation('kms', 'EnableKeyRotation', {
  authorize: onOwnKey((input) => ({ 'kms:RotationPeriodInDays': String(input.RotationPeriodInDays ?? USUAL_DAYS) })),
  async handle(ctx, input) {
    await changeKey(ctx, input.KeyId, async (key, tx) => {
      requireRotatable(key);
      requireEnabled(key);
      const days = input.RotationPeriodInDays ?? USUAL_DAYS;
      // Asking again for what is set already must not put off the next rotation.
      if (days === key.rotation_days) return {};
      const next = nextRotation(ctx.now(), days);
      await tx.reconcile(KEY_WORK, key.id, next);
      return { rotation_days: days, next_rotation_at: next };
    });
    return {};
  },
});

export const disableKeyRotation = operation('kms', 'DisableKeyRotation', {
  authorize: onOwnKey(),
  async handle(ctx, input) {
    await changeKey(ctx, input.KeyId, (key) => {
      requireRotatable(key);
      requireEnabled(key);
      return { rotation_days: null, next_rotation_at: null };
    });
    return {};
  },
});

export const getKeyRotationStatus = operation('kms', 'GetKeyRotationStatus', {
  authorize: onOwnKey(),
  async handle(ctx, input) {
    const key = await findOwnKey(ctx, input.KeyId);
    if (!isSymmetric(key) || key.rotation_days === null || key.state === 'PendingDeletion') {
      return { KeyId: key.id, KeyRotationEnabled: false };
    }
    return {
      KeyId: key.id,
      KeyRotationEnabled: true,
      RotationPeriodInDays: key.rotation_days,
      ...(key.next_rotation_at && { NextRotationDate: key.next_rotation_at }),
    };
  },
});

export const rotateKeyOnDemand = operation('kms', 'RotateKeyOnDemand', {
  authorize: onOwnKey(),
  async handle(ctx, input) {
    const key = await changeKey(ctx, input.KeyId, async (before, tx) => {
      requireRotatable(before);
      requireEnabled(before);
      const { count } = await tx.sql
        .selectFrom('kms.materials')
        .select(sql<number>`count(*)::int`.as('count'))
        .where('key_id', '=', before.id)
        .where('rotation_type', '=', 'ON_DEMAND')
        .executeTakeFirstOrThrow();
      if (count >= MAX_ON_DEMAND) {
        throw kmsError('LimitExceededException', `${before.arn} was rotated on demand ${MAX_ON_DEMAND} times, as often as a key may be.`);
      }
      return { generation: await rotate(ctx, tx, before, 'ON_DEMAND') };
    });
    return { KeyId: key.id };
  },
});

/** Adds the next generation of material, and answers it. */
async function rotate(
  platform: Pick<Platform, 'keyring' | 'now'>,
  tx: Transaction,
  key: LockedKey,
  rotationType: NonNullable<MaterialRow['rotation_type']>,
): Promise<number> {
  const generation = key.generation + 1;
  await addMaterial(tx, platform.keyring, {
    keyId: key.id,
    generation,
    plain: randomBytes(SECRET_BYTES),
    rotatedAt: platform.now(),
    rotationType,
  });
  await tx.emit({
    account: key.account,
    region: key.region,
    source: 'aws.kms',
    detailType: 'KMS CMK Rotation',
    resources: [key.arn],
    detail: { 'key-id': key.id, 'key-origin': 'AWS_KMS', 'rotation-type': rotationType },
  });
  return generation;
}

export const listKeyRotations = operation('kms', 'ListKeyRotations', {
  authorize: onOwnKey(),
  async handle(ctx, input) {
    const key = await findOwnKey(ctx, input.KeyId);
    requireRotatable(key);
    refusePendingDeletion(key);
    const all = input.IncludeKeyMaterial === 'ALL_KEY_MATERIAL';
    const page = pageOf<number>(ctx, `kms:ListKeyRotations:${key.id}:${all}`, input, { usual: 100 });
    const materials = [...key.materials.values()]
      .filter(({ generation, rotated_at: rotatedAt }) => generation > (page.after ?? 0) && (all || rotatedAt !== null))
      .sort((a, b) => a.generation - b.generation);
    const { items, ...rest } = page.cut(materials, ({ generation }) => generation);
    return { Rotations: items.map((material) => describeRotation(key, material)), ...rest };
  },
});

function describeRotation(key: Key, { id, generation, rotated_at, rotation_type }: MaterialRow): ShapeOf<'kms', 'RotationsListEntry'> {
  return {
    KeyId: key.id,
    KeyMaterialId: id,
    KeyMaterialState: generation === key.generation ? 'CURRENT' : 'NON_CURRENT',
    ...(rotated_at && { RotationDate: rotated_at }),
    ...(rotation_type && { RotationType: rotation_type }),
  };
}

/** Deletes a key whose window has ended, and rotates one whose period has. */
export const keyWork: Reconciler = {
  async run(platform, id) {
    await platform.transaction(async (tx) => {
      const key = await lockKey(tx, id);
      const now = platform.now();
      if (!key) return;
      if (key.state === 'PendingDeletion') {
        if (key.deletion_at! <= now) await deleteKey(platform, tx, key);
        return;
      }
      if (key.state !== 'Enabled' || key.rotation_days === null || !key.next_rotation_at || key.next_rotation_at > now) return;
      const next = nextRotation(now, key.rotation_days);
      const generation = await rotate(platform, tx, key, 'AUTOMATIC');
      await tx.sql.updateTable('kms.keys').set({ generation, next_rotation_at: next }).where('id', '=', id).execute();
      await keyChanged(platform, tx, id);
      await tx.reconcile(KEY_WORK, id, next);
    });
  },
  async pending(platform) {
    const now = platform.now();
    const due = await platform.read
      .selectFrom('kms.keys')
      .select('id')
      .where((where) =>
        where.or([
          where.and([where('state', '=', 'PendingDeletion'), where('deletion_at', '<=', now)]),
          where.and([where('state', '=', 'Enabled'), where('next_rotation_at', '<=', now)]),
        ]),
      )
      .execute();
    return due.map(({ id }) => id);
  },
};
