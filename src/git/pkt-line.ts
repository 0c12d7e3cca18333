/** Git's packet lines (gitprotocol-common): four hex digits of length, then that many bytes less four; lengths 0 to 2 are marks. */
import { Readable } from 'node:stream';

/** The largest packet, header included. */
export const MAX_PACKET = 65520;
export const FLUSH = Buffer.from('0000');

/** What the other side sent is not the protocol: answered to it, never a fault of ours. */
export class ProtocolError extends Error {
  override readonly name = 'ProtocolError';
}

export type Packet = Buffer | 'flush' | 'delimiter' | 'response-end';
const marks: Packet[] = ['flush', 'delimiter', 'response-end'];

export function packet(data: string | Uint8Array): Buffer {
  const body = typeof data === 'string' ? Buffer.from(data) : data;
  const length = body.length + 4;
  if (length > MAX_PACKET) throw new RangeError(`A packet holds at most ${MAX_PACKET - 4} bytes, not ${body.length}.`);
  return Buffer.concat([Buffer.from(length.toString(16).padStart(4, '0')), body]);
}

/** Reads packets from a stream, and gives back the rest of the stream untouched: what follows the packets is a pack of any size. */
export class PacketReader {
  readonly #source: Readable;
  #buffer: Buffer = Buffer.alloc(0);

  constructor(source: Readable) {
    this.#source = source;
  }

  /** The next packet; undefined at the end of the stream. A stream that ends inside a packet is a ProtocolError. */
  async next(): Promise<Packet | undefined> {
    const header = await this.#take(4);
    if (header === undefined) return undefined;
    const digits = header.toString('latin1');
    if (!/^[0-9a-fA-F]{4}$/.test(digits)) throw new ProtocolError('bad line length character');
    const length = Number.parseInt(digits, 16);
    const mark = marks[length];
    if (mark !== undefined) return mark;
    if (length < 4 || length > MAX_PACKET) throw new ProtocolError(`bad line length ${length}`);
    const body = await this.#take(length - 4);
    if (body === undefined) throw new ProtocolError('the remote end hung up unexpectedly');
    return body;
  }

  /** Looks at the next `length` bytes without consuming them; fewer when the stream ends before. */
  async peek(length: number): Promise<Buffer> {
    while (this.#buffer.length < length && (await this.#more())) {}
    return this.#buffer.subarray(0, length);
  }

  /** All that comes after the packets read so far, to be piped on. No packet may be read afterwards. */
  release(): Readable {
    const rest = this.#buffer;
    this.#buffer = Buffer.alloc(0);
    if (rest.length === 0) return this.#source;
    // A source that has told its end takes nothing back.
    if (this.#source.readableEnded) return Readable.from([rest]);
    this.#source.unshift(rest);
    return this.#source;
  }

  async #take(length: number): Promise<Buffer | undefined> {
    while (this.#buffer.length < length) {
      if (await this.#more()) continue;
      if (this.#buffer.length === 0) return undefined;
      throw new ProtocolError('the remote end hung up unexpectedly');
    }
    const taken = this.#buffer.subarray(0, length);
    this.#buffer = this.#buffer.subarray(length);
    return taken;
  }

  async #more(): Promise<boolean> {
    for (;;) {
      if (this.#source.errored) throw this.#source.errored;
      const chunk = this.#source.read() as Buffer | null;
      if (chunk !== null) {
        this.#buffer = this.#buffer.length === 0 ? chunk : Buffer.concat([this.#buffer, chunk]);
        return true;
      }
      if (this.#source.readableEnded || this.#source.destroyed) return false;
      await somethingHappens(this.#source);
    }
  }
}

function somethingHappens(source: Readable): Promise<void> {
  return new Promise((resolve) => {
    const events = ['readable', 'end', 'close', 'error'] as const;
    const happened = () => {
      for (const event of events) source.off(event, happened);
      resolve();
    };
    for (const event of events) source.on(event, happened);
  });
}
