import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type PolicyUse, policySize, validatePolicy } from './validate.ts';

const identity = { Effect: 'Allow', Action: 's3:GetObject', Resource: '*' };
const trust = { Effect: 'Allow', Action: 'sts:AssumeRole', Principal: { Service: 'codebuild.amazonaws.com' } };
const document = (statement: unknown, more: object = {}) => JSON.stringify({ Version: '2012-10-17', Statement: statement, ...more });

describe('policy validation', () => {
  it('accepts what AWS accepts', () => {
    const good: [PolicyUse, unknown][] = [
      ['identity', identity],
      ['identity', [identity, { ...identity, Sid: 'A1', Effect: 'Deny' }]],
      ['identity', { Effect: 'Allow', NotAction: ['iam:*', 'sts:*'], NotResource: ['arn:aws:s3:::b', 'arn:aws:s3:::b/*'] }],
      ['identity', { ...identity, Resource: 'arn:aws:s3:::${aws:username}/*' }],
      ['identity', { ...identity, Resource: 'arn:*:s3:::b', Action: '*' }],
      ['identity', { ...identity, Condition: { Bool: { 'aws:SecureTransport': true }, NumericLessThan: { 's3:max-keys': 10 } } }],
      ['identity', { ...identity, Condition: {} }],
      ['trust', trust],
      [
        'trust',
        {
          ...trust,
          Principal: { AWS: ['123456789012', 'arn:aws:iam::123456789012:root', '*'] },
          Action: ['sts:AssumeRole', 'sts:TagSession'],
        },
      ],
      ['trust', { ...trust, Principal: '*' }],
      ['resource', { ...identity, Principal: '*' }],
      ['resource', { ...identity, Sid: 'with spaces', NotPrincipal: { AWS: 'arn:aws:iam::123456789012:user/a' }, Effect: 'Deny' }],
    ];
    for (const [use, statement] of good) validatePolicy(document(statement), use);
    validatePolicy(document(identity, { Version: '2008-10-17', Id: 'x' }), 'identity');
    validatePolicy(JSON.stringify({ Statement: [identity] }), 'identity');
  });

  it('refuses the rest in the words of IAM', () => {
    const SYNTAX = 'Syntax errors in policy.';
    const bad: [PolicyUse, unknown, string][] = [
      ['identity', undefined, SYNTAX],
      ['identity', [], SYNTAX],
      ['identity', 'x', SYNTAX],
      ['identity', { ...identity, Extra: 1 }, SYNTAX],
      ['identity', { ...identity, Effect: 'allow' }, SYNTAX],
      ['identity', { ...identity, NotAction: 's3:*' }, SYNTAX],
      ['identity', { ...identity, NotResource: '*' }, SYNTAX],
      ['identity', { ...identity, Action: 1 }, SYNTAX],
      ['identity', { ...identity, Sid: 1 }, SYNTAX],
      ['identity', { ...identity, Condition: { Foo: { a: 'b' } } }, SYNTAX],
      ['identity', { ...identity, Condition: { StringEquals: { a: {} } } }, SYNTAX],
      ['identity', { ...identity, Condition: { NumericEquals: { a: 'x' } } }, SYNTAX],
      ['identity', { ...identity, Condition: [] }, SYNTAX],
      ['identity', { ...identity, Action: undefined }, 'Policy statement must contain actions.'],
      ['identity', { ...identity, Action: [] }, 'Policy statement must contain actions.'],
      ['identity', { ...identity, Resource: undefined }, 'Policy statement must contain resources.'],
      ['identity', { ...identity, Action: 'GetObject' }, 'Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.'],
      ['identity', { ...identity, Action: 's3 x:Get' }, 'Vendor s3 x is not valid'],
      ['identity', { ...identity, Resource: 'bucket' }, 'Resource bucket must be in ARN format or "*".'],
      ['identity', { ...identity, Resource: 'arn:foo:s3:::b' }, 'Partition "foo" is not valid for resource "arn:foo:s3:::b".'],
      [
        'identity',
        { ...identity, Resource: 'arn:aws:iam:us-east-1:1:user/a' },
        'IAM resource arn:aws:iam:us-east-1:1:user/a cannot contain region information.',
      ],
      ['identity', { ...identity, Principal: '*' }, 'Policy document should not specify a principal.'],
      [
        'identity',
        [
          { ...identity, Sid: 'a' },
          { ...identity, Sid: 'a' },
        ],
        'Statement IDs (SID) in a single policy must be unique.',
      ],
      ['trust', { ...trust, Resource: '*' }, 'Has prohibited field Resource'],
      ['trust', { ...trust, Principal: undefined }, 'Missing required field Principal'],
      ['trust', { ...trust, Action: undefined }, 'Missing required field Action'],
      ['trust', { ...trust, Action: 's3:GetObject' }, 'AssumeRole policy may only specify STS AssumeRole actions.'],
      ['trust', { ...trust, Principal: { AWS: 'bob' } }, 'Invalid principal in policy: "AWS":"bob"'],
      ['trust', { ...trust, Principal: { Service: 'bob' } }, 'Invalid principal in policy: "SERVICE":"bob"'],
      ['trust', { ...trust, Principal: { Foo: 'bob' } }, SYNTAX],
      ['resource', identity, 'Missing required field Principal'],
    ];
    for (const [use, statement, message] of bad) {
      assert.throws(() => validatePolicy(document(statement), use), { name: 'PolicyError', message }, JSON.stringify(statement));
    }
    for (const text of ['', '{', 'null x'])
      assert.throws(() => validatePolicy(text, 'identity'), { message: 'This policy contains invalid Json' });
    for (const text of ['null', '[]', '"x"', '{"Statement":[null]}', '{"Version":"2020-01-01","Statement":[]}']) {
      assert.throws(() => validatePolicy(text, 'identity'), { message: SYNTAX }, text);
    }
  });

  it('names the AWS principals, and counts without white space', () => {
    const arn = 'arn:aws:iam::123456789012:user/a';
    assert.deepEqual(validatePolicy(document({ ...trust, Principal: { AWS: [arn, '*'] } }), 'trust').principals, [arn, '*']);
    assert.equal(policySize(' { "a":\n "b c" }\t'), 10);
  });
});
