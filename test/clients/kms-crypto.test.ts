import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import {
  constants,
  createHash,
  createPrivateKey,
  createPublicKey,
  privateDecrypt,
  publicEncrypt,
  randomBytes,
  sign,
  verify,
} from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import * as KMS from '@aws-sdk/client-kms';
import { failure, kmsClient, newKey } from '../support/kms.ts';
import { startServer, type TestServer } from '../support/server.ts';

let server: TestServer;
let kms: KMS.KMSClient;
before(async () => {
  server = await startServer();
  kms = kmsClient(server);
});
after(() => server.stop());

const spki = (der: Uint8Array) => createPublicKey({ key: Buffer.from(der), format: 'der', type: 'spki' });
const pkcs8 = (der: Uint8Array) => createPrivateKey({ key: Buffer.from(der), format: 'der', type: 'pkcs8' });

describe('KMS: symmetric encryption', () => {
  it('gives back what it encrypted, without being told the key', async () => {
    const { KeyId, Arn } = await newKey(kms);
    for (const Plaintext of [Buffer.from('x'), randomBytes(4096)]) {
      const made = await kms.send(new KMS.EncryptCommand({ KeyId, Plaintext }));
      assert.deepEqual([made.KeyId, made.EncryptionAlgorithm], [Arn, 'SYMMETRIC_DEFAULT']);
      assert.ok(made.CiphertextBlob!.length <= 6144);
      const opened = await kms.send(new KMS.DecryptCommand({ CiphertextBlob: made.CiphertextBlob }));
      assert.deepEqual(Buffer.from(opened.Plaintext!), Plaintext);
      assert.deepEqual([opened.KeyId, opened.EncryptionAlgorithm], [Arn, 'SYMMETRIC_DEFAULT']);
    }
    assert.match(await failure(kms.send(new KMS.EncryptCommand({ KeyId, Plaintext: randomBytes(4097) }))), /ValidationException/);
    assert.match(await failure(kms.send(new KMS.EncryptCommand({ KeyId, Plaintext: Buffer.alloc(0) }))), /ValidationException/);
  });

  it('wants the same encryption context again', async () => {
    const { KeyId } = await newKey(kms);
    const EncryptionContext = { app: 'shop', stage: 'test' };
    const { CiphertextBlob } = await kms.send(new KMS.EncryptCommand({ KeyId, Plaintext: Buffer.from('x'), EncryptionContext }));
    await kms.send(new KMS.DecryptCommand({ CiphertextBlob, EncryptionContext: { stage: 'test', app: 'shop' } }));
    const others: (Record<string, string> | undefined)[] = [
      undefined,
      { app: 'shop' },
      { ...EncryptionContext, more: '1' },
      { app: 'Shop', stage: 'test' },
    ];
    for (const other of others) {
      assert.match(
        await failure(kms.send(new KMS.DecryptCommand({ CiphertextBlob, EncryptionContext: other }))),
        /InvalidCiphertextException/,
      );
    }
    const twice = { a: '1', A: '2' };
    assert.match(
      await failure(kms.send(new KMS.EncryptCommand({ KeyId, Plaintext: Buffer.from('x'), EncryptionContext: twice }))),
      /ValidationException/,
    );
  });

  it('refuses other keys, damage and what is no ciphertext', async () => {
    const [one, two] = [await newKey(kms), await newKey(kms)];
    const { CiphertextBlob: text } = await kms.send(new KMS.EncryptCommand({ KeyId: one.KeyId, Plaintext: Buffer.from('x') }));
    const decrypt = (CiphertextBlob: Uint8Array, KeyId?: string) => failure(kms.send(new KMS.DecryptCommand({ CiphertextBlob, KeyId })));
    assert.match(await decrypt(text!, two.KeyId), /IncorrectKeyException/);
    const damaged = Buffer.from(text!);
    damaged[damaged.length - 1]! ^= 1;
    assert.match(await decrypt(damaged), /InvalidCiphertextException/);
    assert.match(await decrypt(text!.subarray(0, 40)), /InvalidCiphertextException/);
    assert.match(await decrypt(randomBytes(6144).fill(7, 0, 1)), /InvalidCiphertextException/);
    const unknown = Buffer.from(text!);
    unknown.fill(0, 1, 17);
    assert.match(await decrypt(unknown), /AccessDenied.*does not exist/);
    const generation = Buffer.from(text!);
    generation.writeUInt32BE(9, 17);
    assert.match(await decrypt(generation), /InvalidCiphertextException/);
    assert.match(await failure(kms.send(new KMS.DecryptCommand({}))), /ValidationException/);
  });

  it('makes data keys of the wanted length', async () => {
    const { KeyId } = await newKey(kms);
    const EncryptionContext = { a: 'b' };
    for (const [input, length] of [
      [{ KeySpec: 'AES_128' }, 16],
      [{ KeySpec: 'AES_256' }, 32],
      [{ NumberOfBytes: 1024 }, 1024],
    ] as [Partial<KMS.GenerateDataKeyCommandInput>, number][]) {
      const made = await kms.send(new KMS.GenerateDataKeyCommand({ KeyId, EncryptionContext, ...input }));
      assert.equal(made.Plaintext!.length, length);
      const opened = await kms.send(new KMS.DecryptCommand({ CiphertextBlob: made.CiphertextBlob, EncryptionContext }));
      assert.deepEqual(opened.Plaintext, made.Plaintext);
      const hidden = await kms.send(new KMS.GenerateDataKeyWithoutPlaintextCommand({ KeyId, EncryptionContext, ...input }));
      assert.equal('Plaintext' in hidden, false);
      const shown = await kms.send(new KMS.DecryptCommand({ CiphertextBlob: hidden.CiphertextBlob, EncryptionContext }));
      assert.equal(shown.Plaintext!.length, length);
    }
    for (const input of [{}, { KeySpec: 'AES_256', NumberOfBytes: 32 }, { NumberOfBytes: 1025 }] as object[]) {
      assert.match(await failure(kms.send(new KMS.GenerateDataKeyCommand({ KeyId, ...input }))), /ValidationException/);
    }
    const { Plaintext } = await kms.send(new KMS.GenerateRandomCommand({ NumberOfBytes: 1024 }));
    assert.equal(Plaintext!.length, 1024);
    assert.match(await failure(kms.send(new KMS.GenerateRandomCommand({}))), /ValidationException/);
    assert.match(
      await failure(kms.send(new KMS.GenerateRandomCommand({ NumberOfBytes: 1, CustomKeyStoreId: 'x' }))),
      /UnsupportedOperationException/,
    );
  });

  it('re-encrypts under another key and context, without showing the plain text', async () => {
    const [one, two] = [await newKey(kms), await newKey(kms, { KeySpec: 'RSA_2048', KeyUsage: 'ENCRYPT_DECRYPT' })];
    const { CiphertextBlob } = await kms.send(
      new KMS.EncryptCommand({ KeyId: one.KeyId, Plaintext: Buffer.from('moved'), EncryptionContext: { a: '1' } }),
    );
    const moved = await kms.send(
      new KMS.ReEncryptCommand({
        CiphertextBlob,
        SourceEncryptionContext: { a: '1' },
        DestinationKeyId: two.KeyId,
        DestinationEncryptionAlgorithm: 'RSAES_OAEP_SHA_256',
      }),
    );
    assert.deepEqual([moved.SourceKeyId, moved.KeyId], [one.Arn, two.Arn]);
    const back = await kms.send(
      new KMS.ReEncryptCommand({
        CiphertextBlob: moved.CiphertextBlob,
        SourceKeyId: two.KeyId,
        SourceEncryptionAlgorithm: 'RSAES_OAEP_SHA_256',
        DestinationKeyId: one.KeyId,
        DestinationEncryptionContext: { b: '2' },
      }),
    );
    const opened = await kms.send(new KMS.DecryptCommand({ CiphertextBlob: back.CiphertextBlob, EncryptionContext: { b: '2' } }));
    assert.equal(Buffer.from(opened.Plaintext!).toString(), 'moved');
    assert.match(
      await failure(kms.send(new KMS.ReEncryptCommand({ CiphertextBlob, DestinationKeyId: one.KeyId }))),
      /InvalidCiphertextException/,
    );
  });

  it('tries only, when told to', async () => {
    const { KeyId } = await newKey(kms);
    const { CiphertextBlob } = await kms.send(new KMS.EncryptCommand({ KeyId, Plaintext: Buffer.from('x') }));
    for (const command of [
      new KMS.EncryptCommand({ KeyId, Plaintext: Buffer.from('x'), DryRun: true }),
      new KMS.DecryptCommand({ CiphertextBlob, DryRun: true }),
      new KMS.DecryptCommand({ KeyId, DryRun: true, DryRunModifiers: ['IGNORE_CIPHERTEXT'] }),
      new KMS.ReEncryptCommand({ CiphertextBlob, DestinationKeyId: KeyId, DryRun: true }),
      new KMS.GenerateDataKeyCommand({ KeyId, KeySpec: 'AES_256', DryRun: true }),
      new KMS.GenerateDataKeyPairCommand({ KeyId, KeyPairSpec: 'RSA_2048', DryRun: true }),
    ]) {
      assert.match(await failure(kms.send(command as never)), /DryRunOperationException/);
    }
    assert.match(
      await failure(kms.send(new KMS.DecryptCommand({ CiphertextBlob: randomBytes(100).fill(1, 0, 1), DryRun: true }))),
      /AccessDenied|InvalidCiphertext/,
    );
  });
});

describe('KMS: key pairs', () => {
  it('gives data key pairs of each spec', async () => {
    const { KeyId } = await newKey(kms);
    for (const KeyPairSpec of ['RSA_2048', 'ECC_NIST_P256', 'ECC_NIST_P521', 'ECC_SECG_P256K1', 'ECC_NIST_EDWARDS25519'] as const) {
      const pair = await kms.send(new KMS.GenerateDataKeyPairCommand({ KeyId, KeyPairSpec }));
      const hash = KeyPairSpec === 'ECC_NIST_EDWARDS25519' ? null : 'sha256';
      const signature = sign(hash, Buffer.from('x'), pkcs8(pair.PrivateKeyPlaintext!));
      assert.ok(verify(hash, Buffer.from('x'), spki(pair.PublicKey!), signature));
      const opened = await kms.send(new KMS.DecryptCommand({ CiphertextBlob: pair.PrivateKeyCiphertextBlob }));
      assert.deepEqual(opened.Plaintext, pair.PrivateKeyPlaintext);
    }
    const hidden = await kms.send(new KMS.GenerateDataKeyPairWithoutPlaintextCommand({ KeyId, KeyPairSpec: 'ECC_NIST_P256' }));
    assert.equal('PrivateKeyPlaintext' in hidden, false);
    assert.match(
      await failure(kms.send(new KMS.GenerateDataKeyPairCommand({ KeyId, KeyPairSpec: 'SM2' }))),
      /UnsupportedOperationException/,
    );
  });

  it('encrypts under RSA keys, as anybody can who has the public key', async () => {
    const { KeyId } = await newKey(kms, { KeySpec: 'RSA_2048', KeyUsage: 'ENCRYPT_DECRYPT' });
    const { PublicKey, EncryptionAlgorithms } = await kms.send(new KMS.GetPublicKeyCommand({ KeyId }));
    for (const [EncryptionAlgorithm, oaepHash, most] of [
      ['RSAES_OAEP_SHA_1', 'sha1', 214],
      ['RSAES_OAEP_SHA_256', 'sha256', 190],
    ] as const) {
      assert.ok(EncryptionAlgorithms!.includes(EncryptionAlgorithm));
      const plain = randomBytes(most);
      const { CiphertextBlob } = await kms.send(new KMS.EncryptCommand({ KeyId, Plaintext: plain, EncryptionAlgorithm }));
      const outside = publicEncrypt({ key: spki(PublicKey!), padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash }, plain);
      for (const text of [CiphertextBlob, outside]) {
        const { Plaintext } = await kms.send(new KMS.DecryptCommand({ KeyId, CiphertextBlob: text, EncryptionAlgorithm }));
        assert.deepEqual(Buffer.from(Plaintext!), plain);
      }
      assert.match(
        await failure(kms.send(new KMS.EncryptCommand({ KeyId, Plaintext: randomBytes(most + 1), EncryptionAlgorithm }))),
        new RegExp(`ValidationException.* ${most} bytes`),
      );
      assert.match(await failure(kms.send(new KMS.DecryptCommand({ CiphertextBlob, EncryptionAlgorithm }))), /ValidationException.*KeyId/);
      const wrong = randomBytes(256);
      assert.match(
        await failure(kms.send(new KMS.DecryptCommand({ KeyId, CiphertextBlob: wrong, EncryptionAlgorithm }))),
        /InvalidCiphertextException/,
      );
    }
    const Plaintext = Buffer.from('x');
    assert.match(await failure(kms.send(new KMS.EncryptCommand({ KeyId, Plaintext }))), /InvalidKeyUsageException.*incompatible/);
    assert.match(
      await failure(
        kms.send(new KMS.EncryptCommand({ KeyId, Plaintext, EncryptionAlgorithm: 'RSAES_OAEP_SHA_1', EncryptionContext: { a: 'b' } })),
      ),
      /ValidationException/,
    );
    assert.match(
      await failure(kms.send(new KMS.SignCommand({ KeyId, Message: Plaintext, SigningAlgorithm: 'RSASSA_PSS_SHA_256' }))),
      /InvalidKeyUsageException/,
    );
  });

  it('signs messages and digests, with every algorithm', async () => {
    const pss = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST };
    const Message = randomBytes(4096);
    for (const [KeySpec, algorithms] of [
      [
        'RSA_2048',
        [
          'RSASSA_PKCS1_V1_5_SHA_256',
          'RSASSA_PKCS1_V1_5_SHA_384',
          'RSASSA_PKCS1_V1_5_SHA_512',
          'RSASSA_PSS_SHA_256',
          'RSASSA_PSS_SHA_384',
          'RSASSA_PSS_SHA_512',
        ],
      ],
      ['ECC_NIST_P256', ['ECDSA_SHA_256']],
      ['ECC_NIST_P384', ['ECDSA_SHA_384']],
      ['ECC_NIST_P521', ['ECDSA_SHA_512']],
      ['ECC_SECG_P256K1', ['ECDSA_SHA_256']],
      ['ECC_NIST_EDWARDS25519', ['ED25519_SHA_512']],
      ['ML_DSA_65', ['ML_DSA_SHAKE_256']],
    ] as [KMS.KeySpec, KMS.SigningAlgorithmSpec[]][]) {
      const { KeyId } = await newKey(kms, { KeySpec, KeyUsage: 'SIGN_VERIFY' });
      const { PublicKey, SigningAlgorithms } = await kms.send(new KMS.GetPublicKeyCommand({ KeyId }));
      assert.deepEqual(SigningAlgorithms, algorithms);
      for (const SigningAlgorithm of algorithms) {
        const found = /(?:RSASSA|ECDSA).*_(\d+)$/.exec(SigningAlgorithm)?.[1];
        const hash = found === undefined ? null : `sha${found}`;
        const key = { key: spki(PublicKey!), ...(SigningAlgorithm.includes('PSS') && pss) };
        const { Signature } = await kms.send(new KMS.SignCommand({ KeyId, Message, SigningAlgorithm }));
        assert.ok(verify(hash, Message, key, Signature!), SigningAlgorithm);
        const check = (more: object) => kms.send(new KMS.VerifyCommand({ KeyId, Message, Signature, SigningAlgorithm, ...more }));
        assert.equal((await check({})).SignatureValid, true);
        assert.match(await failure(check({ Message: Buffer.from('other') })), /KMSInvalidSignatureException/);
        assert.match(await failure(check({ Signature: Buffer.from('no signature') })), /KMSInvalidSignatureException/);
        if (hash === null) {
          assert.match(await failure(check({ MessageType: 'DIGEST' })), /ValidationException/);
          continue;
        }
        const digest = createHash(hash).update(Message).digest();
        const signed = await kms.send(new KMS.SignCommand({ KeyId, Message: digest, MessageType: 'DIGEST', SigningAlgorithm }));
        assert.ok(verify(hash, Message, key, signed.Signature!), `${SigningAlgorithm} DIGEST`);
        assert.equal((await check({ Message: digest, MessageType: 'DIGEST' })).SignatureValid, true);
        assert.match(await failure(check({ MessageType: 'DIGEST' })), /ValidationException.*Digest/);
      }
    }
  });

  it('refuses algorithms that are not the key’s, and keys that do not sign', async () => {
    const ec = await newKey(kms, { KeySpec: 'ECC_NIST_P256', KeyUsage: 'SIGN_VERIFY' });
    const aes = await newKey(kms);
    const Message = Buffer.from('x');
    for (const SigningAlgorithm of ['ECDSA_SHA_384', 'RSASSA_PSS_SHA_256', 'ED25519_PH_SHA_512'] as const) {
      assert.match(
        await failure(kms.send(new KMS.SignCommand({ KeyId: ec.KeyId, Message, SigningAlgorithm }))),
        /InvalidKeyUsageException/,
      );
    }
    assert.match(
      await failure(kms.send(new KMS.SignCommand({ KeyId: aes.KeyId, Message, SigningAlgorithm: 'ECDSA_SHA_256' }))),
      /InvalidKeyUsageException.*key usage is ENCRYPT_DECRYPT/,
    );
    assert.match(await failure(kms.send(new KMS.GetPublicKeyCommand({ KeyId: aes.KeyId }))), /UnsupportedOperationException/);
    assert.match(
      await failure(kms.send(new KMS.GenerateDataKeyCommand({ KeyId: ec.KeyId, KeySpec: 'AES_256' }))),
      /InvalidKeyUsageException/,
    );
    assert.match(
      await failure(kms.send(new KMS.SignCommand({ KeyId: ec.KeyId, Message, SigningAlgorithm: 'ECDSA_SHA_256', DryRun: true }))),
      /DryRunOperationException/,
    );
  });

  it('authenticates messages', async () => {
    for (const bits of [224, 256, 384, 512] as const) {
      const { KeyId } = await newKey(kms, { KeySpec: `HMAC_${bits}`, KeyUsage: 'GENERATE_VERIFY_MAC' });
      const MacAlgorithm = `HMAC_SHA_${bits}` as const;
      const Message = randomBytes(50);
      const { Mac } = await kms.send(new KMS.GenerateMacCommand({ KeyId, Message, MacAlgorithm }));
      assert.equal(Mac!.length, bits / 8);
      assert.equal((await kms.send(new KMS.VerifyMacCommand({ KeyId, Message, Mac, MacAlgorithm }))).MacValid, true);
      for (const wrong of [randomBytes(bits / 8), Buffer.from('short')]) {
        assert.match(
          await failure(kms.send(new KMS.VerifyMacCommand({ KeyId, Message, Mac: wrong, MacAlgorithm }))),
          /KMSInvalidMacException/,
        );
      }
      const other = bits === 256 ? 'HMAC_SHA_512' : 'HMAC_SHA_256';
      assert.match(
        await failure(kms.send(new KMS.GenerateMacCommand({ KeyId, Message, MacAlgorithm: other }))),
        /InvalidKeyUsageException/,
      );
    }
  });
});

const run = promisify(execFile);
const hasCli = await run('aws', ['--version']).then(
  () => true,
  () => false,
);

describe('aws kms', { skip: hasCli ? false : 'there is no AWS CLI' }, () => {
  it('encrypts a file, decrypts it, and takes a data key', async () => {
    const folder = await mkdtemp(path.join(tmpdir(), 'penstock-kms-cli-'));
    try {
      const aws = async (...args: string[]) =>
        JSON.parse((await run('aws', ['kms', ...args], { env: server.env, cwd: folder })).stdout || '{}');
      const { KeyMetadata: key } = await aws('create-key', '--description', 'by the command line', '--tags', 'TagKey=a,TagValue=b');
      await aws('create-alias', '--alias-name', 'alias/cli', '--target-key-id', key.KeyId);
      await writeFile(path.join(folder, 'secret.txt'), 'a secret');
      const { CiphertextBlob } = await aws(
        'encrypt',
        '--key-id',
        'alias/cli',
        '--plaintext',
        'fileb://secret.txt',
        '--encryption-context',
        'app=shop',
      );
      await writeFile(path.join(folder, 'secret.bin'), Buffer.from(CiphertextBlob, 'base64'));
      const { Plaintext } = await aws('decrypt', '--ciphertext-blob', 'fileb://secret.bin', '--encryption-context', 'app=shop');
      assert.equal(Buffer.from(Plaintext, 'base64').toString(), await readFile(path.join(folder, 'secret.txt'), 'utf8'));
      const made = await aws('generate-data-key', '--key-id', key.Arn, '--key-spec', 'AES_256');
      assert.equal(Buffer.from(made.Plaintext, 'base64').length, 32);
      const pair = await aws('generate-data-key-pair', '--key-id', key.KeyId, '--key-pair-spec', 'RSA_2048');
      const sealed = publicEncrypt(spki(Buffer.from(pair.PublicKey, 'base64')), Buffer.from('x'));
      assert.equal(privateDecrypt(pkcs8(Buffer.from(pair.PrivateKeyPlaintext, 'base64')), sealed).toString(), 'x');
      assert.ok((await aws('list-aliases')).Aliases.some((alias: { AliasName: string }) => alias.AliasName === 'alias/cli'));
      const deletion = await aws('schedule-key-deletion', '--key-id', key.KeyId, '--pending-window-in-days', '7');
      assert.equal(deletion.KeyState, 'PendingDeletion');
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
