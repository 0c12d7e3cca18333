import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkPolicy, isPublic } from './policy-documents.ts';

const base = { Effect: 'Allow', Principal: '*', Action: 's3:GetObject', Resource: 'arn:aws:s3:::b/*' };
const policy = (...Statement: object[]) => JSON.stringify({ Version: '2012-10-17', Statement });

test('a policy is public when it allows something to everybody, without narrowing it to a fixed value', () => {
  assert.equal(isPublic(policy(base)), true);
  assert.equal(isPublic(policy({ ...base, Principal: { AWS: ['*'] } })), true);
  assert.equal(isPublic(policy({ ...base, Principal: undefined, NotPrincipal: { AWS: '123456789012' } })), true);
  assert.equal(isPublic(policy({ ...base, Effect: 'Deny' })), false);
  assert.equal(isPublic(policy({ ...base, Principal: { AWS: '123456789012' } })), false);
  assert.equal(isPublic(policy({ ...base, Principal: { Service: 'codebuild.amazonaws.com' } })), false);
  assert.equal(isPublic(policy({ ...base, Condition: { StringEquals: { 'aws:SourceAccount': '123456789012' } } })), false);
  assert.equal(isPublic(policy({ ...base, Condition: { StringLike: { 'aws:PrincipalArn': '*' } } })), true);
  assert.equal(isPublic(policy({ ...base, Condition: { StringNotEquals: { 'aws:SourceAccount': '123456789012' } } })), true);
  assert.equal(isPublic(policy({ ...base, Condition: { IpAddress: { 'aws:SourceIp': '0.0.0.0/0' } } })), true);
  assert.equal(isPublic(policy({ ...base, Condition: { Bool: { 'aws:SecureTransport': 'true' } } })), true);
});

test('hostile documents are malformed, never a crash', () => {
  const hostile = [
    '',
    '[]',
    'null',
    '{"Statement":null}',
    '{"Statement":[null]}',
    '{"Statement":["x"]}',
    '{"Statement":{"Effect":"Allow","Principal":{"AWS":{}},"Action":"*","Resource":"*"}}',
    '{"Statement":{"Effect":"Allow","Principal":[],"Action":"*","Resource":"*"}}',
    policy({ ...base, Condition: 'x' }),
    policy({ ...base, Action: [] }),
    policy({ ...base, Resource: [1] }),
    `{"Statement":${'['.repeat(5000)}${']'.repeat(5000)}}`,
    `{"x":"${'x'.repeat(30_000)}"}`,
  ];
  for (const text of hostile) assert.throws(() => checkPolicy(text, 'b'), { code: 'MalformedPolicy' }, text.slice(0, 80));
  checkPolicy(policy(base), 'b');
  checkPolicy(policy({ ...base, Condition: { StringEquals: { 'aws:SourceAccount': ['1'] } } }), 'b');
});

test('a condition of an odd form that was accepted does not break the question whether it is public', () => {
  for (const Condition of [{ StringEquals: null }, { StringEquals: 'x' }, [], { StringEquals: { 'aws:SourceArn': null } }]) {
    assert.equal(isPublic(policy({ ...base, Condition })), true);
  }
});
