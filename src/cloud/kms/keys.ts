/** Keys as operations meet them: found by any form of key id, remembered in the process until they change. */
import type { KeyObject } from 'node:crypto';
import { forgetDataKeys, KMS_CHANGED } from '../../platform/data-keys.ts';
import type { Platform, Signals, Transaction } from '../../platform/platform.ts';
import type { RequestContext } from '../../platform/service.ts';
import { SignalledCache } from '../../platform/signalled-cache.ts';
import { keyMissing, kmsError } from './errors.ts';
import { ensureManagedKey, isManagedAlias } from './managed-keys.ts';
import { type MaterialRow, openMaterial } from './material.ts';
import type { GrantRow, KeyRow } from './tables.ts';

export interface Key extends KeyRow {
  arn: string;
  /** By generation. */
  materials: Map<number, MaterialRow>;
}

export type Where = { account: string; region: string };

type KeyName = Where & ({ kind: 'key'; id: string } | { kind: 'alias'; name: string });

/** A net for signals that were lost with their connection. */
const MAX_AGE_MS = 30_000;
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const ARN = /^arn:aws[\w-]*:kms:([\w-]*):(\d{12}):(key|alias)\/(.+)$/;

const caches = new WeakMap<Signals, SignalledCache>();

/** One for each process. */
function cacheOf(platform: Pick<Platform, 'signals'>): SignalledCache {
  let cache = caches.get(platform.signals);
  if (!cache) {
    cache = new SignalledCache(platform, KMS_CHANGED, MAX_AGE_MS);
    caches.set(platform.signals, cache);
  }
  return cache;
}

export function keyArn({ account, region }: Where, id: string): string {
  return `arn:aws:kms:${region}:${account}:key/${id}`;
}

export function aliasArn({ account, region }: Where, name: string): string {
  return `arn:aws:kms:${region}:${account}:alias/${name}`;
}

/** To be called in every transaction that changes a key or its grants. */
export function keyChanged(platform: Pick<Platform, 'signals'>, tx: Transaction, id: string): Promise<void> {
  return changed(platform, tx, id);
}

/** To be called in every transaction that changes an alias. */
export function aliasChanged(platform: Pick<Platform, 'signals'>, tx: Transaction, where: Where): Promise<void> {
  return changed(platform, tx, aliasGroup(where));
}

async function changed(platform: Pick<Platform, 'signals'>, tx: Transaction, group: string): Promise<void> {
  await cacheOf(platform).changed(tx, group);
  tx.onCommit(() => forgetDataKeys(platform));
}

function aliasGroup({ account, region }: Where): string {
  return `${account}:${region}`;
}

/** By id, ARN, alias or alias ARN; throws NotFoundException. */
export async function findKey(ctx: RequestContext, keyId: string): Promise<Key> {
  const name = parseKeyId(ctx, keyId);
  const id = name.kind === 'key' ? name.id : await aliasTarget(ctx, name);
  const key = await lookUpKey(ctx, id);
  if (!key || key.account !== name.account || key.region !== name.region) throw keyMissing(keyArn(name, id));
  return key;
}

/** By id or ARN, as the operations want it that manage a key; of the caller's own account. */
export async function findOwnKey(ctx: RequestContext, keyId: string): Promise<Key> {
  const name = parseKeyId(ctx, keyId);
  if (name.kind === 'alias') throw kmsError('NotFoundException', `Invalid keyId '${keyId}'`);
  const key = await findKey(ctx, keyId);
  if (key.account !== ctx.account) {
    throw kmsError('AccessDeniedException', `User: ${ctx.principal.arn} is not authorized to use this operation on ${key.arn}`);
  }
  return key;
}

function parseKeyId(ctx: Where, keyId: string): KeyName {
  const { account, region } = ctx;
  const arn = ARN.exec(keyId);
  if (arn) {
    const [, arnRegion, arnAccount, kind, rest] = arn as unknown as string[];
    if (arnRegion !== region) throw kmsError('NotFoundException', `Invalid arn ${arnRegion}`);
    const where = { account: arnAccount!, region };
    if (kind === 'alias') return { ...where, kind: 'alias', name: rest! };
    if (!UUID.test(rest!)) throw keyMissing(keyId);
    return { ...where, kind: 'key', id: rest! };
  }
  if (keyId.startsWith('arn:')) throw kmsError('InvalidArnException', `Invalid ARN: ${keyId}`);
  if (keyId.startsWith('alias/')) return { account, region, kind: 'alias', name: keyId.slice('alias/'.length) };
  if (!UUID.test(keyId)) throw kmsError('NotFoundException', `Invalid keyId '${keyId}'`);
  return { account, region, kind: 'key', id: keyId };
}

/** The id of the key that an alias names. AWS's own keys are made when their aliases are first asked for. */
async function aliasTarget(ctx: RequestContext, alias: Where & { name: string }): Promise<string> {
  return cacheOf(ctx).get(aliasGroup(alias), alias.name, async () => {
    const row = await ctx.read
      .selectFrom('kms.aliases')
      .select('key_id')
      .where('account', '=', alias.account)
      .where('region', '=', alias.region)
      .where('name', '=', alias.name)
      .executeTakeFirst();
    if (row) return row.key_id;
    if (isManagedAlias(alias.name) && alias.account === ctx.account) return ensureManagedKey(ctx, alias.name);
    throw kmsError('NotFoundException', `Alias ${aliasArn(alias, alias.name)} is not found.`);
  });
}

/** The key as it is remembered; undefined when there is none. */
export async function lookUpKey(platform: Pick<Platform, 'signals' | 'read'>, id: string): Promise<Key | undefined> {
  try {
    return await cacheOf(platform).get(id, 'key', async () => {
      const [row, materials] = await Promise.all([
        platform.read.selectFrom('kms.keys').selectAll().where('id', '=', id).executeTakeFirst(),
        platform.read.selectFrom('kms.materials').selectAll().where('key_id', '=', id).execute(),
      ]);
      // That a key is missing is not remembered.
      if (!row || !materials.some(({ generation }) => generation === row.generation)) throw new NoKey();
      return { ...row, arn: keyArn(row, id), materials: new Map(materials.map((material) => [material.generation, material])) };
    });
  } catch (error) {
    if (error instanceof NoKey) return undefined;
    throw error;
  }
}

class NoKey extends Error {}

const opened = new WeakMap<MaterialRow, KeyObject>();

/** The material of a generation (default: the current one), undefined when the key never had it. */
export function materialOf(platform: Pick<Platform, 'keyring'>, key: Key, generation: number = key.generation): KeyObject | undefined {
  const row = key.materials.get(generation);
  if (!row) return undefined;
  let material = opened.get(row);
  if (!material) {
    material = openMaterial(platform.keyring, key.spec, row);
    opened.set(row, material);
  }
  return material;
}

/** The grants of a key to any of these principals. */
export function grantsTo(platform: Pick<Platform, 'signals' | 'read'>, keyId: string, grantees: string[]): Promise<GrantRow[]> {
  return cacheOf(platform).get(keyId, `grants:${grantees.join()}`, () =>
    platform.read.selectFrom('kms.grants').selectAll().where('key_id', '=', keyId).where('grantee', 'in', grantees).execute(),
  );
}
