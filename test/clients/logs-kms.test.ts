/** Log groups under KMS keys, which Logs itself must be allowed to use. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { CloudWatchLogs } from '@aws-sdk/client-cloudwatch-logs';
import { KMS } from '@aws-sdk/client-kms';
import { failure, newKey } from '../support/kms.ts';
import { startServer, type TestServer } from '../support/server.ts';

let server: TestServer;
let logs: CloudWatchLogs;
let kms: KMS;
before(async () => {
  server = await startServer();
  logs = new CloudWatchLogs(server.client);
  kms = new KMS(server.client);
});
after(() => server.stop());

const arnOf = (group: string) => `arn:aws:logs:${server.region}:${server.account}:log-group:${group}`;

/** A key that Logs may use for this group. */
function keyFor(group: string) {
  const statement = (Principal: object, Action: string[], more: object = {}) => ({
    Effect: 'Allow',
    Principal,
    Action,
    Resource: '*',
    ...more,
  });
  const Policy = JSON.stringify({
    Version: '2012-10-17',
    Statement: [
      statement({ AWS: `arn:aws:iam::${server.account}:root` }, ['kms:*']),
      statement({ Service: `logs.${server.region}.amazonaws.com` }, ['kms:Encrypt*', 'kms:Decrypt*', 'kms:GenerateDataKey*'], {
        Condition: { ArnEquals: { 'kms:EncryptionContext:aws:logs:arn': arnOf(group) } },
      }),
    ],
  });
  return newKey(kms, { Policy });
}

async function write(logGroupName: string, message: string): Promise<void> {
  await logs.putLogEvents({ logGroupName, logStreamName: 's', logEvents: [{ timestamp: Date.now(), message }] });
}

async function read(logGroupName: string): Promise<string[]> {
  const { events } = await logs.getLogEvents({ logGroupName, logStreamName: 's', startFromHead: true });
  return events!.map((event) => event.message!);
}

describe('CloudWatch Logs under KMS keys', () => {
  it('keeps events under the key, reads them while it is enabled, also after the key changed', async () => {
    const [one, two] = [await keyFor('group'), await keyFor('group')];
    await logs.createLogGroup({ logGroupName: 'group', kmsKeyId: one.Arn });
    await logs.createLogStream({ logGroupName: 'group', logStreamName: 's' });
    const shown = async () => (await logs.describeLogGroups({ logGroupNamePrefix: 'group' })).logGroups![0]!.kmsKeyId;
    assert.equal(await shown(), one.Arn);
    await write('group', 'x'.repeat(2000));
    await logs.associateKmsKey({ logGroupName: 'group', kmsKeyId: two.Arn });
    assert.equal(await shown(), two.Arn);
    await write('group', 'second');
    await logs.disassociateKmsKey({ resourceIdentifier: arnOf('group') });
    assert.equal(await shown(), undefined);
    await write('group', 'third');
    assert.deepEqual(await read('group'), ['x'.repeat(2000), 'second', 'third']);
    const { events } = await logs.filterLogEvents({ logGroupName: 'group', filterPattern: 'second' });
    assert.equal(events!.length, 1);

    await kms.disableKey({ KeyId: two.KeyId });
    assert.match(await failure(read('group')), /AccessDeniedException.*is disabled/);
    await write('group', 'fourth');
    await kms.enableKey({ KeyId: two.KeyId });
    assert.equal((await read('group')).length, 4);
  });

  it('is tailed and queried while the key is enabled; a query fails while it is not', async () => {
    const key = await keyFor('asked');
    await logs.createLogGroup({ logGroupName: 'asked', kmsKeyId: key.Arn });
    await logs.createLogStream({ logGroupName: 'asked', logStreamName: 's' });
    const stopped = new AbortController();
    // `streaming-127.0.0.1` is nowhere.
    const tailing = new CloudWatchLogs({ ...server.client, disableHostPrefix: true });
    const { responseStream } = await tailing.startLiveTail({ logGroupIdentifiers: [arnOf('asked')] }, { abortSignal: stopped.signal });
    await write('asked', 'secret words');
    for await (const { sessionUpdate } of responseStream!) {
      if (sessionUpdate?.sessionResults?.[0]?.message === 'secret words') break;
    }
    stopped.abort();
    const ask = async () => {
      const span = { startTime: Math.floor(Date.now() / 1000) - 60, endTime: Math.floor(Date.now() / 1000) + 60 };
      const { queryId } = await tailing.startQuery({ logGroupName: 'asked', ...span, queryString: 'fields @message' });
      for (;;) {
        const { status, results } = await tailing.getQueryResults({ queryId });
        if (status !== 'Scheduled' && status !== 'Running') return [status, results![0]?.[0]?.value];
        await delay(50);
      }
    };
    assert.deepEqual(await ask(), ['Complete', 'secret words']);
    await kms.disableKey({ KeyId: key.KeyId });
    assert.deepEqual(await ask(), ['Failed', undefined]);
    tailing.destroy();
  });

  it('cannot log while the key is disabled', async () => {
    const key = await keyFor('closed');
    await logs.createLogGroup({ logGroupName: 'closed' });
    await logs.createLogStream({ logGroupName: 'closed', logStreamName: 's' });
    await write('closed', 'before');
    await logs.associateKmsKey({ logGroupName: 'closed', kmsKeyId: key.Arn });
    await kms.disableKey({ KeyId: key.KeyId });
    assert.match(await failure(write('closed', 'lost')), /AccessDeniedException.*is disabled/);
    assert.deepEqual(await read('closed'), ['before']);
    await kms.enableKey({ KeyId: key.KeyId });
    await write('closed', 'after');
    assert.deepEqual(await read('closed'), ['before', 'after']);
    await logs.deleteLogGroup({ logGroupName: 'closed' });
  });

  it('refuses keys that Logs may not use', async () => {
    const [own, foreign] = [await newKey(kms), await keyFor('other')];
    const create = (kmsKeyId: string | undefined) => failure(logs.createLogGroup({ logGroupName: 'refused', kmsKeyId }));
    assert.match(await create(own.Arn), /InvalidParameterException.*does not exist or is not allowed to be used with LogGroup/);
    assert.match(await create(foreign.Arn), /InvalidParameterException.*not allowed/);
    assert.match(await create(own.Arn!.replace(/key\/.*/, 'key/00000000-0000-0000-0000-000000000000')), /InvalidParameterException/);
    assert.match(await create('alias/something'), /InvalidParameterException.*ARN/);
    assert.match(await failure(logs.associateKmsKey({ logGroupName: 'refused', kmsKeyId: own.Arn })), /ResourceNotFoundException/);
    assert.match(await failure(logs.associateKmsKey({ kmsKeyId: own.Arn })), /InvalidParameterException/);
    assert.deepEqual((await logs.describeLogGroups({ logGroupNamePrefix: 'refused' })).logGroups, []);
  });
});
