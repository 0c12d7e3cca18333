import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { describe, it } from 'node:test';
import { CodeCommitClient, ListRepositoriesCommand } from '@aws-sdk/client-codecommit';
import { GetObjectCommand, ListObjectsV2Command, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { GetCallerIdentityCommand, STSClient } from '@aws-sdk/client-sts';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import { AwsError } from '../platform/errors.ts';
import type { Principal } from '../platform/principal.ts';
import type { SignedRequest } from './canonical-request.ts';
import type { KnownCredentials } from './known-credentials.ts';
import type { ErrorFamily } from './signature-errors.ts';
import { type AuthenticationOptions, authenticate } from './sigv4.ts';

const accessKeyId = 'AKIAIOSFODNN7EXAMPLE';
const secretAccessKey = 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY';
const principal: Principal = {
  type: 'User',
  account: '123456789012',
  arn: 'arn:aws:iam::123456789012:user/alice',
  id: 'AIDAX',
  name: 'alice',
};
const credentials = { accessKeyId, secretAccessKey };

const lookup = async (id: string, token: string | undefined): Promise<KnownCredentials> => {
  if (id !== accessKeyId) return 'unknown';
  if (token === 'expired') return 'expired';
  if (token !== undefined && token !== 'tok/en+=') return 'invalid-token';
  return { secret: secretAccessKey, principal };
};

type Signed = SignedRequest & { body: Uint8Array };

function check(request: Signed, family: ErrorFamily, more: Partial<AuthenticationOptions> = {}) {
  return authenticate(request, { family, lookup, now: new Date(), body: request.body, ...more });
}

async function failure(promise: Promise<unknown>): Promise<AwsError> {
  const error = await promise.then(
    () => assert.fail('was believed'),
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof AwsError, String(error));
  return error;
}

/** The request that a client would send, instead of sending it. */
async function sent(
  Client: new (options: any) => { send(command: any): Promise<unknown> },
  command: unknown,
  options: object = {},
): Promise<Signed> {
  let captured: any;
  const requestHandler = {
    handle: async (request: unknown) => {
      captured = request;
      throw new Error('captured');
    },
  };
  const client = new Client({
    region: 'eu-west-1',
    endpoint: 'http://127.0.0.1:4600',
    credentials,
    maxAttempts: 1,
    forcePathStyle: true,
    requestHandler,
    ...options,
  });
  await assert.rejects(client.send(command), /captured/);
  const query = Object.entries(captured.query as Record<string, string | string[]>).flatMap(([name, value]) =>
    [value].flat().map((one) => `${encodeURIComponent(name)}=${encodeURIComponent(one ?? '')}`),
  );
  return {
    method: captured.method,
    path: captured.path,
    query: query.join('&'),
    headers: Object.fromEntries(
      Object.entries(captured.headers as Record<string, string>).map(([name, value]) => [name.toLowerCase(), value]),
    ),
    body: typeof captured.body === 'string' ? Buffer.from(captured.body) : (captured.body ?? Buffer.alloc(0)),
  };
}

function fromUrl(url: string, method = 'GET'): Signed {
  const parsed = new URL(url);
  return { method, path: parsed.pathname, query: parsed.search.slice(1), headers: { host: parsed.host }, body: Buffer.alloc(0) };
}

describe('Signature Version 4 in the header', () => {
  it('accepts what the AWS SDK for JavaScript sends', async () => {
    const found = await check(await sent(CodeCommitClient, new ListRepositoriesCommand({ order: 'ascending' })), 'json');
    assert.deepEqual(found.principal, principal);
    assert.equal(found.scope?.region, 'eu-west-1');
    assert.equal(found.scope?.service, 'codecommit');
    await check(await sent(STSClient, new GetCallerIdentityCommand({})), 'query');
    const key = "dir with space/a+b&c=d~é'(x)*.txt";
    await check(await sent(S3Client, new PutObjectCommand({ Bucket: 'bkt', Key: key, Body: 'abc', Metadata: { a: ' x   y ' } })), 's3');
    await check(await sent(S3Client, new ListObjectsV2Command({ Bucket: 'bkt', Prefix: 'a b/+é', Delimiter: '/' })), 's3');
    await check(
      await sent(STSClient, new GetCallerIdentityCommand({}), { credentials: { ...credentials, sessionToken: 'tok/en+=' } }),
      'query',
    );
  });

  it('agrees with the examples that AWS publishes', async () => {
    const iam = {
      method: 'GET',
      path: '/',
      query: 'Action=ListUsers&Version=2010-05-08',
      headers: {
        host: 'iam.amazonaws.com',
        'content-type': 'application/x-www-form-urlencoded; charset=utf-8',
        'x-amz-date': '20150830T123600Z',
        authorization:
          'AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20150830/us-east-1/iam/aws4_request, SignedHeaders=content-type;host;x-amz-date, Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7',
      },
      body: Buffer.alloc(0),
    };
    // The example's secret differs from the S3 examples' in one character.
    const secret = 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY';
    await check(iam, 'query', { now: new Date('2015-08-30T12:36:00Z'), lookup: async () => ({ secret, principal }) });
    const presigned = fromUrl(
      'https://examplebucket.s3.amazonaws.com/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404',
    );
    await check(presigned, 's3', { now: new Date('2013-05-24T10:00:00Z') });
  });

  it('refuses a request of which any part was changed', async () => {
    const good = await sent(CodeCommitClient, new ListRepositoriesCommand({}));
    const target = 'CodeCommit_20150413.DeleteRepository';
    const changed: Signed[] = [
      { ...good, method: 'PUT' },
      { ...good, path: '/x' },
      { ...good, query: 'a=b' },
      { ...good, body: Buffer.from('{"repositoryName":"x"}') },
      { ...good, headers: { ...good.headers, 'x-amz-target': target } },
      { ...good, headers: { ...good.headers, host: 'elsewhere' } },
      { ...good, headers: { ...good.headers, authorization: String(good.headers.authorization).replace('eu-west-1', 'us-east-1') } },
      {
        ...good,
        headers: { ...good.headers, authorization: String(good.headers.authorization).replace(/.$/, (c) => (c === '0' ? '1' : '0')) },
      },
      { ...good, headers: { ...good.headers, authorization: String(good.headers.authorization).replace(/Signature=.*/, 'Signature=00') } },
    ];
    for (const request of changed) {
      const error = await failure(check(request, 'json'));
      assert.equal(error.code, 'InvalidSignatureException');
      assert.equal(error.status, 403);
      assert.match(error.message, /^The request signature we calculated does not match the signature you provided\. Check your AWS Secret/);
    }
    const error = await failure(check({ ...good, headers: { ...good.headers, 'x-amz-security-token': 'tok/en+=' } }, 'json'));
    assert.equal(error.message, "'x-amz-security-token' must be a 'SignedHeader' in the AWS Authorization.");
  });

  it('refuses an S3 body that is not what was signed, and headers added later', async () => {
    const good = await sent(S3Client, new PutObjectCommand({ Bucket: 'bkt', Key: 'k', Body: 'abc' }));
    assert.equal((await check(good, 's3')).payload.kind, 'hash');
    assert.equal((await failure(check({ ...good, body: Buffer.from('abd') }, 's3'))).code, 'XAmzContentSHA256Mismatch');
    const added = { ...good, headers: { ...good.headers, 'x-amz-acl': 'public-read' } };
    assert.equal((await failure(check(added, 's3'))).fields.HeadersNotSigned, 'x-amz-acl');
    const { 'x-amz-content-sha256': _, ...headers } = good.headers;
    assert.equal((await failure(check({ ...good, headers }, 's3'))).code, 'InvalidRequest');
    for (const hash of ['', 'constructor', 'STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD', 'x'.repeat(64)]) {
      const error = await failure(check({ ...good, headers: { ...headers, 'x-amz-content-sha256': hash } }, 's3'));
      assert.equal(error.code, 'InvalidArgument', hash);
    }
  });

  it('says what is wrong with a broken or missing Authorization header', async () => {
    const good = await sent(CodeCommitClient, new ListRepositoriesCommand({}));
    const withAuthorization = (authorization: string | undefined): Signed => ({ ...good, headers: { ...good.headers, authorization } });
    const code = async (authorization: string | undefined, family: ErrorFamily) =>
      (await failure(check(withAuthorization(authorization), family))).code;
    assert.equal(await code(undefined, 'json'), 'MissingAuthenticationTokenException');
    assert.equal(await code(undefined, 'query'), 'MissingAuthenticationToken');
    assert.equal(await code(undefined, 's3'), 'AccessDenied');
    assert.equal(await code('Basic abc', 'json'), 'MissingAuthenticationTokenException');
    assert.equal(await code('AWS4-HMAC-SHA256', 'json'), 'IncompleteSignatureException');
    assert.equal(await code('AWS4-HMAC-SHA256 Credential=a, Signature=b', 'query'), 'IncompleteSignature');
    assert.equal(await code('AWS4-HMAC-SHA256 Credential=a, Signature=b, SignedHeaders=host', 's3'), 'AuthorizationHeaderMalformed');
    assert.equal(await code('AWS4-ECDSA-P256-SHA256 Credential=a', 'json'), 'IncompleteSignatureException');
    const { 'x-amz-date': _, ...headers } = good.headers;
    assert.equal((await failure(check({ ...good, headers }, 'json'))).code, 'IncompleteSignatureException');
  });

  it('tells unknown keys, foreign tokens and expired tokens apart', async () => {
    const as = async (more: object, family: ErrorFamily) => {
      const options = { credentials: { ...credentials, ...more } };
      const request =
        family === 's3'
          ? sent(S3Client, new ListObjectsV2Command({ Bucket: 'b' }), options)
          : sent(STSClient, new GetCallerIdentityCommand({}), options);
      const error = await failure(check(await request, family));
      return `${error.status} ${error.code}`;
    };
    assert.equal(await as({ accessKeyId: 'AKIANOTHERE' }, 'json'), '403 UnrecognizedClientException');
    assert.equal(await as({ accessKeyId: 'AKIANOTHERE' }, 'query'), '403 InvalidClientTokenId');
    assert.equal(await as({ accessKeyId: 'AKIANOTHERE' }, 's3'), '403 InvalidAccessKeyId');
    assert.equal(await as({ sessionToken: 'foreign' }, 'query'), '403 InvalidClientTokenId');
    assert.equal(await as({ sessionToken: 'foreign' }, 's3'), '400 InvalidToken');
    assert.equal(await as({ sessionToken: 'expired' }, 'json'), '400 ExpiredTokenException');
    assert.equal(await as({ sessionToken: 'expired' }, 's3'), '400 ExpiredToken');
    assert.equal(await as({ secretAccessKey: 'wrong' }, 's3'), '403 SignatureDoesNotMatch');
    assert.equal(await as({ secretAccessKey: 'wrong' }, 'query'), '403 SignatureDoesNotMatch');
  });

  it('allows five minutes of clock skew, fifteen for S3', async () => {
    const minutes = (count: number): Date => new Date(Date.now() + count * 60_000);
    const json = await sent(CodeCommitClient, new ListRepositoriesCommand({}));
    await check(json, 'json', { now: minutes(4.9) });
    await check(json, 'json', { now: minutes(-4.9) });
    const late = await failure(check(json, 'json', { now: minutes(6) }));
    assert.equal(late.code, 'InvalidSignatureException');
    assert.match(late.message, /^Signature expired: \d{8}T\d{6}Z is now earlier than \d{8}T\d{6}Z \(\d{8}T\d{6}Z - 5 min\.\)$/);
    assert.match(
      (await failure(check(json, 'json', { now: minutes(-6) }))).message,
      /^Signature not yet current: .* is still later than .* \+ 5 min/,
    );
    const s3 = await sent(S3Client, new ListObjectsV2Command({ Bucket: 'b' }));
    await check(s3, 's3', { now: minutes(14) });
    assert.equal((await failure(check(s3, 's3', { now: minutes(16) }))).code, 'RequestTimeTooSkewed');
  });

  it('refuses a signature made for another service or day', async () => {
    const json = await sent(CodeCommitClient, new ListRepositoriesCommand({}));
    assert.match((await failure(check(json, 'json', { services: ['codebuild'] }))).message, /scoped to correct service: 'codebuild'/);
    const authorization = String(json.headers.authorization).replace(/\/\d{8}\//, '/20200101/');
    assert.match(
      (await failure(check({ ...json, headers: { ...json.headers, authorization } }, 'json'))).message,
      /^Date in Credential scope/,
    );
  });
});

describe('presigned URLs', () => {
  const client = new S3Client({ region: 'us-east-1', endpoint: 'http://127.0.0.1:4600', credentials, forcePathStyle: true });
  const command = new GetObjectCommand({ Bucket: 'bkt', Key: 'a b+c/é.txt', ResponseContentType: 'text/plain; x=y' });

  it('are accepted until they expire', async () => {
    const url = await getSignedUrl(client, command, { expiresIn: 60 });
    const found = await check(fromUrl(url), 's3');
    assert.equal(found.form, 'query');
    assert.equal(found.payload.kind, 'unsigned');
    const expired = await failure(check(fromUrl(url), 's3', { now: new Date(Date.now() + 62_000) }));
    assert.equal(`${expired.status} ${expired.code} ${expired.message}`, '403 AccessDenied Request has expired');
    const put = await getSignedUrl(client, new PutObjectCommand({ Bucket: 'bkt', Key: 'k' }));
    await check(fromUrl(put, 'PUT'), 's3');
    assert.equal((await failure(check(fromUrl(put), 's3'))).code, 'SignatureDoesNotMatch');
  });

  it('are refused when changed, too long lived, or incomplete', async () => {
    const url = await getSignedUrl(client, command, { expiresIn: 60 });
    const code = async (change: (url: string) => string) => (await failure(check(fromUrl(change(url)), 's3'))).code;
    assert.equal(await code((text) => text.replace('Expires=60', 'Expires=61')), 'SignatureDoesNotMatch');
    assert.equal(await code((text) => text.replace('/bkt/', '/bkt2/')), 'SignatureDoesNotMatch');
    assert.equal(await code((text) => `${text}&versionId=1`), 'SignatureDoesNotMatch');
    assert.equal(await code((text) => text.replace('Expires=60', 'Expires=604801')), 'AuthorizationQueryParametersError');
    assert.equal(await code((text) => text.replace('Expires=60', 'Expires=-1')), 'AuthorizationQueryParametersError');
    assert.equal(await code((text) => text.replace('Expires=60', 'Expires=x')), 'AuthorizationQueryParametersError');
    assert.equal(await code((text) => text.replace(/X-Amz-Date=[^&]*/, 'X-Amz-Date=yesterday')), 'AuthorizationQueryParametersError');
    assert.equal(await code((text) => text.replace(/&X-Amz-Credential=[^&]*/, '')), 'AuthorizationQueryParametersError');
    assert.equal(await code((text) => text.replace('AWS4-HMAC-SHA256', 'AWS4-HMAC-SHA1')), 'AuthorizationQueryParametersError');
  });
});

const hasBotocore = spawnSync('python3', ['-c', 'import botocore']).status === 0;

describe('botocore', { skip: hasBotocore ? false : 'python3 with botocore is not installed' }, () => {
  const script = `
import json, sys, datetime
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore import auth
plain = Credentials(${JSON.stringify(accessKeyId)}, ${JSON.stringify(secretAccessKey)})
session = Credentials(plain.access_key, plain.secret_key, 'tok/en+=')
out = []
def add(signer, family, method, url, data=b'', headers={}):
    request = AWSRequest(method=method, url=url, data=data, headers=dict(headers))
    request.context['payload_signing_enabled'] = True
    signer.add_auth(request)
    prepared = request.prepare()
    out.append({'family': family, 'method': method, 'url': prepared.url, 'headers': {k.lower(): (v.decode() if isinstance(v, bytes) else v) for k, v in prepared.headers.items()}, 'body': data.decode()})
for c in (plain, session):
    add(auth.SigV4Auth(c, 'codebuild', 'us-east-1'), 'json', 'POST', 'http://127.0.0.1:4600/', b'{}', {'X-Amz-Target': 'CodeBuild_20161006.ListProjects', 'Content-Type': 'application/x-amz-json-1.1'})
    add(auth.SigV4Auth(c, 'lambda', 'us-east-1'), 'json', 'GET', 'http://127.0.0.1:4600/2015-03-31/functions/arn%3Aaws%3Alambda%20x/../a//b/?Marker=a%2Fb%20c&A=')
    add(auth.SigV4QueryAuth(c, 'sts', 'us-east-1', expires=60), 'query', 'GET', 'http://127.0.0.1:4600/?Action=GetCallerIdentity&Version=2011-06-15')
    add(auth.S3SigV4Auth(c, 's3', 'us-east-1'), 's3', 'PUT', 'http://127.0.0.1:4600/bkt/a%20b/..//%C3%A9%2B~', b'abc', {'x-amz-meta-a': 'x   y'})
    add(auth.S3SigV4QueryAuth(c, 's3', 'us-east-1', expires=60), 's3', 'GET', 'http://127.0.0.1:4600/bkt/a%20b//c')
    add(auth.HmacV1QueryAuth(c, expires=60), 's3', 'GET', 'http://127.0.0.1:4600/bkt/a%20b?versionId=x%2Fy&response-content-type=text%2Fplain')
    add(auth.HmacV1QueryAuth(c, expires=60), 's3', 'PUT', 'http://127.0.0.1:4600/bkt/k?uploadId=1&partNumber=2', b'', {'Content-Type': 'text/plain', 'x-amz-meta-b': 'c'})
json.dump(out, sys.stdout)
`;
  it('is understood in every form it signs, and every change is noticed', async () => {
    const requests = JSON.parse(execFileSync('python3', ['-c', script], { encoding: 'utf8' })) as {
      family: ErrorFamily;
      method: string;
      url: string;
      headers: Record<string, string>;
      body: string;
    }[];
    assert.equal(requests.length, 14);
    await Promise.all(
      requests.map(async ({ family, method, url, headers, body }) => {
        const [, host, path = '/', query = ''] = /^http:\/\/([^/]+)([^?]*)\??(.*)$/.exec(url)!;
        const request: Signed = { method, path: path || '/', query, headers: { host, ...headers }, body: Buffer.from(body) };
        await check(request, family);
        await failure(check({ ...request, method: 'DELETE' }, family));
        await failure(check({ ...request, path: `${request.path}x` }, family));
        await failure(check(request, family, { lookup: async () => ({ secret: 'wrong', principal }) }));
        await failure(check(request, family, { now: new Date(Date.now() + 3_600_000) }));
      }),
    );
  });
});
