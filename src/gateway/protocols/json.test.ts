import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { loadModel, modelNames, type Shape } from '../../platform/model.ts';
import { jsonCodec } from './json.ts';

const codecommit = loadModel('codecommit');

function decode(service: string, operation: string, body: string): Promise<Record<string, any>> {
  const request = { method: 'POST', path: '/', query: new URLSearchParams(), headers: {}, body: Buffer.from(body) };
  return jsonCodec.decode(loadModel(service), operation, request);
}

const refused = (message: RegExp) => ({ code: 'SerializationException', status: 400, message });

describe('JSON input', () => {
  test('unknown members are ignored and null is absent', async () => {
    assert.deepEqual(await decode('codecommit', 'GetRepository', '{"repositoryName":"r","other":{"a":[1]}}'), { repositoryName: 'r' });
    assert.deepEqual(await decode('codecommit', 'GetRepository', '{"repositoryName":null}'), {});
    assert.deepEqual(await decode('codecommit', 'ListRepositories', ''), {});
  });

  test('what is not JSON is refused', async () => {
    for (const body of ['{', 'nonsense', '{"repositoryName":"r"} trailing', '\u0000', '{repositoryName:"r"}']) {
      await assert.rejects(decode('codecommit', 'GetRepository', body), refused(/not valid JSON/));
    }
    for (const body of ['[]', '"text"', '1', 'true']) await assert.rejects(decode('codecommit', 'GetRepository', body), refused(/./));
  });

  test('nesting is bounded, and cheap where it is unknown', async () => {
    const deep = `${'['.repeat(200_000)}${']'.repeat(200_000)}`;
    assert.deepEqual(await decode('codecommit', 'GetRepository', `{"repositoryName":"r","x":${deep}}`), { repositoryName: 'r' });
    await assert.rejects(decode('codecommit', 'GetRepository', deep), refused(/list/));
  });

  test('__proto__ is a key like any other', async () => {
    const { tags } = await decode('codecommit', 'TagResource', '{"resourceArn":"a","tags":{"__proto__":"x","constructor":"y"}}');
    assert.equal(Object.getPrototypeOf(tags), Object.prototype);
    assert.deepEqual(Object.entries(tags), [
      ['__proto__', 'x'],
      ['constructor', 'y'],
    ]);
    assert.deepEqual(await decode('codecommit', 'GetRepository', '{"__proto__":{"repositoryName":"r"}}'), {});
  });

  test('times come as seconds or as text', async () => {
    const at = async (time: string) =>
      (await decode('codepipeline', 'PutActionRevision', `{"actionRevision":{"created":${time}}}`)).actionRevision.created;
    assert.deepEqual(await at('1795343001.25'), new Date('2026-11-22T10:23:21.250Z'));
    assert.deepEqual(await at('"2026-11-22T10:23:21.250Z"'), new Date('2026-11-22T10:23:21.250Z'));
    for (const time of ['1e300', '"tomorrow"', 'true', '{}']) await assert.rejects(at(time), refused(/./));
  });

  test('bytes are base64', async () => {
    const file = async (text: string) => (await decode('codecommit', 'PutFile', JSON.stringify({ fileContent: text }))).fileContent;
    assert.deepEqual(await file('aGVsbG8='), Buffer.from('hello'));
    assert.deepEqual(await file(''), Buffer.alloc(0));
    for (const text of ['!', 'a', 'aGVsbG8=x', 'ü']) await assert.rejects(file(text), refused(/base64/));
  });
});

/** JSON of another type than the shape's, with the words for it. */
function wrong(shape: Shape): [unknown, RegExp][] {
  switch (shape.type) {
    case 'string':
      return [
        [1, /^NUMBER_VALUE can not be converted to a String$/],
        [true, /TRUE_VALUE/],
        [[], /Start of list/],
        [{}, /Start of structure/],
      ];
    case 'boolean':
      return [
        ['true', /^STRING_VALUE can not be converted to a Boolean$/],
        [1, /NUMBER_VALUE/],
      ];
    case 'integer':
      return [
        ['1', /^STRING_VALUE can not be converted to an Integer$/],
        [2 ** 31, /NUMBER_VALUE/],
        [{}, /Start of structure/],
      ];
    case 'structure':
    case 'map':
      return [
        ['text', /Unexpected field type/],
        [[], /Start of list/],
      ];
    case 'list':
      return [
        ['text', /Unexpected field type/],
        [{}, /Start of structure/],
      ];
    default:
      return [[[], /Start of list/]];
  }
}

for (const service of modelNames().filter((name) => loadModel(name).metadata.protocol === 'json')) {
  test(`the wrong JSON type of every member of ${service} is refused`, async () => {
    const model = loadModel(service);
    for (const [operation, { input: ref }] of Object.entries(model.operations)) {
      const members = ref ? (model.shapes[ref.shape]!.members ?? {}) : {};
      for (const [name, member] of Object.entries(members)) {
        for (const [value, message] of wrong(model.shapes[member.shape]!)) {
          const body = JSON.stringify({ [member.locationName ?? name]: value });
          await assert.rejects(decode(service, operation, body), refused(message), `${operation}.${name}`);
        }
      }
    }
  });
}

describe('JSON output', () => {
  test('what the model does not know does not leave', () => {
    const output = { repositoryMetadata: { repositoryName: 'r', creationDate: new Date(1500), secret: 'x' }, secret: 'x' };
    const { body, headers, status } = jsonCodec.encode(codecommit, 'GetRepository', output, 'id');
    assert.deepEqual(JSON.parse(String(body)), { repositoryMetadata: { repositoryName: 'r', creationDate: 1.5 } });
    assert.equal(status, 200);
    assert.equal(headers['x-amzn-RequestId'], 'id');
    assert.equal(headers['content-type'], 'application/x-amz-json-1.1');
  });

  test('errors name themselves in body and header; a fault is 500', () => {
    const { body, headers, status } = jsonCodec.encodeError(codecommit, 'GetRepository', {
      code: 'RepositoryDoesNotExistException',
      message: 'r does not exist',
      requestId: 'id',
    });
    assert.deepEqual(JSON.parse(String(body)), { __type: 'RepositoryDoesNotExistException', message: 'r does not exist' });
    assert.equal(headers['x-amzn-errortype'], 'RepositoryDoesNotExistException');
    assert.equal(status, 400);
    const statusOf = (service: string, code: string) =>
      jsonCodec.encodeError(loadModel(service), undefined, { code, message: '', requestId: 'id' }).status;
    assert.equal(statusOf('logs', 'ServiceUnavailableException'), 500);
    assert.equal(statusOf('logs', 'InternalFailure'), 500);
    assert.equal(statusOf('logs', 'NotImplementedException'), 501);
  });
});
