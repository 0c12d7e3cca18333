import assert from 'node:assert/strict';
import { test } from 'node:test';
import { locationDigest, locationProblem, normalized } from './revision-location.ts';
import type { RevisionLocation } from './tables.ts';

const s3 = (more: object = {}): RevisionLocation => ({
  revisionType: 'S3',
  s3Location: { bucket: 'b', key: 'k', bundleType: 'zip', ...more },
});

test('an S3 revision needs bucket, key and a bundle type of its platform', () => {
  assert.equal(locationProblem(s3(), 'Server'), undefined);
  assert.match(locationProblem(s3({ bucket: '' }), 'Server')!, /Bucket/);
  assert.match(locationProblem(s3({ key: undefined }), 'Server')!, /Key/);
  assert.match(locationProblem(s3({ bundleType: undefined }), 'Server')!, /Bundle type/);
  assert.match(locationProblem(s3({ bundleType: 'YAML' }), 'Server')!, /YAML/);
  assert.equal(locationProblem(s3({ bundleType: 'YAML' }), 'Lambda'), undefined);
  assert.match(locationProblem({ revisionType: 'S3' }, 'Server')!, /Bucket/);
  assert.match(locationProblem({}, 'Server')!, /type/);
});

test('a GitHub revision needs account/repository and a commit', () => {
  const at = (repository: string, commitId: string): RevisionLocation => ({
    revisionType: 'GitHub',
    gitHubLocation: { repository, commitId },
  });
  assert.equal(locationProblem(at('a/b', '0'.repeat(40)), 'Server'), undefined);
  assert.match(locationProblem(at('a', '0'.repeat(40)), 'Server')!, /account\/repository/);
  assert.match(locationProblem(at('a/../b', '0'.repeat(40)), 'Server')!, /account\/repository/);
  assert.match(locationProblem(at('a/b', 'main'), 'Server')!, /Commit ID/);
});

test('text revisions are for other platforms', () => {
  const text: RevisionLocation = { revisionType: 'AppSpecContent', appSpecContent: { content: 'version: 0.0' } };
  assert.match(locationProblem(text, 'Server')!, /not valid/);
  assert.equal(locationProblem(text, 'ECS'), undefined);
  assert.match(normalized(text).appSpecContent!.sha256!, /^[0-9a-f]{64}$/);
});

test('quotes around an ETag and foreign members make no other revision; version and ETag do', () => {
  const digest = (location: RevisionLocation): string => locationDigest(normalized(location));
  assert.equal(digest(s3({ eTag: '"abc"' })), digest({ ...s3({ eTag: 'abc' }), gitHubLocation: { repository: 'a/b' } }));
  assert.equal(digest(s3({ version: '' })), digest(s3()));
  assert.equal(new Set([digest(s3()), digest(s3({ eTag: 'abc' })), digest(s3({ version: 'v' })), digest(s3({ key: 'l' }))]).size, 4);
});
