import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';
import { accountOfAccessKey, newAccessKeyId, newUniqueId } from './access-key.ts';
import { createKeyring } from './keyring.ts';
import { issueSession, openSession, type SessionStatement } from './session-token.ts';

const statement: SessionStatement = {
  account: '123456789012',
  id: 'AROAX',
  arn: 'arn:aws:iam::123456789012:role/path/builder',
  role: { name: 'builder', session: 's1' },
  policy: '{"Version":"2012-10-17"}',
  tags: { team: 'blau ü' },
  issuedAt: 1,
  expiresAt: 2,
};

describe('session tokens', () => {
  it('carry the whole statement, sealed, and a secret that only the issuer can derive', () => {
    const keyring = createKeyring(randomBytes(32));
    const issued = issueSession(keyring, statement);
    assert.match(issued.accessKeyId, /^ASIA[A-Z2-7]{16}$/);
    assert.equal(issued.secretAccessKey.length, 40);
    assert.doesNotMatch(issued.sessionToken, /builder/);
    assert.match(issued.sessionToken, /^[\w-]+$/, 'goes unescaped through headers, URLs and git user names');
    assert.deepEqual(openSession(keyring, issued.accessKeyId, issued.sessionToken), { statement, secret: issued.secretAccessKey });
    assert.notEqual(issueSession(keyring, statement).sessionToken, issued.sessionToken);
    assert.equal(openSession(createKeyring(randomBytes(32)), issued.accessKeyId, issued.sessionToken), undefined);
    assert.equal(openSession(keyring, newAccessKeyId('ASIA', statement.account), issued.sessionToken), undefined);
    for (const token of ['', 'IQoJ', 'IQoJ!!', issued.sessionToken.slice(4), `${issued.sessionToken}x1y2`]) {
      assert.equal(openSession(keyring, issued.accessKeyId, token), undefined, token);
    }
  });
});

describe('access key ids', () => {
  it('hold their account', () => {
    for (const account of ['000000000000', '000000000001', '123456789012', '999999999999']) {
      for (let round = 0; round < 50; round++) assert.equal(accountOfAccessKey(newAccessKeyId('AKIA', account)), account);
    }
    for (const id of ['', 'AKIA', 'AKIA0000000000000000', 'AIDAAAAAAAAAAAAAAAAA', `${newAccessKeyId('AKIA', '1')}A`]) {
      assert.equal(accountOfAccessKey(id), undefined, id);
    }
  });

  it('agree with one that AWS has published', () => {
    // From AWS's documentation of GetAccessKeyInfo and the encoding that others found: ASIAQNZGKIQY56JQ7WML is of 029608264753.
    assert.equal(accountOfAccessKey('ASIAQNZGKIQY56JQ7WML'), '029608264753');
  });

  it('and unique ids do not repeat', () => {
    const ids = new Set(Array.from({ length: 1000 }, () => newUniqueId('AIDA')));
    assert.equal(ids.size, 1000);
    for (const id of ids) assert.match(id, /^AIDA[A-Z2-7]{17}$/);
  });
});
