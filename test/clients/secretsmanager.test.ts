import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { IAM } from '@aws-sdk/client-iam';
import { KMS } from '@aws-sdk/client-kms';
import { paginateListSecrets, SecretsManager } from '@aws-sdk/client-secrets-manager';
import { installedClis, openCli } from '../support/aws-cli.ts';
import { refused } from '../support/refused.ts';
import { startServer, type TestServer } from '../support/server.ts';

let server: TestServer;
let secrets: SecretsManager;

before(async () => {
  server = await startServer();
  secrets = new SecretsManager(server.client);
});
after(async () => {
  secrets?.destroy();
  await server?.stop();
});

const text = async (SecretId: string, more: object = {}) => (await secrets.getSecretValue({ SecretId, ...more })).SecretString;

describe('secrets', () => {
  it('are made, read by name and ARN, described and updated', async () => {
    const Name = 'app/db';
    const made = await secrets.createSecret({
      Name,
      SecretString: 'one',
      Description: 'the database',
      Tags: [{ Key: 'team', Value: 'a' }],
    });
    assert.match(made.ARN!, new RegExp(`^arn:aws:secretsmanager:us-east-1:${server.account}:secret:app/db-[A-Za-z0-9]{6}$`));
    assert.equal(await text(Name), 'one');
    assert.equal(await text(made.ARN!), 'one');
    assert.equal(await text(made.ARN!.slice(0, -7)), 'one');
    await refused(text(`${made.ARN!.slice(0, -1)}?`), 'ResourceNotFoundException', "Secrets Manager can't find the specified secret.", 400);
    await refused(secrets.createSecret({ Name, SecretString: 'x' }), 'ResourceExistsException', /the secret app\/db already exists/);
    await secrets.updateSecret({ SecretId: Name, Description: 'new', SecretString: 'two' });
    const described = await secrets.describeSecret({ SecretId: Name });
    assert.equal(described.Description, 'new');
    assert.deepEqual(described.Tags, [{ Key: 'team', Value: 'a' }]);
    assert.deepEqual(Object.values(described.VersionIdsToStages!).flat().sort(), ['AWSCURRENT', 'AWSPREVIOUS']);
    assert.ok(described.LastAccessedDate);
    assert.equal(await text(Name, { VersionStage: 'AWSPREVIOUS' }), 'one');
    assert.equal(await text(Name, { VersionId: made.VersionId }), 'one');
    await refused(text(Name, { VersionStage: 'none' }), 'ResourceNotFoundException', /secret value for staging label: none/);
    await refused(text(Name, { VersionId: made.VersionId, VersionStage: 'AWSCURRENT' }), 'InvalidRequestException');
  });

  it('hold bytes, or text, and no value at first if none is given', async () => {
    const SecretBinary = new Uint8Array([0, 255, 1]);
    await secrets.createSecret({ Name: 'bytes', SecretBinary });
    const read = await secrets.getSecretValue({ SecretId: 'bytes' });
    assert.deepEqual([...read.SecretBinary!], [0, 255, 1]);
    assert.equal(read.SecretString, undefined);
    await secrets.createSecret({ Name: 'empty' });
    await refused(text('empty'), 'ResourceNotFoundException', /staging label: AWSCURRENT/);
    await refused(secrets.createSecret({ Name: 'both', SecretBinary, SecretString: 'x' }), 'InvalidRequestException');
    await refused(secrets.createSecret({ Name: 'bad name!' }), 'InvalidParameterException');
    await refused(secrets.putSecretValue({ SecretId: 'empty' }), 'InvalidParameterException');
    assert.equal(
      (await secrets.putSecretValue({ SecretId: 'empty', SecretString: 'x'.repeat(65_536), VersionStages: ['mine'] })).VersionStages!
        .length,
      2,
    );
    assert.equal((await text('empty'))!.length, 65_536);
  });

  it('answer a repeated request again, and refuse its token for another value', async () => {
    const ClientRequestToken = randomUUID();
    const create = () => secrets.createSecret({ Name: 'once', SecretString: 'v', ClientRequestToken });
    const first = await create();
    assert.deepEqual([(await create()).ARN, (await create()).VersionId], [first.ARN, ClientRequestToken]);
    const other = secrets.createSecret({ Name: 'once', SecretString: 'other', ClientRequestToken });
    await refused(other, 'ResourceExistsException', /already in use for a version/);
    const put = (SecretString: string, token: string) =>
      secrets.putSecretValue({ SecretId: 'once', SecretString, ClientRequestToken: token });
    const token = randomUUID();
    await put('w', token);
    assert.equal((await put('w', token)).VersionId, token);
    await refused(put('other', token), 'ResourceExistsException', /already in use for a version/);
    assert.equal((await secrets.listSecretVersionIds({ SecretId: 'once' })).Versions!.length, 2);
  });

  it('move their stages, which the last current version follows', async () => {
    const SecretId = 'staged';
    const a = (await secrets.createSecret({ Name: SecretId, SecretString: 'a' })).VersionId!;
    const b = (await secrets.putSecretValue({ SecretId, SecretString: 'b', VersionStages: ['AWSPENDING'] })).VersionId!;
    assert.equal(await text(SecretId), 'a');
    const move = (input: object) => secrets.updateSecretVersionStage({ SecretId, VersionStage: 'AWSCURRENT', ...input });
    await refused(move({ MoveToVersionId: b }), 'InvalidParameterException', /RemoveFromVersionId can't be empty/);
    await refused(move({ RemoveFromVersionId: a }), 'InvalidParameterException');
    await refused(move({ RemoveFromVersionId: a, MoveToVersionId: randomUUID() }), 'ResourceNotFoundException');
    await move({ RemoveFromVersionId: a, MoveToVersionId: b });
    assert.equal(await text(SecretId), 'b');
    assert.equal(await text(SecretId, { VersionStage: 'AWSPREVIOUS' }), 'a');
    await secrets.updateSecretVersionStage({ SecretId, VersionStage: 'AWSPENDING', RemoveFromVersionId: b });
    const { Versions } = await secrets.listSecretVersionIds({ SecretId });
    assert.deepEqual(Object.fromEntries(Versions!.map(({ VersionId, VersionStages }) => [VersionId, VersionStages])), {
      [a]: ['AWSPREVIOUS'],
      [b]: ['AWSCURRENT'],
    });
    await secrets.putSecretValue({ SecretId, SecretString: 'c' });
    assert.equal((await secrets.listSecretVersionIds({ SecretId })).Versions!.length, 2);
    assert.equal((await secrets.listSecretVersionIds({ SecretId, IncludeDeprecated: true })).Versions!.length, 3);
  });

  it('are marked for deletion, restored, and deleted at once if forced', async () => {
    const SecretId = 'doomed';
    await secrets.createSecret({ Name: SecretId, SecretString: 'x' });
    await refused(secrets.deleteSecret({ SecretId, RecoveryWindowInDays: 3 }), 'InvalidParameterException', /between 7 and 30/);
    const { DeletionDate } = await secrets.deleteSecret({ SecretId, RecoveryWindowInDays: 7 });
    assert.ok(DeletionDate!.getTime() > Date.now() + 6 * 86_400_000);
    await refused(text(SecretId), 'InvalidRequestException', /was marked for deletion/);
    await refused(secrets.putSecretValue({ SecretId, SecretString: 'y' }), 'InvalidRequestException');
    await refused(secrets.createSecret({ Name: SecretId }), 'InvalidRequestException', /already scheduled for deletion/);
    const names = async (more: object = {}) =>
      (await secrets.listSecrets({ Filters: [{ Key: 'name', Values: ['doomed'] }], ...more })).SecretList!.map(({ Name }) => Name);
    assert.deepEqual(await names(), []);
    assert.deepEqual(await names({ IncludePlannedDeletion: true }), ['doomed']);
    await secrets.restoreSecret({ SecretId });
    assert.equal(await text(SecretId), 'x');
    await secrets.deleteSecret({ SecretId, ForceDeleteWithoutRecovery: true });
    await refused(secrets.describeSecret({ SecretId }), 'ResourceNotFoundException');
    await secrets.deleteSecret({ SecretId, ForceDeleteWithoutRecovery: true });
    await refused(secrets.deleteSecret({ SecretId }), 'ResourceNotFoundException');
  });

  it('are listed in order, by filters, in pages, and read many at once', async () => {
    for (const [Name, Description] of [
      ['list/a', 'first of the list'],
      ['list/b', 'second'],
      ['list/c', ''],
    ] as const) {
      await secrets.createSecret({ Name, Description, SecretString: Name, Tags: [{ Key: 'kind', Value: Name.slice(-1) }] });
    }
    const find = async (Key: 'name' | 'description' | 'tag-key' | 'tag-value' | 'all', Values: string[]) =>
      (
        await secrets.listSecrets({
          Filters: [
            { Key: 'name', Values: ['list/'] },
            { Key, Values },
          ],
          SortBy: 'name',
          SortOrder: 'asc',
        })
      ).SecretList!.map(({ Name }) => Name!.slice(-1));
    assert.deepEqual(await find('description', ['LIST', 'sec']), ['a', 'b']);
    assert.deepEqual(await find('tag-value', ['!b']), ['a', 'c']);
    assert.deepEqual(await find('all', ['second']), ['b']);
    const seen: string[] = [];
    const Filters = [{ Key: 'name' as const, Values: ['list/'] }];
    for await (const page of paginateListSecrets({ client: secrets, pageSize: 2 }, { Filters }))
      seen.push(...page.SecretList!.map(({ Name }) => Name!));
    assert.deepEqual(seen.sort(), ['list/a', 'list/b', 'list/c']);
    await refused(secrets.listSecrets({ NextToken: 'forged' }), 'InvalidNextTokenException');
    const many = await secrets.batchGetSecretValue({ SecretIdList: ['list/a', 'missing'] });
    assert.deepEqual(
      many.SecretValues!.map(({ SecretString }) => SecretString),
      ['list/a'],
    );
    assert.deepEqual(
      many.Errors!.map(({ ErrorCode }) => ErrorCode),
      ['ResourceNotFoundException'],
    );
    const filtered = await secrets.batchGetSecretValue({ Filters });
    assert.deepEqual(filtered.Errors, []);
    assert.equal(filtered.SecretValues!.length, 3);
  });

  it('are tagged, and passwords are made as asked', async () => {
    const SecretId = 'tagged';
    await secrets.createSecret({ Name: SecretId });
    await secrets.tagResource({
      SecretId,
      Tags: [
        { Key: 'a', Value: '1' },
        { Key: 'b', Value: '2' },
      ],
    });
    await secrets.untagResource({ SecretId, TagKeys: ['a'] });
    assert.deepEqual((await secrets.describeSecret({ SecretId })).Tags, [{ Key: 'b', Value: '2' }]);
    const password = async (input: object) => (await secrets.getRandomPassword(input)).RandomPassword!;
    assert.match(await password({}), /^(?=.*[a-z])(?=.*[A-Z])(?=.*[0-9])(?=.*[^a-zA-Z0-9]).{32}$/s);
    assert.match(await password({ PasswordLength: 8, ExcludePunctuation: true, ExcludeCharacters: '0Oo' }), /^[a-np-zA-NP-Z1-9]{8}$/);
    await refused(password({ PasswordLength: 2 }), 'InvalidParameterException');
  });
});

describe('access', () => {
  it('goes by the policy of the caller or of the secret, and by the key', async () => {
    const iam = new IAM(server.client);
    const kms = new KMS(server.client);
    const UserName = 'reader';
    const { User } = await iam.createUser({ UserName });
    const { AccessKey: key } = await iam.createAccessKey({ UserName });
    const reader = new SecretsManager({
      ...server.client,
      credentials: { accessKeyId: key!.AccessKeyId!, secretAccessKey: key!.SecretAccessKey! },
    });
    const SecretId = 'guarded';
    await secrets.createSecret({ Name: SecretId, SecretString: 'x' });
    const read = () => reader.getSecretValue({ SecretId });
    await refused(read(), 'AccessDeniedException', /secretsmanager:GetSecretValue/);
    const statement = { Effect: 'Allow', Principal: { AWS: User!.Arn }, Action: 'secretsmanager:GetSecretValue', Resource: '*' };
    const policy = (more: object = {}) => JSON.stringify({ Version: '2012-10-17', Statement: [{ ...statement, ...more }] });
    await refused(secrets.putResourcePolicy({ SecretId, ResourcePolicy: '{' }), 'MalformedPolicyDocumentException');
    const open = { SecretId, ResourcePolicy: policy({ Principal: '*' }), BlockPublicPolicy: true };
    await refused(secrets.putResourcePolicy(open), 'PublicPolicyException');
    assert.equal((await secrets.validateResourcePolicy({ ResourcePolicy: open.ResourcePolicy })).PolicyValidationPassed, false);
    await secrets.putResourcePolicy({ SecretId, ResourcePolicy: policy() });
    assert.equal((await secrets.getResourcePolicy({ SecretId })).ResourcePolicy, policy());
    assert.equal((await read()).SecretString, 'x');

    const { KeyMetadata } = await kms.createKey({});
    await secrets.updateSecret({ SecretId, KmsKeyId: KeyMetadata!.KeyId });
    await refused(read(), 'AccessDeniedException', 'Access to KMS is not allowed');
    assert.equal(await text(SecretId), 'x');
    await kms.disableKey({ KeyId: KeyMetadata!.KeyId });
    await refused(text(SecretId), 'DecryptionFailure');
    await refused(secrets.createSecret({ Name: 'nokey', SecretString: 'x', KmsKeyId: 'alias/none' }), 'EncryptionFailure');
    await secrets.deleteResourcePolicy({ SecretId });
    await refused(read(), 'AccessDeniedException', /secretsmanager:GetSecretValue/);
    for (const client of [iam, kms, reader]) client.destroy();
  });

  const clis = installedClis();
  it('by the AWS CLI', { skip: clis.length === 0 && 'no AWS CLI is installed' }, async () => {
    for (const cli of clis) {
      const session = openCli(cli, server);
      const aws = async (...args: string[]) => {
        const { status, output, error } = await session.run(['secretsmanager', ...args]);
        assert.equal(status, 0, error);
        return JSON.parse(output);
      };
      const name = `cli-${cli.version}`;
      await aws('create-secret', '--name', name, '--secret-string', '{"user":"me"}');
      assert.equal((await aws('get-secret-value', '--secret-id', name)).SecretString, '{"user":"me"}');
      await aws('delete-secret', '--secret-id', name, '--force-delete-without-recovery');
      await session.close();
    }
  });
});
