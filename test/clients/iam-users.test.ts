import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import {
  AddUserToGroupCommand,
  AttachGroupPolicyCommand,
  AttachUserPolicyCommand,
  CreateAccessKeyCommand,
  CreateGroupCommand,
  CreateRoleCommand,
  CreateUserCommand,
  DeleteAccessKeyCommand,
  DeleteGroupCommand,
  DeleteGroupPolicyCommand,
  DeleteUserCommand,
  DeleteUserPolicyCommand,
  DetachGroupPolicyCommand,
  DetachUserPolicyCommand,
  GetGroupCommand,
  GetGroupPolicyCommand,
  GetUserCommand,
  IAMClient,
  ListAttachedGroupPoliciesCommand,
  ListGroupPoliciesCommand,
  ListGroupsCommand,
  ListGroupsForUserCommand,
  ListRolesCommand,
  ListRoleTagsCommand,
  ListUsersCommand,
  ListUserTagsCommand,
  PutGroupPolicyCommand,
  PutUserPolicyCommand,
  paginateListUsers,
  RemoveUserFromGroupCommand,
  TagRoleCommand,
  TagUserCommand,
  UntagRoleCommand,
  UntagUserCommand,
  UpdateGroupCommand,
  UpdateUserCommand,
} from '@aws-sdk/client-iam';
import { refused } from '../support/refused.ts';
import { startServer, type TestServer } from '../support/server.ts';

const run = promisify(execFile);
const hasCli = spawnSync('aws', ['--version']).status === 0;

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

describe('users', () => {
  it('are created, found, listed by path, renamed and deleted', async () => {
    const { User } = await iam.send(
      new CreateUserCommand({ UserName: 'Alice', Path: '/dev/ops/', Tags: [{ Key: 'team', Value: 'blue' }] }),
    );
    assert.match(User!.UserId!, /^AIDA[A-Z2-7]{17}$/);
    assert.equal(User!.Arn, `arn:aws:iam::${server.account}:user/dev/ops/Alice`);
    assert.deepEqual(User!.Tags, [{ Key: 'team', Value: 'blue' }]);
    await refused(
      iam.send(new CreateUserCommand({ UserName: 'alice' })),
      'EntityAlreadyExistsException',
      'User with name alice already exists.',
      409,
    );
    const found = await iam.send(new GetUserCommand({ UserName: 'alice' }));
    assert.deepEqual(found.User, User);
    const listed = await iam.send(new ListUsersCommand({ PathPrefix: '/dev/' }));
    assert.deepEqual(
      listed.Users!.map((user) => user.UserName),
      ['Alice'],
    );
    assert.equal(listed.IsTruncated, false);
    await iam.send(new CreateUserCommand({ UserName: 'Other' }));
    await refused(iam.send(new UpdateUserCommand({ UserName: 'Alice', NewUserName: 'other' })), 'EntityAlreadyExistsException');
    await iam.send(new UpdateUserCommand({ UserName: 'Alice', NewUserName: 'Bob', NewPath: '/x/' }));
    const renamed = await iam.send(new GetUserCommand({ UserName: 'Bob' }));
    assert.equal(renamed.User!.Arn, `arn:aws:iam::${server.account}:user/x/Bob`);
    assert.equal(renamed.User!.UserId, User!.UserId);
    await iam.send(new DeleteUserCommand({ UserName: 'Bob' }));
    await iam.send(new DeleteUserCommand({ UserName: 'Other' }));
    await refused(
      iam.send(new GetUserCommand({ UserName: 'Bob' })),
      'NoSuchEntityException',
      'The user with name Bob cannot be found.',
      404,
    );
  });

  it('are listed in pages, with markers of that list only', async () => {
    const names = ['u1', 'u2', 'u3', 'u4', 'u5'];
    for (const UserName of names) await iam.send(new CreateUserCommand({ UserName, Path: '/paged/' }));
    const seen: string[] = [];
    let pages = 0;
    for await (const page of paginateListUsers({ client: iam, pageSize: 2 }, { PathPrefix: '/paged/' })) {
      pages++;
      seen.push(...page.Users!.map((user) => user.UserName!));
    }
    assert.deepEqual(seen, names);
    assert.equal(pages, 3);
    const { Marker } = await iam.send(new ListUsersCommand({ PathPrefix: '/paged/', MaxItems: 1 }));
    await refused(iam.send(new ListUsersCommand({ PathPrefix: '/', Marker })), 'ValidationError', 'Invalid Marker.', 400);
    await refused(iam.send(new ListRolesCommand({ Marker: 'forged' })), 'ValidationError');
  });

  it('are the caller when no name is given', async () => {
    const { User } = await iam.send(new GetUserCommand({}));
    assert.equal(User!.UserName, 'administrator');
  });

  it('must have a valid name, and not lose what is theirs', async () => {
    await refused(iam.send(new CreateUserCommand({ UserName: 'a/b' })), 'ValidationError', /userName/, 400);
    await iam.send(new CreateUserCommand({ UserName: 'owner' }));
    const drop = () => iam.send(new DeleteUserCommand({ UserName: 'owner' }));
    await iam.send(new PutUserPolicyCommand({ UserName: 'owner', PolicyName: 'p', PolicyDocument: policyText() }));
    await refused(drop(), 'DeleteConflictException', 'Cannot delete entity, must delete policies first.', 409);
    await iam.send(new DeleteUserPolicyCommand({ UserName: 'owner', PolicyName: 'p' }));
    await iam.send(new AttachUserPolicyCommand({ UserName: 'owner', PolicyArn: READ_ONLY }));
    await refused(drop(), 'DeleteConflictException', 'Cannot delete entity, must detach all policies first.');
    await iam.send(new DetachUserPolicyCommand({ UserName: 'owner', PolicyArn: READ_ONLY }));
    const { AccessKey } = await iam.send(new CreateAccessKeyCommand({ UserName: 'owner' }));
    await refused(drop(), 'DeleteConflictException', 'Cannot delete entity, must delete access keys first.');
    await iam.send(new DeleteAccessKeyCommand({ UserName: 'owner', AccessKeyId: AccessKey!.AccessKeyId }));
    await drop();
  });
});

describe('groups', () => {
  it('have members, policies and new names', async () => {
    const { Group } = await iam.send(new CreateGroupCommand({ GroupName: 'team', Path: '/g/' }));
    assert.match(Group!.GroupId!, /^AGPA/);
    await iam.send(new CreateUserCommand({ UserName: 'member' }));
    await iam.send(new AddUserToGroupCommand({ GroupName: 'team', UserName: 'member' }));
    await iam.send(new AddUserToGroupCommand({ GroupName: 'team', UserName: 'member' }));
    const { Users } = await iam.send(new GetGroupCommand({ GroupName: 'team' }));
    assert.deepEqual(
      Users!.map((user) => user.UserName),
      ['member'],
    );
    await iam.send(new UpdateGroupCommand({ GroupName: 'team', NewGroupName: 'crew' }));
    const mine = await iam.send(new ListGroupsForUserCommand({ UserName: 'member' }));
    assert.deepEqual(
      mine.Groups!.map((group) => group.Arn),
      [`arn:aws:iam::${server.account}:group/g/crew`],
    );
    await iam.send(new PutGroupPolicyCommand({ GroupName: 'crew', PolicyName: 'p', PolicyDocument: policyText() }));
    await iam.send(new AttachGroupPolicyCommand({ GroupName: 'crew', PolicyArn: READ_ONLY }));
    assert.deepEqual((await iam.send(new ListGroupPoliciesCommand({ GroupName: 'crew' }))).PolicyNames, ['p']);
    assert.equal((await iam.send(new ListAttachedGroupPoliciesCommand({ GroupName: 'crew' }))).AttachedPolicies!.length, 1);
    const inline = await iam.send(new GetGroupPolicyCommand({ GroupName: 'crew', PolicyName: 'p' }));
    assert.equal(decodeURIComponent(inline.PolicyDocument!), policyText());
    await refused(iam.send(new DeleteGroupCommand({ GroupName: 'crew' })), 'DeleteConflictException', /remove users/);
    await refused(iam.send(new DeleteUserCommand({ UserName: 'member' })), 'DeleteConflictException', /remove users/);
    await iam.send(new RemoveUserFromGroupCommand({ GroupName: 'crew', UserName: 'member' }));
    await iam.send(new DeleteGroupPolicyCommand({ GroupName: 'crew', PolicyName: 'p' }));
    await refused(iam.send(new DeleteGroupCommand({ GroupName: 'crew' })), 'DeleteConflictException', /detach/);
    await iam.send(new DetachGroupPolicyCommand({ GroupName: 'crew', PolicyArn: READ_ONLY }));
    await iam.send(new DeleteGroupCommand({ GroupName: 'crew' }));
    await refused(
      iam.send(new GetGroupCommand({ GroupName: 'crew' })),
      'NoSuchEntityException',
      'The group with name crew cannot be found.',
    );
    assert.ok((await iam.send(new ListGroupsCommand({}))).Groups!.every((group) => group.GroupName !== 'crew'));
  });

  it('are ten for a user at most', async () => {
    await iam.send(new CreateUserCommand({ UserName: 'joiner' }));
    for (let index = 0; index < 11; index++) await iam.send(new CreateGroupCommand({ GroupName: `many${index}` }));
    for (let index = 0; index < 10; index++) await iam.send(new AddUserToGroupCommand({ GroupName: `many${index}`, UserName: 'joiner' }));
    await refused(
      iam.send(new AddUserToGroupCommand({ GroupName: 'many10', UserName: 'joiner' })),
      'LimitExceededException',
      'Cannot exceed quota for GroupsPerUser: 10',
      409,
    );
  });
});

describe('tags', () => {
  it('of users and roles are set, replaced, listed in pages and removed', async () => {
    const UserName = 'tagged';
    await iam.send(new CreateUserCommand({ UserName }));
    await iam.send(
      new TagUserCommand({
        UserName,
        Tags: [
          { Key: 'a', Value: '1' },
          { Key: 'b', Value: '' },
        ],
      }),
    );
    await iam.send(new TagUserCommand({ UserName, Tags: [{ Key: 'A', Value: '2' }] }));
    const page = await iam.send(new ListUserTagsCommand({ UserName, MaxItems: 1 }));
    assert.deepEqual([page.Tags, page.IsTruncated], [[{ Key: 'A', Value: '2' }], true]);
    assert.deepEqual((await iam.send(new ListUserTagsCommand({ UserName, Marker: page.Marker }))).Tags, [{ Key: 'b', Value: '' }]);
    await iam.send(new UntagUserCommand({ UserName, TagKeys: ['a'] }));
    assert.deepEqual((await iam.send(new GetUserCommand({ UserName }))).User!.Tags, [{ Key: 'b', Value: '' }]);
    await refused(
      iam.send(
        new TagUserCommand({
          UserName,
          Tags: [
            { Key: 'x', Value: '1' },
            { Key: 'X', Value: '2' },
          ],
        }),
      ),
      'InvalidInputException',
      /^Duplicate tag keys/,
    );
    const many = (prefix: string, length: number) => Array.from({ length }, (_, index) => ({ Key: `${prefix}${index}`, Value: '' }));
    await iam.send(new TagUserCommand({ UserName, Tags: many('m', 49) }));
    await refused(iam.send(new TagUserCommand({ UserName, Tags: many('n', 1) })), 'LimitExceededException');
    await iam.send(new CreateRoleCommand({ RoleName: 'tagged', AssumeRolePolicyDocument: trustText() }));
    await iam.send(new TagRoleCommand({ RoleName: 'tagged', Tags: [{ Key: 'a', Value: '1' }] }));
    assert.deepEqual((await iam.send(new ListRoleTagsCommand({ RoleName: 'tagged' }))).Tags, [{ Key: 'a', Value: '1' }]);
    await iam.send(new UntagRoleCommand({ RoleName: 'tagged', TagKeys: ['a'] }));
    assert.deepEqual((await iam.send(new ListRoleTagsCommand({ RoleName: 'tagged' }))).Tags, []);
  });
});

describe('the AWS CLI', { skip: hasCli ? false : 'the AWS CLI is not installed' }, () => {
  const aws = async (...args: string[]) =>
    JSON.parse((await run('aws', ['iam', ...args, '--output', 'json'], { env: server.env })).stdout || '{}');

  it('makes a user the way `aws deploy register` does, and sees its policies decoded', async () => {
    const PolicyDocument = { Version: '2012-10-17', Statement: [{ Effect: 'Allow', Action: ['s3:Get*', 's3:List*'], Resource: '*' }] };
    const { User } = await aws('create-user', '--path', '/AWS/CodeDeploy/', '--user-name', 'Box1');
    assert.equal(User.Arn, `arn:aws:iam::${server.account}:user/AWS/CodeDeploy/Box1`);
    const { AccessKey } = await aws('create-access-key', '--user-name', 'Box1');
    await aws('put-user-policy', '--user-name', 'Box1', '--policy-name', 'agent', '--policy-document', JSON.stringify(PolicyDocument));
    assert.deepEqual((await aws('get-user-policy', '--user-name', 'Box1', '--policy-name', 'agent')).PolicyDocument, PolicyDocument);
    assert.deepEqual((await aws('list-user-policies', '--user-name', 'Box1')).PolicyNames, ['agent']);
    await aws('delete-user-policy', '--user-name', 'Box1', '--policy-name', 'agent');
    await aws('delete-access-key', '--user-name', 'Box1', '--access-key-id', AccessKey.AccessKeyId);
    await aws('delete-user', '--user-name', 'Box1');
    await assert.rejects(
      aws('get-user', '--user-name', 'Box1'),
      /\(NoSuchEntity\) when calling the GetUser operation: The user with name Box1 cannot/,
    );
  });
});
