/** CBOR from outside: what every encoder may write is read, and what no encoder of good will writes is refused. */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { loadModel } from '../../platform/model.ts';
import { cborCodec } from './cbor.ts';
import { decodeCbor, encodeCbor, Float64, loadCbor, Moment } from './cbor-values.ts';

const hex = (text: string): unknown => decodeCbor(Buffer.from(text.replaceAll(' ', ''), 'hex'));
const model = loadModel('cloudwatch');

function input(operation: string, value: unknown): Promise<Record<string, unknown>> {
  const body = Buffer.from(encodeCbor(value));
  const headers = { 'content-type': 'application/cbor' };
  return cborCodec.decode(model, operation, { method: 'POST', path: '/', query: new URLSearchParams(), headers, body });
}

before(loadCbor);

describe('values', () => {
  test('lengths may be left open, texts and bytes may come in parts', () => {
    assert.deepEqual(hex('bf 61 61 9f 01 02 ff 61 62 bf ff ff'), { a: [1, 2], b: {} });
    assert.deepEqual(hex('a1 61 61 7f 62 68 65 61 21 ff'), { a: 'he!' });
    assert.deepEqual(hex('82 5f 41 01 42 02 03 ff 05'), [Buffer.from([1, 2, 3]), 5]);
    assert.deepEqual(hex('7f ff'), '');
  });

  test('times are tag 1 around whole or broken seconds', () => {
    assert.deepEqual(hex('c1 1a 65 53 f1 00'), new Date('2023-11-14T22:13:20Z'));
    assert.deepEqual(hex('c1 fb 41 d9 54 fc 40 20 00 00'), new Date('2023-11-14T22:13:20.500Z'));
  });

  test('what was written is read again', () => {
    const time = new Date('2026-01-02T03:04:05.678Z');
    const value = { a: new Float64(3), b: new Float64(0.1), c: [true, 'ü', 7, new Float64(Number.NaN)], d: new Moment(time), e: {} };
    const bytes = Buffer.from(encodeCbor(value));
    assert.deepEqual(decodeCbor(bytes), { a: 3, b: 0.1, c: [true, 'ü', 7, Number.NaN], d: time, e: {} });
    assert.ok(bytes.includes(Buffer.from('fb4008000000000000', 'hex')), 'whole doubles stay doubles');
  });

  const refused: Record<string, string> = {
    nothing: '',
    'a list that promises more than there is': '9a ff ff ff ff 01',
    'a text that promises more than there is': '7b 00 00 00 10 00 00 00 00 61',
    'a map with a number as key': 'a1 01 02',
    'a key twice': 'a2 61 61 01 61 61 02',
    'a stop where nothing is open': 'ff',
    'a stop in a list of known length': '82 01 ff',
    'something after the end': 'a0 a0',
    'a text in parts that are none': '7f 41 61 ff',
    'a text in parts without an end': '7f 61 61',
    'parts within parts': '7f 7f 61 61 ff ff',
    'another tag': 'c2 41 01',
    'a time that is a text': 'c1 61 61',
    'a time beyond all times': 'c1 fb 7f ef ff ff ff ff ff ff',
    'an unknown simple value': 'f8 20',
  };
  for (const [what, bytes] of Object.entries(refused)) {
    test(`refuses ${what}`, () => assert.throws(() => hex(bytes), { code: 'SerializationException' }));
  }

  test('refuses depth and number before they cost much', () => {
    assert.throws(() => decodeCbor(Buffer.alloc(1_000_000, 0x81)), /nested too deeply/);
    assert.throws(() => decodeCbor(Buffer.alloc(1_000_000, 0xc1)), { code: 'SerializationException' });
    assert.throws(() => decodeCbor(Buffer.alloc(1_000_000, 0x9f)), /nested too deeply/);
    const empties = Buffer.concat([Buffer.from('9a00200000', 'hex'), Buffer.alloc(0x200000, 0x80)]);
    assert.throws(() => decodeCbor(empties), /more than 1000000 items/);
    const parts = Buffer.concat([Buffer.from([0x7f]), Buffer.alloc(2_000_000, 0x60), Buffer.from([0xff])]);
    assert.throws(() => decodeCbor(parts), /more than 1000000 items/);
  });

  test('a name of a prototype is a name like any other', () => {
    const found = hex('a1 69 5f5f70726f746f5f5f 61 78') as Record<string, unknown>;
    assert.deepEqual(Object.keys(found), ['__proto__']);
    assert.equal(Object.getPrototypeOf(found), Object.prototype);
  });
});

describe('inputs of operations', () => {
  test('have the types of the model', async () => {
    const wrong = [
      { Namespace: 1 },
      { Namespace: 'N', MetricData: {} },
      { Namespace: 'N', MetricData: [{ MetricName: 'm', Value: '1' }] },
      { Namespace: 'N', MetricData: [{ MetricName: 'm', Timestamp: 1_700_000_000 }] },
      { Namespace: 'N', MetricData: [{ MetricName: 'm', StorageResolution: 1.5 }] },
      { Namespace: 'N', MetricData: [new Moment(new Date(0))] },
      ['Namespace'],
    ];
    for (const value of wrong) await assert.rejects(input('PutMetricData', value), { code: 'SerializationException' });
  });

  test('ignore what the model does not know and what is null', async () => {
    assert.deepEqual(await input('PutMetricData', { Namespace: 'N', Other: [1], MetricData: null }), { Namespace: 'N' });
  });
});
