/** Data keys and data key pairs: made here, kept by the caller, sealed under a symmetric key. And random bytes. */
import { randomBytes } from 'node:crypto';
import { type Input, operation, type RequestContext } from '../../platform/service.ts';
import { onKey } from './access.ts';
import { encryptWith, materialIdOf } from './encrypt.ts';
import { endDryRun, invalidUsage, kmsError, refuseRecipient, requireUsable } from './errors.ts';
import { findKey, type Key } from './keys.ts';
import { makeKeyPair } from './material.ts';
import { isSymmetric, specOf } from './specs.ts';

type DataKeyInput = Input<'kms', 'GenerateDataKeyWithoutPlaintext'>;
type PairInput = Input<'kms', 'GenerateDataKeyPairWithoutPlaintext'>;

async function symmetricKey(ctx: RequestContext, keyId: string, operationName: string): Promise<Key> {
  const key = await findKey(ctx, keyId);
  requireUsable(key, 'ENCRYPT_DECRYPT', operationName);
  if (!isSymmetric(key)) throw invalidUsage(`${key.arn} key spec is ${key.spec} which is not valid for ${operationName}.`);
  return key;
}

async function makeDataKey(ctx: RequestContext, input: DataKeyInput, operationName: string) {
  const key = await symmetricKey(ctx, input.KeyId, operationName);
  const { KeySpec: spec, NumberOfBytes: length } = input;
  if ((spec === undefined) === (length === undefined)) {
    throw kmsError('ValidationException', 'Please specify either number of bytes or key spec.');
  }
  endDryRun(input.DryRun);
  const plain = randomBytes(length ?? (spec === 'AES_128' ? 16 : 32));
  const CiphertextBlob = encryptWith(ctx, key, input.EncryptionContext, plain);
  return { plain, answer: { CiphertextBlob, KeyId: key.arn, KeyMaterialId: materialIdOf(key) } };
}

export const generateDataKey = operation('kms', 'GenerateDataKey', {
  authorize: onKey('GenerateDataKey'),
  async handle(ctx, input) {
    refuseRecipient(input.Recipient);
    const { plain, answer } = await makeDataKey(ctx, input, 'GenerateDataKey');
    return { ...answer, Plaintext: plain };
  },
  partial: 'no Recipient (Nitro enclaves)',
});

export const generateDataKeyWithoutPlaintext = operation('kms', 'GenerateDataKeyWithoutPlaintext', {
  authorize: onKey('GenerateDataKeyWithoutPlaintext'),
  handle: async (ctx, input) => (await makeDataKey(ctx, input, 'GenerateDataKeyWithoutPlaintext')).answer,
});

async function makePair(ctx: RequestContext, input: PairInput, operationName: string) {
  const key = await symmetricKey(ctx, input.KeyId, operationName);
  const making = specOf(input.KeyPairSpec)?.making;
  if (!making || making.kind === 'secret') {
    throw kmsError('UnsupportedOperationException', `The key pair spec ${input.KeyPairSpec} is not supported.`);
  }
  endDryRun(input.DryRun);
  const { privateKey, publicKey } = await makeKeyPair(making);
  const plain = privateKey.export({ type: 'pkcs8', format: 'der' });
  const answer = {
    PrivateKeyCiphertextBlob: encryptWith(ctx, key, input.EncryptionContext, plain),
    PublicKey: publicKey.export({ type: 'spki', format: 'der' }),
    KeyId: key.arn,
    KeyPairSpec: input.KeyPairSpec,
    KeyMaterialId: materialIdOf(key),
  };
  return { plain, answer };
}

export const generateDataKeyPair = operation('kms', 'GenerateDataKeyPair', {
  authorize: onKey('GenerateDataKeyPair', ({ KeyPairSpec }) => ({ 'kms:DataKeyPairSpec': KeyPairSpec })),
  async handle(ctx, input) {
    refuseRecipient(input.Recipient);
    const { plain, answer } = await makePair(ctx, input, 'GenerateDataKeyPair');
    return { ...answer, PrivateKeyPlaintext: plain };
  },
  partial: 'no Recipient (Nitro enclaves), no SM2',
});

export const generateDataKeyPairWithoutPlaintext = operation('kms', 'GenerateDataKeyPairWithoutPlaintext', {
  authorize: onKey('GenerateDataKeyPairWithoutPlaintext', ({ KeyPairSpec }) => ({ 'kms:DataKeyPairSpec': KeyPairSpec })),
  handle: async (ctx, input) => (await makePair(ctx, input, 'GenerateDataKeyPairWithoutPlaintext')).answer,
  partial: 'no SM2',
});

export const generateRandom = operation('kms', 'GenerateRandom', {
  authorize: () => '*',
  async handle(_, input) {
    refuseRecipient(input.Recipient);
    if (input.CustomKeyStoreId !== undefined) throw kmsError('UnsupportedOperationException', 'Custom key stores are not supported.');
    if (input.NumberOfBytes === undefined) throw kmsError('ValidationException', 'NumberOfBytes is required.');
    return { Plaintext: randomBytes(input.NumberOfBytes) };
  },
  partial: 'no Recipient (Nitro enclaves), no custom key stores',
});
