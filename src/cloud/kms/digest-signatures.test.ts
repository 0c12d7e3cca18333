import assert from 'node:assert/strict';
import { constants, createHash, generateKeyPairSync, randomBytes, sign, verify } from 'node:crypto';
import { describe, test } from 'node:test';
import { signDigest, verifyDigest } from './digest-signatures.ts';
import type { SigningAlgorithm } from './specs.ts';

const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
const pss = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST };
const message = randomBytes(100);

const cases = [
  ...['sha256', 'sha384', 'sha512'].flatMap((hash) => [
    { algorithm: `RSASSA_PKCS1_V1_5_SHA_${hash.slice(3)}`, hash, pair: rsa, options: {} },
    { algorithm: `RSASSA_PSS_SHA_${hash.slice(3)}`, hash, pair: rsa, options: pss },
  ]),
  ...[
    ['prime256v1', 'sha256'],
    ['secp256k1', 'sha256'],
    ['secp384r1', 'sha384'],
    ['secp521r1', 'sha512'],
  ].map(([namedCurve, hash]) => ({
    algorithm: `ECDSA_SHA_${hash!.slice(3)}`,
    hash: hash!,
    pair: generateKeyPairSync('ec', { namedCurve: namedCurve! }),
    options: {},
  })),
];

describe('signatures over digests', () => {
  for (const { algorithm, hash, pair, options } of cases) {
    const name = algorithm as SigningAlgorithm;
    const curve = pair.publicKey.asymmetricKeyDetails?.namedCurve ?? '';
    test(`${algorithm} ${curve}: what is signed here OpenSSL verifies, and the other way round`, () => {
      // Some numbers come out short or with a high first bit only now and then.
      for (let round = 0; round < 20; round++) {
        const text = Buffer.concat([message, Buffer.from([round])]);
        const digest = createHash(hash).update(text).digest();
        const ours = signDigest(pair.privateKey, name, hash, digest);
        assert.ok(verify(hash, text, { key: pair.publicKey, ...options }, ours));
        assert.ok(verifyDigest(pair.publicKey, name, hash, digest, ours));
        const theirs = sign(hash, text, { key: pair.privateKey, ...options });
        assert.ok(verifyDigest(pair.publicKey, name, hash, digest, theirs));
      }
    });

    test(`${algorithm} ${curve}: refuses another digest, another key's and damaged signatures`, () => {
      const digest = createHash(hash).update(message).digest();
      const signature = signDigest(pair.privateKey, name, hash, digest);
      assert.equal(verifyDigest(pair.publicKey, name, hash, createHash(hash).update('other').digest(), signature), false);
      for (const at of [0, 1, 5, Math.floor(signature.length / 2), signature.length - 1]) {
        const damaged = Buffer.from(signature);
        damaged[at]! ^= 1;
        assert.equal(verifyDigest(pair.publicKey, name, hash, digest, damaged), false, `byte ${at}`);
      }
      for (const bad of [Buffer.alloc(0), signature.subarray(0, -1), Buffer.concat([signature, Buffer.alloc(1)]), randomBytes(300)]) {
        assert.equal(verifyDigest(pair.publicKey, name, hash, digest, bad), false);
      }
    });
  }
});
