/**
 * What session-manager-plugin does on its side of a data channel, as its source tells (github.com/aws/session-manager-plugin, `src/datachannel` and
 * `src/message`): written apart from the server's code, so that one checks the other.
 */
import { createHash, randomUUID } from 'node:crypto';

const HEADER = 116;

interface Message {
  type: string;
  sequence: number;
  id: Buffer;
  payloadType: number;
  payload: Buffer;
}

function decode(data: Buffer): Message {
  const header = data.readUInt32BE(0);
  const payload = data.subarray(header + 4);
  const digest = createHash('sha256').update(payload).digest();
  if (header !== HEADER || data.readUInt32BE(HEADER) !== payload.length) throw new Error('The header is not as it should be.');
  if (!digest.equals(data.subarray(80, 112))) throw new Error('The digest does not fit the payload.');
  const type = data.subarray(4, 36).toString().trim();
  return { type, sequence: Number(data.readBigInt64BE(48)), id: data.subarray(64, 80), payloadType: data.readUInt32BE(112), payload };
}

function encode(type: string, sequence: number, payloadType: number, payload: Buffer): Buffer {
  const data = Buffer.alloc(HEADER + 4, 0);
  data.writeUInt32BE(HEADER, 0);
  data.fill(' ', 4, 36).write(type, 4);
  data.writeUInt32BE(1, 36);
  data.writeBigUInt64BE(BigInt(Date.now()), 40);
  data.writeBigInt64BE(BigInt(sequence), 48);
  Buffer.from(randomUUID().replaceAll('-', ''), 'hex').copy(data, 64);
  createHash('sha256').update(payload).digest().copy(data, 80);
  data.writeUInt32BE(payloadType, 112);
  data.writeUInt32BE(payload.length, 116);
  return Buffer.concat([data, payload]);
}

export class PluginSession implements AsyncDisposable {
  readonly #socket: WebSocket;
  readonly #sessionId: string;
  #expected = 0;
  #sequence = 0;
  #text = '';
  #notReady: number;
  #wake = Promise.withResolvers<void>();
  /** Sequence numbers that the server acknowledged. */
  readonly acknowledged: number[] = [];
  handshake: unknown;
  /** The server's word at the end; undefined before. */
  closed: { SessionId: string; Output: string } | undefined;
  /** The connection is gone, with this code. */
  ended: number | undefined;

  /** `notReady`: so many data messages are left out at first, as while the plugin makes its terminal ready. */
  constructor(session: { sessionId?: string; tokenValue?: string; streamUrl?: string }, notReady = 0) {
    this.#notReady = notReady;
    this.#sessionId = session.sessionId!;
    this.#socket = new WebSocket(session.streamUrl!);
    this.#socket.binaryType = 'arraybuffer';
    this.#socket.addEventListener('open', () => {
      const opening = {
        MessageSchemaVersion: '1.0',
        RequestId: randomUUID(),
        TokenValue: session.tokenValue,
        ClientId: randomUUID(),
        ClientVersion: '1.2.707.0',
      };
      this.#socket.send(JSON.stringify(opening));
    });
    this.#socket.addEventListener('message', ({ data }) => this.#take(decode(Buffer.from(data as ArrayBuffer))));
    this.#socket.addEventListener('close', ({ code }) => {
      this.ended = code;
      this.#changed();
    });
  }

  get text(): string {
    return this.#text;
  }

  type(text: string): void {
    this.#send(1, Buffer.from(text));
  }

  resize(cols: number, rows: number): void {
    this.#send(3, Buffer.from(JSON.stringify({ cols, rows })));
  }

  /** As when the user interrupts the plugin. */
  terminate(): void {
    this.#send(10, Buffer.from([0, 0, 0, 2]));
  }

  /** The last message once more, as when its acknowledgement was late. */
  raw(data: Buffer | string): void {
    this.#socket.send(data as never);
  }

  async until(condition: (session: PluginSession) => boolean): Promise<void> {
    while (!condition(this)) {
      await this.#wake.promise;
      this.#wake = Promise.withResolvers();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.close();
    await this.until(({ ended }) => ended !== undefined);
  }

  #take(message: Message): void {
    if (message.type === 'acknowledge') {
      this.acknowledged.push(JSON.parse(message.payload.toString()).AcknowledgedMessageSequenceNumber);
    } else if (message.type === 'channel_closed') {
      this.closed = JSON.parse(message.payload.toString());
      if (this.closed!.SessionId !== this.#sessionId) throw new Error('Another session was closed.');
    } else if (message.type !== 'output_stream_data') throw new Error(`The type ${message.type} is not known.`);
    else if (message.sequence === this.#expected) this.#output(message);
    else if (message.sequence > this.#expected) return;
    this.#changed();
  }

  #output(message: Message): void {
    if (message.payloadType === 1 && this.#notReady > 0) {
      this.#notReady -= 1;
      return;
    }
    const hex = Buffer.concat([message.id.subarray(8), message.id.subarray(0, 8)]).toString('hex');
    const acknowledgement = {
      AcknowledgedMessageType: message.type,
      AcknowledgedMessageId: hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-'),
      AcknowledgedMessageSequenceNumber: message.sequence,
      IsSequentialMessage: true,
    };
    this.#socket.send(encode('acknowledge', 0, 0, Buffer.from(JSON.stringify(acknowledgement))));
    this.#expected += 1;
    if (message.payloadType === 5) this.#answerHandshake(message.payload);
    else if (message.payloadType === 7) this.handshake = JSON.parse(message.payload.toString());
    else this.#text += message.payload.toString();
  }

  #answerHandshake(payload: Buffer): void {
    const { AgentVersion, RequestedClientActions } = JSON.parse(payload.toString());
    const [action] = RequestedClientActions;
    if (!AgentVersion || action.ActionType !== 'SessionType' || action.ActionParameters.SessionType !== 'Standard_Stream') {
      throw new Error('The handshake is not understood.');
    }
    const ProcessedClientActions = [{ ActionType: 'SessionType', ActionStatus: 1, ActionResult: null, Error: '' }];
    this.#send(6, Buffer.from(JSON.stringify({ ClientVersion: '1.2.707.0', ProcessedClientActions, Errors: null })));
  }

  #send(payloadType: number, payload: Buffer): void {
    const data = encode('input_stream_data', this.#sequence, payloadType, payload);
    this.#sequence += 1;
    this.#socket.send(data);
    // The plugin sends again what is acknowledged late; the server must not take it twice.
    this.#socket.send(data);
  }

  #changed(): void {
    this.#wake.resolve();
  }
}
