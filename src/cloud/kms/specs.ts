/** What each kind of key can do (developer guide, "Key spec reference"). */
import type { ShapeOf } from '../../platform/service.ts';
import type { KeySpec, KeyUsage } from './tables.ts';

export type EncryptionAlgorithm = NonNullable<ShapeOf<'kms', 'KeyMetadata'>['EncryptionAlgorithms']>[number];
export type SigningAlgorithm = NonNullable<ShapeOf<'kms', 'KeyMetadata'>['SigningAlgorithms']>[number];
export type MacAlgorithm = NonNullable<ShapeOf<'kms', 'KeyMetadata'>['MacAlgorithms']>[number];

/** How key material of a spec is made. */
export type Making =
  | { kind: 'secret'; bytes: number }
  | { kind: 'rsa'; bits: number }
  | { kind: 'ec'; curve: string }
  | { kind: 'ed25519' }
  | { kind: 'ml-dsa'; parameters: 'ml-dsa-44' | 'ml-dsa-65' | 'ml-dsa-87' };

interface Spec {
  making: Making;
  /** The usage that is meant when none is named, where only one is possible. */
  usages: KeyUsage[];
  encryption: EncryptionAlgorithm[];
  signing: SigningAlgorithm[];
  mac: MacAlgorithm[];
}

const OAEP: EncryptionAlgorithm[] = ['RSAES_OAEP_SHA_1', 'RSAES_OAEP_SHA_256'];
const RSA_SIGNING: SigningAlgorithm[] = [
  'RSASSA_PKCS1_V1_5_SHA_256',
  'RSASSA_PKCS1_V1_5_SHA_384',
  'RSASSA_PKCS1_V1_5_SHA_512',
  'RSASSA_PSS_SHA_256',
  'RSASSA_PSS_SHA_384',
  'RSASSA_PSS_SHA_512',
];

function spec(making: Making, usages: KeyUsage[], algorithms: Partial<Pick<Spec, 'encryption' | 'signing' | 'mac'>>): Spec {
  return { making, usages, encryption: [], signing: [], mac: [], ...algorithms };
}

function rsa(bits: number): Spec {
  return spec({ kind: 'rsa', bits }, ['ENCRYPT_DECRYPT', 'SIGN_VERIFY'], { encryption: OAEP, signing: RSA_SIGNING });
}

function ec(curve: string, signing: SigningAlgorithm): Spec {
  return spec({ kind: 'ec', curve }, ['SIGN_VERIFY'], { signing: [signing] });
}

function hmac(bits: 224 | 256 | 384 | 512): Spec {
  return spec({ kind: 'secret', bytes: bits / 8 }, ['GENERATE_VERIFY_MAC'], { mac: [`HMAC_SHA_${bits}`] });
}

function mlDsa(parameters: 'ml-dsa-44' | 'ml-dsa-65' | 'ml-dsa-87'): Spec {
  return spec({ kind: 'ml-dsa', parameters }, ['SIGN_VERIFY'], { signing: ['ML_DSA_SHAKE_256'] });
}

/** SM2 is not among them: AWS has it in its Chinese regions only. */
const SPECS: Partial<Record<KeySpec, Spec>> = {
  SYMMETRIC_DEFAULT: spec({ kind: 'secret', bytes: 32 }, ['ENCRYPT_DECRYPT'], { encryption: ['SYMMETRIC_DEFAULT'] }),
  RSA_2048: rsa(2048),
  RSA_3072: rsa(3072),
  RSA_4096: rsa(4096),
  ECC_NIST_P256: ec('prime256v1', 'ECDSA_SHA_256'),
  ECC_NIST_P384: ec('secp384r1', 'ECDSA_SHA_384'),
  ECC_NIST_P521: ec('secp521r1', 'ECDSA_SHA_512'),
  ECC_SECG_P256K1: ec('secp256k1', 'ECDSA_SHA_256'),
  ECC_NIST_EDWARDS25519: spec({ kind: 'ed25519' }, ['SIGN_VERIFY'], { signing: ['ED25519_SHA_512'] }),
  HMAC_224: hmac(224),
  HMAC_256: hmac(256),
  HMAC_384: hmac(384),
  HMAC_512: hmac(512),
  ML_DSA_44: mlDsa('ml-dsa-44'),
  ML_DSA_65: mlDsa('ml-dsa-65'),
  ML_DSA_87: mlDsa('ml-dsa-87'),
};

/** Undefined for a spec that there is not here. */
export function specOf(name: KeySpec): Spec | undefined {
  return SPECS[name];
}

/** The algorithms of a key, of which only those of its usage count. */
export function algorithmsOf({ spec: name, usage }: { spec: KeySpec; usage: KeyUsage }): Pick<Spec, 'encryption' | 'signing' | 'mac'> {
  const { encryption, signing, mac } = SPECS[name]!;
  return {
    encryption: usage === 'ENCRYPT_DECRYPT' ? encryption : [],
    signing: usage === 'SIGN_VERIFY' ? signing : [],
    mac: usage === 'GENERATE_VERIFY_MAC' ? mac : [],
  };
}

export function isSymmetric(key: { spec: KeySpec }): boolean {
  return key.spec === 'SYMMETRIC_DEFAULT';
}
