import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { EventBridge } from '@aws-sdk/client-eventbridge';
import { IAM } from '@aws-sdk/client-iam';
import { KMS } from '@aws-sdk/client-kms';
import { SQS } from '@aws-sdk/client-sqs';
import { paginateGetParametersByPath, SSM } from '@aws-sdk/client-ssm';
import { type AwsCli, installedClis, openCli } from '../support/aws-cli.ts';
import { refused } from '../support/refused.ts';
import { startServer, type TestServer } from '../support/server.ts';

let server: TestServer;
let ssm: SSM;

before(async () => {
  server = await startServer();
  ssm = new SSM(server.client);
});
after(async () => {
  ssm?.destroy();
  await server?.stop();
});

const arnOf = (name: string) => `arn:aws:ssm:${server.region}:${server.account}:parameter/${name.replace(/^\//, '')}`;

describe('parameters', () => {
  it('are put, read by name, ARN, version and label, and deleted', async () => {
    const Name = '/app/url';
    assert.deepEqual((await ssm.putParameter({ Name, Value: 'one', Type: 'String', Description: 'where' })).Version, 1);
    await refused(ssm.putParameter({ Name, Value: 'two', Type: 'String' }), 'ParameterAlreadyExists', /set the overwrite option/, 400);
    assert.equal((await ssm.putParameter({ Name, Value: 'two', Overwrite: true })).Version, 2);
    const { Parameter } = await ssm.getParameter({ Name });
    const { LastModifiedDate, ...rest } = Parameter!;
    assert.ok(LastModifiedDate);
    assert.deepEqual(rest, { ARN: arnOf(Name), DataType: 'text', Name, Type: 'String', Value: 'two', Version: 2 });
    assert.equal((await ssm.getParameter({ Name: arnOf(Name) })).Parameter!.Value, 'two');
    const first = (await ssm.getParameter({ Name: `${Name}:1` })).Parameter!;
    assert.deepEqual([first.Value, first.Selector], ['one', ':1']);
    await refused(ssm.getParameter({ Name: `${Name}:9` }), 'ParameterVersionNotFound', undefined, 400);
    await refused(ssm.getParameter({ Name: '/app/none' }), 'ParameterNotFound', undefined, 400);

    assert.deepEqual((await ssm.labelParameterVersion({ Name, ParameterVersion: 1, Labels: ['prod', '1bad'] })).InvalidLabels, ['1bad']);
    assert.equal((await ssm.getParameter({ Name: `${Name}:prod` })).Parameter!.Value, 'one');
    await ssm.labelParameterVersion({ Name, Labels: ['prod'] });
    assert.equal((await ssm.getParameter({ Name: `${Name}:prod` })).Parameter!.Value, 'two');
    const history = (await ssm.getParameterHistory({ Name })).Parameters!;
    assert.deepEqual(
      history.map(({ Value, Version, Labels, Description }) => [Value, Version, Labels, Description]),
      [
        ['one', 1, [], 'where'],
        ['two', 2, ['prod'], 'where'],
      ],
    );
    const unlabelled = await ssm.unlabelParameterVersion({ Name, ParameterVersion: 2, Labels: ['prod', 'other'] });
    assert.deepEqual([unlabelled.RemovedLabels, unlabelled.InvalidLabels], [['prod'], ['other']]);

    const several = await ssm.getParameters({ Names: [Name, `${Name}:1`, 'missing'] });
    assert.deepEqual(several.Parameters!.map(({ Value }) => Value).sort(), ['one', 'two']);
    assert.deepEqual(several.InvalidParameters, ['missing']);
    await ssm.deleteParameter({ Name });
    await refused(ssm.deleteParameter({ Name }), 'ParameterNotFound');
    const deleted = await ssm.deleteParameters({ Names: [Name] });
    assert.deepEqual([deleted.DeletedParameters, deleted.InvalidParameters], [[], [Name]]);
  });

  it('are listed by path, level and filters, in pages', async () => {
    for (const [Name, Type] of [
      ['/shop/a', 'String'],
      ['/shop/b', 'StringList'],
      ['/shop/deep/c', 'String'],
      ['/shopping/d', 'String'],
    ] as const) {
      await ssm.putParameter({ Name, Type, Value: 'x', Tags: [{ Key: 'team', Value: Name.slice(-1) }] });
    }
    const names = async (input: object) => (await ssm.getParametersByPath({ Path: '/shop', ...input })).Parameters!.map(({ Name }) => Name);
    assert.deepEqual(await names({}), ['/shop/a', '/shop/b']);
    assert.deepEqual(await names({ Recursive: true }), ['/shop/a', '/shop/b', '/shop/deep/c']);
    assert.deepEqual(await names({ ParameterFilters: [{ Key: 'Type', Values: ['StringList'] }] }), ['/shop/b']);
    await ssm.labelParameterVersion({ Name: '/shop/a', Labels: ['released'] });
    await ssm.putParameter({ Name: '/shop/a', Value: 'not released', Overwrite: true });
    const released = await ssm.getParametersByPath({ Path: '/shop', ParameterFilters: [{ Key: 'Label', Values: ['released'] }] });
    assert.deepEqual(
      released.Parameters!.map(({ Name, Value, Version }) => [Name, Value, Version]),
      [['/shop/a', 'x', 1]],
    );
    await refused(names({ ParameterFilters: [{ Key: 'Tier', Values: ['Standard'] }] }), 'InvalidFilterKey');
    await refused(names({ Path: 'shop' }), 'ValidationException');
    const paged: string[] = [];
    for await (const page of paginateGetParametersByPath({ client: ssm, pageSize: 1 }, { Path: '/', Recursive: true })) {
      assert.ok(page.Parameters!.length <= 1);
      paged.push(...page.Parameters!.map(({ Name }) => Name!));
    }
    assert.deepEqual(
      paged.filter((name) => name.startsWith('/shop')),
      ['/shop/a', '/shop/b', '/shop/deep/c', '/shopping/d'],
    );
    const described = async (ParameterFilters: object[]) =>
      (await ssm.describeParameters({ ParameterFilters: ParameterFilters as never })).Parameters!.map(({ Name }) => Name);
    assert.deepEqual(
      await described([
        { Key: 'Path', Option: 'Recursive', Values: ['/shop'] },
        { Key: 'Type', Values: ['String'] },
      ]),
      ['/shop/a', '/shop/deep/c'],
    );
    assert.deepEqual(await described([{ Key: 'Name', Option: 'Contains', Values: ['ping'] }]), ['/shopping/d']);
    assert.deepEqual(await described([{ Key: 'tag:team', Values: ['b', 'c'] }]), ['/shop/b', '/shop/deep/c']);
    await refused(described([{ Key: 'Name', Option: 'Recursive', Values: ['x'] }]), 'InvalidFilterOption');
    await refused(ssm.describeParameters({ NextToken: 'forged' }), 'InvalidNextToken');
    const older = await ssm.describeParameters({ Filters: [{ Key: 'Name', Values: ['/shop/'] }] });
    assert.equal(older.Parameters!.length, 3);
  });

  it('hold to their rules', async () => {
    const put = (input: object) => ssm.putParameter({ Name: 'rule', Value: 'x', Type: 'String', ...input });
    for (const Name of ['aws-mine', '/ssm/x', 'a b', 'a/b', '/a//b', '/a/']) await refused(put({ Name }), 'ValidationException');
    await refused(put({ Name: '/a'.repeat(16) }), 'HierarchyLevelLimitExceededException');
    await refused(put({ Type: undefined }), 'ValidationException', /type is required/);
    await refused(put({ Value: '' }), 'ValidationException');
    await refused(put({ Value: '{{ssm:other}}' }), 'ValidationException', /can't nest another parameter/);
    await refused(put({ Value: 'x'.repeat(4097) }), 'ValidationException', /Standard tier parameters support/);
    await refused(put({ AllowedPattern: '^\\d+$' }), 'ParameterPatternMismatchException');
    await refused(put({ AllowedPattern: '(' }), 'InvalidAllowedPatternException');
    await refused(put({ AllowedPattern: '^(a+)+$', Value: `${'a'.repeat(4000)}!` }), 'ParameterPatternMismatchException');
    await refused(put({ KeyId: 'alias/aws/ssm' }), 'ValidationException');
    assert.equal((await put({ Tier: 'Intelligent-Tiering', Value: 'x'.repeat(5000) })).Tier, 'Advanced');
    await refused(put({ Tier: 'Standard', Overwrite: true }), 'ValidationException', /can't downgrade/);
    await refused(put({ Overwrite: true, Type: 'SecureString' }), 'HierarchyTypeMismatchException');
    await refused(put({ Overwrite: true, Tags: [{ Key: 'a', Value: 'b' }] }), 'ValidationException');
  });

  it('keep a hundred versions, and none with a label is dropped', async () => {
    const Name = 'versions';
    await ssm.putParameter({ Name, Value: '1', Type: 'String' });
    for (let version = 2; version <= 101; version++) await ssm.putParameter({ Name, Value: String(version), Overwrite: true });
    const oldest = (await ssm.getParameterHistory({ Name, MaxResults: 1 })).Parameters!;
    assert.equal(oldest[0]!.Version, 2);
    await ssm.labelParameterVersion({ Name, ParameterVersion: 2, Labels: ['keep'] });
    await refused(ssm.putParameter({ Name, Value: 'more', Overwrite: true }), 'ParameterMaxVersionLimitExceeded');
    assert.equal((await ssm.getParameter({ Name })).Parameter!.Version, 101);
  });

  it('are tagged', async () => {
    const [ResourceType, ResourceId] = ['Parameter' as const, 'tagged'];
    await ssm.putParameter({ Name: ResourceId, Value: 'x', Type: 'String', Tags: [{ Key: 'a', Value: '1' }] });
    await ssm.addTagsToResource({ ResourceType, ResourceId, Tags: [{ Key: 'b', Value: '2' }] });
    await ssm.removeTagsFromResource({ ResourceType, ResourceId, TagKeys: ['a'] });
    assert.deepEqual((await ssm.listTagsForResource({ ResourceType, ResourceId })).TagList, [{ Key: 'b', Value: '2' }]);
    await refused(ssm.listTagsForResource({ ResourceType, ResourceId: 'none' }), 'InvalidResourceId');
  });

  it('put at the same time get a version each', async () => {
    const Name = 'busy';
    await ssm.putParameter({ Name, Value: '0', Type: 'String' });
    const puts = Array.from({ length: 8 }, (_, index) => ssm.putParameter({ Name, Value: `${index}`, Overwrite: true }));
    assert.deepEqual((await Promise.all(puts)).map(({ Version }) => Version).sort(), [2, 3, 4, 5, 6, 7, 8, 9]);
  });
});

describe('secure strings', () => {
  it('are encrypted under the key that was named, and read with its permission', async () => {
    const kms = new KMS(server.client);
    const { KeyMetadata } = await kms.createKey({});
    const KeyId = KeyMetadata!.KeyId!;
    const Value = 'a secret';
    await ssm.putParameter({ Name: '/s/default', Value, Type: 'SecureString' });
    await ssm.putParameter({ Name: '/s/own', Value, Type: 'SecureString', KeyId });
    await ssm.putParameter({ Name: '/s/long', Value: 'x'.repeat(8192), Type: 'SecureString', Tier: 'Advanced' });
    const read = async (Name: string, WithDecryption = true) => (await ssm.getParameter({ Name, WithDecryption })).Parameter!.Value!;
    assert.notEqual(await read('/s/default', false), Value);
    assert.equal(await read('/s/default'), Value);
    assert.equal(await read('/s/own'), Value);
    assert.equal(await read('/s/long'), 'x'.repeat(8192));
    const all = await ssm.getParametersByPath({ Path: '/s', WithDecryption: true });
    assert.deepEqual(
      all.Parameters!.map((one) => one.Value!.length),
      [8, 8192, 8],
    );
    assert.equal((await ssm.getParameterHistory({ Name: '/s/own', WithDecryption: true })).Parameters![0]!.Value, Value);
    await refused(ssm.putParameter({ Name: '/s/x', Value, Type: 'SecureString', KeyId: 'alias/none' }), 'InvalidKeyId');
    // The value is bound to its parameter: another's ciphertext does not decrypt outside.
    const ciphertext = Buffer.from(await read('/s/own', false), 'base64');
    await refused(kms.decrypt({ CiphertextBlob: ciphertext }), 'InvalidCiphertextException');
    await kms.disableKey({ KeyId });
    await refused(read('/s/own'), 'InvalidKeyId');
    await kms.enableKey({ KeyId });
    assert.equal(await read('/s/own'), Value);
    kms.destroy();
  });

  it('are not decrypted for those who may not use the key', async () => {
    const iam = new IAM(server.client);
    const UserName = 'reader';
    await iam.createUser({ UserName });
    const statement = { Effect: 'Allow', Action: 'ssm:GetParameter', Resource: arnOf('/team/*') };
    const PolicyDocument = JSON.stringify({ Version: '2012-10-17', Statement: [statement] });
    await iam.putUserPolicy({ UserName, PolicyName: 'read', PolicyDocument });
    const { AccessKey: key } = await iam.createAccessKey({ UserName });
    const kms = new KMS(server.client);
    const { KeyMetadata } = await kms.createKey({});
    await ssm.putParameter({ Name: '/team/secret', Value: 'x', Type: 'SecureString', KeyId: KeyMetadata!.KeyId! });
    await ssm.putParameter({ Name: '/other/plain', Value: 'x', Type: 'String' });
    const reader = new SSM({ ...server.client, credentials: { accessKeyId: key!.AccessKeyId!, secretAccessKey: key!.SecretAccessKey! } });
    assert.equal((await reader.getParameter({ Name: '/team/secret' })).Parameter!.Type, 'SecureString');
    await refused(reader.getParameter({ Name: '/team/secret', WithDecryption: true }), 'AccessDeniedException', /kms:Decrypt/);
    await refused(reader.getParameter({ Name: '/other/plain' }), 'AccessDeniedException', /ssm:GetParameter/);
    for (const client of [iam, kms, reader]) client.destroy();
  });
});

describe('events and clients', () => {
  it('tell rules of each change', async () => {
    const events = new EventBridge(server.client);
    const sqs = new SQS(server.client);
    const { QueueUrl } = await sqs.createQueue({ QueueName: 'changes' });
    const { Attributes } = await sqs.getQueueAttributes({ QueueUrl, AttributeNames: ['QueueArn'] });
    const Statement = [{ Effect: 'Allow', Principal: { Service: 'events.amazonaws.com' }, Action: 'sqs:SendMessage', Resource: '*' }];
    await sqs.setQueueAttributes({ QueueUrl, Attributes: { Policy: JSON.stringify({ Version: '2012-10-17', Statement }) } });
    const pattern = { source: ['aws.ssm'], detail: { name: ['/told'] } };
    await events.putRule({ Name: 'changes', EventPattern: JSON.stringify(pattern) });
    await events.putTargets({ Rule: 'changes', Targets: [{ Id: 'queue', Arn: Attributes!.QueueArn! }] });
    await ssm.putParameter({ Name: '/told', Value: 'x', Type: 'String', Description: 'to all' });
    const { Messages } = await sqs.receiveMessage({ QueueUrl, WaitTimeSeconds: 20 });
    const event = JSON.parse(Messages![0]!.Body!);
    assert.equal(event['detail-type'], 'Parameter Store Change');
    assert.deepEqual(event.detail, { operation: 'Create', name: '/told', type: 'String', description: 'to all' });
    events.destroy();
    sqs.destroy();
  });

  const clis = installedClis();
  it('by the AWS CLI', { skip: clis.length === 0 && 'no AWS CLI is installed' }, async () => {
    for (const cli of clis) await byCli(cli);
  });
});

async function byCli(cli: AwsCli): Promise<void> {
  const session = openCli(cli, server);
  const aws = async (...args: string[]) => {
    const { status, output, error } = await session.run(['ssm', ...args]);
    assert.equal(status, 0, error);
    return JSON.parse(output);
  };
  const name = `/cli/v${cli.version}`;
  assert.deepEqual(await aws('put-parameter', '--name', name, '--value', 'secret', '--type', 'SecureString'), {
    Version: 1,
    Tier: 'Standard',
  });
  assert.equal((await aws('get-parameter', '--name', name, '--with-decryption')).Parameter.Value, 'secret');
  assert.equal((await aws('get-parameters-by-path', '--path', '/cli')).Parameters.length, cli.version);
  await session.close();
}
