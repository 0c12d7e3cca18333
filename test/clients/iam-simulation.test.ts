/** The policy simulator says what the evaluator would decide. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import {
  AddUserToGroupCommand,
  AttachUserPolicyCommand,
  CreateGroupCommand,
  CreateRoleCommand,
  CreateUserCommand,
  GetContextKeysForCustomPolicyCommand,
  GetContextKeysForPrincipalPolicyCommand,
  IAMClient,
  type PolicyIdentifier,
  PutGroupPolicyCommand,
  PutRolePolicyCommand,
  PutUserPermissionsBoundaryCommand,
  PutUserPolicyCommand,
  SimulateCustomPolicyCommand,
  type SimulateCustomPolicyCommandInput,
  SimulatePrincipalPolicyCommand,
  type SimulatePrincipalPolicyCommandInput,
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

const document = (...Statement: object[]) => JSON.stringify({ Version: '2012-10-17', Statement });
const allow = (Action: string, more: object = {}) => ({ Effect: 'Allow', Action, Resource: '*', ...more });
const deny = (Action: string, more: object = {}) => ({ Effect: 'Deny', Action, Resource: '*', ...more });
const arnOf = (kind: string, name: string) => `arn:aws:iam::${server.account}:${kind}/${name}`;
const repository = (name: string) => `arn:aws:codecommit:us-east-1:${server.account}:${name}`;

async function custom(input: Partial<SimulateCustomPolicyCommandInput>) {
  const answer = await iam.send(new SimulateCustomPolicyCommand({ PolicyInputList: [], ActionNames: ['codecommit:GitPull'], ...input }));
  return answer.EvaluationResults!;
}

async function decisions(input: Partial<SimulatePrincipalPolicyCommandInput> & { PolicySourceArn: string }) {
  const { EvaluationResults: results } = await iam.send(
    new SimulatePrincipalPolicyCommand({ ActionNames: ['codecommit:GitPull'], ...input }),
  );
  return results!.map(({ EvalDecision }) => EvalDecision);
}

describe('SimulateCustomPolicy', () => {
  it('decides each action on each resource, and shows the statements that decided', async () => {
    const text = `{
  "Version": "2012-10-17",
  "Statement": [
    {"Effect": "Allow", "Action": "codecommit:*", "Resource": "*"},
    {"Effect": "Deny", "Action": "codecommit:GitPush", "Resource": "${repository('locked')}"}
  ]
}`;
    const results = await custom({
      PolicyInputList: [text],
      ActionNames: ['codecommit:GitPush', 's3:GetObject'],
      ResourceArns: [repository('open'), repository('locked')],
    });
    assert.deepEqual(
      results.map((one) => [one.EvalActionName, one.EvalResourceName, one.EvalDecision]),
      [
        ['codecommit:GitPush', repository('open'), 'allowed'],
        ['codecommit:GitPush', repository('locked'), 'explicitDeny'],
        ['s3:GetObject', repository('open'), 'implicitDeny'],
        ['s3:GetObject', repository('locked'), 'implicitDeny'],
      ],
    );
    assert.deepEqual(results[0]!.MatchedStatements, [
      {
        SourcePolicyId: 'PolicyInputList.1',
        SourcePolicyType: 'IAM Policy',
        StartPosition: { Line: 4, Column: 5 },
        EndPosition: { Line: 4, Column: 67 },
      },
    ]);
    assert.equal(results[1]!.MatchedStatements![0]!.StartPosition!.Line, 5);
    assert.deepEqual(results[2]!.MatchedStatements ?? [], []);
  });

  it('names the context that it misses, and takes what is given', async () => {
    const condition = { Condition: { StringEquals: { 'aws:RequestTag/team': 'blue' }, Bool: { 'aws:SecureTransport': 'true' } } };
    const PolicyInputList = [document(allow('codecommit:GitPull', condition))];
    const [vague] = await custom({ PolicyInputList });
    assert.equal(vague!.EvalDecision, 'implicitDeny');
    assert.deepEqual(vague!.MissingContextValues, ['aws:requesttag/team']);
    const [clear] = await custom({
      PolicyInputList,
      ContextEntries: [
        { ContextKeyName: 'aws:RequestTag/team', ContextKeyType: 'string', ContextKeyValues: ['blue'] },
        { ContextKeyName: 'aws:SecureTransport', ContextKeyType: 'boolean', ContextKeyValues: ['true'] },
      ],
    });
    assert.equal(clear!.EvalDecision, 'allowed');
  });

  it('takes a boundary and a resource policy', async () => {
    const PolicyInputList = [document(allow('s3:*'))];
    const ActionNames = ['s3:GetObject'];
    const [bounded] = await custom({ PolicyInputList, ActionNames, PermissionsBoundaryPolicyInputList: [document(allow('iam:*'))] });
    assert.equal(bounded!.EvalDecision, 'implicitDeny');
    assert.equal(bounded!.PermissionsBoundaryDecisionDetail!.AllowedByPermissionsBoundary, false);
    const CallerArn = arnOf('user', 'anybody');
    const ResourcePolicy = document(deny('s3:GetObject', { Principal: { AWS: CallerArn }, Resource: 'arn:aws:s3:::b/*' }));
    const more = { PolicyInputList, ActionNames, ResourcePolicy, ResourceArns: ['arn:aws:s3:::b/k'] };
    assert.equal((await custom({ ...more, CallerArn }))[0]!.EvalDecision, 'explicitDeny');
    await refused(custom(more), 'InvalidInputException', /CallerArn is required/);
    const owner = { ResourceOwner: '111122223333', CallerArn };
    const [abroad] = await custom({
      ...more,
      ...owner,
      ResourcePolicy: document(allow('s3:PutObject', { Principal: { AWS: CallerArn } })),
    });
    assert.equal(abroad!.EvalDecision, 'implicitDeny');
  });

  it('refuses what is no policy or action, and pages', async () => {
    await refused(custom({ PolicyInputList: ['{'] }), 'InvalidInputException', 'This policy contains invalid Json', 400);
    await refused(custom({ ActionNames: ['codecommit:*'] }), 'InvalidInputException', 'Invalid Action Name provided: codecommit:*');
    const PolicyInputList = [document(allow('codecommit:*'))];
    const asked = { PolicyInputList, ActionNames: ['codecommit:GitPull', 'codecommit:GitPush', 'codecommit:GetFile'], MaxItems: 2 };
    const first = await iam.send(new SimulateCustomPolicyCommand(asked));
    assert.equal(first.EvaluationResults!.length, 2);
    const last = await iam.send(new SimulateCustomPolicyCommand({ ...asked, Marker: first.Marker }));
    assert.deepEqual(
      last.EvaluationResults!.map((one) => one.EvalActionName),
      ['codecommit:GetFile'],
    );
    assert.equal(last.IsTruncated, false);
  });
});

describe('SimulatePrincipalPolicy', () => {
  it('looks at the policies of a user and his groups, less those that are left out', async () => {
    const UserName = 'sam';
    const PolicySourceArn = arnOf('user', UserName);
    await iam.send(new CreateUserCommand({ UserName }));
    await iam.send(new CreateGroupCommand({ GroupName: 'devs' }));
    assert.deepEqual(await decisions({ PolicySourceArn }), ['implicitDeny']);
    await iam.send(new AddUserToGroupCommand({ GroupName: 'devs', UserName }));
    const own = { PolicyDocument: document(allow('codecommit:GitPull', { Resource: repository('${aws:username}') })) };
    await iam.send(new PutGroupPolicyCommand({ GroupName: 'devs', PolicyName: 'own', ...own }));
    const ResourceArns = [repository('sam'), repository('other')];
    assert.deepEqual(await decisions({ PolicySourceArn, ResourceArns }), ['allowed', 'implicitDeny']);
    await iam.send(new AttachUserPolicyCommand({ UserName, PolicyArn: 'arn:aws:iam::aws:policy/AWSCodeCommitReadOnly' }));
    assert.deepEqual(await decisions({ PolicySourceArn, ResourceArns }), ['allowed', 'allowed']);
    const without: PolicyIdentifier[] = [
      { PolicyArn: 'arn:aws:iam::aws:policy/AWSCodeCommit*' },
      {
        InlinePolicyIdentifier: { PolicyName: 'own', AttachmentType: 'group', AttachmentName: 'devs' },
      },
    ];
    assert.deepEqual(await decisions({ PolicySourceArn, ResourceArns, PolicyExclusionList: without }), ['implicitDeny', 'implicitDeny']);
    const byType: PolicyIdentifier[] = [{ PolicyType: 'aws-managed' }];
    assert.deepEqual(await decisions({ PolicySourceArn, ResourceArns, PolicyExclusionList: byType }), ['allowed', 'implicitDeny']);
    await iam.send(
      new PutUserPermissionsBoundaryCommand({ UserName, PermissionsBoundary: 'arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess' }),
    );
    assert.deepEqual(await decisions({ PolicySourceArn, ResourceArns }), ['implicitDeny', 'implicitDeny']);
    const PolicyExclusionList = [{ PolicyType: 'permission-boundary' as const }];
    assert.deepEqual(await decisions({ PolicySourceArn, ResourceArns, PolicyExclusionList }), ['allowed', 'allowed']);
    await iam.send(new PutUserPolicyCommand({ UserName, PolicyName: 'no', PolicyDocument: document(deny('codecommit:*')) }));
    assert.deepEqual(await decisions({ PolicySourceArn, ResourceArns }), ['explicitDeny', 'explicitDeny']);
  });

  it('looks at roles, and knows no strangers', async () => {
    const trust = document({ Effect: 'Allow', Principal: { Service: 'codebuild.amazonaws.com' }, Action: 'sts:AssumeRole' });
    await iam.send(new CreateRoleCommand({ RoleName: 'builder', AssumeRolePolicyDocument: trust }));
    const PolicyDocument = document(
      allow('codecommit:GitPull', { Condition: { ArnEquals: { 'aws:PrincipalArn': arnOf('role', 'builder') } } }),
    );
    await iam.send(new PutRolePolicyCommand({ RoleName: 'builder', PolicyName: 'pull', PolicyDocument }));
    assert.deepEqual(await decisions({ PolicySourceArn: arnOf('role', 'builder') }), ['allowed']);
    await refused(decisions({ PolicySourceArn: arnOf('user', 'nobody') }), 'NoSuchEntityException');
    await refused(decisions({ PolicySourceArn: repository('x') }), 'InvalidInputException');
  });
});

describe('context keys', () => {
  it('are found in conditions and variables', async () => {
    const text = document(
      allow('s3:*', {
        Resource: 'arn:aws:s3:::${aws:username}/*',
        Condition: { StringEquals: { 'aws:RequestedRegion': '${aws:PrincipalTag/home}' } },
      }),
    );
    const keys = ['aws:RequestedRegion', 'aws:username', 'aws:PrincipalTag/home'];
    assert.deepEqual((await iam.send(new GetContextKeysForCustomPolicyCommand({ PolicyInputList: [text] }))).ContextKeyNames, keys);
    await iam.send(new CreateUserCommand({ UserName: 'keyed' }));
    await iam.send(new PutUserPolicyCommand({ UserName: 'keyed', PolicyName: 'p', PolicyDocument: text }));
    const own = await iam.send(new GetContextKeysForPrincipalPolicyCommand({ PolicySourceArn: arnOf('user', 'keyed') }));
    assert.deepEqual(own.ContextKeyNames, keys);
  });
});
