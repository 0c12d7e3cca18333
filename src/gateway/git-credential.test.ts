import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { describe, it } from 'node:test';
import { parseGitCredential, verifyGitCredential } from './git-credential.ts';

const accessKeyId = 'AKIAIOSFODNN7EXAMPLE';
const secret = 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY';
const hasAwsCli = spawnSync('aws', ['--version']).status === 0;

function askHelper(host: string, region: string, sessionToken?: string): { username: string; password: string } {
  const env = { PATH: process.env.PATH, HOME: '/nonexistent', AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secret };
  const answer = execFileSync('aws', ['codecommit', 'credential-helper', 'get', '--ignore-host-check', '--region', region], {
    input: `protocol=http\nhost=${host}\npath=v1/repos/MyRepo\n`,
    encoding: 'utf8',
    env: { ...env, ...(sessionToken ? { AWS_SESSION_TOKEN: sessionToken } : {}) },
  });
  return Object.fromEntries(
    answer
      .trim()
      .split('\n')
      .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
  ) as never;
}

describe("git's signed password", () => {
  it('made by the AWS CLI is accepted for its path, host, region and time only', {
    skip: hasAwsCli ? false : 'the AWS CLI is not installed',
  }, () => {
    const { username, password } = askHelper('localhost:4600', 'eu-west-1', 'tok/en+=');
    const credential = parseGitCredential(username, password);
    assert.ok(credential);
    assert.equal(credential.accessKeyId, accessKeyId);
    assert.equal(credential.sessionToken, 'tok/en+=');
    const request = { path: '/v1/repos/MyRepo', host: 'localhost:4600', regions: ['us-east-1', 'eu-west-1'], now: new Date() };
    assert.equal(verifyGitCredential(credential, secret, request), 'eu-west-1');
    assert.equal(verifyGitCredential(credential, secret, { ...request, host: 'localhost' }), 'eu-west-1');
    assert.equal(verifyGitCredential(credential, 'wrong', request), undefined);
    assert.equal(verifyGitCredential(credential, secret, { ...request, path: '/v1/repos/Other' }), undefined);
    assert.equal(verifyGitCredential(credential, secret, { ...request, host: 'elsewhere' }), undefined);
    assert.equal(verifyGitCredential(credential, secret, { ...request, regions: ['us-east-1'] }), undefined);
    assert.equal(verifyGitCredential(credential, secret, { ...request, now: new Date(Date.now() + 14 * 60_000) }), 'eu-west-1');
    assert.equal(verifyGitCredential(credential, secret, { ...request, now: new Date(Date.now() + 16 * 60_000) }), undefined);
    assert.equal(verifyGitCredential(credential, secret, { ...request, now: new Date(Date.now() - 16 * 60_000) }), undefined);
  });

  it('with the port signed, as git-remote-codecommit does, is accepted', () => {
    // Computed once with botocore's SigV4Auth over "GIT\n/v1/repos/MyRepo\n\nhost:localhost:4600\n\nhost\n".
    const credential = parseGitCredential(accessKeyId, '20261122T193707Z359eece99deb47765413121a544990c736265db82812653855115ab2f0c22015');
    assert.ok(credential);
    const now = new Date('2026-11-22T19:40:00Z');
    const request = { path: '/v1/repos/MyRepo', regions: ['us-east-1'], now };
    assert.equal(verifyGitCredential(credential, secret, { ...request, host: 'localhost:4600' }), 'us-east-1');
    assert.equal(verifyGitCredential(credential, secret, { ...request, host: 'localhost:4601' }), undefined);
  });

  it('is told apart from a service-specific password', () => {
    assert.equal(parseGitCredential('alice-at-123456789012', 'abc='), undefined);
    assert.equal(parseGitCredential('alice-at-123456789012', `20261122T193707Z${'0'.repeat(64)}`), undefined);
    assert.equal(parseGitCredential(accessKeyId, `20261122T193707Z${'0'.repeat(63)}`), undefined);
    const encoded = parseGitCredential(`${accessKeyId}%a%2Fb%2B%3D`, `20261122T193707Z${'0'.repeat(64)}`);
    assert.equal(encoded?.sessionToken, 'a/b+=');
    const badTime = parseGitCredential(accessKeyId, `20269999T193707Z${'0'.repeat(64)}`)!;
    assert.equal(verifyGitCredential(badTime, secret, { path: '/', host: 'h', regions: ['us-east-1'], now: new Date() }), undefined);
  });
});
