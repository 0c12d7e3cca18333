import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadModel, modelNames, type ServiceModel, type ShapeRef } from '../../platform/model.ts';
import { safeMessage, valueText } from './journal/facts.ts';
import { HIDDEN, maskOf } from './masks.ts';

function inputText(service: string, operation: string, value: Record<string, unknown>): string {
  const model = loadModel(service);
  return valueText(maskOf(model, model.operations[operation]!.input?.shape), value);
}
function outputText(service: string, operation: string, value: Record<string, unknown>): string {
  const model = loadModel(service);
  return valueText(maskOf(model, model.operations[operation]!.output?.shape), value);
}

test('secrets of every kind are hidden, and what is beside them is not', () => {
  const put = JSON.parse(inputText('ssm', 'PutParameter', { Name: '/db', Value: 'open sesame', Type: 'SecureString' }));
  assert.deepEqual(put, { Name: '/db', Value: HIDDEN, Type: 'SecureString' });
  const secret = JSON.parse(
    inputText('secretsmanager', 'CreateSecret', { Name: 'db', SecretString: 'open sesame', SecretBinary: Buffer.from('open sesame') }),
  );
  assert.deepEqual(secret, { Name: 'db', SecretString: HIDDEN });
  assert.deepEqual(JSON.parse(inputText('kms', 'Encrypt', { KeyId: 'k', Plaintext: Buffer.from('open sesame') })), { KeyId: 'k' });
  assert.equal(outputText('kms', 'GenerateDataKey', { Plaintext: Buffer.from('x'), CiphertextBlob: Buffer.from('y') }), 'null');
  const key = { AccessKey: { UserName: 'a', AccessKeyId: 'AKIA', Status: 'Active', SecretAccessKey: 'open sesame' } };
  assert.deepEqual(JSON.parse(outputText('iam', 'CreateAccessKey', key)), {
    AccessKey: { UserName: 'a', AccessKeyId: 'AKIA', Status: 'Active' },
  });
  const action = { name: 'Source', configuration: { Repo: 'r', OAuthToken: 'open sesame' } };
  const pipeline = JSON.parse(
    inputText('codepipeline', 'CreatePipeline', { pipeline: { name: 'p', stages: [{ name: 's', actions: [action] }] } }),
  );
  assert.deepEqual(pipeline.pipeline.stages[0].actions[0].configuration, { Repo: 'r', OAuthToken: HIDDEN });
  const webhook = inputText('codepipeline', 'PutWebhook', {
    webhook: { name: 'w', authenticationConfiguration: { SecretToken: 'open sesame' } },
  });
  assert.ok(!webhook.includes('sesame'));
  assert.ok(!inputText('codebuild', 'ImportSourceCredentials', { token: 'open sesame', serverType: 'GITHUB' }).includes('sesame'));
  assert.ok(!inputText('sns', 'Publish', { TopicArn: 't', Message: 'open sesame' }).includes('sesame'));
  assert.ok(!inputText('sqs', 'SendMessage', { QueueUrl: 'q', MessageBody: 'open sesame' }).includes('sesame'));
  assert.ok(!inputText('sts', 'AssumeRoleWithWebIdentity', { RoleArn: 'r', WebIdentityToken: 'open sesame' }).includes('sesame'));
});

test('what is not of the form that the model has is hidden whole', () => {
  const odd = inputText('codepipeline', 'PutWebhook', { webhook: 'open sesame' });
  assert.deepEqual(JSON.parse(odd), { webhook: HIDDEN });
});

test('no member that any model marks as sensitive, and no bytes, get through', () => {
  for (const service of modelNames()) {
    const model = loadModel(service);
    for (const [name, { input, output }] of Object.entries(model.operations)) {
      for (const ref of [input, output]) {
        if (!ref) continue;
        const text = valueText(maskOf(model, ref.shape), sample(model, ref, 0) as Record<string, unknown>);
        assert.ok(!text.includes('open sesame'), `${service}:${name}`);
      }
    }
  }
});

/** A value of the shape in which everything sensitive says the same. */
function sample(model: ServiceModel, { shape: name }: ShapeRef, depth: number): unknown {
  const shape = model.shapes[name]!;
  if (shape.type === 'blob') return Buffer.from('open sesame');
  if (shape.type === 'structure') {
    if (depth > 6) return {};
    return Object.fromEntries(
      Object.entries(shape.members ?? {}).map(([member, ref]) => [member, shape.sensitive ? 'open sesame' : sample(model, ref, depth + 1)]),
    );
  }
  if (shape.type === 'list') return depth > 6 ? [] : [sample(model, shape.member!, depth + 1)];
  if (shape.type === 'map') return depth > 6 ? {} : { key: sample(model, shape.value!, depth + 1) };
  if (shape.type === 'string') return shape.sensitive ? 'open sesame' : 'plain';
  return shape.type === 'timestamp' ? new Date(0) : shape.type === 'boolean' ? true : 1;
}

test('a message that quotes an input with secrets is cut before the quotation', () => {
  const model = loadModel('ssm');
  const mask = maskOf(model, model.operations.PutParameter!.input!.shape);
  const message = "1 validation error detected: Value 'open sesame' at 'value' failed to satisfy constraint";
  assert.equal(safeMessage(mask, message), `1 validation error detected: ${HIDDEN}`);
  assert.equal(safeMessage(undefined, message), message);
});
