import assert from 'node:assert/strict';
import { PassThrough, Readable } from 'node:stream';
import { test } from 'node:test';
import { FLUSH, MAX_PACKET, PacketReader, ProtocolError, packet } from './pkt-line.ts';

const reader = (...chunks: (string | Buffer)[]) => new PacketReader(Readable.from(chunks.map((chunk) => Buffer.from(chunk as string))));

async function all(packets: PacketReader) {
  const found: string[] = [];
  for (let next = await packets.next(); next !== undefined; next = await packets.next()) found.push(next.toString());
  return found;
}

test('reads packets however they are cut', async () => {
  const bytes = Buffer.concat([packet('want\n'), packet(''), FLUSH, Buffer.from('00010002'), packet('x'.repeat(MAX_PACKET - 4))]);
  const whole = await all(reader(bytes));
  assert.deepEqual(whole.slice(0, 5), ['want\n', '', 'flush', 'delimiter', 'response-end']);
  assert.equal(whole[5]?.length, MAX_PACKET - 4);
  const small = bytes.subarray(0, 40);
  assert.deepEqual(await all(reader(...[...small.subarray(0, 25)].map((byte) => Buffer.from([byte])))), whole.slice(0, 5));
});

test('refuses what is no packet', async () => {
  for (const bad of ['00g1', '0003', 'fff1', '-001', '0010short', '00', '\u0000\u0000\u0000\u0000']) {
    await assert.rejects(reader(bad).next(), ProtocolError, JSON.stringify(bad));
  }
});

test('gives back what follows, whether or not the source has ended', async () => {
  const text = async (stream: Readable) => Buffer.concat(await stream.toArray()).toString();
  const ended = reader(Buffer.concat([packet('a'), FLUSH, Buffer.from('PACK and more')]));
  assert.deepEqual([await ended.next(), await ended.next()].map(String), ['a', 'flush']);
  assert.equal((await ended.peek(4)).toString(), 'PACK');
  assert.equal(await text(ended.release()), 'PACK and more');

  const source = new PassThrough();
  const open = new PacketReader(source);
  source.write(Buffer.concat([FLUSH, Buffer.from('PA')]));
  assert.equal(await open.next(), 'flush');
  const rest = text(open.release());
  source.end('CK');
  assert.equal(await rest, 'PACK');
});

test('a source that breaks off breaks the reading', async () => {
  const source = new PassThrough().on('error', () => {});
  const packets = new PacketReader(source);
  source.write('0010ab');
  const reading = packets.next();
  source.destroy(new Error('gone'));
  await assert.rejects(reading, /gone/);
});
