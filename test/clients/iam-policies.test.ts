import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import {
  AttachRolePolicyCommand,
  AttachUserPolicyCommand,
  CreatePolicyCommand,
  CreatePolicyVersionCommand,
  CreateRoleCommand,
  CreateUserCommand,
  DeletePolicyCommand,
  DeletePolicyVersionCommand,
  DeleteRolePermissionsBoundaryCommand,
  DeleteRolePolicyCommand,
  DeleteUserPermissionsBoundaryCommand,
  DeleteUserPolicyCommand,
  DetachRolePolicyCommand,
  DetachUserPolicyCommand,
  GetPolicyCommand,
  GetPolicyVersionCommand,
  GetRoleCommand,
  GetRolePolicyCommand,
  GetUserPolicyCommand,
  IAMClient,
  ListAttachedRolePoliciesCommand,
  ListAttachedUserPoliciesCommand,
  ListEntitiesForPolicyCommand,
  ListPoliciesCommand,
  ListPolicyTagsCommand,
  ListPolicyVersionsCommand,
  ListRolePoliciesCommand,
  ListUserPoliciesCommand,
  PutRolePermissionsBoundaryCommand,
  PutRolePolicyCommand,
  PutUserPermissionsBoundaryCommand,
  PutUserPolicyCommand,
  SetDefaultPolicyVersionCommand,
  TagPolicyCommand,
  UntagPolicyCommand,
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
const POWER = 'arn:aws:iam::aws:policy/PowerUserAccess';

describe('policies', () => {
  it('inside users and roles are put, read, replaced, listed and deleted, within their size', async () => {
    await iam.send(new CreateUserCommand({ UserName: 'holder' }));
    await iam.send(new CreateRoleCommand({ RoleName: 'holder', AssumeRolePolicyDocument: trustText() }));
    const put = (PolicyDocument: string, PolicyName = 'p') =>
      iam.send(new PutUserPolicyCommand({ UserName: 'holder', PolicyName, PolicyDocument }));
    await put(policyText('s3:GetObject'));
    await put(policyText('s3:PutObject'));
    const { PolicyDocument } = await iam.send(new GetUserPolicyCommand({ UserName: 'holder', PolicyName: 'p' }));
    assert.equal(decodeURIComponent(PolicyDocument!), policyText('s3:PutObject'));
    await put(policyText(), 'q');
    const first = await iam.send(new ListUserPoliciesCommand({ UserName: 'holder', MaxItems: 1 }));
    assert.deepEqual([first.PolicyNames, first.IsTruncated], [['p'], true]);
    assert.deepEqual((await iam.send(new ListUserPoliciesCommand({ UserName: 'holder', Marker: first.Marker }))).PolicyNames, ['q']);
    await refused(put(policyText('GetObject')), 'MalformedPolicyDocumentException', /prefaced by a vendor/);
    const large = policyText(Array.from({ length: 150 }, (_, index) => `s3:Action${index}`));
    await refused(put(large), 'LimitExceededException', 'Maximum policy size of 2048 bytes exceeded for user holder');
    await iam.send(new PutRolePolicyCommand({ RoleName: 'holder', PolicyName: 'large', PolicyDocument: large }));
    assert.deepEqual((await iam.send(new ListRolePoliciesCommand({ RoleName: 'holder' }))).PolicyNames, ['large']);
    await iam.send(new GetRolePolicyCommand({ RoleName: 'holder', PolicyName: 'large' }));
    await iam.send(new DeleteRolePolicyCommand({ RoleName: 'holder', PolicyName: 'large' }));
    await refused(
      iam.send(new GetRolePolicyCommand({ RoleName: 'holder', PolicyName: 'large' })),
      'NoSuchEntityException',
      'The role policy with name large cannot be found.',
    );
    await refused(
      iam.send(new DeleteUserPolicyCommand({ UserName: 'holder', PolicyName: 'none' })),
      'NoSuchEntityException',
      'The user policy with name none cannot be found.',
    );
  });

  it('managed by the account have up to five versions', async () => {
    const { Policy } = await iam.send(
      new CreatePolicyCommand({
        PolicyName: 'own',
        PolicyDocument: policyText(),
        Path: '/p/',
        Description: 'd',
        Tags: [{ Key: 'k', Value: 'v' }],
      }),
    );
    const PolicyArn = Policy!.Arn!;
    assert.equal(PolicyArn, `arn:aws:iam::${server.account}:policy/p/own`);
    assert.match(Policy!.PolicyId!, /^ANPA/);
    await refused(
      iam.send(new CreatePolicyCommand({ PolicyName: 'own', PolicyDocument: policyText() })),
      'EntityAlreadyExistsException',
      /^A policy called own already exists/,
    );
    await refused(
      iam.send(new CreatePolicyCommand({ PolicyName: 'bad', PolicyDocument: trustText() })),
      'MalformedPolicyDocumentException',
    );
    const large = policyText(Array.from({ length: 450 }, (_, index) => `s3:Action${index}`));
    await refused(
      iam.send(new CreatePolicyCommand({ PolicyName: 'large', PolicyDocument: large })),
      'LimitExceededException',
      'Cannot exceed quota for PolicySize: 6144',
    );
    for (let version = 2; version <= 5; version++) {
      const made = await iam.send(
        new CreatePolicyVersionCommand({ PolicyArn, PolicyDocument: policyText(`s3:V${version}`), SetAsDefault: version === 3 }),
      );
      assert.equal(made.PolicyVersion!.VersionId, `v${version}`);
    }
    await refused(
      iam.send(new CreatePolicyVersionCommand({ PolicyArn, PolicyDocument: policyText() })),
      'LimitExceededException',
      /up to 5 versions/,
    );
    const versions = await iam.send(new ListPolicyVersionsCommand({ PolicyArn }));
    assert.deepEqual(
      versions.Versions!.map((one) => one.VersionId),
      ['v5', 'v4', 'v3', 'v2', 'v1'],
    );
    assert.equal((await iam.send(new GetPolicyCommand({ PolicyArn }))).Policy!.DefaultVersionId, 'v3');
    const version = await iam.send(new GetPolicyVersionCommand({ PolicyArn, VersionId: 'v3' }));
    assert.equal(decodeURIComponent(version.PolicyVersion!.Document!), policyText('s3:V3'));
    await refused(
      iam.send(new DeletePolicyVersionCommand({ PolicyArn, VersionId: 'v3' })),
      'DeleteConflictException',
      'Cannot delete the default version of a policy.',
    );
    await iam.send(new SetDefaultPolicyVersionCommand({ PolicyArn, VersionId: 'v1' }));
    await refused(
      iam.send(new SetDefaultPolicyVersionCommand({ PolicyArn, VersionId: 'v9' })),
      'NoSuchEntityException',
      /version v9 does not exist/,
    );
    await refused(iam.send(new DeletePolicyCommand({ PolicyArn })), 'DeleteConflictException', /more than one version/);
    for (const VersionId of ['v2', 'v3', 'v4', 'v5']) await iam.send(new DeletePolicyVersionCommand({ PolicyArn, VersionId }));
    const next = await iam.send(new CreatePolicyVersionCommand({ PolicyArn, PolicyDocument: policyText() }));
    assert.equal(next.PolicyVersion!.VersionId, 'v6', 'numbers are never used again');
    await iam.send(new DeletePolicyVersionCommand({ PolicyArn, VersionId: 'v6' }));
    await iam.send(new TagPolicyCommand({ PolicyArn, Tags: [{ Key: 'x', Value: 'y' }] }));
    await iam.send(new UntagPolicyCommand({ PolicyArn, TagKeys: ['k'] }));
    assert.deepEqual((await iam.send(new ListPolicyTagsCommand({ PolicyArn }))).Tags, [{ Key: 'x', Value: 'y' }]);
    await iam.send(new DeletePolicyCommand({ PolicyArn }));
    await refused(iam.send(new GetPolicyCommand({ PolicyArn })), 'NoSuchEntityException', `Policy ${PolicyArn} was not found.`);
  });

  it('are attached, counted, listed by use, and used as boundaries', async () => {
    const { Policy } = await iam.send(new CreatePolicyCommand({ PolicyName: 'used', PolicyDocument: policyText() }));
    const PolicyArn = Policy!.Arn!;
    await iam.send(new CreateUserCommand({ UserName: 'user', PermissionsBoundary: PolicyArn }));
    await iam.send(new CreateRoleCommand({ RoleName: 'role', AssumeRolePolicyDocument: trustText() }));
    await iam.send(new AttachUserPolicyCommand({ UserName: 'user', PolicyArn }));
    await iam.send(new AttachUserPolicyCommand({ UserName: 'user', PolicyArn }));
    await iam.send(new AttachRolePolicyCommand({ RoleName: 'role', PolicyArn }));
    const counted = (await iam.send(new GetPolicyCommand({ PolicyArn }))).Policy!;
    assert.deepEqual([counted.AttachmentCount, counted.PermissionsBoundaryUsageCount], [2, 1]);
    const entities = await iam.send(new ListEntitiesForPolicyCommand({ PolicyArn }));
    assert.deepEqual(
      [entities.PolicyUsers!.map((one) => one.UserName), entities.PolicyRoles!.map((one) => one.RoleName)],
      [['user'], ['role']],
    );
    assert.equal((await iam.send(new ListEntitiesForPolicyCommand({ PolicyArn, EntityFilter: 'Role' }))).PolicyUsers!.length, 0);
    assert.deepEqual((await iam.send(new ListAttachedUserPoliciesCommand({ UserName: 'user' }))).AttachedPolicies, [
      { PolicyName: 'used', PolicyArn },
    ]);
    assert.equal(
      (await iam.send(new ListAttachedRolePoliciesCommand({ RoleName: 'role', PathPrefix: '/x/' }))).AttachedPolicies!.length,
      0,
    );
    const local = await iam.send(new ListPoliciesCommand({ Scope: 'Local', OnlyAttached: true }));
    assert.deepEqual(
      local.Policies!.map((one) => one.PolicyName),
      ['used'],
    );
    await refused(
      iam.send(new DeletePolicyCommand({ PolicyArn })),
      'DeleteConflictException',
      'Cannot delete a policy attached to entities.',
    );
    await iam.send(new DetachRolePolicyCommand({ RoleName: 'role', PolicyArn }));
    await refused(
      iam.send(new DetachRolePolicyCommand({ RoleName: 'role', PolicyArn })),
      'NoSuchEntityException',
      `Policy ${PolicyArn} was not found.`,
    );
    await iam.send(new DetachUserPolicyCommand({ UserName: 'user', PolicyArn }));
    await refused(iam.send(new DeletePolicyCommand({ PolicyArn })), 'DeleteConflictException');
    await iam.send(new DeleteUserPermissionsBoundaryCommand({ UserName: 'user' }));
    await iam.send(new DeletePolicyCommand({ PolicyArn }));
    await refused(
      iam.send(new AttachRolePolicyCommand({ RoleName: 'role', PolicyArn })),
      'NoSuchEntityException',
      /does not exist or is not attachable/,
    );
    await refused(
      iam.send(new AttachRolePolicyCommand({ RoleName: 'role', PolicyArn: 'arn:aws:iam::1:policy/xxxxxx' })),
      'InvalidInputException',
      /is not valid/,
    );
    await refused(
      iam.send(new PutUserPermissionsBoundaryCommand({ UserName: 'user', PermissionsBoundary: PolicyArn })),
      'NoSuchEntityException',
    );
    await iam.send(new PutUserPermissionsBoundaryCommand({ UserName: 'user', PermissionsBoundary: POWER }));
    await iam.send(new PutRolePermissionsBoundaryCommand({ RoleName: 'role', PermissionsBoundary: POWER }));
    await iam.send(new DeleteRolePermissionsBoundaryCommand({ RoleName: 'role' }));
    assert.equal((await iam.send(new GetRoleCommand({ RoleName: 'role' }))).Role!.PermissionsBoundary, undefined);
  });

  it('of AWS are there, can be read, and cannot be changed', async () => {
    const names: string[] = [];
    let Marker: string | undefined;
    do {
      const page = await iam.send(new ListPoliciesCommand({ Scope: 'AWS', Marker, MaxItems: 20 }));
      names.push(...page.Policies!.map((one) => one.PolicyName!));
      Marker = page.Marker;
    } while (Marker);
    for (const name of [
      'AdministratorAccess',
      'AWSCodeCommitPowerUser',
      'AWSCodeBuildDeveloperAccess',
      'AWSCodePipeline_FullAccess',
      'AWSCodeDeployRole',
    ]) {
      assert.ok(names.includes(name), name);
    }
    assert.equal(new Set(names).size, names.length);
    const PolicyArn = 'arn:aws:iam::aws:policy/service-role/AWSCodeDeployRole';
    const { PolicyVersion } = await iam.send(new GetPolicyVersionCommand({ PolicyArn, VersionId: 'v1' }));
    assert.equal(JSON.parse(decodeURIComponent(PolicyVersion!.Document!)).Version, '2012-10-17');
    await refused(iam.send(new DeletePolicyCommand({ PolicyArn })), 'AccessDenied', /outside your own account/, 403);
  });

  it('are attached ten at most', async () => {
    await iam.send(new CreateUserCommand({ UserName: 'collector' }));
    const { Policies } = await iam.send(new ListPoliciesCommand({ Scope: 'AWS', MaxItems: 11 }));
    for (const { Arn } of Policies!.slice(0, 10)) await iam.send(new AttachUserPolicyCommand({ UserName: 'collector', PolicyArn: Arn }));
    await refused(
      iam.send(new AttachUserPolicyCommand({ UserName: 'collector', PolicyArn: Policies![10]!.Arn })),
      'LimitExceededException',
      'Cannot exceed quota for PoliciesPerUser: 10',
    );
  });
});
