/**
 * The agent's side of a Session Manager data channel that carries a shell: handshake, a stream each way with acknowledgements, and the end.
 * Source of the facts: github.com/aws/session-manager-plugin, `src/datachannel`.
 */
import { decodeMessage, encodeMessage, FLAG_TERMINATE, json, PAYLOAD, TYPE } from './messages.ts';

/** bytes of one message; what the agent of Systems Manager sends at most */
const MAX_DATA = 1024;
/** The client leaves out, unacknowledged, what comes before its own handler is ready, and counts on its being sent again. */
const RESEND_MS = 500;
const LOOK_MS = 100;
const MAX_RESENDS = 60;
/** Unacknowledged messages above which the shell has to wait. */
const WINDOW = 512;
/** The version that the client is told, of an agent that can do what this one does. */
const AGENT_VERSION = '3.1.1.0';

export interface ChannelListener {
  /** The client is there and ready. */
  onOpen(): void;
  onInput(data: Buffer): void;
  onSize(columns: number, rows: number): void;
  /** The user ended the session, or the client does not answer any more. */
  onEnd(): void;
}

interface Sent {
  bytes: Buffer;
  at: number;
  resends: number;
}

export class DataChannel {
  readonly #send: (bytes: Buffer) => void;
  readonly #sessionId: string;
  readonly #listener: ChannelListener;
  readonly #began = process.hrtime.bigint();
  readonly #unacknowledged = new Map<number, Sent>();
  readonly #timer: NodeJS.Timeout;
  #sequence = 0;
  #expected = 0;
  #state: 'handshake' | 'open' | 'closed' = 'handshake';
  #room = Promise.withResolvers<void>();

  constructor(sessionId: string, send: (bytes: Buffer) => void, listener: ChannelListener) {
    this.#sessionId = sessionId;
    this.#send = send;
    this.#listener = listener;
    this.#timer = setInterval(() => this.#resend(), LOOK_MS);
    const session = { SessionType: 'Standard_Stream', Properties: null };
    const RequestedClientActions = [{ ActionType: 'SessionType', ActionParameters: session }];
    this.#stream(PAYLOAD.HANDSHAKE_REQUEST, json({ AgentVersion: AGENT_VERSION, RequestedClientActions }));
  }

  /** Comes back when there is room for more. */
  async output(data: Buffer): Promise<void> {
    for (let start = 0; start < data.length; start += MAX_DATA) {
      while (this.#unacknowledged.size >= WINDOW && this.#state === 'open') await this.#room.promise;
      if (this.#state !== 'open') return;
      this.#stream(PAYLOAD.DATA, data.subarray(start, start + MAX_DATA));
    }
  }

  /** Tells the client that the session is over, and why, unless it ended as it should. */
  close(reason = ''): void {
    if (this.#state === 'closed') return;
    this.dispose();
    const closed = {
      MessageId: crypto.randomUUID(),
      CreatedDate: new Date().toISOString(),
      DestinationId: this.#sessionId,
      SessionId: this.#sessionId,
      MessageType: TYPE.CHANNEL_CLOSED,
      SchemaVersion: 1,
      Output: reason,
    };
    this.#send(encodeMessage({ type: TYPE.CHANNEL_CLOSED, sequence: 0, payloadType: PAYLOAD.NONE, payload: json(closed) }, new Date()));
  }

  /** Without a word: the connection is gone. */
  dispose(): void {
    this.#state = 'closed';
    clearInterval(this.#timer);
    this.#room.resolve();
  }

  /** A binary message of the client. What is none is passed over, as the client does. */
  receive(bytes: Buffer): void {
    const message = decodeMessage(bytes);
    if (!message || this.#state === 'closed') return;
    if (message.type === TYPE.ACKNOWLEDGE) this.#acknowledged(message.payload);
    if (message.type !== TYPE.INPUT) return;
    // Sent again, since our acknowledgement was late; or before one that is still to come, and so will be sent again.
    if (message.sequence > this.#expected) return;
    const acknowledgement = {
      AcknowledgedMessageType: message.type,
      AcknowledgedMessageId: message.id,
      AcknowledgedMessageSequenceNumber: message.sequence,
      IsSequentialMessage: true,
    };
    this.#send(
      encodeMessage({ type: TYPE.ACKNOWLEDGE, sequence: 0, payloadType: PAYLOAD.NONE, payload: json(acknowledgement) }, new Date()),
    );
    if (message.sequence < this.#expected) return;
    this.#expected += 1;
    this.#input(message.payloadType, message.payload);
  }

  #input(type: number, payload: Buffer): void {
    if (this.#state === 'handshake') {
      if (type === PAYLOAD.HANDSHAKE_RESPONSE) this.#finishHandshake(payload);
    } else if (type === PAYLOAD.DATA) this.#listener.onInput(payload);
    else if (type === PAYLOAD.SIZE) this.#resize(payload);
    else if (type === PAYLOAD.FLAG && payload.length === 4 && payload.readUInt32BE() === FLAG_TERMINATE) this.#listener.onEnd();
  }

  #resize(payload: Buffer): void {
    const { cols, rows } = (parse(payload) ?? {}) as { cols?: unknown; rows?: unknown };
    if (isSize(cols) && isSize(rows)) this.#listener.onSize(cols, rows);
  }

  #finishHandshake(payload: Buffer): void {
    const { Errors } = (parse(payload) ?? {}) as { Errors?: string[] | null };
    if (Errors?.length) {
      this.#listener.onEnd();
      return;
    }
    this.#state = 'open';
    // Nanoseconds: a Go duration.
    const took = Number(process.hrtime.bigint() - this.#began);
    this.#stream(PAYLOAD.HANDSHAKE_COMPLETE, json({ HandshakeTimeToComplete: took, CustomerMessage: '' }));
    this.#listener.onOpen();
  }

  #acknowledged(payload: Buffer): void {
    const { AcknowledgedMessageSequenceNumber: sequence } = (parse(payload) ?? {}) as { AcknowledgedMessageSequenceNumber?: unknown };
    if (typeof sequence !== 'number' || !this.#unacknowledged.delete(sequence)) return;
    this.#room.resolve();
    this.#room = Promise.withResolvers();
  }

  #stream(payloadType: number, payload: Buffer): void {
    const bytes = encodeMessage({ type: TYPE.OUTPUT, sequence: this.#sequence, payloadType, payload }, new Date());
    this.#unacknowledged.set(this.#sequence, { bytes, at: performance.now(), resends: 0 });
    this.#sequence += 1;
    this.#send(bytes);
  }

  /** The oldest one: those behind it are kept by the client, or left out for the same reason. */
  #resend(): void {
    const [oldest] = this.#unacknowledged.values();
    if (!oldest || performance.now() - oldest.at < RESEND_MS) return;
    if (oldest.resends >= MAX_RESENDS) {
      this.#listener.onEnd();
      return;
    }
    oldest.resends += 1;
    oldest.at = performance.now();
    this.#send(oldest.bytes);
  }
}

function parse(payload: Buffer): unknown {
  try {
    return JSON.parse(payload.toString('utf8'));
  } catch {
    return undefined;
  }
}

function isSize(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) > 0 && (value as number) < 10_000;
}
