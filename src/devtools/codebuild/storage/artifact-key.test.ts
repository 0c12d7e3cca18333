import assert from 'node:assert/strict';
import { test } from 'node:test';
import { artifactKey } from './artifact-key.ts';

const build = { id: 'b-1' };
const s3 = { type: 'S3', location: 'bucket' } as const;

test('path, namespace and name make the key', () => {
  assert.equal(artifactKey({ ...s3, name: 'app' }, build, {}), 'app');
  assert.equal(artifactKey({ ...s3, path: 'a/b/', name: 'app.zip' }, build, {}), 'a/b/app.zip');
  assert.equal(artifactKey({ ...s3, path: '/a', namespaceType: 'BUILD_ID', name: 'app' }, build, {}), 'a/b-1/app');
});

test('the name / is the root of the bucket', () => {
  assert.equal(artifactKey({ ...s3, name: '/' }, build, {}), '');
  assert.equal(artifactKey({ ...s3, name: '/', packaging: 'ZIP' }, build, {}), 'b-1.zip', 'a zip has to have some name');
});

test('the buildspec’s name counts only when the project lets it', () => {
  assert.equal(artifactKey({ ...s3, name: 'app' }, build, { name: 'mine' }), 'app');
  assert.equal(artifactKey({ ...s3, name: 'app', overrideArtifactName: true }, build, { name: 'mine/v1' }), 'mine/v1');
  assert.equal(artifactKey({ ...s3, name: 'app', overrideArtifactName: true }, build, {}), 'app');
});

test('s3-prefix goes before the build id, and only there', () => {
  assert.equal(artifactKey({ ...s3, name: 'app', namespaceType: 'BUILD_ID' }, build, { s3Prefix: 'pre' }), 'pre/b-1/app');
  assert.equal(artifactKey({ ...s3, name: 'app' }, build, { s3Prefix: 'pre' }), 'app');
});
