import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Principal, servicePrincipal } from '../principal.ts';
import { compilePolicy, type Policy } from './document.ts';
import { denialMessage, evaluate, type Question } from './evaluate.ts';

const account = '123456789012';
const alice: Principal = { type: 'User', account, arn: `arn:aws:iam::${account}:user/alice`, id: 'AIDA1', name: 'alice' };
const root: Principal = { type: 'Root', account, arn: `arn:aws:iam::${account}:root`, id: account };
const session: Principal = {
  type: 'AssumedRole',
  account,
  arn: `arn:aws:sts::${account}:assumed-role/builder/s1`,
  id: 'AROA1:s1',
  roleArn: `arn:aws:iam::${account}:role/path/builder`,
  roleName: 'builder',
  sessionName: 's1',
};
const repository = `arn:aws:codecommit:us-east-1:${account}:app`;

type Statement = Record<string, unknown>;
const policy = (...statements: Statement[]): Policy =>
  compilePolicy(JSON.stringify({ Version: '2012-10-17', Statement: statements.map((one) => ({ Effect: 'Allow', ...one })) }));
const all = policy({ Action: '*', Resource: '*' });

function ask(more: Partial<Question> & { context?: Record<string, string | string[]> } = {}) {
  const { context = {}, ...question } = more;
  return evaluate({
    principal: alice,
    action: 'codecommit:GetRepository',
    resource: repository,
    identity: [],
    resolve: (key) => context[key],
    ...question,
  });
}
const text = (verdict: ReturnType<typeof ask>) => ('by' in verdict ? `${verdict.decision}: ${verdict.by}` : verdict.decision);

describe('policy evaluation', () => {
  it('denies what nothing allows, allows what an identity policy allows, and lets a deny win', () => {
    assert.equal(text(ask()), 'implicitDeny: identity-based policy');
    assert.equal(text(ask({ identity: [policy({ Action: 'codecommit:get*', Resource: 'arn:aws:codecommit:*:*:a?p' })] })), 'allowed');
    assert.equal(text(ask({ identity: [policy({ Action: 'codecommit:List*', Resource: '*' })] })), 'implicitDeny: identity-based policy');
    assert.equal(
      text(ask({ identity: [policy({ Action: '*', Resource: 'arn:aws:codecommit:*:*:other' })] })),
      'implicitDeny: identity-based policy',
    );
    const deny = policy({ Effect: 'Deny', Action: 'codecommit:*', Resource: '*' });
    assert.equal(text(ask({ identity: [all, deny] })), 'explicitDeny: identity-based policy');
    assert.equal(text(ask({ identity: [deny, all] })), 'explicitDeny: identity-based policy');
  });

  it('knows NotAction, NotResource and conditions', () => {
    assert.equal(text(ask({ identity: [policy({ NotAction: 'iam:*', Resource: '*' })] })), 'allowed');
    assert.equal(
      text(ask({ action: 'iam:GetUser', identity: [policy({ NotAction: 'iam:*', Resource: '*' })] })),
      'implicitDeny: identity-based policy',
    );
    const butApp = policy({ Action: '*', NotResource: repository });
    assert.equal(text(ask({ identity: [butApp] })), 'implicitDeny: identity-based policy');
    assert.equal(text(ask({ identity: [butApp], resource: `${repository}2` })), 'allowed');
    const mainOnly = policy({
      Action: '*',
      Resource: '*',
      Condition: { StringEqualsIfExists: { 'codecommit:References': ['refs/heads/main'] } },
    });
    assert.equal(text(ask({ identity: [mainOnly], context: { 'codecommit:references': 'refs/heads/main' } })), 'allowed');
    assert.equal(
      text(ask({ identity: [mainOnly], context: { 'codecommit:references': 'refs/heads/x' } })),
      'implicitDeny: identity-based policy',
    );
    assert.equal(text(ask({ identity: [mainOnly] })), 'allowed');
  });

  it('replaces variables, and fails closed without their value', () => {
    const own = policy({ Action: '*', Resource: 'arn:aws:codecommit:*:*:${aws:username}' });
    assert.equal(text(ask({ identity: [own], context: { 'aws:username': 'app' } })), 'allowed');
    assert.equal(text(ask({ identity: [own] })), 'implicitDeny: identity-based policy');
    const notOwn = (Effect: string) => policy({ Effect, Action: '*', NotResource: 'arn:aws:codecommit:*:*:${aws:username}' });
    assert.equal(text(ask({ identity: [notOwn('Allow')] })), 'implicitDeny: identity-based policy');
    assert.equal(text(ask({ identity: [all, notOwn('Deny')] })), 'explicitDeny: identity-based policy');
  });

  it('limits by boundary and session policies', () => {
    const reads = policy({ Action: 'codecommit:Get*', Resource: '*' });
    const builds = policy({ Action: 'codebuild:*', Resource: '*' });
    assert.equal(text(ask({ identity: [all], boundary: reads })), 'allowed');
    assert.equal(text(ask({ identity: [all], boundary: builds })), 'implicitDeny: permissions boundary');
    assert.equal(text(ask({ identity: [], boundary: all })), 'implicitDeny: identity-based policy');
    assert.equal(text(ask({ principal: session, identity: [all], session: [builds, reads] })), 'allowed');
    assert.equal(text(ask({ principal: session, identity: [all], session: [builds] })), 'implicitDeny: session policy');
    assert.equal(text(ask({ principal: session, identity: [], session: [all] })), 'implicitDeny: identity-based policy');
    const deny = policy({ Effect: 'Deny', Action: '*', Resource: '*' });
    assert.equal(text(ask({ identity: [all], boundary: deny })), 'explicitDeny: permissions boundary');
    assert.equal(text(ask({ principal: session, identity: [all], session: [deny] })), 'explicitDeny: session policy');
  });

  it('lets a resource policy grant within the account, by each way of naming the caller', () => {
    const grant = (Principal: unknown, Effect = 'Allow') => policy({ Effect, Principal, Action: '*', Resource: '*' });
    const none = policy({ Action: 'x:y', Resource: '*' });
    assert.equal(text(ask({ resourcePolicy: grant({ AWS: alice.arn }) })), 'allowed');
    assert.equal(text(ask({ resourcePolicy: grant({ AWS: alice.arn }), boundary: none })), 'allowed');
    assert.equal(text(ask({ resourcePolicy: grant('*') })), 'allowed');
    assert.equal(text(ask({ resourcePolicy: grant({ AWS: account }) })), 'implicitDeny: identity-based policy');
    assert.equal(text(ask({ resourcePolicy: grant({ AWS: account }), identity: [all] })), 'allowed');
    assert.equal(text(ask({ resourcePolicy: grant({ AWS: `arn:aws:iam::${account}:user/bob` }) })), 'implicitDeny: identity-based policy');
    assert.equal(text(ask({ principal: session, resourcePolicy: grant({ AWS: session.roleArn }) })), 'allowed');
    assert.equal(
      text(ask({ principal: session, resourcePolicy: grant({ AWS: session.roleArn }), session: [none] })),
      'implicitDeny: session policy',
    );
    assert.equal(text(ask({ principal: session, resourcePolicy: grant({ AWS: session.arn }), session: [none] })), 'allowed');
    assert.equal(text(ask({ identity: [all], resourcePolicy: grant({ AWS: account }, 'Deny') })), 'explicitDeny: resource-based policy');
    const butAlice = policy({ Effect: 'Deny', NotPrincipal: { AWS: alice.arn }, Action: '*', Resource: '*' });
    assert.equal(text(ask({ identity: [all], resourcePolicy: butAlice })), 'allowed');
    assert.equal(text(ask({ principal: session, identity: [all], resourcePolicy: butAlice })), 'explicitDeny: resource-based policy');
  });

  it('asks both sides across accounts', () => {
    const other = { resourceAccount: '999999999999' };
    const grant = (Principal: unknown) => policy({ Principal, Action: '*', Resource: '*' });
    assert.equal(text(ask({ ...other, identity: [all] })), 'implicitDeny: resource-based policy');
    assert.equal(text(ask({ ...other, resourcePolicy: grant({ AWS: alice.arn }) })), 'implicitDeny: identity-based policy');
    assert.equal(text(ask({ ...other, identity: [all], resourcePolicy: grant({ AWS: alice.arn }) })), 'allowed');
    assert.equal(text(ask({ ...other, identity: [all], resourcePolicy: grant({ AWS: root.arn }) })), 'allowed');
    assert.equal(
      text(ask({ ...other, identity: [all], resourcePolicy: grant({ AWS: '111111111111' }) })),
      'implicitDeny: resource-based policy',
    );
    assert.equal(text(ask({ ...other, principal: root })), 'implicitDeny: resource-based policy');
    assert.equal(text(ask({ ...other, principal: root, resourcePolicy: grant({ AWS: account }) })), 'allowed');
  });

  it('lets root do all in its account, unless a resource denies', () => {
    assert.equal(text(ask({ principal: root })), 'allowed');
    const deny = policy({ Effect: 'Deny', Principal: '*', Action: '*', Resource: '*' });
    assert.equal(text(ask({ principal: root, resourcePolicy: deny })), 'explicitDeny: resource-based policy');
  });

  it('asks a role’s trust policy always', () => {
    const trust = (Principal: unknown) => policy({ Principal, Action: 'sts:AssumeRole' });
    const assume = { action: 'sts:AssumeRole', resource: session.roleArn, resourcePolicyRequired: true };
    assert.equal(
      text(ask({ ...assume, identity: [all], resourcePolicy: trust({ Service: 'codebuild.amazonaws.com' }) })),
      'implicitDeny: resource-based policy',
    );
    assert.equal(text(ask({ ...assume, resourcePolicy: trust({ AWS: alice.arn }) })), 'allowed');
    assert.equal(text(ask({ ...assume, resourcePolicy: trust({ AWS: root.arn }) })), 'implicitDeny: identity-based policy');
    assert.equal(text(ask({ ...assume, identity: [all], resourcePolicy: trust({ AWS: root.arn }) })), 'allowed');
    const build = servicePrincipal('codebuild', account);
    assert.equal(text(ask({ ...assume, principal: build, resourcePolicy: trust({ Service: 'codebuild.amazonaws.com' }) })), 'allowed');
    assert.equal(
      text(ask({ ...assume, principal: build, resourcePolicy: trust({ Service: 'codedeploy.amazonaws.com' }) })),
      'implicitDeny: resource-based policy',
    );
    assert.equal(text(ask({ ...assume, principal: build })), 'implicitDeny: resource-based policy', 'a role that is not there');
    const regional = trust({ Service: ['codedeploy.us-east-1.amazonaws.com'] });
    assert.equal(text(ask({ ...assume, principal: servicePrincipal('codedeploy', account), resourcePolicy: regional })), 'allowed');
  });

  it('lets a service work for its own account where a resource has no policy, else only where it is named', () => {
    const service = { principal: servicePrincipal('codebuild', account), action: 'logs:PutLogEvents' };
    const grant = (Service: string, more: object = {}) => policy({ Principal: { Service }, Action: '*', Resource: '*', ...more });
    assert.equal(text(ask(service)), 'allowed');
    assert.equal(text(ask({ ...service, resourceAccount: '999999999999' })), 'implicitDeny: resource-based policy');
    assert.equal(text(ask({ ...service, resourcePolicy: grant('codebuild.amazonaws.com') })), 'allowed');
    assert.equal(text(ask({ ...service, resourcePolicy: grant('events.amazonaws.com') })), 'implicitDeny: resource-based policy');
    assert.equal(
      text(ask({ ...service, resourcePolicy: grant('codebuild.amazonaws.com', { Effect: 'Deny' }) })),
      'explicitDeny: resource-based policy',
    );
  });

  it('asks a key policy for the caller or its account, or a grant instead of both', () => {
    const key = { action: 'kms:Decrypt', resource: `arn:aws:kms:us-east-1:${account}:key/1`, resourcePolicyRequired: true };
    const keyPolicy = (AWS: string, more: object = {}) => policy({ Principal: { AWS }, Action: 'kms:*', Resource: '*', ...more });
    assert.equal(text(ask({ ...key, identity: [all], resourcePolicy: keyPolicy(session.arn) })), 'implicitDeny: resource-based policy');
    assert.equal(text(ask({ ...key, resourcePolicy: keyPolicy(root.arn) })), 'implicitDeny: identity-based policy');
    assert.equal(text(ask({ ...key, identity: [all], resourcePolicy: keyPolicy(root.arn) })), 'allowed');
    assert.equal(text(ask({ ...key, principal: root, resourcePolicy: keyPolicy(alice.arn) })), 'implicitDeny: resource-based policy');
    assert.equal(text(ask({ ...key, granted: true })), 'allowed');
    assert.equal(text(ask({ ...key, granted: true, resourceAccount: '999999999999' })), 'allowed');
    assert.equal(
      text(ask({ ...key, granted: true, resourcePolicy: keyPolicy('*', { Effect: 'Deny' }) })),
      'explicitDeny: resource-based policy',
    );
    const narrow = [policy({ Action: 's3:*', Resource: '*' })];
    assert.equal(text(ask({ ...key, granted: true, principal: session })), 'allowed');
    assert.equal(text(ask({ ...key, granted: true, principal: session, session: narrow })), 'implicitDeny: session policy');
  });

  it('says why, as AWS does', () => {
    const question = { principal: alice, action: 'codecommit:GetRepository', resource: repository };
    const asked = `User: ${alice.arn} is not authorized to perform: codecommit:GetRepository on resource: ${repository}`;
    assert.equal(denialMessage(question, ask()), `${asked} because no identity-based policy allows the codecommit:GetRepository action`);
    const deny = policy({ Effect: 'Deny', Action: '*', Resource: '*' });
    assert.equal(denialMessage(question, ask({ identity: [deny] })), `${asked} with an explicit deny in an identity-based policy`);
    assert.equal(
      denialMessage(question, ask({ identity: [all], boundary: deny })),
      `${asked} with an explicit deny in a permissions boundary`,
    );
  });
});
