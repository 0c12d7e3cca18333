/**
 * Signatures over digests that the caller computed. Node signs messages only, so the last step is done here: for RSA the padding (RFC 8017), for
 * ECDSA what ec-signatures.ts does.
 */
import { constants, createHash, type KeyObject, privateEncrypt, publicDecrypt, randomBytes } from 'node:crypto';
import { signEc, verifyEc } from './ec-signatures.ts';
import type { SigningAlgorithm } from './specs.ts';

/** DER of AlgorithmIdentifier and OCTET STRING head (RFC 8017, 9.2, note 1). */
const DIGEST_INFO: Record<string, Buffer> = {
  sha256: Buffer.from('3031300d060960864801650304020105000420', 'hex'),
  sha384: Buffer.from('3041300d060960864801650304020205000430', 'hex'),
  sha512: Buffer.from('3051300d060960864801650304020305000440', 'hex'),
};

export function signDigest(key: KeyObject, algorithm: SigningAlgorithm, hash: string, digest: Uint8Array): Buffer {
  if (algorithm.startsWith('RSASSA_PKCS1')) return privateEncrypt(key, Buffer.concat([DIGEST_INFO[hash]!, digest]));
  if (algorithm.startsWith('RSASSA_PSS')) {
    const block = padPss(hash, digest, key.asymmetricKeyDetails!.modulusLength!);
    return privateEncrypt({ key, padding: constants.RSA_NO_PADDING }, block);
  }
  return signEc(key, digest);
}

export function verifyDigest(
  publicKey: KeyObject,
  algorithm: SigningAlgorithm,
  hash: string,
  digest: Uint8Array,
  signature: Uint8Array,
): boolean {
  try {
    if (algorithm.startsWith('RSASSA_PKCS1')) {
      return publicDecrypt(publicKey, signature).equals(Buffer.concat([DIGEST_INFO[hash]!, digest]));
    }
    if (algorithm.startsWith('RSASSA_PSS')) {
      const block = publicDecrypt({ key: publicKey, padding: constants.RSA_NO_PADDING }, signature);
      return fitsPss(hash, digest, block, publicKey.asymmetricKeyDetails!.modulusLength!);
    }
    return verifyEc(publicKey, digest, signature);
  } catch {
    // What OpenSSL cannot even read is no signature.
    return false;
  }
}

/** EMSA-PSS-ENCODE with a salt as long as the digest, for moduli whose bits are a multiple of eight. */
function padPss(hash: string, digest: Uint8Array, bits: number): Buffer {
  const salt = randomBytes(digest.length);
  const bound = pssHash(hash, digest, salt);
  const data = Buffer.alloc(bits / 8 - bound.length - 1);
  data[data.length - salt.length - 1] = 1;
  salt.copy(data, data.length - salt.length);
  const masked = xor(data, mask(hash, bound, data.length));
  masked[0]! &= 0x7f;
  return Buffer.concat([masked, bound, Buffer.from([0xbc])]);
}

function fitsPss(hash: string, digest: Uint8Array, block: Buffer, bits: number): boolean {
  const length = bits / 8 - digest.length - 1;
  if (block.length !== bits / 8 || block.at(-1) !== 0xbc || block[0]! > 0x7f) return false;
  const bound = block.subarray(length, -1);
  const data = xor(block.subarray(0, length), mask(hash, bound, length));
  data[0]! &= 0x7f;
  const saltAt = length - digest.length;
  const padding = Buffer.alloc(saltAt);
  padding[saltAt - 1] = 1;
  return data.subarray(0, saltAt).equals(padding) && pssHash(hash, digest, data.subarray(saltAt)).equals(bound);
}

function pssHash(hash: string, digest: Uint8Array, salt: Uint8Array): Buffer {
  return createHash(hash).update(Buffer.alloc(8)).update(digest).update(salt).digest();
}

/** MGF1 */
function mask(hash: string, seed: Uint8Array, length: number): Buffer {
  const blocks: Buffer[] = [];
  for (let made = 0, counter = 0; made < length; counter++) {
    const number = Buffer.alloc(4);
    number.writeUInt32BE(counter);
    const block = createHash(hash).update(seed).update(number).digest();
    blocks.push(block);
    made += block.length;
  }
  return Buffer.concat(blocks).subarray(0, length);
}

function xor(a: Uint8Array, b: Uint8Array): Buffer {
  return Buffer.from(a.map((byte, index) => byte ^ b[index]!));
}
