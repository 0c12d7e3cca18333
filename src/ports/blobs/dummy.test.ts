/** The dummy fails as its faults say, and only so. */
import assert from 'node:assert/strict';
import { buffer } from 'node:stream/consumers';
import { test } from 'node:test';
import { createDummyBlobs } from './dummy.ts';
import { BlobCorruptError } from './port.ts';

test('a put fails after so many bytes, for the blobs named, as often as told', async () => {
  const store = createDummyBlobs([{ prefix: 'full/', failPutAfter: 10, times: 1 }]);
  await assert.rejects(store.put('full/a', Buffer.alloc(11)), { code: 'ENOSPC' });
  assert.equal(await store.head('full/a'), undefined);
  await store.put('full/a', Buffer.alloc(11));
  await store.put('other', Buffer.alloc(11));
});

test('a damaged blob gives its good bytes, then the error', async () => {
  const store = createDummyBlobs([{ prefix: 'bad', corruptAfter: 3 }]);
  await store.put('bad', Buffer.from('abcdef'));
  const got: Buffer[] = [];
  const stream = await store.get('bad');
  stream.on('data', (piece) => got.push(piece));
  await assert.rejects(new Promise((resolve, reject) => stream.once('end', resolve).once('error', reject)), BlobCorruptError);
  assert.equal(Buffer.concat(got).toString(), 'abc');
});

test('faults may change while the store is in use', async () => {
  const faults = [{ prefix: '', failPutAfter: 0 }];
  const store = createDummyBlobs(faults);
  await assert.rejects(store.put('a', Buffer.from('x')));
  faults.length = 0;
  await store.put('a', Buffer.from('x'));
  assert.equal((await buffer(await store.get('a'))).toString(), 'x');
});
