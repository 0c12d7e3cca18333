/** Every operation of every model, sent and read by botocore (the AWS CLI's and boto3's heart) against our codecs. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, describe, test } from 'node:test';
import { loadModel, modelNames, type ServiceModel, signingName } from '../../../src/platform/model.ts';
import { type CodecServer, startCodecServer } from './codec-server.ts';
import { sample, sampleInput, wholeOperations } from './samples.ts';

const hasBotocore = spawnSync('python3', ['-c', 'import botocore']).status === 0;

/** The client computes, checks or drops these by itself. */
const CLIENT_OWNED = /^(Expires$|Checksum|ContentMD5$|ContentLength$|SSECustomer|CopySourceSSECustomer|ResponseMetadata$)/;

/** The form in which values travel to the Python side and back. */
function frozen(value: any): any {
  if (value instanceof Date) return { $date: value.toISOString() };
  if (value instanceof Uint8Array) return { $bytes: Buffer.from(value).toString('base64') };
  if (Array.isArray(value)) return value.map(frozen);
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, frozen(item)]));
}

function trimmed(model: ServiceModel, value: Record<string, any>): Record<string, any> {
  if (model.metadata.serviceId !== 'S3') return value;
  return Object.fromEntries(Object.entries(value).filter(([name]) => !CLIENT_OWNED.test(name)));
}

function only(value: Record<string, any>, like: Record<string, any>): Record<string, any> {
  return Object.fromEntries(Object.keys(like).map((name) => [name, value[name]]));
}

function inputFor(model: ServiceModel, operation: string): Record<string, any> {
  const input = sampleInput(model, operation, true);
  if (model.metadata.serviceId === 'S3') {
    if ('Bucket' in input) input.Bucket = 'bucket';
    if ('Key' in input) input.Key = 'dir//ключ+ä &<\'">.txt';
    if ('CopySource' in input) input.CopySource = 'other/key';
  }
  // A global endpoint needs an optional package of the client.
  delete input.EndpointId;
  return trimmed(model, input);
}

describe('botocore', { skip: hasBotocore ? false : 'python3 with botocore is not installed' }, () => {
  // The service of CodeDeploy's host agents has no public client but the agent.
  const names = modelNames().filter((name) => !name.startsWith('codedeploy-commands'));
  const models = new Map(names.map((name) => [name, loadModel(name)]));
  let server: CodecServer;
  let python: ChildProcess;
  let answers: AsyncIterator<string>;

  before(async () => {
    server = await startCodecServer((scope) => [...models.values()].find((model) => signingName(model) === scope)!);
    python = spawn('python3', [path.join(import.meta.dirname, 'botocore_client.py')], { stdio: ['pipe', 'pipe', 'inherit'] });
    answers = createInterface({ input: python.stdout! })[Symbol.asyncIterator]();
  });
  after(async () => {
    python.stdin!.end();
    await server[Symbol.asyncDispose]();
  });

  async function call(service: string, operation: string, input: Record<string, any>, output: Record<string, any> = {}): Promise<any> {
    python.stdin!.write(
      `${JSON.stringify({ service, operation, input: frozen(input), output: frozen(output), endpoint: server.endpoint })}\n`,
    );
    return JSON.parse((await answers.next()).value);
  }

  for (const [service, model] of models) {
    test(`reads and writes every operation of ${service}`, async (context) => {
      for (const operation of wholeOperations(model)) {
        const input = inputFor(model, operation);
        const ref = model.operations[operation]!.output;
        const isHead = model.operations[operation]!.http.method === 'HEAD';
        const output = ref && !isHead ? trimmed(model, sample(model, ref.shape, true)) : {};
        server.answer = { output };
        const result = await call(service, operation, input, output);
        if (result.unknown) {
          context.diagnostic(`This botocore has no ${operation}.`);
          continue;
        }
        assert.equal(result.error, undefined, operation);
        assert.equal(server.last?.operation, operation);
        assert.deepEqual(frozen(only(server.last!.input, result.sent)), result.sent, `input of ${operation}`);
        assert.deepEqual(only(result.output, result.expected), result.expected, `output of ${operation}`);
      }
    });

    test(`reads errors of ${service}`, async (context) => {
      const operation = Object.values(model.operations).find(({ errors, http }) => errors && http.method !== 'HEAD')!;
      const shapeName = operation.errors![0]!.shape;
      const shape = model.shapes[shapeName]!;
      const known = shape.error ?? shape.queryError;
      const code = known?.code ?? shapeName;
      server.answer = { error: { code: shape.error?.code ?? shapeName, message: 'It <is> "so" & ü', requestId: 'request-2' } };
      const { error, unknown } = await call(service, operation.name, inputFor(model, operation.name));
      if (unknown) return context.skip(`This botocore has no ${service}.`);
      assert.equal(error.Error.Code, code);
      assert.equal(error.Error.Message, 'It <is> "so" & ü');
      assert.equal(error.ResponseMetadata.RequestId, 'request-2');
      assert.equal(error.ResponseMetadata.HTTPStatusCode, known?.httpStatusCode ?? (shape.fault ? 500 : 400));
    });
  }
});
