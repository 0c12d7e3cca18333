/** Every operation of every model, sent and read by the official AWS SDK for JavaScript against our codecs. */
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { after, before, describe, test } from 'node:test';
import * as cloudwatch from '@aws-sdk/client-cloudwatch';
import * as logs from '@aws-sdk/client-cloudwatch-logs';
import * as codebuild from '@aws-sdk/client-codebuild';
import * as codecommit from '@aws-sdk/client-codecommit';
import * as codedeploy from '@aws-sdk/client-codedeploy';
import * as codepipeline from '@aws-sdk/client-codepipeline';
import * as events from '@aws-sdk/client-eventbridge';
import * as iam from '@aws-sdk/client-iam';
import * as s3 from '@aws-sdk/client-s3';
import * as sts from '@aws-sdk/client-sts';
import { loadModel, type ServiceModel, signingName } from '../../../src/platform/model.ts';
import { type CodecServer, startCodecServer } from './codec-server.ts';
import { sample, sampleInput, wholeOperations } from './samples.ts';

const SDKS: Record<string, [any, string]> = {
  cloudwatch: [cloudwatch, 'CloudWatchClient'],
  codebuild: [codebuild, 'CodeBuildClient'],
  codecommit: [codecommit, 'CodeCommitClient'],
  codedeploy: [codedeploy, 'CodeDeployClient'],
  codepipeline: [codepipeline, 'CodePipelineClient'],
  events: [events, 'EventBridgeClient'],
  iam: [iam, 'IAMClient'],
  logs: [logs, 'CloudWatchLogsClient'],
  s3: [s3, 'S3Client'],
  sts: [sts, 'STSClient'],
};

/** The client computes, checks or drops these by itself. */
const CLIENT_OWNED = /^(Expires$|Checksum|ContentMD5$|ContentLength$|SSECustomer|CopySourceSSECustomer|ExpectedBucketOwner$|SdkChecksum)/;

/** Bytes as hex, so that Buffer and Uint8Array compare equal; part numbers as text, which this SDK takes them for. */
function plain(value: any, name?: string): any {
  if (name?.endsWith('PartNumberMarker')) return String(value);
  if (value instanceof Uint8Array) return { bytes: Buffer.from(value).toString('hex') };
  if (value instanceof Date || value === null || typeof value !== 'object') return value;
  if (Array.isArray(value)) return value.map((item) => plain(item));
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plain(item, key)]));
}

function withoutClientOwned(input: Record<string, any>): Record<string, any> {
  return Object.fromEntries(Object.entries(input).filter(([name]) => !CLIENT_OWNED.test(name)));
}

/** Only the members of `like`: the SDK adds metadata and defaults of its own. */
function only(value: Record<string, any>, like: Record<string, any>): Record<string, any> {
  return Object.fromEntries(Object.keys(like).map((name) => [name, value[name]]));
}

async function readStreams(output: Record<string, any>): Promise<void> {
  for (const [name, value] of Object.entries(output)) {
    if (typeof value?.transformToByteArray === 'function') output[name] = await value.transformToByteArray();
  }
}

/** S3 samples whose text has a meaning to the client itself. */
function inputFor(model: ServiceModel, operation: string): Record<string, any> {
  const input = sampleInput(model, operation, true);
  // A global endpoint makes the client sign with SigV4a, which is not installed.
  delete input.EndpointId;
  if (model.metadata.serviceId !== 'S3') return input;
  if ('Bucket' in input) input.Bucket = 'bucket';
  if ('Key' in input) input.Key = 'dir//ключ+ä &<\'">.txt';
  return withoutClientOwned(input);
}

function outputFor(model: ServiceModel, operation: string): Record<string, any> {
  const ref = model.operations[operation]!.output;
  const output = ref ? sample(model, ref.shape, true) : {};
  if (model.metadata.serviceId !== 'S3') return output;
  if (model.operations[operation]!.http.method === 'HEAD') return {};
  return withoutClientOwned(output);
}

/** Another protocol than the client's own, which other versions of it speak. */
const { AwsSmithyRpcV2CborProtocol } = createRequire(import.meta.resolve('@aws-sdk/client-cloudwatch'))('@aws-sdk/core/protocols');
const PROTOCOLS: Record<string, object> = { cloudwatch: { protocol: AwsSmithyRpcV2CborProtocol } };

for (const [service, [sdk, clientName]] of Object.entries(SDKS)) {
  describe(`${service} by the AWS SDK for JavaScript`, () => {
    const model = loadModel(service);
    let server: CodecServer;
    let client: any;

    before(async () => {
      server = await startCodecServer((name) => {
        assert.equal(name, signingName(model));
        return model;
      });
      client = new sdk[clientName]({
        endpoint: server.endpoint,
        region: 'us-east-1',
        credentials: { accessKeyId: 'AKID', secretAccessKey: 'SECRET' },
        maxAttempts: 1,
        ...PROTOCOLS[service],
        ...(service === 's3' ? { forcePathStyle: true, responseChecksumValidation: 'WHEN_REQUIRED' } : {}),
      });
    });
    after(async () => {
      client.destroy();
      await server[Symbol.asyncDispose]();
    });

    for (const operation of wholeOperations(model)) {
      const Command = sdk[`${operation}Command`];
      test(operation, { skip: Command ? false : 'this SDK has no such operation' }, async () => {
        const input = inputFor(model, operation);
        const output = outputFor(model, operation);
        server.answer = { output };
        const result = await client.send(new Command(structuredCloneWithBuffers(input)));
        await readStreams(result);
        assert.equal(server.last?.operation, operation);
        assert.deepEqual(plain(only(server.last!.input, input)), plain(input));
        assert.deepEqual(plain(only(result, output)), plain(output));
      });
    }

    test('errors carry code, message, status and request id', async () => {
      const operation = Object.keys(model.operations).find(
        (name) => model.operations[name]!.errors && model.operations[name]!.http.method !== 'HEAD',
      )!;
      const shapeName = model.operations[operation]!.errors![0]!.shape;
      const shape = model.shapes[shapeName]!;
      const code = shape.error?.code ?? shapeName;
      server.answer = { error: { code, message: 'It <is> "so" & ü', requestId: 'request-2' } };
      const failure: any = await client.send(new sdk[`${operation}Command`](inputFor(model, operation))).then(
        () => undefined,
        (error: unknown) => error,
      );
      assert.ok([code, shapeName].includes(failure.name), failure.name);
      assert.equal(failure.message, 'It <is> "so" & ü');
      assert.equal(failure.$metadata.httpStatusCode, shape.error?.httpStatusCode ?? (shape.fault ? 500 : 400));
      assert.equal(failure.$metadata.requestId, 'request-2');
    });
  });
}

/** The SDK may write into its input. */
function structuredCloneWithBuffers(value: any): any {
  if (value instanceof Uint8Array || value instanceof Date || value === null || typeof value !== 'object') return value;
  if (Array.isArray(value)) return value.map(structuredCloneWithBuffers);
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, structuredCloneWithBuffers(item)]));
}
