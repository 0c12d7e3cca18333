import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { describe, test } from 'node:test';
import { loadModel, type ServiceModel } from '../../platform/model.ts';
import { takesStream } from './http-bindings.ts';
import { restJsonCodec } from './rest-json.ts';
import { restXmlCodec } from './rest-xml.ts';
import { findRestOperation } from './routes.ts';

const s3 = loadModel('s3');

function route(line: string, headers: Record<string, string> = {}): string | undefined {
  const [method, target] = line.split(' ') as [string, string];
  const [path, query = ''] = target.split('?') as [string, string?];
  const found = findRestOperation(s3, method, path, new URLSearchParams(query), headers);
  return found && [found.name, ...Object.values(found.labels)].join(' ');
}

describe('S3 routes', () => {
  const routes: [line: string, expected: string | undefined, headers?: Record<string, string>][] = [
    ['GET /', 'ListBuckets'],
    ['PUT /b', 'CreateBucket b'],
    ['PUT /b/', 'CreateBucket b'],
    ['HEAD /b/', 'HeadBucket b'],
    ['GET /b', 'ListObjects b'],
    ['GET /b/?list-type=2&prefix=p%2F', 'ListObjectsV2 b'],
    ['GET /b?list-type=1', 'ListObjects b'],
    ['GET /b?versions', 'ListObjectVersions b'],
    ['GET /b?uploads', 'ListMultipartUploads b'],
    ['GET /b?versioning', 'GetBucketVersioning b'],
    ['GET /b?location=', 'GetBucketLocation b'],
    ['DELETE /b?policy', 'DeleteBucketPolicy b'],
    ['GET /b?cors', 'GetBucketCors'],
    ['PUT /b?acl', 'PutBucketAcl'],
    ['DELETE /b?lifecycle', 'DeleteBucketLifecycle'],
    ['DELETE /b?location', undefined],
    ['POST /b?delete', 'DeleteObjects b'],
    ['POST /b', undefined],
    ['PUT /b/k?x-id=PutObject', 'PutObject b k'],
    ['PUT /b/k', 'CopyObject b k', { 'x-amz-copy-source': '/c/d' }],
    ['PUT /b/k?partNumber=1&uploadId=u', 'UploadPart b k'],
    ['PUT /b/k?partNumber=1&uploadId=u', 'UploadPartCopy b k', { 'x-amz-copy-source': '/c/d' }],
    ['PUT /b/k?uploadId=u', 'UploadPart b k'],
    ['POST /b/k?uploads', 'CreateMultipartUpload b k'],
    ['POST /b/k?uploadId=u', 'CompleteMultipartUpload b k'],
    ['DELETE /b/k?uploadId=u', 'AbortMultipartUpload b k'],
    ['DELETE /b/k', 'DeleteObject b k'],
    ['GET /b/k?uploadId=u', 'ListParts b k'],
    ['GET /b/k?versionId=v', 'GetObject b k'],
    ['GET /b/k?attributes', 'GetObjectAttributes b k'],
    ['GET /b/k?tagging', 'GetObjectTagging b k'],
    ['GET /b/k?torrent', 'GetObjectTorrent'],
    ['GET /b/a/b//c%20d%2Fe+f/', 'GetObject b a/b//c d/e+f/'],
    ['GET /b//leading', 'GetObject b /leading'],
    ['HEAD /b/cors?response-content-type=a', 'HeadObject b cors'],
    ['PATCH /b/k', undefined],
  ];
  for (const [line, expected, headers] of routes) {
    test(`${line}${headers ? ' with a copy source' : ''}`, () => assert.equal(route(line, headers), expected));
  }

  test('a path that is not UTF-8', () => {
    assert.throws(() => route('GET /b/%FF'), { code: 'InvalidURI', status: 400 });
    assert.throws(() => route('GET /b/%'), { code: 'InvalidURI' });
  });
});

function s3Request(method: string, path: string, query = '', headers: Record<string, string> = {}, body = '') {
  return { method, path, query: new URLSearchParams(query), headers, body: Buffer.from(body) };
}

describe('S3 input', () => {
  test('path, query and headers', async () => {
    const headers = { 'x-amz-meta-a-b': 'c', 'x-amz-meta-__proto__': 'd', 'content-type': 'text/plain', range: 'bytes=0-1' };
    assert.deepEqual(await restXmlCodec.decode(s3, 'PutObject', s3Request('PUT', '/b/k', '', headers, 'data')), {
      Bucket: 'b',
      Key: 'k',
      ContentType: 'text/plain',
      Metadata: Object.fromEntries([
        ['a-b', 'c'],
        ['__proto__', 'd'],
      ]),
      Body: Buffer.from('data'),
    });
    const listing = await restXmlCodec.decode(s3, 'ListObjectsV2', s3Request('GET', '/b', 'list-type=2&max-keys=5&fetch-owner=true'));
    assert.deepEqual(listing, { Bucket: 'b', MaxKeys: 5, FetchOwner: true });
    const dated = { 'if-modified-since': 'Sun, 22 Nov 2026 10:20:30 GMT', 'if-unmodified-since': 'whenever' };
    assert.deepEqual(await restXmlCodec.decode(s3, 'GetObject', s3Request('GET', '/b/k', '', dated)), {
      Bucket: 'b',
      Key: 'k',
      IfModifiedSince: new Date('2026-11-22T10:20:30Z'),
    });
    await assert.rejects(restXmlCodec.decode(s3, 'ListObjectsV2', s3Request('GET', '/b', 'max-keys=many')), {
      code: 'InvalidArgument',
      message: 'Provided max-keys not an integer or within integer range',
    });
  });

  test('a streaming payload is handed on as it is', async () => {
    const stream = Readable.from(['a']);
    assert.equal(takesStream(s3, 'PutObject'), true);
    assert.equal(takesStream(s3, 'DeleteObjects'), false);
    const input = await restXmlCodec.decode(s3, 'PutObject', { ...s3Request('PUT', '/b/k'), stream });
    assert.equal(input.Body, stream);
  });

  const remove = (body: string) => restXmlCodec.decode(s3, 'DeleteObjects', s3Request('POST', '/b', 'delete', {}, body)) as Promise<any>;

  test('XML bodies: namespaces, references, CDATA, white space, unknown elements', async () => {
    const body = `<?xml version="1.0"?><!-- keys --><n:Delete xmlns:n="http://s3.amazonaws.com/doc/2006-03-01/">
      <Object><Key> a&amp;amp;&#x0a;&#13;<![CDATA[<&lt;>]]></Key><Odd/></Object>
      <Object><Key/></Object><Quiet>true</Quiet></n:Delete>`;
    assert.deepEqual((await remove(body)).Delete, { Objects: [{ Key: ' a&amp;\n\r<&lt;>' }, { Key: '' }], Quiet: true });
  });

  const hostile: [what: string, body: string][] = [
    ['not XML', 'nonsense'],
    ['JSON', '{"Delete":{}}'],
    ['unclosed', '<Delete><Object>'],
    ['crossed', '<Delete><Object></Delete></Object>'],
    ['another root', '<Remove/>'],
    ['two roots', '<Delete/><Delete/>'],
    ['a name from Object.prototype', '<Delete><__proto__><Quiet>true</Quiet></__proto__></Delete>'],
    ['no boolean', '<Delete><Quiet>perhaps</Quiet></Delete>'],
    ['an entity bomb', '<!DOCTYPE d [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><Delete><Object><Key>&b;</Key></Object></Delete>'],
    ['an external entity', '<!doctype d SYSTEM "file:///etc/passwd"><Delete/>'],
    ['endless nesting', `<Delete>${'<a>'.repeat(50_000)}${'</a>'.repeat(50_000)}</Delete>`],
    ['endless attributes', `<Delete ${'a '.repeat(50_000)}>`],
    ['endless openings', '<'.repeat(100_000)],
    ['endless comments', `<Delete>${'<!--'.repeat(50_000)}`],
    ['endless quotes', `<Delete a="${'"'.repeat(100_000)}>`],
  ];
  for (const [what, body] of hostile) {
    test(`${what} is malformed`, () => assert.rejects(remove(body), { code: 'MalformedXML', status: 400 }));
  }

  test('unknown entities stay text', async () => {
    const { Delete } = await remove('<Delete><Object><Key>&x;&nbsp;&#0;&#xd800;</Key></Object></Delete>');
    assert.deepEqual(Delete, { Objects: [{ Key: '&x;&nbsp;&#0;&#xd800;' }] });
  });
});

describe('S3 output', () => {
  test('a listing', () => {
    const output = {
      Name: 'b',
      Contents: [{ Key: 'a&\u0001\r', LastModified: new Date(0), Size: 1 }],
      CommonPrefixes: [{ Prefix: 'p/' }],
      IsTruncated: false,
    };
    const { body, headers } = restXmlCodec.encode(s3, 'ListObjectsV2', output, 'id');
    assert.equal(
      body,
      '<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><IsTruncated>false</IsTruncated>' +
        '<Contents><Key>a&amp;&#x1;&#xd;</Key><LastModified>1970-01-01T00:00:00.000Z</LastModified><Size>1</Size></Contents><Name>b</Name>' +
        '<CommonPrefixes><Prefix>p/</Prefix></CommonPrefixes></ListBucketResult>',
    );
    assert.equal(headers['x-amz-request-id'], 'id');
    assert.equal(headers['content-type'], 'application/xml');
  });

  test('a location is the text of the root', () => {
    const text = (output: object) => String(restXmlCodec.encode(s3, 'GetBucketLocation', { ...output }, 'id').body).split('\n')[1];
    assert.equal(text({}), '<LocationConstraint xmlns="http://s3.amazonaws.com/doc/2006-03-01/"/>');
    assert.match(text({ LocationConstraint: 'eu-west-1' })!, />eu-west-1<\/LocationConstraint>$/);
  });

  test('headers cannot be split by what users store', () => {
    const { headers } = restXmlCodec.encode(s3, 'HeadObject', { Metadata: { a: 'x\r\nSet-Cookie: y' }, LastModified: new Date(0) }, 'id');
    assert.equal(headers['x-amz-meta-a'], 'x  Set-Cookie: y');
    assert.equal(headers['last-modified'], 'Thu, 01 Jan 1970 00:00:00 GMT');
  });

  test('statuses and errors', () => {
    assert.equal(restXmlCodec.encode(s3, 'DeleteObject', {}, 'id').status, 204);
    const error = {
      code: 'NoSuchKey',
      message: 'The specified key does not exist.',
      requestId: 'id',
      resource: '/b/<k>',
      fields: { Key: '<k>' },
    };
    const { status, body } = restXmlCodec.encodeError(s3, 'GetObject', error);
    assert.equal(status, 404);
    assert.equal(
      String(body).split('\n')[1],
      '<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message><Key>&lt;k&gt;</Key><Resource>/b/&lt;k&gt;</Resource>' +
        '<RequestId>id</RequestId><HostId>aWQ=</HostId></Error>',
    );
    assert.equal(restXmlCodec.encodeError(s3, 'HeadObject', { ...error, method: 'HEAD' }).body, undefined);
    assert.equal(restXmlCodec.encodeError(s3, undefined, { ...error, code: 'AccessDeniedException' }).status, 403);
  });
});

/** None of the models that are here yet speaks rest-json; this one does. */
const invented = {
  metadata: { apiVersion: '1', endpointPrefix: 'x', protocol: 'rest-json', serviceId: 'X' },
  operations: {
    Get: {
      name: 'Get',
      http: { method: 'GET', requestUri: '/things/{name}' },
      input: { shape: 'In' },
      output: { shape: 'Out' },
      errors: [{ shape: 'Gone' }],
    },
    GetSpecial: { name: 'GetSpecial', http: { method: 'GET', requestUri: '/things/special' } },
    Put: {
      name: 'Put',
      http: { method: 'PUT', requestUri: '/things/{name}/{rest+}', responseCode: 201 },
      input: { shape: 'PutIn' },
      output: { shape: 'PutOut' },
    },
  },
  otherOperations: [],
  shapes: {
    In: {
      type: 'structure',
      required: ['name', 'owner'],
      members: {
        name: { shape: 'Text', location: 'uri', locationName: 'name' },
        owner: { shape: 'Text', location: 'querystring', locationName: 'owner' },
        kinds: { shape: 'Texts', location: 'querystring', locationName: 'kind' },
        since: { shape: 'When', location: 'querystring', locationName: 'since' },
      },
    },
    Out: {
      type: 'structure',
      members: {
        revision: { shape: 'Text', location: 'header', locationName: 'X-Revision' },
        when: { shape: 'When' },
        status: { shape: 'Int', location: 'statusCode' },
      },
    },
    PutIn: {
      type: 'structure',
      payload: 'body',
      members: {
        name: { shape: 'Text', location: 'uri', locationName: 'name' },
        rest: { shape: 'Text', location: 'uri', locationName: 'rest' },
        body: { shape: 'Bytes' },
      },
    },
    PutOut: { type: 'structure', payload: 'body', members: { body: { shape: 'Bytes' } } },
    Gone: {
      type: 'structure',
      exception: true,
      error: { httpStatusCode: 410 },
      members: { message: { shape: 'Text' }, name: { shape: 'Text' } },
    },
    Text: { type: 'string' },
    Texts: { type: 'list', member: { shape: 'Text' } },
    When: { type: 'timestamp' },
    Int: { type: 'integer' },
    Bytes: { type: 'blob' },
  },
} as ServiceModel;

describe('rest-json', () => {
  const find = (method: string, path: string) => findRestOperation(invented, method, path, new URLSearchParams(), {});

  test('the most literal route wins, and a trailing slash says nothing', () => {
    assert.deepEqual(find('GET', '/things/special/'), { name: 'GetSpecial', labels: {} });
    assert.deepEqual(find('GET', '/things/a%2Fb'), { name: 'Get', labels: { name: 'a/b' } });
    assert.deepEqual(find('PUT', '/things/a/b/c'), { name: 'Put', labels: { name: 'a', rest: 'b/c' } });
    assert.equal(find('GET', '/things'), undefined);
    assert.equal(find('GET', '/things//'), undefined);
  });

  test('input from path and query; output to headers, status and body', async () => {
    const request = s3Request('GET', '/things/n', 'owner=o&kind=a&kind=b&since=2026-11-22T10:20:30Z');
    assert.deepEqual(await restJsonCodec.decode(invented, 'Get', request), {
      name: 'n',
      owner: 'o',
      kinds: ['a', 'b'],
      since: new Date('2026-11-22T10:20:30Z'),
    });
    assert.deepEqual(restJsonCodec.encode(invented, 'Get', { revision: 'r', when: new Date(1500), status: 202 }, 'id'), {
      status: 202,
      headers: { 'x-amzn-RequestId': 'id', 'x-revision': 'r', 'content-type': 'application/json' },
      body: '{"when":1.5}',
    });
  });

  test('bytes as the payload', async () => {
    assert.deepEqual(
      (await restJsonCodec.decode(invented, 'Put', s3Request('PUT', '/things/n/x/y', '', {}, 'abc'))).body,
      Buffer.from('abc'),
    );
    const { status, headers, body } = restJsonCodec.encode(invented, 'Put', { body: Buffer.from('abc') }, 'id');
    assert.deepEqual([status, headers['content-type'], String(body)], [201, 'application/octet-stream', 'abc']);
  });

  test('errors', () => {
    const { status, headers, body } = restJsonCodec.encodeError(invented, 'Get', {
      code: 'Gone',
      message: 'm',
      fields: { name: 'n', other: 1 },
      requestId: 'id',
    });
    assert.deepEqual([status, headers['x-amzn-ErrorType'], body], [410, 'Gone', '{"message":"m","name":"n"}']);
  });
});
