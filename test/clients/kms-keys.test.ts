import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
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

describe('KMS: keys', () => {
  it('makes a key and describes it by id and by ARN', async () => {
    const made = await newKey(kms, { Description: 'for a test', Tags: [{ TagKey: 'team', TagValue: 'blue' }] });
    const { KeyMetadata: byId } = await kms.send(new KMS.DescribeKeyCommand({ KeyId: made.KeyId }));
    const { KeyMetadata: byArn } = await kms.send(new KMS.DescribeKeyCommand({ KeyId: made.Arn }));
    assert.deepEqual(byId, made);
    assert.deepEqual(byArn, made);
    const { CreationDate: _, CurrentKeyMaterialId: material, ...rest } = made;
    assert.match(material!, /^[0-9a-f]{64}$/);
    assert.deepEqual(rest, {
      AWSAccountId: server.account,
      KeyId: made.KeyId,
      Arn: `arn:aws:kms:${server.region}:${server.account}:key/${made.KeyId}`,
      Enabled: true,
      Description: 'for a test',
      KeyUsage: 'ENCRYPT_DECRYPT',
      KeyState: 'Enabled',
      Origin: 'AWS_KMS',
      KeyManager: 'CUSTOMER',
      CustomerMasterKeySpec: 'SYMMETRIC_DEFAULT',
      KeySpec: 'SYMMETRIC_DEFAULT',
      EncryptionAlgorithms: ['SYMMETRIC_DEFAULT'],
      MultiRegion: false,
    });
  });

  it('tells the algorithms of each spec by its usage', async () => {
    const rsa = await newKey(kms, { KeySpec: 'RSA_2048', KeyUsage: 'ENCRYPT_DECRYPT' });
    assert.deepEqual(rsa.EncryptionAlgorithms, ['RSAES_OAEP_SHA_1', 'RSAES_OAEP_SHA_256']);
    assert.equal(rsa.SigningAlgorithms, undefined);
    const hmac = await newKey(kms, { KeySpec: 'HMAC_384', KeyUsage: 'GENERATE_VERIFY_MAC' });
    assert.deepEqual(hmac.MacAlgorithms, ['HMAC_SHA_384']);
    const ec = await newKey(kms, { CustomerMasterKeySpec: 'ECC_NIST_P384', KeyUsage: 'SIGN_VERIFY' });
    assert.deepEqual(ec.SigningAlgorithms, ['ECDSA_SHA_384']);
  });

  it('refuses what it cannot make', async () => {
    for (const [input, error] of [
      [{ MultiRegion: true }, 'UnsupportedOperationException'],
      [{ Origin: 'EXTERNAL' }, 'UnsupportedOperationException'],
      [{ CustomKeyStoreId: 'cks-1' }, 'UnsupportedOperationException'],
      [{ KeySpec: 'SM2', KeyUsage: 'SIGN_VERIFY' }, 'UnsupportedOperationException'],
      [{ KeySpec: 'ECC_NIST_P256', KeyUsage: 'KEY_AGREEMENT' }, 'UnsupportedOperationException'],
      [{ KeySpec: 'RSA_2048' }, 'ValidationException'],
      [{ KeySpec: 'ECC_NIST_P256', KeyUsage: 'ENCRYPT_DECRYPT' }, 'ValidationException'],
      [{ KeySpec: 'HMAC_256', KeyUsage: 'SIGN_VERIFY' }, 'ValidationException'],
      [{ KeySpec: 'RSA_2048', CustomerMasterKeySpec: 'RSA_2048', KeyUsage: 'SIGN_VERIFY' }, 'ValidationException'],
      [{ KeySpec: 'DES' }, 'ValidationException'],
      [{ Tags: [{ TagKey: 'aws:mine', TagValue: '' }] }, 'TagException'],
      [
        {
          Tags: [
            { TagKey: 'a', TagValue: '' },
            { TagKey: 'a', TagValue: '' },
          ],
        },
        'TagException',
      ],
      [{ Tags: [{ TagKey: 'a<b', TagValue: '' }] }, 'TagException'],
      [{ Tags: Array.from({ length: 51 }, (_, n) => ({ TagKey: `k${n}`, TagValue: '' })) }, 'LimitExceededException'],
      [{ Policy: 'not json' }, 'MalformedPolicyDocumentException'],
      [
        { Policy: `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"kms:*","Resource":"*"}]}` },
        'MalformedPolicyDocumentException',
      ],
    ] as [KMS.CreateKeyCommandInput, string][]) {
      assert.match(await failure(newKey(kms, input)), new RegExp(error), JSON.stringify(input));
    }
  });

  it('finds no key that there is not, however it is named', async () => {
    const describe = (KeyId: string) => failure(kms.send(new KMS.DescribeKeyCommand({ KeyId })));
    const arn = (region: string, rest: string) => `arn:aws:kms:${region}:${server.account}:${rest}`;
    assert.match(await describe(randomUUID()), /NotFoundException/);
    assert.match(await describe(arn(server.region, `key/${randomUUID()}`)), /NotFoundException/);
    assert.match(await describe('alias/none'), /NotFoundException/);
    assert.match(await describe(arn(server.region, 'alias/none')), /NotFoundException/);
    assert.match(await describe('no-id'), /NotFoundException/);
    assert.match(await describe(arn('eu-central-1', `key/${randomUUID()}`)), /NotFoundException/);
    assert.match(await describe('arn:aws:s3:::bucket'), /InvalidArnException/);
    assert.match(await describe('x'.repeat(2049)), /ValidationException/);
    assert.match(await failure(kms.send(new KMS.ScheduleKeyDeletionCommand({ KeyId: 'alias/none' }))), /NotFoundException/);
  });

  it('lists keys in pages', async () => {
    const made = new Set<string>();
    for (let n = 0; n < 5; n++) made.add((await newKey(kms)).KeyId!);
    const listed: string[] = [];
    for await (const page of KMS.paginateListKeys({ client: kms, pageSize: 2 }, {})) {
      assert.ok(page.Keys!.length <= 2);
      listed.push(...page.Keys!.map((key) => key.KeyId!));
    }
    assert.equal(new Set(listed).size, listed.length);
    for (const id of made) assert.ok(listed.includes(id));
    assert.match(await failure(kms.send(new KMS.ListKeysCommand({ Marker: 'forged' }))), /InvalidMarkerException/);
    assert.match(await failure(kms.send(new KMS.ListKeysCommand({ Limit: 1001 }))), /ValidationException/);
  });

  it('disables and enables, schedules deletion and cancels it', async () => {
    const { KeyId, Arn } = await newKey(kms);
    const state = async () => (await kms.send(new KMS.DescribeKeyCommand({ KeyId }))).KeyMetadata!;
    const encrypt = () => kms.send(new KMS.EncryptCommand({ KeyId, Plaintext: Buffer.from('x') }));
    await kms.send(new KMS.DisableKeyCommand({ KeyId }));
    assert.deepEqual([(await state()).KeyState, (await state()).Enabled], ['Disabled', false]);
    assert.match(await failure(encrypt()), /DisabledException.*is disabled/);
    await kms.send(new KMS.EnableKeyCommand({ KeyId }));
    await encrypt();

    for (const PendingWindowInDays of [6, 31]) {
      assert.match(await failure(kms.send(new KMS.ScheduleKeyDeletionCommand({ KeyId, PendingWindowInDays }))), /ValidationException/);
    }
    const scheduled = await kms.send(new KMS.ScheduleKeyDeletionCommand({ KeyId, PendingWindowInDays: 7 }));
    assert.deepEqual([scheduled.KeyId, scheduled.KeyState, scheduled.PendingWindowInDays], [Arn, 'PendingDeletion', 7]);
    assert.equal(Math.round((scheduled.DeletionDate!.getTime() - Date.now()) / 86_400_000), 7);
    assert.deepEqual((await state()).DeletionDate, scheduled.DeletionDate);
    for (const call of [
      encrypt,
      () => kms.send(new KMS.ScheduleKeyDeletionCommand({ KeyId })),
      () => kms.send(new KMS.EnableKeyCommand({ KeyId })),
      () => kms.send(new KMS.DisableKeyCommand({ KeyId })),
      () => kms.send(new KMS.UpdateKeyDescriptionCommand({ KeyId, Description: 'x' })),
      () => kms.send(new KMS.CreateAliasCommand({ AliasName: 'alias/pending', TargetKeyId: KeyId })),
      () => kms.send(new KMS.TagResourceCommand({ KeyId, Tags: [{ TagKey: 'a', TagValue: 'b' }] })),
      () => kms.send(new KMS.ListGrantsCommand({ KeyId })),
    ]) {
      assert.match(await failure(call()), /KMSInvalidStateException.*is pending deletion/);
    }
    assert.equal((await kms.send(new KMS.CancelKeyDeletionCommand({ KeyId }))).KeyId, Arn);
    assert.deepEqual([(await state()).KeyState, (await state()).DeletionDate], ['Disabled', undefined]);
    assert.match(await failure(kms.send(new KMS.CancelKeyDeletionCommand({ KeyId }))), /KMSInvalidStateException/);
    await kms.send(new KMS.EnableKeyCommand({ KeyId }));
    await encrypt();
  });

  it('keeps descriptions and tags', async () => {
    const { KeyId } = await newKey(kms, { Tags: [{ TagKey: 'team', TagValue: 'blue' }] });
    await kms.send(new KMS.UpdateKeyDescriptionCommand({ KeyId, Description: 'anew' }));
    assert.equal((await kms.send(new KMS.DescribeKeyCommand({ KeyId }))).KeyMetadata!.Description, 'anew');
    await kms.send(
      new KMS.TagResourceCommand({
        KeyId,
        Tags: [
          { TagKey: 'stage', TagValue: 'test' },
          { TagKey: 'team', TagValue: 'red' },
        ],
      }),
    );
    const first = await kms.send(new KMS.ListResourceTagsCommand({ KeyId, Limit: 1 }));
    assert.deepEqual([first.Tags, first.Truncated], [[{ TagKey: 'stage', TagValue: 'test' }], true]);
    const second = await kms.send(new KMS.ListResourceTagsCommand({ KeyId, Marker: first.NextMarker }));
    assert.deepEqual([second.Tags, second.Truncated], [[{ TagKey: 'team', TagValue: 'red' }], false]);
    await kms.send(new KMS.UntagResourceCommand({ KeyId, TagKeys: ['stage', 'none'] }));
    assert.equal((await kms.send(new KMS.ListResourceTagsCommand({ KeyId }))).Tags!.length, 1);
    const many = Array.from({ length: 50 }, (_, n) => ({ TagKey: `k${n}`, TagValue: '' }));
    assert.match(await failure(kms.send(new KMS.TagResourceCommand({ KeyId, Tags: many }))), /LimitExceededException/);
    assert.match(await failure(kms.send(new KMS.ListResourceTagsCommand({ KeyId, Marker: 'x' }))), /InvalidMarkerException/);
  });

  it('has one policy, which must not lock out whoever sets it', async () => {
    const { KeyId } = await newKey(kms);
    assert.deepEqual((await kms.send(new KMS.ListKeyPoliciesCommand({ KeyId }))).PolicyNames, ['default']);
    const { Policy, PolicyName } = await kms.send(new KMS.GetKeyPolicyCommand({ KeyId }));
    assert.equal(PolicyName, 'default');
    assert.deepEqual(JSON.parse(Policy!).Statement[0].Principal, { AWS: `arn:aws:iam::${server.account}:root` });
    const readOnly = JSON.stringify({
      Version: '2012-10-17',
      Statement: [
        {
          Effect: 'Allow',
          Principal: { AWS: `arn:aws:iam::${server.account}:root` },
          Action: ['kms:Get*', 'kms:Describe*'],
          Resource: '*',
        },
      ],
    });
    const put = (more: object = {}) => kms.send(new KMS.PutKeyPolicyCommand({ KeyId, Policy: readOnly, ...more }));
    assert.match(await failure(put()), /MalformedPolicyDocumentException.*will not allow you to update the key policy/);
    assert.match(await failure(put({ PolicyName: 'other' })), /NotFoundException/);
    assert.match(await failure(put({ Policy: '{}' })), /MalformedPolicyDocumentException/);
    await put({ BypassPolicyLockoutSafetyCheck: true });
    assert.equal((await kms.send(new KMS.GetKeyPolicyCommand({ KeyId, PolicyName: 'default' }))).Policy, readOnly);
    assert.match(await failure(put({ BypassPolicyLockoutSafetyCheck: true })), /AccessDenied/);
    assert.match(await failure(kms.send(new KMS.EncryptCommand({ KeyId, Plaintext: Buffer.from('x') }))), /AccessDenied/);
    assert.match(await failure(kms.send(new KMS.GetKeyPolicyCommand({ KeyId, PolicyName: 'other' }))), /NotFoundException/);
    assert.match(await failure(kms.send(new KMS.ListKeyPoliciesCommand({ KeyId, Marker: 'x' }))), /AccessDenied/);
  });

  it('rotates: older material still decrypts, newer encrypts', async () => {
    const { KeyId, CurrentKeyMaterialId: first } = await newKey(kms);
    const { CiphertextBlob: old } = await kms.send(new KMS.EncryptCommand({ KeyId, Plaintext: Buffer.from('old') }));
    assert.deepEqual((await kms.send(new KMS.GetKeyRotationStatusCommand({ KeyId }))).KeyRotationEnabled, false);
    await kms.send(new KMS.EnableKeyRotationCommand({ KeyId, RotationPeriodInDays: 90 }));
    const status = await kms.send(new KMS.GetKeyRotationStatusCommand({ KeyId }));
    assert.deepEqual([status.KeyRotationEnabled, status.RotationPeriodInDays], [true, 90]);
    assert.equal(Math.round((status.NextRotationDate!.getTime() - Date.now()) / 86_400_000), 90);
    await kms.send(new KMS.RotateKeyOnDemandCommand({ KeyId }));
    const { CurrentKeyMaterialId: second } = (await kms.send(new KMS.DescribeKeyCommand({ KeyId }))).KeyMetadata!;
    assert.notEqual(second, first);
    const opened = await kms.send(new KMS.DecryptCommand({ CiphertextBlob: old }));
    assert.deepEqual([Buffer.from(opened.Plaintext!).toString(), opened.KeyMaterialId], ['old', first]);
    const made = await kms.send(new KMS.GenerateDataKeyCommand({ KeyId, KeySpec: 'AES_256' }));
    assert.equal(made.KeyMaterialId, second);
    const rotations = await kms.send(new KMS.ListKeyRotationsCommand({ KeyId }));
    assert.deepEqual(
      rotations.Rotations!.map((one) => [one.KeyMaterialId, one.RotationType, one.KeyMaterialState]),
      [[second, 'ON_DEMAND', 'CURRENT']],
    );
    const all = await kms.send(new KMS.ListKeyRotationsCommand({ KeyId, IncludeKeyMaterial: 'ALL_KEY_MATERIAL' }));
    assert.deepEqual(
      all.Rotations!.map((one) => one.KeyMaterialState),
      ['NON_CURRENT', 'CURRENT'],
    );
    await kms.send(new KMS.DisableKeyRotationCommand({ KeyId }));
    assert.equal((await kms.send(new KMS.GetKeyRotationStatusCommand({ KeyId }))).KeyRotationEnabled, false);

    const { KeyId: rsa } = await newKey(kms, { KeySpec: 'RSA_2048', KeyUsage: 'SIGN_VERIFY' });
    for (const call of [
      new KMS.EnableKeyRotationCommand({ KeyId: rsa }),
      new KMS.DisableKeyRotationCommand({ KeyId: rsa }),
      new KMS.RotateKeyOnDemandCommand({ KeyId: rsa }),
      new KMS.ListKeyRotationsCommand({ KeyId: rsa }),
    ]) {
      assert.match(await failure(kms.send(call as never)), /UnsupportedOperationException/);
    }
    assert.match(await failure(kms.send(new KMS.EnableKeyRotationCommand({ KeyId, RotationPeriodInDays: 89 }))), /ValidationException/);
    await kms.send(new KMS.DisableKeyCommand({ KeyId }));
    assert.match(await failure(kms.send(new KMS.RotateKeyOnDemandCommand({ KeyId }))), /DisabledException/);
  });

  it('rotates on demand at most 25 times', async () => {
    const { KeyId } = await newKey(kms);
    for (let n = 0; n < 25; n++) await kms.send(new KMS.RotateKeyOnDemandCommand({ KeyId }));
    assert.match(await failure(kms.send(new KMS.RotateKeyOnDemandCommand({ KeyId }))), /LimitExceededException/);
  });
});

describe('KMS: aliases', () => {
  it('names a key, moves to another and goes', async () => {
    const [one, two, rsa] = [await newKey(kms), await newKey(kms), await newKey(kms, { KeySpec: 'RSA_2048', KeyUsage: 'ENCRYPT_DECRYPT' })];
    const AliasName = 'alias/app/data';
    const target = async () => (await kms.send(new KMS.DescribeKeyCommand({ KeyId: AliasName }))).KeyMetadata!.KeyId;
    await kms.send(new KMS.CreateAliasCommand({ AliasName, TargetKeyId: one.KeyId }));
    assert.equal(await target(), one.KeyId);
    const { CiphertextBlob } = await kms.send(new KMS.EncryptCommand({ KeyId: AliasName, Plaintext: Buffer.from('by alias') }));
    assert.match(await failure(kms.send(new KMS.CreateAliasCommand({ AliasName, TargetKeyId: two.KeyId }))), /AlreadyExistsException/);
    await kms.send(new KMS.UpdateAliasCommand({ AliasName, TargetKeyId: two.Arn }));
    assert.equal(await target(), two.KeyId);
    assert.match(await failure(kms.send(new KMS.DecryptCommand({ KeyId: AliasName, CiphertextBlob }))), /IncorrectKeyException/);
    assert.match(await failure(kms.send(new KMS.UpdateAliasCommand({ AliasName, TargetKeyId: rsa.KeyId }))), /ValidationException/);
    const { Aliases } = await kms.send(new KMS.ListAliasesCommand({ KeyId: two.KeyId }));
    assert.deepEqual(
      Aliases!.map((alias) => [alias.AliasName, alias.TargetKeyId]),
      [[AliasName, two.KeyId]],
    );
    await kms.send(new KMS.DeleteAliasCommand({ AliasName }));
    assert.match(await failure(target()), /NotFoundException/);
    assert.match(await failure(kms.send(new KMS.DeleteAliasCommand({ AliasName }))), /NotFoundException/);
    assert.match(await failure(kms.send(new KMS.UpdateAliasCommand({ AliasName, TargetKeyId: two.KeyId }))), /NotFoundException/);
  });

  it('refuses names that are none or are reserved', async () => {
    const { KeyId } = await newKey(kms);
    const create = (AliasName: string) => failure(kms.send(new KMS.CreateAliasCommand({ AliasName, TargetKeyId: KeyId })));
    assert.match(await create('app'), /ValidationException/);
    assert.match(await create('alias/'), /InvalidAliasNameException/);
    assert.match(await create('alias/a:b'), /InvalidAliasNameException/);
    assert.match(await create('alias/a b'), /ValidationException/);
    assert.match(await create('alias/aws/mine'), /NotAuthorizedException/);
    assert.match(await failure(kms.send(new KMS.DeleteAliasCommand({ AliasName: 'alias/aws/s3' }))), /NotAuthorizedException/);
    assert.match(
      await failure(kms.send(new KMS.CreateAliasCommand({ AliasName: 'alias/x', TargetKeyId: randomUUID() }))),
      /NotFoundException/,
    );
  });

  it('lists in pages, AWS-managed ones among them, whose keys are made when asked for', async () => {
    const { KeyId } = await newKey(kms);
    for (const name of ['zz-1', 'zz-2', 'AA-1'])
      await kms.send(new KMS.CreateAliasCommand({ AliasName: `alias/${name}`, TargetKeyId: KeyId }));
    const all: KMS.AliasListEntry[] = [];
    for await (const page of KMS.paginateListAliases({ client: kms, pageSize: 2 }, {})) all.push(...page.Aliases!);
    const names = all.map((alias) => alias.AliasName!);
    assert.deepEqual(names, [...new Set(names)].sort());
    for (const name of ['alias/AA-1', 'alias/zz-2', 'alias/aws/codecommit', 'alias/aws/s3']) assert.ok(names.includes(name), name);
    assert.equal(all.find((alias) => alias.AliasName === 'alias/aws/ssm')!.TargetKeyId, undefined);

    const asked = await Promise.all(Array.from({ length: 5 }, () => kms.send(new KMS.DescribeKeyCommand({ KeyId: 'alias/aws/ssm' }))));
    const managed = asked[0]!.KeyMetadata!;
    assert.ok(asked.every((answer) => answer.KeyMetadata!.KeyId === managed.KeyId));
    assert.equal(managed.KeyManager, 'AWS');
    assert.equal((await kms.send(new KMS.GetKeyRotationStatusCommand({ KeyId: managed.KeyId }))).KeyRotationEnabled, true);
    for (const call of [
      new KMS.EncryptCommand({ KeyId: 'alias/aws/ssm', Plaintext: Buffer.from('x') }),
      new KMS.DisableKeyCommand({ KeyId: managed.KeyId }),
      new KMS.ScheduleKeyDeletionCommand({ KeyId: managed.KeyId }),
      new KMS.PutKeyPolicyCommand({ KeyId: managed.KeyId, Policy: '{}' }),
      new KMS.CreateAliasCommand({ AliasName: 'alias/mine', TargetKeyId: managed.KeyId }),
    ]) {
      assert.match(await failure(kms.send(call as never)), /AccessDenied/);
    }
  });

  it('lets a key have 50 aliases', async () => {
    const { KeyId } = await newKey(kms);
    for (let n = 0; n < 50; n++) await kms.send(new KMS.CreateAliasCommand({ AliasName: `alias/many-${n}`, TargetKeyId: KeyId }));
    assert.match(
      await failure(kms.send(new KMS.CreateAliasCommand({ AliasName: 'alias/many-50', TargetKeyId: KeyId }))),
      /LimitExceededException/,
    );
  });
});
