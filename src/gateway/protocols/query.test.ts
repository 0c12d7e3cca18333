import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { loadModel, type ServiceModel } from '../../platform/model.ts';
import { queryCodec } from './query.ts';

const iam = loadModel('iam');
const sts = loadModel('sts');

function decode(model: ServiceModel, operation: string, form: string): Promise<Record<string, any>> {
  const request = { method: 'POST', path: '/', query: new URLSearchParams(), headers: {}, body: Buffer.from(form) };
  return queryCodec.decode(model, operation, request);
}

/** No model that is here yet uses flattened lists or maps in the query protocol; this one does. */
const invented = {
  metadata: { apiVersion: '1', endpointPrefix: 'x', protocol: 'query', serviceId: 'X', xmlNamespace: 'urn:x' },
  operations: {
    Do: {
      name: 'Do',
      http: { method: 'POST', requestUri: '/' },
      input: { shape: 'In' },
      output: { shape: 'In', resultWrapper: 'DoResult' },
    },
  },
  otherOperations: [],
  shapes: {
    In: {
      type: 'structure',
      members: {
        Flat: { shape: 'Flat' },
        Map: { shape: 'Map' },
        FlatMap: { shape: 'FlatMap' },
        Bytes: { shape: 'Bytes' },
        When: { shape: 'When' },
        Self: { shape: 'In' },
      },
    },
    Flat: { type: 'list', flattened: true, member: { shape: 'Text', locationName: 'Item' } },
    Map: { type: 'map', key: { shape: 'Text' }, value: { shape: 'Text' } },
    FlatMap: {
      type: 'map',
      flattened: true,
      key: { shape: 'Text', locationName: 'Name' },
      value: { shape: 'Text', locationName: 'Value' },
    },
    Text: { type: 'string' },
    Bytes: { type: 'blob' },
    When: { type: 'timestamp' },
  },
} as ServiceModel;

describe('query input', () => {
  test('lists, structures, numbers', async () => {
    const form =
      'Action=AssumeRole&Version=2011-06-15&RoleArn=a%2Fb&DurationSeconds=900&Tags.member.2.Key=k2&Tags.member.1.Key=k1&Tags.member.1.Value=';
    assert.deepEqual(await decode(sts, 'AssumeRole', form), {
      RoleArn: 'a/b',
      DurationSeconds: 900,
      Tags: [{ Key: 'k1', Value: '' }, { Key: 'k2' }],
    });
    assert.deepEqual(await decode(iam, 'CreateUser', 'UserName=u&Tags='), { UserName: 'u', Tags: [] });
  });

  test('flattened lists, maps, bytes, times', async () => {
    const form =
      'Item.1=a&Item.2=b&Map.entry.1.key=k&Map.entry.1.value=v&FlatMap.1.Name=__proto__&FlatMap.1.Value=y&Bytes=aGk%3D&When=2026-11-22T10:20:30Z';
    const input = await decode(invented, 'Do', form);
    assert.deepEqual(input.Flat, ['a', 'b']);
    assert.deepEqual(input.Map, { k: 'v' });
    assert.deepEqual(Object.entries(input.FlatMap), [['__proto__', 'y']]);
    assert.deepEqual(input.Bytes, Buffer.from('hi'));
    assert.deepEqual(input.When, new Date('2026-11-22T10:20:30Z'));
  });

  test('what is no number, boolean or time is refused', async () => {
    await assert.rejects(decode(sts, 'AssumeRole', 'DurationSeconds=ten'), { code: 'MalformedInput', status: 400 });
    await assert.rejects(decode(sts, 'AssumeRole', 'DurationSeconds=99999999999'), { code: 'MalformedInput' });
    await assert.rejects(decode(iam, 'CreatePolicyVersion', 'SetAsDefault=yes'), { code: 'MalformedInput' });
    await assert.rejects(decode(invented, 'Do', 'When=now'), { code: 'MalformedInput' });
  });

  test('a name of a hundred thousand dots, and a hundred thousand names, cost little', async () => {
    assert.deepEqual(await decode(invented, 'Do', `Self${'.Self'.repeat(100_000)}.Bytes=aGk%3D`), {});
    const many = Array.from({ length: 100_000 }, (_, index) => `Item.${100_000 - index}=x`).join('&');
    assert.equal((await decode(invented, 'Do', many)).Flat.length, 100_000);
    assert.deepEqual(await decode(iam, 'CreateUser', 'Tags.member.99999999999999.Key=k&%00=%FF&=&.=.'), { Tags: [] });
  });
});

describe('query output', () => {
  test('is wrapped, escaped and carries the request id', () => {
    const output = { Flat: ['a', '<b>'], Map: { k: 'v&' }, When: new Date('2026-11-22T10:20:30Z'), Bytes: Buffer.from('hi') };
    const { body, headers } = queryCodec.encode(invented, 'Do', output, 'id-1');
    assert.equal(
      body,
      '<DoResponse xmlns="urn:x"><DoResult><Item>a</Item><Item>&lt;b&gt;</Item><Map><entry><key>k</key><value>v&amp;</value></entry></Map>' +
        '<Bytes>aGk=</Bytes><When>2026-11-22T10:20:30Z</When></DoResult><ResponseMetadata><RequestId>id-1</RequestId></ResponseMetadata></DoResponse>',
    );
    assert.equal(headers['content-type'], 'text/xml');
  });

  test('errors carry the code of the wire and the status of the model', () => {
    const error = { code: 'NoSuchEntity', message: 'The user <x> cannot be found.', requestId: 'id-1' };
    const { body, status } = queryCodec.encodeError(iam, 'GetUser', error);
    assert.equal(status, 404);
    assert.equal(
      body,
      '<ErrorResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><Error><Type>Sender</Type><Code>NoSuchEntity</Code>' +
        '<Message>The user &lt;x&gt; cannot be found.</Message></Error><RequestId>id-1</RequestId></ErrorResponse>',
    );
  });
});
