import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { after, before, test } from 'node:test';
import { acceptWebSocket, type ServerWebSocket } from './websocket.ts';

const server = createServer((_request, response) => response.end());
let accepted: { socket: ServerWebSocket; messages: [text: string, binary: boolean][]; closed: Promise<void> };

before(async () => {
  server.on('upgrade', (request, socket, head) => {
    acceptWebSocket(request, socket, head, (channel) => {
      const { promise, resolve } = Promise.withResolvers<void>();
      const messages: [string, boolean][] = [];
      accepted = { socket: channel, messages, closed: promise };
      channel.listen({ onMessage: (data, binary) => messages.push([data.toString(), binary]), onClose: resolve });
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
});
after(() => server.close());

const HEADERS = [
  'Host: x',
  'Connection: Upgrade',
  'Upgrade: websocket',
  'Sec-WebSocket-Version: 13',
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
];

/** All that the server sent until it closed the connection; `send` begins after its first answer. */
async function talk(send: (socket: Socket) => void, headers = HEADERS): Promise<Buffer> {
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  const received: Buffer[] = [];
  socket.on('data', (chunk) => received.push(chunk));
  socket.write(`GET / HTTP/1.1\r\n${headers.join('\r\n')}\r\n\r\n`);
  await once(socket, 'data');
  send(socket);
  await once(socket, 'close');
  return Buffer.concat(received);
}

function frame(first: number, payload: string | Buffer, masked = true): Buffer {
  const data = Buffer.from(payload);
  const length = data.length < 126 ? [data.length] : [126, data.length >> 8, data.length & 0xff];
  if (!masked) return Buffer.concat([Buffer.from([first, ...length]), data]);
  const mask = Buffer.from([1, 2, 3, 4]);
  length[0]! |= 0x80;
  return Buffer.concat([Buffer.from([first, ...length]), mask, data.map((byte, index) => byte ^ mask[index % 4]!)]);
}

const CLOSED = frame(0x88, Buffer.from([0x03, 0xe8]));
/** The code in the close frame that the server sent last. */
const codeOf = (received: Buffer) => received.subarray(-2).readUInt16BE();

test('messages arrive whole, however they are cut', async () => {
  const large = 'x'.repeat(1_000);
  const bytes = Buffer.concat([
    frame(0x81, 'text'),
    frame(0x02, 'in '),
    frame(0x89, 'ping'),
    frame(0x00, 'three '),
    frame(0x80, 'parts'),
    frame(0x82, large),
    frame(0x82, ''),
    CLOSED,
  ]);
  const received = await talk((socket) => {
    for (const byte of bytes) socket.write(Buffer.from([byte]));
  });
  assert.match(received.toString('latin1'), /^HTTP\/1\.1 101 .*\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=\r\n/s);
  assert.ok(received.includes(frame(0x8a, 'ping', false)), 'a pong');
  assert.equal(codeOf(received), 1000);
  await accepted.closed;
  assert.deepEqual(accepted.messages, [
    ['text', false],
    ['in three parts', true],
    [large, true],
    ['', true],
  ]);
});

test('what is sent has the length that it needs', async () => {
  const sizes = [0, 125, 126, 65_535, 65_536];
  const received = await talk((socket) => {
    for (const size of sizes) accepted.socket.send(Buffer.alloc(size, 1));
    socket.write(CLOSED);
  });
  const wire = sizes.map((size) => {
    const length = size < 126 ? [size] : size < 65_536 ? [126, size >> 8, size & 0xff] : [127, 0, 0, 0, 0, 0, 1, 0, 0];
    return Buffer.concat([Buffer.from([0x82, ...length]), Buffer.alloc(size, 1)]);
  });
  assert.ok(received.includes(Buffer.concat(wire)));
});

const broken: [why: string, bytes: Buffer, code: number][] = [
  ['a frame without a mask', frame(0x81, 'x', false), 1002],
  ['a reserved bit', frame(0xc1, 'x'), 1002],
  ['an unknown kind of frame', frame(0x83, 'x'), 1002],
  ['a rest of nothing', frame(0x80, 'x'), 1002],
  ['a message inside of another', Buffer.concat([frame(0x01, 'x'), frame(0x81, 'y')]), 1002],
  ['a ping in pieces', frame(0x09, 'x'), 1002],
  ['a ping that is long', frame(0x89, 'x'.repeat(126)), 1002],
  ['a length beyond all bounds', Buffer.from([0x82, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]), 1009],
];
for (const [why, bytes, code] of broken) {
  test(`${why} ends the connection`, async () => {
    assert.equal(codeOf(await talk((socket) => void socket.write(bytes))), code);
    await accepted.closed;
    assert.deepEqual(accepted.messages, []);
  });
}

test('a message in pieces is no way around the limit', async () => {
  const piece = 'x'.repeat(60_000);
  const received = await talk((socket) => {
    socket.write(frame(0x02, piece));
    for (let index = 0; index < 20; index += 1) socket.write(frame(0x00, piece));
  });
  assert.equal(codeOf(received), 1009);
});

test('what does not ask for a WebSocket gets none', async () => {
  for (const without of [3, 4]) {
    const headers = HEADERS.filter((_, index) => index !== without);
    assert.match((await talk(() => {}, headers)).toString(), /^HTTP\/1\.1 400/);
  }
  assert.match((await talk(() => {}, [...HEADERS.slice(0, 4), 'Sec-WebSocket-Key: short'])).toString(), /^HTTP\/1\.1 400/);
});
