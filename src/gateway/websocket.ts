/** The server's side of a WebSocket (RFC 6455), as much as a channel of messages needs: no extensions, no subprotocols. */
import { createHash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';

/** Section 1.3 of the RFC. */
const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
/** bytes of one message */
const MAX_MESSAGE = 1024 * 1024;
const MAX_PARTS = 1024;
const MAX_CONTROL = 125;
/** For the other side to end the connection after a close. */
const CLOSE_MS = 2_000;

const OP = { CONTINUATION: 0, TEXT: 1, BINARY: 2, CLOSE: 8, PING: 9, PONG: 10 } as const;

/** Status codes of section 7.4. */
export const CLOSE = { NORMAL: 1000, GOING_AWAY: 1001, PROTOCOL_ERROR: 1002, POLICY: 1008, TOO_BIG: 1009, INTERNAL_ERROR: 1011 } as const;

export interface WebSocketListener {
  onMessage(data: Buffer, binary: boolean): void;
  /** Once, however the connection ended. */
  onClose(): void;
}

/** Undefined when the request does not ask for a WebSocket; the caller answers it then. */
export function acceptWebSocket(request: IncomingMessage, socket: Duplex, head: Buffer): ServerWebSocket | undefined {
  const { upgrade, 'sec-websocket-key': key = '', 'sec-websocket-version': version } = request.headers;
  if (request.method !== 'GET' || upgrade?.toLowerCase() !== 'websocket' || version !== '13') return undefined;
  if (!/^[A-Za-z0-9+/]{22}==$/.test(key)) return undefined;
  const accept = createHash('sha1').update(`${key}${GUID}`).digest('base64');
  socket.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`);
  return new ServerWebSocket(socket, head);
}

interface Frame {
  fin: boolean;
  op: number;
  payload: Buffer;
  /** Where the next one begins. */
  end: number;
}

export class ServerWebSocket {
  readonly #socket: Duplex;
  #listener: WebSocketListener | undefined;
  /** Put together only when they are enough for the next step: a message that comes byte by byte must not be copied for each of them. */
  #chunks: Buffer[];
  #size: number;
  #needed = 0;
  /** Of a message in several frames. */
  #parts: Buffer[] = [];
  #partsSize = 0;
  #partsBinary = false;
  #closing = false;

  constructor(socket: Duplex, head: Buffer) {
    this.#socket = socket;
    this.#chunks = [head];
    this.#size = head.length;
    socket.on('error', () => socket.destroy());
  }

  /** Nothing is read before. */
  listen(listener: WebSocketListener): void {
    this.#listener = listener;
    this.#socket.on('data', (chunk: Buffer) => {
      this.#chunks.push(chunk);
      this.#size += chunk.length;
      if (this.#size >= this.#needed) this.#read();
    });
    this.#socket.on('end', () => this.#socket.end());
    this.#socket.on('close', () => listener.onClose());
    this.#read();
  }

  /** False when the other side reads slower than we write; `drained` tells when to go on. */
  send(data: Buffer | string): boolean {
    if (this.#closing) return true;
    return this.#frame(typeof data === 'string' ? OP.TEXT : OP.BINARY, Buffer.from(data));
  }

  async drained(): Promise<void> {
    if (!this.#socket.writableNeedDrain || this.#socket.destroyed) return;
    await new Promise<void>((resolve) => {
      const done = () => {
        this.#socket.off('drain', done);
        this.#socket.off('close', done);
        resolve();
      };
      this.#socket.on('drain', done);
      this.#socket.on('close', done);
    });
  }

  /** `code` of `CLOSE`. What was sent before arrives before. */
  close(code: number = CLOSE.NORMAL): void {
    if (this.#closing) return;
    const status = Buffer.alloc(2);
    status.writeUInt16BE(code);
    this.#frame(OP.CLOSE, status);
    this.#closing = true;
    this.#socket.end();
    // A client that never ends its side must not keep the connection.
    setTimeout(() => this.#socket.destroy(), CLOSE_MS).unref();
  }

  #read(): void {
    let rest = Buffer.concat(this.#chunks);
    while (!this.#closing) {
      const frame = this.#nextFrame(rest);
      if (!frame) break;
      rest = rest.subarray(frame.end);
      this.#take(frame);
    }
    this.#chunks = this.#closing ? [] : [rest];
    this.#size = this.#closing ? 0 : rest.length;
  }

  /** Undefined until all of it is there, or when it is none that a client may send. */
  #nextFrame(data: Buffer): Frame | undefined {
    if (data.length < 2) return this.#await(2);
    const [first, second] = [data[0]!, data[1]!];
    const control = (first & 0x08) !== 0;
    const short = second & 0x7f;
    // Reserved bits, an unmasked frame, a control frame that is long or in pieces: none of them is allowed.
    if ((first & 0x70) !== 0 || (second & 0x80) === 0 || (control && (short > MAX_CONTROL || (first & 0x80) === 0))) {
      return this.#refuse(CLOSE.PROTOCOL_ERROR);
    }
    const lengthBytes = short === 126 ? 2 : short === 127 ? 8 : 0;
    const start = 2 + lengthBytes + 4;
    if (data.length < start) return this.#await(start);
    const length = lengthBytes === 0 ? short : lengthBytes === 2 ? data.readUInt16BE(2) : Number(data.readBigUInt64BE(2));
    if (length > MAX_MESSAGE) return this.#refuse(CLOSE.TOO_BIG);
    const end = start + length;
    if (data.length < end) return this.#await(end);
    const mask = data.subarray(start - 4, start);
    const payload = Buffer.from(data.subarray(start, end));
    for (let index = 0; index < payload.length; index += 1) payload[index]! ^= mask[index & 3]!;
    return { fin: (first & 0x80) !== 0, op: first & 0x0f, payload, end };
  }

  #await(size: number): undefined {
    this.#needed = size;
  }

  #take({ fin, op, payload }: Frame): void {
    switch (op) {
      case OP.PING:
        this.#frame(OP.PONG, payload);
        return;
      case OP.PONG:
        return;
      case OP.CLOSE:
        this.close();
        return;
      case OP.TEXT:
      case OP.BINARY:
        if (this.#parts.length > 0) return void this.#refuse(CLOSE.PROTOCOL_ERROR);
        this.#partsBinary = op === OP.BINARY;
        break;
      case OP.CONTINUATION:
        if (this.#parts.length === 0) return void this.#refuse(CLOSE.PROTOCOL_ERROR);
        break;
      default:
        return void this.#refuse(CLOSE.PROTOCOL_ERROR);
    }
    this.#parts.push(payload);
    this.#partsSize += payload.length;
    // Empty pieces cost something, too.
    if (this.#partsSize > MAX_MESSAGE || this.#parts.length > MAX_PARTS) return void this.#refuse(CLOSE.TOO_BIG);
    if (!fin) return;
    const message = Buffer.concat(this.#parts);
    this.#parts = [];
    this.#partsSize = 0;
    this.#listener?.onMessage(message, this.#partsBinary);
  }

  #refuse(code: number): undefined {
    this.close(code);
  }

  #frame(op: number, payload: Buffer): boolean {
    if (this.#socket.destroyed) return true;
    const { length } = payload;
    const extended = length < 126 ? 0 : length < 65_536 ? 2 : 8;
    const header = Buffer.alloc(2 + extended);
    header[0] = 0x80 | op;
    header[1] = extended === 0 ? length : extended === 2 ? 126 : 127;
    if (extended === 2) header.writeUInt16BE(length, 2);
    if (extended === 8) header.writeBigUInt64BE(BigInt(length), 2);
    return this.#socket.write(Buffer.concat([header, payload]));
  }
}
