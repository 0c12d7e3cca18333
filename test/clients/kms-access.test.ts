import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import {
  CreateAccessKeyCommand,
  CreateRoleCommand,
  CreateUserCommand,
  IAMClient,
  PutRolePolicyCommand,
  PutUserPolicyCommand,
} from '@aws-sdk/client-iam';
import * as KMS from '@aws-sdk/client-kms';
import { AssumeRoleCommand, STSClient } from '@aws-sdk/client-sts';
import type { Penstock } from '../../src/compose.ts';
import { readConfig } from '../../src/platform/config.ts';
import { startPenstock } from '../../src/start.ts';
import { failure, newKey } from '../support/kms.ts';

const OTHER = '222222222222';

type Keys = { accessKeyId: string; secretAccessKey: string; sessionToken?: string };

let dataDir: string;
let first: Penstock;
let second: Penstock;
let otherKeys: Keys;
let admin: KMS.KMSClient;

/** Two processes' worth of Penstock on one database, and two accounts. */
before(async () => {
  dataDir = await mkdtemp(path.join(tmpdir(), 'penstock-test-'));
  const start = () => {
    const { config, ports } = readConfig(
      { data: dataDir, port: '0', tlsPort: '0', sshPort: '0', machines: 'process' },
      { PENSTOCK_LOG_LEVEL: 'error' },
    );
    return startPenstock(config, ports, {});
  };
  first = await start();
  second = await start();
  otherKeys = await first.addAccount(OTHER);
  admin = kmsOf(first.administrator);
});
after(async () => {
  await second?.stop();
  await first?.stop();
  await rm(dataDir, { recursive: true, force: true, maxRetries: 5 });
});

function settings(credentials: Keys, penstock = first) {
  return { endpoint: penstock.config.endpoints.http, region: 'us-east-1', credentials, maxAttempts: 1 };
}
const kmsOf = (credentials: Keys, penstock = first) => new KMS.KMSClient(settings(credentials, penstock));
const account = () => first.config.account;
const arnOf = (name: string, of = account()) => `arn:aws:iam::${of}:user/${name}`;
const document = (...Statement: object[]) => JSON.stringify({ Version: '2012-10-17', Statement });
const allow = (Action: string | string[], more: object = {}) => ({ Effect: 'Allow', Action, Resource: '*', ...more });
const rootOf = (id: string) => ({ Principal: { AWS: `arn:aws:iam::${id}:root` } });
const ownerAll = () => allow('kms:*', rootOf(account()));

async function makeUser(UserName: string, statements: object[] = [], owner: Keys = first.administrator): Promise<Keys> {
  const iam = new IAMClient(settings(owner));
  await iam.send(new CreateUserCommand({ UserName }));
  if (statements.length > 0) {
    await iam.send(new PutUserPolicyCommand({ UserName, PolicyName: 'p', PolicyDocument: document(...statements) }));
  }
  const { AccessKey } = await iam.send(new CreateAccessKeyCommand({ UserName }));
  return { accessKeyId: AccessKey!.AccessKeyId!, secretAccessKey: AccessKey!.SecretAccessKey! };
}

const encrypt = (kms: KMS.KMSClient, KeyId: string | undefined, more: Partial<KMS.EncryptCommandInput> = {}) =>
  kms.send(new KMS.EncryptCommand({ KeyId, Plaintext: Buffer.from('x'), ...more }));

describe('KMS: key policies', () => {
  it('let the account’s own policies decide only where they say so', async () => {
    const strict = await newKey(admin, {
      Policy: document(allow('kms:*', { Principal: { AWS: arnOf('administrator') } })),
    });
    const usual = await newKey(admin);
    const allowed = kmsOf(await makeUser('allowed', [allow('kms:*')]));
    const bare = kmsOf(await makeUser('bare'));
    await encrypt(allowed, usual.KeyId);
    assert.match(await failure(encrypt(allowed, strict.KeyId)), /AccessDenied.*no resource-based policy allows the kms:Encrypt/);
    assert.match(await failure(encrypt(bare, usual.KeyId)), /AccessDenied.*no identity-based policy allows the kms:Encrypt/);
    await encrypt(admin, strict.KeyId);
  });

  it('name users and roles, who then need no policy of their own; denials win', async () => {
    const keys = await makeUser('named');
    const { Role } = await new IAMClient(settings(first.administrator)).send(
      new CreateRoleCommand({
        RoleName: 'decrypter',
        AssumeRolePolicyDocument: document({ Effect: 'Allow', Principal: { AWS: account() }, Action: 'sts:AssumeRole' }),
      }),
    );
    const { KeyId } = await newKey(admin, {
      Policy: document(
        ownerAll(),
        allow(['kms:Encrypt', 'kms:Decrypt'], { Principal: { AWS: arnOf('named') } }),
        allow('kms:Decrypt', { Principal: { AWS: Role!.Arn } }),
        {
          Effect: 'Deny',
          Principal: '*',
          Action: 'kms:Encrypt',
          Resource: '*',
          Condition: { StringEquals: { 'kms:EncryptionContext:secret': 'yes' } },
        },
      ),
    });
    const { CiphertextBlob } = await encrypt(kmsOf(keys), KeyId);
    assert.match(await failure(encrypt(kmsOf(keys), KeyId, { EncryptionContext: { secret: 'yes' } })), /AccessDenied.*explicit deny/);
    assert.match(await failure(encrypt(admin, KeyId, { EncryptionContext: { secret: 'yes' } })), /AccessDenied.*explicit deny/);
    assert.match(await failure(kmsOf(keys).send(new KMS.DescribeKeyCommand({ KeyId }))), /AccessDenied/);
    const session = await new STSClient(settings(first.administrator)).send(
      new AssumeRoleCommand({ RoleArn: Role!.Arn, RoleSessionName: 'session' }),
    );
    const { AccessKeyId, SecretAccessKey, SessionToken } = session.Credentials!;
    const asRole = kmsOf({ accessKeyId: AccessKeyId!, secretAccessKey: SecretAccessKey!, sessionToken: SessionToken! });
    await asRole.send(new KMS.DecryptCommand({ CiphertextBlob }));
    assert.match(await failure(encrypt(asRole, KeyId)), /AccessDenied/);
  });

  it('see what is asked: context, caller, service, spec, alias', async () => {
    const user = kmsOf(await makeUser('conditional', [allow('kms:*')]));
    const condition = (Condition: object) =>
      newKey(admin, {
        Policy: document(
          allow('kms:*', { ...rootOf(account()), Condition: { StringEquals: { 'aws:PrincipalArn': arnOf('administrator') } } }),
          allow('kms:Encrypt', { ...rootOf(account()), Condition }),
        ),
      });
    const byContext = await condition({
      StringEquals: { 'kms:EncryptionContext:app': 'shop' },
      'ForAllValues:StringEquals': { 'kms:EncryptionContextKeys': ['app'] },
    });
    await encrypt(user, byContext.KeyId, { EncryptionContext: { app: 'shop' } });
    assert.match(await failure(encrypt(user, byContext.KeyId, { EncryptionContext: { app: 'other' } })), /AccessDenied/);
    assert.match(await failure(encrypt(user, byContext.KeyId, { EncryptionContext: { app: 'shop', b: '1' } })), /AccessDenied/);
    const byService = await condition({ StringEquals: { 'kms:ViaService': 's3.us-east-1.amazonaws.com' } });
    assert.match(await failure(encrypt(user, byService.KeyId)), /AccessDenied/);
    const byCaller = await condition({ StringEquals: { 'kms:CallerAccount': account(), 'kms:KeySpec': 'SYMMETRIC_DEFAULT' } });
    await encrypt(user, byCaller.KeyId);
    const byAlias = await condition({ StringEquals: { 'kms:RequestAlias': 'alias/conditional' } });
    await admin.send(new KMS.CreateAliasCommand({ AliasName: 'alias/conditional', TargetKeyId: byAlias.KeyId }));
    await encrypt(user, 'alias/conditional');
    assert.match(await failure(encrypt(user, byAlias.KeyId)), /AccessDenied/);
  });

  it('a change of them reaches the other processes', async () => {
    const { KeyId } = await newKey(admin);
    const user = kmsOf(await makeUser('changed', [allow('kms:*')]), second);
    await encrypt(user, KeyId);
    await admin.send(
      new KMS.PutKeyPolicyCommand({ KeyId, Policy: document(allow('kms:*', { Principal: { AWS: arnOf('administrator') } })) }),
    );
    const allowed = () =>
      encrypt(user, KeyId).then(
        () => true,
        () => false,
      );
    while (await allowed());
    await admin.send(new KMS.DisableKeyCommand({ KeyId }));
    const adminThere = kmsOf(first.administrator, second);
    while ((await encrypt(adminThere, KeyId).catch((error) => error)).name !== 'DisabledException');
  });
});

describe('KMS: two accounts', () => {
  it('need both the key’s policy and the caller’s', async () => {
    const { Arn, KeyId } = await newKey(admin, {
      Policy: document(ownerAll(), allow(['kms:Encrypt', 'kms:Decrypt', 'kms:DescribeKey'], rootOf(OTHER))),
    });
    await admin.send(new KMS.CreateAliasCommand({ AliasName: 'alias/shared', TargetKeyId: KeyId }));
    const foreign = kmsOf(otherKeys);
    const { CiphertextBlob, KeyId: told } = await encrypt(foreign, Arn);
    assert.equal(told, Arn);
    await encrypt(foreign, `arn:aws:kms:us-east-1:${account()}:alias/shared`);
    await foreign.send(new KMS.DecryptCommand({ CiphertextBlob }));
    assert.equal((await foreign.send(new KMS.DescribeKeyCommand({ KeyId: Arn }))).KeyMetadata!.AWSAccountId, account());
    // Without its ARN a key is of the own account.
    assert.match(await failure(encrypt(foreign, KeyId)), /NotFoundException/);
    assert.match(await failure(foreign.send(new KMS.GenerateDataKeyCommand({ KeyId: Arn, KeySpec: 'AES_256' }))), /AccessDenied/);
    assert.match(await failure(foreign.send(new KMS.DisableKeyCommand({ KeyId: Arn }))), /AccessDenied/);
    const bare = kmsOf(await makeUser('bare', [], otherKeys));
    assert.match(await failure(encrypt(bare, Arn)), /AccessDenied.*no identity-based policy/);
    const closed = await newKey(admin);
    assert.match(await failure(encrypt(foreign, closed.Arn)), /AccessDenied.*no resource-based policy/);
  });
});

describe('KMS: grants', () => {
  it('let a principal do some things, within their constraints, until they are revoked', async () => {
    const { KeyId, Arn } = await newKey(admin);
    const user = kmsOf(await makeUser('granted'));
    assert.match(await failure(encrypt(user, KeyId)), /AccessDenied/);
    const { GrantId, GrantToken } = await admin.send(
      new KMS.CreateGrantCommand({
        KeyId,
        Name: 'for-a-test',
        GranteePrincipal: arnOf('granted'),
        Operations: ['Encrypt', 'Decrypt'],
        Constraints: { EncryptionContextSubset: { app: 'shop' } },
      }),
    );
    const { CiphertextBlob } = await encrypt(user, KeyId, { EncryptionContext: { app: 'shop', more: '1' }, GrantTokens: [GrantToken!] });
    await user.send(new KMS.DecryptCommand({ CiphertextBlob, EncryptionContext: { app: 'shop', more: '1' } }));
    assert.match(await failure(encrypt(user, KeyId)), /AccessDenied/);
    assert.match(await failure(encrypt(user, KeyId, { EncryptionContext: { app: 'other' } })), /AccessDenied/);
    assert.match(
      await failure(user.send(new KMS.GenerateDataKeyCommand({ KeyId, KeySpec: 'AES_256', EncryptionContext: { app: 'shop' } }))),
      /AccessDenied/,
    );
    assert.match(await failure(encrypt(user, KeyId, { GrantTokens: ['forged'] })), /InvalidGrantTokenException/);

    const again = await admin.send(
      new KMS.CreateGrantCommand({
        KeyId,
        Name: 'for-a-test',
        GranteePrincipal: arnOf('granted'),
        Operations: ['Decrypt', 'Encrypt'],
        Constraints: { EncryptionContextSubset: { app: 'shop' } },
      }),
    );
    assert.equal(again.GrantId, GrantId);
    const { Grants } = await admin.send(new KMS.ListGrantsCommand({ KeyId }));
    assert.equal(Grants!.length, 1);
    assert.deepEqual(
      [Grants![0]!.KeyId, Grants![0]!.Name, Grants![0]!.GranteePrincipal, Grants![0]!.IssuingAccount],
      [Arn, 'for-a-test', arnOf('granted'), `arn:aws:iam::${account()}:root`],
    );
    assert.deepEqual(Grants![0]!.Constraints, { EncryptionContextSubset: { app: 'shop' } });
    assert.match(await failure(admin.send(new KMS.RevokeGrantCommand({ KeyId, GrantId, DryRun: true }))), /DryRunOperationException/);
    assert.match(await failure(user.send(new KMS.RevokeGrantCommand({ KeyId, GrantId }))), /AccessDenied/);
    await admin.send(new KMS.RevokeGrantCommand({ KeyId, GrantId }));
    assert.match(await failure(encrypt(user, KeyId, { EncryptionContext: { app: 'shop' } })), /AccessDenied/);
    assert.match(await failure(admin.send(new KMS.RevokeGrantCommand({ KeyId, GrantId }))), /NotFoundException/);
  });

  it('are retired by whom they name, and passed on only as they are', async () => {
    const { KeyId, Arn } = await newKey(admin);
    const [giver, taker] = [kmsOf(await makeUser('giver')), kmsOf(await makeUser('taker'))];
    await admin.send(
      new KMS.CreateGrantCommand({
        KeyId,
        GranteePrincipal: arnOf('giver'),
        RetiringPrincipal: arnOf('taker'),
        Operations: ['CreateGrant', 'Encrypt', 'DescribeKey', 'RetireGrant'],
      }),
    );
    const pass = (Operations: KMS.GrantOperation[]) =>
      giver.send(new KMS.CreateGrantCommand({ KeyId, GranteePrincipal: arnOf('taker'), Operations }));
    assert.match(await failure(pass(['Decrypt'])), /AccessDenied/);
    const passed = await pass(['Encrypt']);
    await encrypt(taker, KeyId);
    assert.match(await failure(taker.send(new KMS.RetireGrantCommand({ GrantToken: passed.GrantToken }))), /AccessDenied/);

    const { Grants } = await admin.send(new KMS.ListRetirableGrantsCommand({ RetiringPrincipal: arnOf('taker') }));
    assert.equal(Grants!.length, 1);
    await taker.send(new KMS.RetireGrantCommand({ KeyId: Arn, GrantId: Grants![0]!.GrantId }));
    assert.match(await failure(encrypt(giver, KeyId)), /AccessDenied/);
    await encrypt(taker, KeyId);
    assert.match(await failure(taker.send(new KMS.RetireGrantCommand({ KeyId: Arn, GrantId: Grants![0]!.GrantId }))), /NotFoundException/);

    const own = await admin.send(new KMS.CreateGrantCommand({ KeyId, GranteePrincipal: arnOf('giver'), Operations: ['RetireGrant'] }));
    await giver.send(new KMS.RetireGrantCommand({ GrantToken: own.GrantToken }));
    for (const input of [{}, { GrantToken: own.GrantToken, KeyId: Arn }, { KeyId: Arn }]) {
      assert.match(await failure(admin.send(new KMS.RetireGrantCommand(input))), /ValidationException/);
    }
    assert.match(await failure(admin.send(new KMS.RetireGrantCommand({ KeyId, GrantId: 'x' }))), /InvalidArnException/);
  });

  it('cross accounts by themselves', async () => {
    const { KeyId, Arn } = await newKey(admin);
    const bare = kmsOf(await makeUser('grantee', [], otherKeys));
    await admin.send(new KMS.CreateGrantCommand({ KeyId, GranteePrincipal: arnOf('grantee', OTHER), Operations: ['Encrypt'] }));
    await encrypt(bare, Arn);
    await admin.send(
      new KMS.PutKeyPolicyCommand({
        KeyId,
        Policy: document(ownerAll(), { Effect: 'Deny', Principal: { AWS: arnOf('grantee', OTHER) }, Action: 'kms:Encrypt', Resource: '*' }),
      }),
    );
    assert.match(await failure(encrypt(bare, Arn)), /AccessDenied.*explicit deny/);
  });

  it('are one when many ask for the same at once', async () => {
    const { KeyId } = await newKey(admin);
    const same = () =>
      admin.send(new KMS.CreateGrantCommand({ KeyId, Name: 'same', GranteePrincipal: arnOf('granted'), Operations: ['Encrypt'] }));
    const made = await Promise.all(Array.from({ length: 60 }, same));
    assert.equal(new Set(made.map((grant) => grant.GrantId)).size, 1);
  });

  it('are listed in pages, and refused when they cannot be', async () => {
    const { KeyId } = await newKey(admin);
    const create = (input: Partial<KMS.CreateGrantCommandInput>) =>
      admin.send(new KMS.CreateGrantCommand({ KeyId, GranteePrincipal: arnOf('granted'), Operations: ['Encrypt'], ...input }));
    for (let n = 0; n < 5; n++) await create({});
    const ids: string[] = [];
    for await (const page of KMS.paginateListGrants({ client: admin, pageSize: 2 }, { KeyId }))
      ids.push(...page.Grants!.map((grant) => grant.GrantId!));
    assert.equal(new Set(ids).size, 5);
    assert.equal((await admin.send(new KMS.ListGrantsCommand({ KeyId, GrantId: ids[3] }))).Grants!.length, 1);
    assert.match(await failure(admin.send(new KMS.ListGrantsCommand({ KeyId, Marker: 'x' }))), /InvalidMarkerException/);
    for (const [input, error] of [
      [{ GranteePrincipal: 'somebody' }, /InvalidArnException/],
      [{ GranteePrincipal: undefined }, /ValidationException/],
      [{ Operations: ['Sign'] }, /ValidationException/],
      [{ Operations: ['GetPublicKey'] }, /ValidationException/],
      [{ Constraints: { EncryptionContextEquals: { a: '1' }, EncryptionContextSubset: { a: '1' } } }, /ValidationException/],
      [{ Constraints: { SourceArn: 'arn:aws:s3:::x' } }, /ValidationException/],
      [{ DryRun: true }, /DryRunOperationException/],
    ] as [Partial<KMS.CreateGrantCommandInput>, RegExp][]) {
      assert.match(await failure(create(input)), error);
    }
    await admin.send(new KMS.DisableKeyCommand({ KeyId }));
    assert.match(await failure(create({})), /DisabledException/);
  });
});

describe('KMS: permissions on making keys', () => {
  it('are asked for by kind, tags and alias', async () => {
    const iam = new IAMClient(settings(first.administrator));
    await iam.send(
      new CreateRoleCommand({
        RoleName: 'maker',
        AssumeRolePolicyDocument: document({ Effect: 'Allow', Principal: { AWS: account() }, Action: 'sts:AssumeRole' }),
      }),
    );
    const onlySymmetric = allow('kms:CreateKey', { Condition: { StringEquals: { 'kms:KeySpec': 'SYMMETRIC_DEFAULT' } } });
    await iam.send(
      new PutRolePolicyCommand({
        RoleName: 'maker',
        PolicyName: 'p',
        PolicyDocument: document(onlySymmetric, allow('kms:CreateAlias', { Resource: '*:alias/mine-*' })),
      }),
    );
    const { Credentials } = await new STSClient(settings(first.administrator)).send(
      new AssumeRoleCommand({ RoleArn: `arn:aws:iam::${account()}:role/maker`, RoleSessionName: 'session' }),
    );
    const maker = kmsOf({
      accessKeyId: Credentials!.AccessKeyId!,
      secretAccessKey: Credentials!.SecretAccessKey!,
      sessionToken: Credentials!.SessionToken!,
    });
    const { KeyId } = await newKey(maker);
    assert.match(await failure(newKey(maker, { KeySpec: 'RSA_2048', KeyUsage: 'SIGN_VERIFY' })), /AccessDenied.*kms:CreateKey/);
    assert.match(await failure(newKey(maker, { Tags: [{ TagKey: 'a', TagValue: 'b' }] })), /AccessDenied.*kms:TagResource/);
    assert.match(
      await failure(maker.send(new KMS.CreateAliasCommand({ AliasName: 'alias/other', TargetKeyId: KeyId }))),
      /AccessDenied.*alias\/other/,
    );
    assert.match(
      await failure(maker.send(new KMS.CreateAliasCommand({ AliasName: 'alias/mine-1', TargetKeyId: KeyId }))),
      /AccessDenied.*:key\//,
    );
    assert.match(await failure(maker.send(new KMS.ListKeysCommand({}))), /AccessDenied/);
  });
});
