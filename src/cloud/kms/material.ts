/** Key material: how it is made, kept and opened. Whatever takes long runs off the event loop. */
import { createPrivateKey, createSecretKey, generateKeyPair, type KeyObject, randomBytes } from 'node:crypto';
import { promisify } from 'node:util';
import type { Selectable } from 'kysely';
import type { Keyring } from '../../platform/keyring.ts';
import type { Transaction } from '../../platform/platform.ts';
import { type Making, specOf } from './specs.ts';
import type { KeySpec, MaterialsTable } from './tables.ts';

export type MaterialRow = Selectable<MaterialsTable>;

const makePair = promisify(generateKeyPair) as (type: string, options: object) => Promise<{ privateKey: KeyObject; publicKey: KeyObject }>;

/** A new key pair of a spec that has pairs. */
export async function makeKeyPair(making: Exclude<Making, { kind: 'secret' }>): Promise<{ privateKey: KeyObject; publicKey: KeyObject }> {
  switch (making.kind) {
    case 'rsa':
      return makePair('rsa', { modulusLength: making.bits });
    case 'ec':
      return makePair('ec', { namedCurve: making.curve });
    case 'ed25519':
      return makePair('ed25519', {});
    case 'ml-dsa':
      return makePair(making.parameters, {});
  }
}

/** New material as it is sealed: the bytes of a secret, or a private key as PKCS #8. */
export async function makeMaterial(spec: KeySpec): Promise<Buffer> {
  const { making } = specOf(spec)!;
  if (making.kind === 'secret') return randomBytes(making.bytes);
  const { privateKey } = await makeKeyPair(making);
  return privateKey.export({ type: 'pkcs8', format: 'der' });
}

/** Answers the id that the API shows for it. */
export async function addMaterial(
  tx: Transaction,
  keyring: Keyring,
  material: { keyId: string; generation: number; plain: Buffer; rotatedAt?: Date; rotationType?: MaterialRow['rotation_type'] },
): Promise<string> {
  const { keyId, generation, plain, rotatedAt = null, rotationType = null } = material;
  const id = randomBytes(32).toString('hex');
  await tx.sql
    .insertInto('kms.materials')
    .values({
      key_id: keyId,
      generation,
      id,
      sealed: keyring.seal(purpose(keyId, generation), plain),
      rotated_at: rotatedAt,
      rotation_type: rotationType,
    })
    .execute();
  return id;
}

/** What a row holds, ready for use. */
export function openMaterial(keyring: Keyring, spec: KeySpec, row: MaterialRow): KeyObject {
  const plain = keyring.open(purpose(row.key_id, row.generation), row.sealed);
  if (!plain) throw new Error(`The material of the KMS key ${row.key_id} was sealed under another master key.`);
  return specOf(spec)!.making.kind === 'secret' ? createSecretKey(plain) : createPrivateKey({ key: plain, format: 'der', type: 'pkcs8' });
}

function purpose(keyId: string, generation: number): string {
  return `kms:${keyId}:${generation}`;
}
