import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { isForDestination, isInPool, isSatisfied, readRule, readTemplate } from './approval-content.ts';

const user = 'arn:aws:iam::123456789012:user/Mary';
const session = 'arn:aws:sts::123456789012:assumed-role/Review/Mary';
const rule = (statement: object, more: object = {}) =>
  JSON.stringify({ Version: '2018-11-08', Statements: [{ Type: 'Approvers', NumberOfApprovalsNeeded: 1, ...statement }], ...more });

describe('what is not a rule', () => {
  const cases: [string, string, RegExp][] = [
    ['no JSON', '{Version: 2018-11-08}', /not JSON/],
    ['no object', '[]', /must be an object/],
    ['null', 'null', /must be an object/],
    ['another version', rule({}, { Version: '2012-10-17' }), /Version must be "2018-11-08"/],
    ['an unknown member', rule({}, { Owners: [] }), /no member "Owners"/],
    ['destinations, which only templates have', rule({}, { DestinationReferences: [] }), /no member "DestinationReferences"/],
    ['no statements', rule({}, { Statements: [] }), /at least one statement/],
    ['statements that are no list', rule({}, { Statements: {} }), /Statements must be a list/],
    ['a statement of another type', rule({ Type: 'Owners' }), /must be "Approvers"/],
    ['a statement with more', rule({ Effect: 'Allow' }), /no member "Effect"/],
    ['no number', rule({ NumberOfApprovalsNeeded: '2' }), /whole number/],
    ['none needed', rule({ NumberOfApprovalsNeeded: 0 }), /whole number from 1 to 200/],
    ['half of one needed', rule({ NumberOfApprovalsNeeded: 0.5 }), /whole number/],
    ['too many needed', rule({ NumberOfApprovalsNeeded: 201 }), /from 1 to 200/],
    ['a pool that is no list', rule({ ApprovalPoolMembers: '*' }), /ApprovalPoolMembers must be a list/],
    ['a member that is no text', rule({ ApprovalPoolMembers: [1] }), /must hold strings/],
    ['a name without its account', rule({ ApprovalPoolMembers: ['CodeCommitApprovers:Mary'] }), /CodeCommitApprovers:ACCOUNT:NAME/],
    ['a bare name', rule({ ApprovalPoolMembers: ['Mary'] }), /ARNs of IAM identities/],
    ['the ARN of another thing', rule({ ApprovalPoolMembers: ['arn:aws:s3:::bucket'] }), /ARNs of IAM identities/],
    ['a large pool', rule({ ApprovalPoolMembers: Array(51).fill(user) }), /more than 50 members/],
  ];
  for (const [what, content, why] of cases) {
    test(what, () => {
      assert.throws(() => readRule(content), { code: 'InvalidApprovalRuleContentException', message: why });
    });
  }
});

describe('what is not a template', () => {
  const cases: [string, unknown, RegExp][] = [
    ['a tag', ['refs/tags/v1'], /refs\/heads\/main/],
    ['a short name', ['main'], /refs\/heads\/main/],
    ['a wildcard at the beginning', ['refs/heads/*'], /refs\/heads\/main/],
    ['a space', ['refs/heads/a b'], /refs\/heads\/main/],
    ['one that is no list', 'refs/heads/main', /must be a list/],
    ['more than 100', Array(101).fill('refs/heads/main'), /more than 100 members/],
  ];
  for (const [what, DestinationReferences, why] of cases) {
    test(`destinations: ${what}`, () => {
      const content = rule({}, { DestinationReferences });
      assert.throws(() => readTemplate(content), { code: 'InvalidApprovalRuleTemplateContentException', message: why });
    });
  }
});

test('a template is for the branches that it names, or for all', () => {
  const content = readTemplate(rule({}, { DestinationReferences: ['refs/heads/main', 'refs/heads/release/*'] }));
  const fits = ['refs/heads/main', 'refs/heads/mainly', 'refs/heads/release/1', 'refs/heads/release'].map((reference) =>
    isForDestination(content, reference),
  );
  assert.deepEqual(fits, [true, false, true, false]);
  assert.equal(isForDestination(readTemplate(rule({})), 'refs/heads/any'), true);
});

test('who is in a pool', () => {
  const cases: [string, string, boolean][] = [
    ['*', user, true],
    [user, user, true],
    [user, session, false],
    ['arn:aws:iam::123456789012:user/*', user, true],
    ['arn:aws:iam::123456789012:user/*', session, false],
    ['arn:aws:sts::123456789012:assumed-role/Review/*', session, true],
    ['arn:aws:sts::123456789012:assumed-role/Review', session, true],
    ['arn:aws:sts::123456789012:assumed-role/Rev', session, false],
    ['arn:aws:sts::123456789012:assumed-role/Review/Li', session, false],
    ['CodeCommitApprovers:123456789012:Mary', user, true],
    ['CodeCommitApprovers:123456789012:Mary', 'arn:aws:iam::123456789012:user/team/Mary', true],
    ['CodeCommitApprovers:123456789012:Mary', 'arn:aws:sts::123456789012:federated-user/Mary', true],
    ['CodeCommitApprovers:123456789012:Mary', session, false],
    ['CodeCommitApprovers:123456789012:*Mary', session, true],
    ['CodeCommitApprovers:123456789012:Review/Mary', session, true],
    ['CodeCommitApprovers:123456789012:Review/*', session, true],
    ['CodeCommitApprovers:123456789012:user/*', user, true],
    ['CodeCommitApprovers:123456789012:user/*', session, false],
    ['CodeCommitApprovers:123456789012:mary', user, false],
    ['CodeCommitApprovers:210987654321:Mary', user, false],
  ];
  for (const [member, arn, expected] of cases) assert.equal(isInPool(member, arn), expected, `${member} and ${arn}`);
});

test('only the pool counts, everybody once, and every statement must be satisfied', () => {
  const pool = ['CodeCommitApprovers:123456789012:Mary', 'arn:aws:iam::123456789012:user/M*'];
  const two = readRule(rule({ NumberOfApprovalsNeeded: 2, ApprovalPoolMembers: pool }));
  assert.equal(isSatisfied(two, [user]), false);
  assert.equal(isSatisfied(two, [user, session]), false);
  assert.equal(isSatisfied(two, [user, 'arn:aws:iam::123456789012:user/Max']), true);
  const statement = (name: string) => ({
    Type: 'Approvers',
    NumberOfApprovalsNeeded: 1,
    ApprovalPoolMembers: [`CodeCommitApprovers:123456789012:${name}`],
  });
  const both = readRule(rule({}, { Statements: [statement('Mary'), statement('Max')] }));
  assert.equal(isSatisfied(both, [user]), false);
  assert.equal(isSatisfied(both, [user, 'arn:aws:iam::123456789012:user/Max']), true);
});
