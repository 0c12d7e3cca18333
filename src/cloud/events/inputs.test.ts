import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type DeliveredEvent, InputError, parsePath, targetInput, valueAt } from './inputs.ts';

const event: DeliveredEvent = {
  version: '0',
  id: 'e-1',
  'detail-type': 'Build',
  source: 'my.app',
  account: '123456789012',
  time: '2026-11-22T19:30:30Z',
  region: 'us-east-1',
  resources: ['r1'],
  detail: { name: 'a "quoted" name', list: [{ n: 1 }, { n: 2 }], flag: true },
};
const rule = { name: 'r', arn: 'arn:aws:events:us-east-1:123456789012:rule/r' };
const at = new Date('2026-11-22T19:31:00Z');
const inputOf = (target: object) => targetInput({ Id: '1', Arn: 'a', ...target }, event, rule, at);

describe('inputs of targets', () => {
  test('the event itself', () => assert.deepEqual(JSON.parse(inputOf({})), event));
  test('a constant', () => assert.equal(inputOf({ Input: '{"a":1}' }), '{"a":1}'));
  test('a part of the event', () => assert.equal(inputOf({ InputPath: '$.detail.list[1]' }), '{"n":2}'));
  test('paths with odd names', () => assert.equal(valueAt(event, "$['detail-type']"), 'Build'));
  test('a path to nothing', () => assert.equal(valueAt(event, '$.detail.none.deeper'), undefined));
  test('inherited names are not in the event', () => assert.equal(valueAt(event, '$.detail.constructor'), undefined));
  for (const path of ['detail', '$..x', '$.a[', '$.a[x]'])
    test(`refuse the path ${path}`, () => assert.throws(() => parsePath(path), InputError));

  test('a template of texts', () => {
    const InputTransformer = {
      InputPathsMap: { who: '$.detail.name', what: '$.detail-type' },
      InputTemplate: '"<what>: <who> by <aws.events.rule-name>"',
    };
    assert.equal(JSON.parse(inputOf({ InputTransformer })), 'Build: a "quoted" name by r');
  });
  test('a template that is an object keeps types', () => {
    const InputTransformer = {
      InputPathsMap: { list: '$.detail.list', flag: '$.detail.flag', gone: '$.detail.gone' },
      InputTemplate: '{"list": <list>, "flag": <flag>, "gone": <gone>, "rule": <aws.events.rule-arn>, "all": <aws.events.event.json>}',
    };
    assert.deepEqual(JSON.parse(inputOf({ InputTransformer })), {
      list: [{ n: 1 }, { n: 2 }],
      flag: true,
      gone: '',
      rule: rule.arn,
      all: event,
    });
  });
});
