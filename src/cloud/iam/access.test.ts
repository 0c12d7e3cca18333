import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';
import { createKeyring } from '../../platform/keyring.ts';
import type { Platform, Transaction } from '../../platform/platform.ts';
import { validatePolicy } from '../../platform/policy/validate.ts';
import type { Check, RequestContext } from '../../platform/service.ts';
import { issueSession } from '../../platform/session-token.ts';
import { createAccess } from './access.ts';
import { awsPolicies } from './aws-policies.ts';
import { accessChanged, IdentityCache } from './cache.ts';
import { requestValues } from './request-values.ts';
import { hashPassword, newPassword, newSecret, openSecret, samePassword, sealSecret } from './secrets.ts';

const silent = { signals: { on: () => () => {} } } as unknown as Pick<Platform, 'signals'>;

describe('sessions', () => {
  it('end at their time, before anything is looked up', async () => {
    const keyring = createKeyring(randomBytes(32));
    let now = 1_000_000;
    const platform = { ...silent, keyring, now: () => new Date(now) } as unknown as Platform;
    const { accessKeyId, sessionToken } = issueSession(keyring, {
      account: '123456789012',
      id: 'AIDA',
      arn: 'a',
      issuedAt: 0,
      expiresAt: now,
    });
    const access = createAccess(platform);
    assert.equal(await access.credentials(accessKeyId, sessionToken), 'expired');
    now--;
    await assert.rejects(access.credentials(accessKeyId, sessionToken), TypeError, 'goes on to look for its user');
    assert.equal(await access.credentials('AKIAnothing', undefined), 'unknown');
    assert.equal(await access.credentials(accessKeyId, 'other'), 'invalid-token');
    assert.equal(await access.gitPassword('no-account', 'x'), undefined);
  });
});

describe('the identity cache', () => {
  const commit = async (account: string, finished = true) => {
    const actions: (() => void)[] = [];
    await accessChanged(
      { signal: async () => {}, onCommit: (action: () => void) => void actions.push(action) } as unknown as Transaction,
      account,
    );
    if (finished) for (const action of actions) action();
  };

  it('loads once, until the account changes', async () => {
    const cache = new IdentityCache(silent);
    let loads = 0;
    const get = (account: string) => cache.get(account, 'k', async () => ++loads);
    assert.deepEqual(await Promise.all([get('a'), get('a'), get('b')]), [1, 1, 2]);
    await commit('a', false);
    assert.equal(await get('a'), 1, 'not before the commit');
    await commit('a');
    assert.deepEqual([await get('a'), await get('b')], [3, 2]);
    cache.forget('');
    assert.deepEqual([await get('a'), await get('b')], [4, 5]);
  });

  it('keeps neither failures nor what was loaded before a change', async () => {
    const cache = new IdentityCache(silent);
    await assert.rejects(
      cache.get('a', 'k', async () => Promise.reject(new Error('down'))),
      /down/,
    );
    let release: (value: string) => void = () => {};
    const slow = cache.get(
      'a',
      'k',
      () =>
        new Promise<string>((resolve) => {
          release = resolve;
        }),
    );
    await commit('a');
    release('old');
    assert.equal(await slow, 'old');
    assert.equal(await cache.get('a', 'k', async () => 'new'), 'new');
  });
});

describe('values of a request', () => {
  const issuedAt = new Date('2026-01-02T03:04:05Z');
  const ctx = {
    principal: {
      type: 'AssumedRole',
      account: '123456789012',
      arn: 'arn:aws:sts::123456789012:assumed-role/r/s',
      id: 'AROA:s',
      roleArn: 'arn:aws:iam::123456789012:role/r',
      roleName: 'r',
      sessionName: 's',
      session: { tags: { Team: 'red' }, issuedAt, expiresAt: issuedAt },
    },
    region: 'eu-west-1',
    sourceIp: '203.0.113.7',
    userAgent: 'x',
    http: { headers: {}, origin: 'http://h', trailers: new Map() },
    now: () => new Date('2026-11-22T00:00:00Z'),
  } as unknown as RequestContext;
  const check: Check = {
    resource: 'arn:aws:s3:::b',
    conditions: { 's3:VersionId': '1', 'codecommit:References': ['a'] },
    resourceTags: { Owner: 'alice' },
    requestTags: { A: '1', B: '2' },
  };

  it('are found by key, whatever its case was', () => {
    const resolve = requestValues(ctx, check, { team: 'blue', other: 'x' });
    const expected: Record<string, unknown> = {
      's3:versionid': '1',
      'codecommit:references': ['a'],
      'aws:principalarn': 'arn:aws:iam::123456789012:role/r',
      'aws:userid': 'AROA:s',
      'aws:username': undefined,
      'aws:principaltag/team': 'red',
      'aws:principaltag/other': 'x',
      'aws:resourcetag/owner': 'alice',
      's3:resourcetag/owner': 'alice',
      'aws:requesttag/a': '1',
      'aws:tagkeys': ['A', 'B'],
      'aws:sourceip': '203.0.113.7',
      'aws:securetransport': 'false',
      'aws:requestedregion': 'eu-west-1',
      'aws:resourceaccount': '123456789012',
      'aws:currenttime': '2026-11-22T00:00:00.000Z',
      'aws:epochtime': '1795305600',
      'aws:tokenissuetime': '2026-01-02T03:04:05.000Z',
      'aws:multifactorauthpresent': 'false',
      'aws:unknown': undefined,
      'aws:unknown/x': undefined,
      constructor: undefined,
      'aws:resourcetag/constructor': undefined,
    };
    for (const [key, value] of Object.entries(expected)) assert.deepEqual(resolve(key), value, key);
  });
});

describe('secrets', () => {
  it('are sealed or hashed, and compared', () => {
    const keyring = createKeyring(randomBytes(32));
    const secret = newSecret();
    assert.equal(secret.length, 40);
    const sealed = sealSecret(keyring, 'AKIA1', secret);
    assert.equal(openSecret(keyring, 'AKIA1', sealed), secret);
    assert.throws(() => openSecret(keyring, 'AKIA2', sealed), /AKIA2/);
    const password = newPassword();
    const hash = hashPassword(keyring, password);
    assert.ok(samePassword(keyring, password, hash));
    assert.ok(!samePassword(keyring, `${password}x`, hash));
    assert.ok(!samePassword(keyring, password, undefined));
    assert.ok(!samePassword(keyring, password, ''));
    assert.ok(!samePassword(createKeyring(randomBytes(32)), password, hash));
  });
});

describe('the policies of AWS', () => {
  it('are valid, of AWS’s size, and each of its own name', () => {
    const policies = [...awsPolicies().values()];
    assert.ok(policies.length > 40);
    assert.equal(new Set(policies.map((policy) => policy.name)).size, policies.length);
    assert.equal(new Set(policies.map((policy) => policy.id)).size, policies.length);
    for (const policy of policies) {
      assert.doesNotThrow(() => validatePolicy(policy.document, 'identity'), policy.name);
      assert.match(policy.id, /^ANPA[A-Z2-7]{17}$/);
    }
  });
});
