import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import {
  CreateAccessKeyCommand,
  CreateServiceSpecificCredentialCommand,
  CreateUserCommand,
  DeleteAccessKeyCommand,
  DeleteServiceSpecificCredentialCommand,
  DeleteUserCommand,
  GetAccessKeyLastUsedCommand,
  GetUserCommand,
  IAMClient,
  ListAccessKeysCommand,
  ListServiceSpecificCredentialsCommand,
  PutUserPolicyCommand,
  ResetServiceSpecificCredentialCommand,
  UpdateAccessKeyCommand,
  UpdateServiceSpecificCredentialCommand,
} from '@aws-sdk/client-iam';
import { refused } from '../support/refused.ts';
import { startServer, type TestServer } from '../support/server.ts';

let server: TestServer;
let iam: IAMClient;

before(async () => {
  server = await startServer();
  iam = new IAMClient(server.client);
});
after(async () => {
  iam?.destroy();
  await server?.stop();
});

const policyText = (Action: string | string[] = 's3:GetObject', Effect = 'Allow') =>
  JSON.stringify({ Version: '2012-10-17', Statement: [{ Effect, Action, Resource: '*' }] });

describe('credentials', () => {
  it('are access keys, two at most, whose use is remembered', async () => {
    const UserName = 'keyholder';
    await iam.send(new CreateUserCommand({ UserName }));
    await iam.send(new PutUserPolicyCommand({ UserName, PolicyName: 'p', PolicyDocument: policyText('iam:*') }));
    const { AccessKey } = await iam.send(new CreateAccessKeyCommand({ UserName }));
    assert.match(AccessKey!.AccessKeyId!, /^AKIA[A-Z2-7]{16}$/);
    assert.equal(AccessKey!.SecretAccessKey!.length, 40);
    await iam.send(new CreateAccessKeyCommand({ UserName }));
    await refused(
      iam.send(new CreateAccessKeyCommand({ UserName })),
      'LimitExceededException',
      'Cannot exceed quota for AccessKeysPerUser: 2',
    );
    const AccessKeyId = AccessKey!.AccessKeyId!;
    assert.deepEqual((await iam.send(new GetAccessKeyLastUsedCommand({ AccessKeyId }))).AccessKeyLastUsed, {
      ServiceName: 'N/A',
      Region: 'N/A',
    });

    const credentials = { accessKeyId: AccessKeyId, secretAccessKey: AccessKey!.SecretAccessKey! };
    const own = new IAMClient({ ...server.client, credentials });
    assert.equal((await own.send(new GetUserCommand({}))).User!.UserName, UserName);
    const keys = (await own.send(new ListAccessKeysCommand({}))).AccessKeyMetadata!;
    assert.deepEqual(
      keys.map((key) => [key.UserName, key.Status]),
      [
        [UserName, 'Active'],
        [UserName, 'Active'],
      ],
    );
    let used = (await iam.send(new GetAccessKeyLastUsedCommand({ AccessKeyId }))).AccessKeyLastUsed!;
    while (!used.LastUsedDate) used = (await iam.send(new GetAccessKeyLastUsedCommand({ AccessKeyId }))).AccessKeyLastUsed!;
    assert.deepEqual([used.ServiceName, used.Region], ['iam', server.region]);

    await iam.send(new UpdateAccessKeyCommand({ UserName, AccessKeyId, Status: 'Inactive' }));
    await refused(own.send(new GetUserCommand({})), 'InvalidClientTokenId', 'The security token included in the request is invalid.', 403);
    await iam.send(new UpdateAccessKeyCommand({ UserName, AccessKeyId, Status: 'Active' }));
    await own.send(new GetUserCommand({}));
    await iam.send(new DeleteAccessKeyCommand({ UserName, AccessKeyId }));
    await refused(own.send(new GetUserCommand({})), 'InvalidClientTokenId');
    await refused(
      iam.send(new DeleteAccessKeyCommand({ UserName, AccessKeyId })),
      'NoSuchEntityException',
      `The Access Key with id ${AccessKeyId} cannot be found.`,
    );
    own.destroy();
  });

  it('are made one by one even when asked for at once', async () => {
    await iam.send(new CreateUserCommand({ UserName: 'racer' }));
    const made = await Promise.allSettled(Array.from({ length: 8 }, () => iam.send(new CreateAccessKeyCommand({ UserName: 'racer' }))));
    assert.equal(made.filter((one) => one.status === 'fulfilled').length, 2);
  });

  it('are service-specific for git, two at most', async () => {
    const UserName = 'gituser';
    const ServiceName = 'codecommit.amazonaws.com';
    await iam.send(new CreateUserCommand({ UserName }));
    await refused(
      iam.send(new CreateServiceSpecificCredentialCommand({ UserName, ServiceName: 'foo.amazonaws.com' })),
      'ServiceNotSupportedException',
    );
    const first = (await iam.send(new CreateServiceSpecificCredentialCommand({ UserName, ServiceName }))).ServiceSpecificCredential!;
    assert.equal(first.ServiceUserName, `gituser-at-${server.account}`);
    assert.match(first.ServiceSpecificCredentialId!, /^ACCA/);
    const second = (await iam.send(new CreateServiceSpecificCredentialCommand({ UserName, ServiceName }))).ServiceSpecificCredential!;
    assert.equal(second.ServiceUserName, `gituser+1-at-${server.account}`);
    await refused(
      iam.send(new CreateServiceSpecificCredentialCommand({ UserName, ServiceName })),
      'LimitExceededException',
      'Cannot exceed quota for ServiceSpecificCredentialsPerUser: 2',
    );
    const ServiceSpecificCredentialId = first.ServiceSpecificCredentialId;
    await iam.send(new UpdateServiceSpecificCredentialCommand({ UserName, ServiceSpecificCredentialId, Status: 'Inactive' }));
    const listed = await iam.send(new ListServiceSpecificCredentialsCommand({ UserName }));
    const status = Object.fromEntries(listed.ServiceSpecificCredentials!.map((one) => [one.ServiceUserName, one.Status]));
    assert.deepEqual(status, { [first.ServiceUserName!]: 'Inactive', [second.ServiceUserName!]: 'Active' });
    const reset = await iam.send(new ResetServiceSpecificCredentialCommand({ UserName, ServiceSpecificCredentialId }));
    assert.notEqual(reset.ServiceSpecificCredential!.ServicePassword, first.ServicePassword);
    await refused(iam.send(new DeleteUserCommand({ UserName })), 'DeleteConflictException');
    for (const one of [first, second]) {
      await iam.send(
        new DeleteServiceSpecificCredentialCommand({ UserName, ServiceSpecificCredentialId: one.ServiceSpecificCredentialId }),
      );
    }
    await refused(iam.send(new DeleteServiceSpecificCredentialCommand({ UserName, ServiceSpecificCredentialId })), 'NoSuchEntityException');
    await iam.send(new DeleteUserCommand({ UserName }));
  });
});
