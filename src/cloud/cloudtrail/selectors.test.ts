import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TrailRecord } from './render.ts';
import { dataTypes, takes } from './selectors.ts';

const bucket = 'arn:aws:s3:::photos';
function event(readOnly: boolean, object?: string, source = object ? 's3.amazonaws.com' : 'kms.amazonaws.com') {
  return {
    dataType: object === undefined ? undefined : 'AWS::S3::Object',
    resources: object === undefined ? [] : [{ type: 'AWS::S3::Object', name: object, arn: object }],
    record: {
      readOnly,
      eventSource: source,
      eventName: readOnly ? 'Get' : 'Put',
      eventCategory: object === undefined ? 'Management' : 'Data',
    } as TrailRecord,
  };
}

test('without selectors all management events are taken, and no data', () => {
  assert.equal(takes(null, event(true)), true);
  assert.equal(takes(null, event(false)), true);
  assert.equal(takes(null, event(false, `${bucket}/a`)), false);
});

test('classic selectors', () => {
  const basic = [
    {
      ReadWriteType: 'WriteOnly' as const,
      ExcludeManagementEventSources: ['kms.amazonaws.com'],
      DataResources: [{ Type: 'AWS::S3::Object', Values: [`${bucket}/in/`] }],
    },
  ];
  assert.equal(takes({ basic }, event(true)), false);
  assert.equal(takes({ basic }, event(false)), false);
  assert.equal(takes({ basic }, event(false, undefined, 'iam.amazonaws.com')), true);
  assert.equal(takes({ basic }, event(false, `${bucket}/in/a`)), true);
  assert.equal(takes({ basic }, event(true, `${bucket}/in/a`)), false);
  assert.equal(takes({ basic }, event(false, `${bucket}/out/a`)), false);
  const all = [{ DataResources: [{ Type: 'AWS::S3::Object', Values: ['arn:aws:s3'] }] }];
  assert.equal(takes({ basic: all }, event(true, `${bucket}/out/a`)), true);
  assert.deepEqual(dataTypes({ basic }), ['AWS::S3::Object']);
});

test('advanced selectors: all fields of one, any of several; a negation decides against', () => {
  const data = [
    { Field: 'eventCategory', Equals: ['Data'] },
    { Field: 'resources.type', Equals: ['AWS::S3::Object'] },
    { Field: 'resources.ARN', StartsWith: [`${bucket}/`], NotEndsWith: ['.tmp'] },
  ];
  const advanced = [
    { FieldSelectors: data },
    {
      FieldSelectors: [
        { Field: 'eventCategory', Equals: ['Management'] },
        { Field: 'readOnly', Equals: ['false'] },
      ],
    },
  ];
  assert.equal(takes({ advanced }, event(true, `${bucket}/a`)), true);
  assert.equal(takes({ advanced }, event(true, `${bucket}/a.tmp`)), false);
  assert.equal(takes({ advanced }, event(true, 'arn:aws:s3:::other/a')), false);
  assert.equal(takes({ advanced }, event(false)), true);
  assert.equal(takes({ advanced }, event(true)), false);
  assert.deepEqual(dataTypes({ advanced }), ['AWS::S3::Object']);
});
