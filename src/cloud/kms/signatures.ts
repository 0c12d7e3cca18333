/** Sign, Verify and GetPublicKey. */
import { constants, createPublicKey, type KeyObject, sign as signMessage, verify as verifyMessage } from 'node:crypto';
import { promisify } from 'node:util';
import { operation, type RequestContext, type ShapeOf } from '../../platform/service.ts';
import { onKey } from './access.ts';
import { oldSpec } from './describe.ts';
import { signDigest, verifyDigest } from './digest-signatures.ts';
import { endDryRun, invalidUsage, kmsError, requireEnabled, requireUsable } from './errors.ts';
import { findKey, type Key, materialOf } from './keys.ts';
import { algorithmsOf, type SigningAlgorithm } from './specs.ts';

type MessageType = NonNullable<ShapeOf<'kms', 'SignRequest'>['MessageType']>;

interface SigningInput {
  KeyId: string;
  Message: Uint8Array;
  MessageType?: MessageType | undefined;
  SigningAlgorithm: SigningAlgorithm;
}

const DIGEST_BYTES: Record<string, number> = { sha256: 32, sha384: 48, sha512: 64 };

const signAsync = promisify(signMessage) as (algorithm: string | null, data: Uint8Array, key: object) => Promise<Buffer>;
const verifyAsync = promisify(verifyMessage) as (
  algorithm: string | null,
  data: Uint8Array,
  key: object,
  signature: Uint8Array,
) => Promise<boolean>;

/** `sha256` of `ECDSA_SHA_256`; null for algorithms that hash by themselves. */
function hashOf(algorithm: SigningAlgorithm): string | null {
  const bits = /^(?:RSASSA|ECDSA).*_SHA_(\d+)$/.exec(algorithm)?.[1];
  return bits === undefined ? null : `sha${bits}`;
}

async function signingKey(ctx: RequestContext, input: SigningInput, operationName: string): Promise<Key> {
  const key = await findKey(ctx, input.KeyId);
  requireUsable(key, 'SIGN_VERIFY', operationName);
  if (!algorithmsOf(key).signing.includes(input.SigningAlgorithm)) {
    throw invalidUsage(`Algorithm ${input.SigningAlgorithm} and key spec ${key.spec} are incompatible.`);
  }
  checkMessage(input);
  return key;
}

function checkMessage({ Message, MessageType: type = 'RAW', SigningAlgorithm: algorithm }: SigningInput): void {
  const hash = hashOf(algorithm);
  if (type === 'EXTERNAL_MU') throw kmsError('ValidationException', 'The message type EXTERNAL_MU is not supported.');
  if (type === 'RAW') return;
  if (hash === null) throw kmsError('ValidationException', `The message type ${type} is not valid for ${algorithm}.`);
  if (Message.length !== DIGEST_BYTES[hash]) {
    throw kmsError('ValidationException', `Digest is invalid length for algorithm ${algorithm}.`);
  }
}

/** As Node's signing wants to be told of the key. */
function options(key: KeyObject, algorithm: SigningAlgorithm): object {
  if (algorithm.startsWith('RSASSA_PSS')) {
    return { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST };
  }
  return { key };
}

const conditions = ({ SigningAlgorithm, MessageType: type = 'RAW' }: SigningInput) => ({
  'kms:SigningAlgorithm': SigningAlgorithm,
  'kms:MessageType': type,
});

export const sign = operation('kms', 'Sign', {
  authorize: onKey('Sign', conditions),
  async handle(ctx, input) {
    const { SigningAlgorithm, Message } = input;
    const key = await signingKey(ctx, input, 'Sign');
    endDryRun(input.DryRun);
    const material = materialOf(ctx, key)!;
    const hash = hashOf(SigningAlgorithm);
    const Signature =
      input.MessageType === 'DIGEST'
        ? signDigest(material, SigningAlgorithm, hash!, Message)
        : await signAsync(hash, Message, options(material, SigningAlgorithm));
    return { KeyId: key.arn, Signature, SigningAlgorithm };
  },
  partial: 'no ED25519_PH_SHA_512, no EXTERNAL_MU, no SM2DSA',
});

export const verify = operation('kms', 'Verify', {
  authorize: onKey('Verify', conditions),
  async handle(ctx, input) {
    const { SigningAlgorithm, Message, Signature } = input;
    const key = await signingKey(ctx, input, 'Verify');
    endDryRun(input.DryRun);
    const publicKey = createPublicKey(materialOf(ctx, key)!);
    const hash = hashOf(SigningAlgorithm);
    const valid =
      input.MessageType === 'DIGEST'
        ? verifyDigest(publicKey, SigningAlgorithm, hash!, Message, Signature)
        : await verifyAsync(hash, Message, options(publicKey, SigningAlgorithm), Signature);
    if (!valid) throw ctx.error('KMSInvalidSignatureException', '');
    return { KeyId: key.arn, SignatureValid: true, SigningAlgorithm };
  },
  partial: 'no ED25519_PH_SHA_512, no EXTERNAL_MU, no SM2DSA',
});

export const getPublicKey = operation('kms', 'GetPublicKey', {
  authorize: onKey('GetPublicKey'),
  async handle(ctx, input) {
    const key = await findKey(ctx, input.KeyId);
    const { encryption, signing } = algorithmsOf(key);
    const material = materialOf(ctx, key)!;
    if (material.type === 'secret') {
      throw kmsError('UnsupportedOperationException', `${key.arn} has no public key: its key spec is ${key.spec}.`);
    }
    requireEnabled(key);
    return {
      KeyId: key.arn,
      PublicKey: createPublicKey(material).export({ type: 'spki', format: 'der' }),
      CustomerMasterKeySpec: oldSpec(key.spec),
      KeySpec: key.spec,
      KeyUsage: key.usage,
      ...(encryption.length > 0 && { EncryptionAlgorithms: encryption }),
      ...(signing.length > 0 && { SigningAlgorithms: signing }),
    };
  },
});
