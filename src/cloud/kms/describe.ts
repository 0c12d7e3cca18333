/** Keys as the API shows them. */
import type { ShapeOf } from '../../platform/service.ts';
import { keyArn } from './keys.ts';
import { algorithmsOf } from './specs.ts';
import type { KeyRow, KeySpec } from './tables.ts';

/** Specs that the older name of the member can show. */
type OldSpec = NonNullable<ShapeOf<'kms', 'KeyMetadata'>['CustomerMasterKeySpec']>;

export function describe(key: KeyRow, materialId: string): ShapeOf<'kms', 'KeyMetadata'> {
  const { encryption, signing, mac } = algorithmsOf(key);
  return {
    AWSAccountId: key.account,
    KeyId: key.id,
    Arn: keyArn(key, key.id),
    CreationDate: key.created_at,
    Enabled: key.state === 'Enabled',
    Description: key.description,
    KeyUsage: key.usage,
    KeyState: key.state,
    ...(key.deletion_at && { DeletionDate: key.deletion_at }),
    Origin: 'AWS_KMS',
    KeyManager: key.service === null ? 'CUSTOMER' : 'AWS',
    CustomerMasterKeySpec: oldSpec(key.spec),
    KeySpec: key.spec,
    ...(encryption.length > 0 && { EncryptionAlgorithms: encryption }),
    ...(signing.length > 0 && { SigningAlgorithms: signing }),
    ...(mac.length > 0 && { MacAlgorithms: mac }),
    MultiRegion: false,
    ...(key.spec === 'SYMMETRIC_DEFAULT' && { CurrentKeyMaterialId: materialId }),
  };
}

export function oldSpec(spec: KeySpec): OldSpec | undefined {
  return spec.startsWith('ML_DSA') || spec === 'ECC_NIST_EDWARDS25519' ? undefined : (spec as OldSpec);
}
