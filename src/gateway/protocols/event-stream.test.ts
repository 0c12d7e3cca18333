/** Messages of event streams, byte by byte. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadModel } from '../../platform/model.ts';
import { encodeMessage, eventStream } from './event-stream.ts';

test('a message has lengths, headers, payload and both checksums', () => {
  const message = encodeMessage({ ':message-type': 'event' }, '{}');
  const header = '0d3a6d6573736167652d74797065' + '07' + '0005' + '6576656e74';
  assert.equal(message.toString('hex'), `000000280000001660470efd${header}7b7db7184afc`);
  assert.equal(message.length, message.readUInt32BE(0));
});

test('an exception is the last message', async () => {
  const ended: string[] = [];
  async function* events() {
    try {
      yield { sessionUpdate: { sessionResults: [{ message: 'ü', secret: 1 }] } };
      yield { SessionTimeoutException: { message: 'over' } };
      yield { sessionUpdate: {} };
    } finally {
      ended.push('ended');
    }
  }
  const chunks: Buffer[] = [];
  for await (const chunk of eventStream(loadModel('logs'), 'StartLiveTailResponseStream', events())) chunks.push(chunk);
  const text = Buffer.concat(chunks).toString();
  assert.match(
    text,
    /initial-response.*sessionUpdate.*\{"sessionResults":\[\{"message":"ü"\}\]\}.*SessionTimeoutException.*\{"message":"over"\}/s,
  );
  assert.equal(text.match(/sessionUpdate/g)!.length, 1);
  assert.deepEqual(ended, ['ended']);
});
