import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import {
  AddRoleToInstanceProfileCommand,
  AttachRolePolicyCommand,
  CreateInstanceProfileCommand,
  CreateRoleCommand,
  CreateServiceLinkedRoleCommand,
  DeleteInstanceProfileCommand,
  DeleteRoleCommand,
  GetInstanceProfileCommand,
  GetRoleCommand,
  IAMClient,
  ListInstanceProfilesCommand,
  ListInstanceProfilesForRoleCommand,
  ListRolesCommand,
  RemoveRoleFromInstanceProfileCommand,
  UpdateAssumeRolePolicyCommand,
  UpdateRoleCommand,
  UpdateRoleDescriptionCommand,
  waitUntilRoleExists,
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
const trustText = (Principal: unknown = { Service: 'codebuild.amazonaws.com' }) =>
  JSON.stringify({ Version: '2012-10-17', Statement: [{ Effect: 'Allow', Principal, Action: 'sts:AssumeRole' }] });
const READ_ONLY = 'arn:aws:iam::aws:policy/ReadOnlyAccess';
const POWER = 'arn:aws:iam::aws:policy/PowerUserAccess';

describe('roles', () => {
  it('are created with trust, changed and deleted', async () => {
    const role = { RoleName: 'builder', Path: '/service-role/', AssumeRolePolicyDocument: trustText(), MaxSessionDuration: 7200 };
    const { Role } = await iam.send(
      new CreateRoleCommand({ ...role, Description: 'builds', PermissionsBoundary: POWER, Tags: [{ Key: 'a', Value: '1' }] }),
    );
    assert.match(Role!.RoleId!, /^AROA/);
    assert.equal(decodeURIComponent(Role!.AssumeRolePolicyDocument!), trustText());
    await waitUntilRoleExists({ client: iam, maxWaitTime: 5 }, { RoleName: 'builder' });
    await refused(iam.send(new CreateRoleCommand(role)), 'EntityAlreadyExistsException', 'Role with name builder already exists.');
    await iam.send(new UpdateRoleCommand({ RoleName: 'builder', MaxSessionDuration: 3600 }));
    await iam.send(new UpdateRoleDescriptionCommand({ RoleName: 'builder', Description: 'new' }));
    await iam.send(new UpdateAssumeRolePolicyCommand({ RoleName: 'builder', PolicyDocument: trustText({ AWS: server.account }) }));
    const found = (await iam.send(new GetRoleCommand({ RoleName: 'builder' }))).Role!;
    assert.equal(found.Arn, `arn:aws:iam::${server.account}:role/service-role/builder`);
    assert.equal(found.MaxSessionDuration, 3600);
    assert.equal(found.Description, 'new');
    assert.equal(found.PermissionsBoundary!.PermissionsBoundaryArn, POWER);
    assert.equal(decodeURIComponent(found.AssumeRolePolicyDocument!), trustText({ AWS: server.account }));
    const listed = await iam.send(new ListRolesCommand({ PathPrefix: '/service-role/' }));
    assert.deepEqual(
      listed.Roles!.map((one) => one.RoleName),
      ['builder'],
    );
    await iam.send(new DeleteRoleCommand({ RoleName: 'builder' }));
    await refused(
      iam.send(new GetRoleCommand({ RoleName: 'builder' })),
      'NoSuchEntityException',
      'The role with name builder cannot be found.',
    );
  });

  it('need a trust policy that makes sense', async () => {
    const create = (AssumeRolePolicyDocument: string) => iam.send(new CreateRoleCommand({ RoleName: 'bad', AssumeRolePolicyDocument }));
    await refused(create('{'), 'MalformedPolicyDocumentException', 'This policy contains invalid Json', 400);
    await refused(create(policyText()), 'MalformedPolicyDocumentException', 'Has prohibited field Resource');
    const nobody = `arn:aws:iam::${server.account}:user/nobody`;
    await refused(create(trustText({ AWS: nobody })), 'MalformedPolicyDocumentException', `Invalid principal in policy: "AWS":"${nobody}"`);
    const long = trustText({ Service: Array.from({ length: 80 }, (_, index) => `service-number-${index}.amazonaws.com`) });
    await refused(create(long), 'LimitExceededException', 'Cannot exceed quota for ACLSizePerRole: 2048');
    await create(trustText({ AWS: 'arn:aws:iam::999999999999:user/of-another-aws' }));
  });

  it('of services cannot be changed by others', async () => {
    const AWSServiceName = 'codeguru-reviewer.amazonaws.com';
    const { Role } = await iam.send(new CreateServiceLinkedRoleCommand({ AWSServiceName }));
    assert.equal(
      Role!.Arn,
      `arn:aws:iam::${server.account}:role/aws-service-role/${AWSServiceName}/AWSServiceRoleForAmazonCodeGuruReviewer`,
    );
    const RoleName = Role!.RoleName;
    await refused(
      iam.send(new CreateServiceLinkedRoleCommand({ AWSServiceName })),
      'InvalidInputException',
      /has been taken in this account/,
    );
    await refused(
      iam.send(new AttachRolePolicyCommand({ RoleName, PolicyArn: READ_ONLY })),
      'UnmodifiableEntityException',
      /only modifiable by AWS/,
    );
    await refused(iam.send(new DeleteRoleCommand({ RoleName })), 'UnmodifiableEntityException');
    await refused(iam.send(new CreateServiceLinkedRoleCommand({ AWSServiceName: 'nonsense' })), 'InvalidInputException');
  });

  it('travel in instance profiles, one in each', async () => {
    const InstanceProfileName = 'profile';
    for (const RoleName of ['r1', 'r2']) {
      await iam.send(new CreateRoleCommand({ RoleName, AssumeRolePolicyDocument: trustText({ Service: 'ec2.amazonaws.com' }) }));
    }
    const { InstanceProfile } = await iam.send(new CreateInstanceProfileCommand({ InstanceProfileName }));
    assert.match(InstanceProfile!.InstanceProfileId!, /^AIPA/);
    await refused(iam.send(new AddRoleToInstanceProfileCommand({ InstanceProfileName, RoleName: 'r0' })), 'NoSuchEntityException');
    await iam.send(new AddRoleToInstanceProfileCommand({ InstanceProfileName, RoleName: 'r1' }));
    await refused(
      iam.send(new AddRoleToInstanceProfileCommand({ InstanceProfileName, RoleName: 'r2' })),
      'LimitExceededException',
      'Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1',
    );
    const found = await iam.send(new GetInstanceProfileCommand({ InstanceProfileName }));
    assert.deepEqual(
      found.InstanceProfile!.Roles!.map((role) => role.RoleName),
      ['r1'],
    );
    assert.equal((await iam.send(new ListInstanceProfilesCommand({}))).InstanceProfiles![0]!.Roles!.length, 1);
    assert.equal((await iam.send(new ListInstanceProfilesForRoleCommand({ RoleName: 'r1' }))).InstanceProfiles!.length, 1);
    await refused(iam.send(new DeleteRoleCommand({ RoleName: 'r1' })), 'DeleteConflictException', /remove roles from instance profile/);
    await refused(iam.send(new DeleteInstanceProfileCommand({ InstanceProfileName })), 'DeleteConflictException');
    await iam.send(new RemoveRoleFromInstanceProfileCommand({ InstanceProfileName, RoleName: 'r1' }));
    await iam.send(new DeleteInstanceProfileCommand({ InstanceProfileName }));
    await refused(
      iam.send(new GetInstanceProfileCommand({ InstanceProfileName })),
      'NoSuchEntityException',
      'Instance Profile profile cannot be found.',
    );
  });
});
