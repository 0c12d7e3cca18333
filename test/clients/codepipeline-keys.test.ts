/** Artifacts under the key of the pipeline's artifact store. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { KMS } from '@aws-sdk/client-kms';
import { action, Pipelines, stage } from '../support/codepipeline.ts';
import { newKey } from '../support/kms.ts';
import { startServer, type TestServer } from '../support/server.ts';

let server: TestServer;
let pipelines: Pipelines;
let kms: KMS;
before(async () => {
  server = await startServer();
  pipelines = await Pipelines.open(server);
  kms = new KMS(server.client);
});
after(() => server.stop());

test('sources and builds keep their artifacts under the key of the artifact store; without it nothing goes on', async () => {
  const { Arn } = await newKey(kms);
  const name = 'sealed';
  await pipelines.repository(name, { 'a.txt': 'one' });
  await pipelines.project(name, 'version: 0.2\nphases: {build: {commands: ["cp a.txt b.txt"]}}\nartifacts: {files: [b.txt]}\n');
  const artifactStore = { type: 'S3' as const, location: pipelines.bucket, encryptionKey: { id: Arn!, type: 'KMS' as const } };
  const built = { inputArtifacts: [{ name: 'Source' }], outputArtifacts: [{ name: 'Built' }] };
  const stages = [
    stage('Source', pipelines.source(name)),
    stage('Build', action('Build', 'Build/CodeBuild', { ProjectName: name }, built)),
    stage(
      'Deploy',
      action(
        'Copy',
        'Deploy/S3',
        { BucketName: pipelines.bucket, Extract: 'true', ObjectKey: 'out' },
        { inputArtifacts: [{ name: 'Built' }] },
      ),
    ),
  ];
  const id = await pipelines.create(name, stages, { artifactStore });
  await pipelines.ended(name, id);
  for (const actionName of ['Repository', 'Build']) {
    const { s3location } = (await pipelines.runOf(name, id, actionName)).output!.outputArtifacts![0]!;
    const head = await pipelines.s3.headObject({ Bucket: s3location!.bucket, Key: s3location!.key });
    assert.deepEqual([head.ServerSideEncryption, head.SSEKMSKeyId], ['aws:kms', Arn], actionName);
  }
  const { Body } = await pipelines.s3.getObject({ Bucket: pipelines.bucket, Key: 'out/b.txt' });
  assert.equal(await Body!.transformToString(), 'one');

  await kms.disableKey({ KeyId: Arn });
  const next = await pipelines.start(name);
  await pipelines.ended(name, next, 'Failed');
  const { message } = (await pipelines.runOf(name, next, 'Repository')).output!.executionResult!.errorDetails!;
  assert.match(message!, /is disabled/);
});
