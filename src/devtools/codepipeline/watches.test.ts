import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { openPlatform, type TestPlatform } from '../../../test/support/platform.ts';
import { AwsError } from '../../platform/errors.ts';
import type { Platform } from '../../platform/platform.ts';
import { ACTION, PIPELINE } from './kinds.ts';
import { codepipeline } from './service.ts';
import type { Declaration } from './tables.ts';
import { lookAtBuckets, onObjectCreated } from './watches.ts';

/** The newest version of the watched object; undefined while there is none. */
let version: string | undefined;
let opened: TestPlatform;
let platform: Platform;

/** Only what a source action and a look ask of S3. */
const s3 = {
  async headObject() {
    if (version === undefined) throw new AwsError('NoSuchKey', 'The specified key does not exist.');
    return { VersionId: version, ETag: '"x"' };
  },
  getBucketVersioning: async () => ({ Status: 'Enabled' }),
  copyObject: async () => ({}),
};

before(async () => {
  opened = await openPlatform(codepipeline, { aws: { as: async () => ({ s3 }) } as never });
  platform = opened.platform;
});
after(() => opened[Symbol.asyncDispose]());

const declaration: Declaration = {
  name: 'watching',
  roleArn: 'arn:aws:iam::123456789012:role/pipeline',
  artifactStore: { type: 'S3', location: 'artifacts' },
  stages: [
    {
      name: 'Source',
      actions: [
        {
          name: 'Object',
          actionTypeId: { category: 'Source', owner: 'AWS', provider: 'S3', version: '1' },
          configuration: { S3Bucket: 'in', S3ObjectKey: 'a.zip' },
          outputArtifacts: [{ name: 'Source' }],
        },
      ],
    },
    { name: 'Next', actions: [{ name: 'A', actionTypeId: { category: 'Approval', owner: 'AWS', provider: 'Manual', version: '1' } }] },
  ],
};

beforeEach(async () => {
  version = 'v1';
  await opened.call('codepipeline', 'DeletePipeline', { name: 'watching' });
  await opened.call('codepipeline', 'CreatePipeline', { pipeline: structuredClone(declaration) });
});

/** Does what the jobs would do until the source action has ended. */
async function runSource(): Promise<void> {
  for (const kind of [PIPELINE, ACTION, PIPELINE]) {
    const reconciler = codepipeline.reconcilers[kind]!;
    for (const id of await reconciler.pending(platform)) await reconciler.run(platform, id, new AbortController().signal);
  }
}

async function count(): Promise<number> {
  const { pipelineExecutionSummaries } = await opened.call('codepipeline', 'ListPipelineExecutions', { pipelineName: 'watching' });
  return pipelineExecutionSummaries!.length;
}

const objectCreated = (versionId: string): Promise<void> =>
  onObjectCreated(
    platform,
    { account: '123456789012', region: 'us-east-1', detail: { bucket: { name: 'in' }, object: { key: 'a.zip', 'version-id': versionId } } },
    { attempt: 1, maxAttempts: 1, signal: new AbortController().signal },
  );

test('a new version starts one execution, however often it is looked at', async () => {
  await runSource();
  await lookAtBuckets(platform);
  assert.equal(await count(), 1);
  version = 'v2';
  await lookAtBuckets(platform);
  await lookAtBuckets(platform);
  assert.equal(await count(), 2);
});

test('what was put between the first execution and the first look is not missed', async () => {
  await lookAtBuckets(platform);
  await runSource();
  version = 'v2';
  await lookAtBuckets(platform);
  assert.equal(await count(), 2);
});

test('the first version of an object starts a pipeline that was there before it', async () => {
  version = undefined;
  await runSource();
  await lookAtBuckets(platform);
  assert.equal(await count(), 1);
  version = 'v1';
  await lookAtBuckets(platform);
  assert.equal(await count(), 2);
});

test('an object that vanishes starts nothing; one that comes back does', async () => {
  await runSource();
  await lookAtBuckets(platform);
  version = undefined;
  await lookAtBuckets(platform);
  assert.equal(await count(), 1);
  version = 'v3';
  await lookAtBuckets(platform);
  assert.equal(await count(), 2);
});

test('an event and a look tell of the same version: one execution', async () => {
  await runSource();
  await lookAtBuckets(platform);
  version = 'v2';
  await objectCreated('v2');
  await objectCreated('v2');
  await lookAtBuckets(platform);
  assert.equal(await count(), 2);
});

test('an update of the pipeline forgets nothing', async () => {
  await runSource();
  await lookAtBuckets(platform);
  version = 'v2';
  await opened.call('codepipeline', 'UpdatePipeline', { pipeline: structuredClone(declaration) });
  await lookAtBuckets(platform);
  assert.equal(await count(), 2);
});
