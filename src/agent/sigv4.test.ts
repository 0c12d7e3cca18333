/** Signatures, against the examples of "Signature Calculations for the Authorization Header" in the S3 API reference. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sign } from './sigv4.ts';

const credentials = { accessKeyId: 'AKIAIOSFODNN7EXAMPLE', secretAccessKey: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY' };
const scope = { service: 's3', region: 'us-east-1', now: new Date('2013-05-24T00:00:00Z') };

const examples = [
  { url: '/test.txt', headers: { Range: 'bytes=0-9' }, signature: 'f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41' },
  { url: '/?lifecycle', headers: {}, signature: 'fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543' },
  { url: '/?max-keys=2&prefix=J', headers: {}, signature: '34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7' },
];

for (const { url, headers, signature } of examples) {
  test(`GET ${url}`, () => {
    const request = {
      method: 'GET',
      url: new URL(url, 'https://examplebucket.s3.amazonaws.com'),
      headers: headers as Record<string, string>,
      body: '',
    };
    assert.ok(sign(request, scope, credentials).authorization!.endsWith(`Signature=${signature}`));
  });
}

test('a session token is sent and signed', () => {
  const request = { method: 'POST', url: new URL('http://127.0.0.1:8080/'), headers: { 'x-amz-target': 'A.B' }, body: '{}' };
  const signed = sign(request, scope, { ...credentials, sessionToken: 'token' });
  assert.equal(signed['x-amz-security-token'], 'token');
  assert.match(signed.authorization!, /SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-security-token;x-amz-target,/);
});
