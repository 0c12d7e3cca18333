/** Encrypt, Decrypt and ReEncrypt, under symmetric and RSA keys. */
import { constants, createPublicKey, type KeyObject, publicEncrypt, webcrypto } from 'node:crypto';
import { type Check, operation, type RequestContext } from '../../platform/service.ts';
import { aliasOf, type EncryptionContext, keyCheck, onKey, type Use } from './access.ts';
import { invalidCiphertext, openText, readHead, sealText } from './ciphertext.ts';
import { endDryRun, invalidUsage, kmsError, refuseRecipient, requireUsable } from './errors.ts';
import { findKey, type Key, lookUpKey, materialOf } from './keys.ts';
import { algorithmsOf, type EncryptionAlgorithm, isSymmetric } from './specs.ts';
import type { GrantOperation } from './tables.ts';

const SYMMETRIC = 'SYMMETRIC_DEFAULT';

/** Ciphertext under the current material of a symmetric key. */
export function encryptWith(ctx: RequestContext, key: Key, context: EncryptionContext | undefined, plain: Uint8Array): Buffer {
  const head = { keyId: key.id, generation: key.generation, via: ctx.via };
  return sealText(materialOf(ctx, key)!, head, context ?? {}, plain);
}

/** `KeyMaterialId` of answers about a symmetric key. */
export function materialIdOf(key: Key, generation: number = key.generation): string {
  return key.materials.get(generation)!.id;
}

function requireAlgorithm(key: Key, algorithm: EncryptionAlgorithm, context: EncryptionContext | undefined): void {
  if (!algorithmsOf(key).encryption.includes(algorithm)) {
    throw invalidUsage(`Algorithm ${algorithm} and key spec ${key.spec} are incompatible.`);
  }
  if (!isSymmetric(key) && context && Object.keys(context).length > 0) {
    throw kmsError('ValidationException', 'EncryptionContext is not supported with asymmetric keys.');
  }
}

export const encrypt = operation('kms', 'Encrypt', {
  authorize: onKey('Encrypt', ({ EncryptionAlgorithm = SYMMETRIC }) => ({ 'kms:EncryptionAlgorithm': EncryptionAlgorithm })),
  async handle(ctx, input) {
    const { Plaintext, EncryptionContext, EncryptionAlgorithm = SYMMETRIC } = input;
    const key = await findKey(ctx, input.KeyId);
    requireUsable(key, 'ENCRYPT_DECRYPT', 'Encrypt');
    requireAlgorithm(key, EncryptionAlgorithm, EncryptionContext);
    endDryRun(input.DryRun);
    const CiphertextBlob = encryptBy(ctx, key, EncryptionAlgorithm, EncryptionContext, Plaintext);
    return { CiphertextBlob, KeyId: key.arn, EncryptionAlgorithm };
  },
});

function encryptBy(
  ctx: RequestContext,
  key: Key,
  algorithm: EncryptionAlgorithm,
  context: EncryptionContext | undefined,
  plain: Uint8Array,
): Buffer {
  if (algorithm === SYMMETRIC) return encryptWith(ctx, key, context, plain);
  const privateKey = materialOf(ctx, key)!;
  const oaepHash = algorithm === 'RSAES_OAEP_SHA_1' ? 'sha1' : 'sha256';
  const most = privateKey.asymmetricKeyDetails!.modulusLength! / 8 - 2 * (oaepHash === 'sha1' ? 20 : 32) - 2;
  if (plain.length > most) {
    throw kmsError('ValidationException', `Algorithm ${algorithm} and key spec ${key.spec} cannot encrypt data larger than ${most} bytes.`);
  }
  return publicEncrypt({ key: createPublicKey(privateKey), padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash }, plain);
}

interface Source {
  text: Uint8Array | undefined;
  keyId: string | undefined;
  context: EncryptionContext | undefined;
  algorithm: EncryptionAlgorithm;
  grantTokens: string[] | undefined;
  dryRun: boolean | undefined;
  /** IGNORE_CIPHERTEXT */
  modifiers: string[] | undefined;
}

/** The key that a ciphertext is to be opened with: the named one, else the one that it names itself. */
async function keyOfSource(ctx: RequestContext, source: Source): Promise<Key> {
  if (source.keyId !== undefined) return findKey(ctx, source.keyId);
  const { text, algorithm } = source;
  if (!text || algorithm !== SYMMETRIC) {
    throw kmsError('ValidationException', 'A KeyId is needed, unless the ciphertext is of a symmetric encryption key.');
  }
  const key = await lookUpKey(ctx, readHead(text).keyId);
  // AWS does not tell whether there is such a key.
  if (key?.region !== ctx.region) {
    throw kmsError(
      'AccessDeniedException',
      'The ciphertext refers to a customer master key that does not exist, does not exist in this region, or you are not allowed to access.',
    );
  }
  return key;
}

async function sourceCheck(ctx: RequestContext, source: Source, use: Use & { grant: GrantOperation }): Promise<Check> {
  const check = await keyCheck(ctx, await keyOfSource(ctx, source), {
    ...use,
    encryptionContext: source.context,
    grantTokens: source.grantTokens,
    conditions: { 'kms:EncryptionAlgorithm': source.algorithm, ...use.conditions },
    ...(source.keyId !== undefined && aliasOf(source.keyId)),
  });
  return { ...check, granted: check.granted || isOwnWork(ctx, source.text) };
}

/** Services go on by themselves with what they made for a principal: maintenance, deliveries. A disabled key stops them all the same. */
function isOwnWork({ principal }: RequestContext, text: Uint8Array | undefined): boolean {
  if (principal.type !== 'Service' || !text) return false;
  const { via } = readHead(text);
  return via !== undefined && principal.service === `${via}.amazonaws.com`;
}

async function decryptSource(
  ctx: RequestContext,
  source: Source,
  operationName: string,
): Promise<{ key: Key; plain: Buffer; generation: number }> {
  const key = await keyOfSource(ctx, source);
  requireUsable(key, 'ENCRYPT_DECRYPT', operationName);
  requireAlgorithm(key, source.algorithm, source.context);
  const { text } = source;
  if (source.dryRun && source.modifiers?.includes('IGNORE_CIPHERTEXT')) endDryRun(true);
  if (!text || text.length === 0) throw kmsError('ValidationException', 'CiphertextBlob must not be empty.');
  const opened =
    source.algorithm === SYMMETRIC ? openSymmetric(ctx, key, text, source.context) : await openRsa(ctx, key, text, source.algorithm);
  endDryRun(source.dryRun);
  return { key, ...opened };
}

function openSymmetric(ctx: RequestContext, key: Key, text: Uint8Array, context: EncryptionContext | undefined) {
  const { keyId, generation } = readHead(text);
  if (keyId !== key.id) {
    throw kmsError('IncorrectKeyException', 'The key ID in the request does not identify a CMK that can perform this operation.');
  }
  const material = materialOf(ctx, key, generation);
  if (!material) throw invalidCiphertext();
  return { plain: openText(material, text, context ?? {}), generation };
}

/** By WebCrypto, which does it on a thread. */
async function openRsa(ctx: RequestContext, key: Key, text: Uint8Array, algorithm: EncryptionAlgorithm) {
  const hash = algorithm === 'RSAES_OAEP_SHA_1' ? 'SHA-1' : 'SHA-256';
  const privateKey = decryptionKey(materialOf(ctx, key)!, hash);
  try {
    return {
      plain: Buffer.from(await webcrypto.subtle.decrypt({ name: 'RSA-OAEP' }, privateKey, text as never)),
      generation: key.generation,
    };
  } catch {
    throw invalidCiphertext();
  }
}

function decryptionKey(material: KeyObject, hash: string): webcrypto.CryptoKey {
  return material.toCryptoKey({ name: 'RSA-OAEP', hash }, false, ['decrypt']);
}

type DecryptInput = Parameters<typeof decryptSourceOf>[0];

function decryptSourceOf(input: {
  CiphertextBlob?: Uint8Array | undefined;
  KeyId?: string | undefined;
  EncryptionContext?: EncryptionContext | undefined;
  EncryptionAlgorithm?: EncryptionAlgorithm | undefined;
  GrantTokens?: string[] | undefined;
  DryRun?: boolean | undefined;
  DryRunModifiers?: string[] | undefined;
}): Source {
  return {
    text: input.CiphertextBlob,
    keyId: input.KeyId,
    context: input.EncryptionContext,
    algorithm: input.EncryptionAlgorithm ?? SYMMETRIC,
    grantTokens: input.GrantTokens,
    dryRun: input.DryRun,
    modifiers: input.DryRunModifiers,
  };
}

export const decrypt = operation('kms', 'Decrypt', {
  authorize: (input: DecryptInput, ctx) => sourceCheck(ctx, decryptSourceOf(input), { grant: 'Decrypt' }),
  async handle(ctx, input) {
    refuseRecipient(input.Recipient);
    const source = decryptSourceOf(input);
    const { key, plain, generation } = await decryptSource(ctx, source, 'Decrypt');
    return {
      KeyId: key.arn,
      Plaintext: plain,
      EncryptionAlgorithm: source.algorithm,
      ...(isSymmetric(key) && { KeyMaterialId: materialIdOf(key, generation) }),
    };
  },
  partial: 'no Recipient (Nitro enclaves)',
});

interface ReEncryptInput {
  CiphertextBlob?: Uint8Array | undefined;
  SourceKeyId?: string | undefined;
  SourceEncryptionContext?: EncryptionContext | undefined;
  SourceEncryptionAlgorithm?: EncryptionAlgorithm | undefined;
  GrantTokens?: string[] | undefined;
  DryRun?: boolean | undefined;
  DryRunModifiers?: string[] | undefined;
}

function reEncryptSourceOf(input: ReEncryptInput): Source {
  return {
    text: input.CiphertextBlob,
    keyId: input.SourceKeyId,
    context: input.SourceEncryptionContext,
    algorithm: input.SourceEncryptionAlgorithm ?? SYMMETRIC,
    grantTokens: input.GrantTokens,
    dryRun: false,
    modifiers: input.DryRunModifiers,
  };
}

export const reEncrypt = operation('kms', 'ReEncrypt', {
  async authorize(input, ctx) {
    const source = reEncryptSourceOf(input);
    const [from, to] = [await keyOfSource(ctx, source), await findKey(ctx, input.DestinationKeyId)];
    const conditions = { 'kms:ReEncryptOnSameKey': String(from.id === to.id) };
    return [
      await sourceCheck(ctx, source, { action: 'kms:ReEncryptFrom', grant: 'ReEncryptFrom', conditions }),
      await keyCheck(ctx, to, {
        action: 'kms:ReEncryptTo',
        grant: 'ReEncryptTo',
        encryptionContext: input.DestinationEncryptionContext,
        conditions: { ...conditions, 'kms:EncryptionAlgorithm': input.DestinationEncryptionAlgorithm ?? SYMMETRIC },
        ...aliasOf(input.DestinationKeyId),
      }),
    ];
  },
  async handle(ctx, input) {
    const source = reEncryptSourceOf(input);
    const { DestinationEncryptionAlgorithm: algorithm = SYMMETRIC, DestinationEncryptionContext: context } = input;
    const to = await findKey(ctx, input.DestinationKeyId);
    requireUsable(to, 'ENCRYPT_DECRYPT', 'ReEncrypt');
    requireAlgorithm(to, algorithm, context);
    const ignored = input.DryRun && source.modifiers?.includes('IGNORE_CIPHERTEXT');
    const { key: from, plain, generation } = await decryptSource(ctx, { ...source, dryRun: ignored }, 'ReEncrypt');
    endDryRun(input.DryRun);
    return {
      CiphertextBlob: encryptBy(ctx, to, algorithm, context, plain),
      SourceKeyId: from.arn,
      KeyId: to.arn,
      SourceEncryptionAlgorithm: source.algorithm,
      DestinationEncryptionAlgorithm: algorithm,
      ...(isSymmetric(from) && { SourceKeyMaterialId: materialIdOf(from, generation) }),
      ...(isSymmetric(to) && { DestinationKeyMaterialId: materialIdOf(to) }),
    };
  },
});
