/**
 * The messages of Session Manager's data channel. Source of the facts: github.com/aws/session-manager-plugin, `src/message` and
 * `src/datachannel`. All numbers are big-endian; the two halves of a message's UUID are swapped on the wire.
 */
import { createHash, randomUUID } from 'node:crypto';

export const TYPE = {
  /** From the client. */
  INPUT: 'input_stream_data',
  /** To the client. */
  OUTPUT: 'output_stream_data',
  ACKNOWLEDGE: 'acknowledge',
  CHANNEL_CLOSED: 'channel_closed',
} as const;

/** Of stream data. */
export const PAYLOAD = {
  NONE: 0,
  DATA: 1,
  SIZE: 3,
  HANDSHAKE_REQUEST: 5,
  HANDSHAKE_RESPONSE: 6,
  HANDSHAKE_COMPLETE: 7,
  FLAG: 10,
} as const;

export const FLAG_TERMINATE = 2;

/** Where each field begins; the payload's length is the last of the header, which `HeaderLength` does not count. */
const AT = {
  type: 4,
  version: 36,
  created: 40,
  sequence: 48,
  flags: 56,
  id: 64,
  digest: 80,
  payloadType: 112,
  payloadLength: 116,
  payload: 120,
};
const TYPE_BYTES = 32;
const SCHEMA_VERSION = 1;
/** SYN and FIN: a message that is a stream of its own. */
const ALONE = 3n;

export interface ChannelMessage {
  type: string;
  id: string;
  sequence: number;
  payloadType: number;
  payload: Buffer;
}

export function encodeMessage(message: Omit<ChannelMessage, 'id'> & { id?: string }, now: Date): Buffer {
  const { type, id = randomUUID(), sequence, payloadType, payload } = message;
  const bytes = Buffer.alloc(AT.payload + payload.length);
  bytes.writeUInt32BE(AT.payloadLength, 0);
  bytes.write(type.padEnd(TYPE_BYTES), AT.type, 'latin1');
  bytes.writeUInt32BE(SCHEMA_VERSION, AT.version);
  bytes.writeBigUInt64BE(BigInt(now.getTime()), AT.created);
  bytes.writeBigInt64BE(BigInt(sequence), AT.sequence);
  bytes.writeBigUInt64BE(type === TYPE.INPUT || type === TYPE.OUTPUT ? 0n : ALONE, AT.flags);
  const uuid = Buffer.from(id.replaceAll('-', ''), 'hex');
  uuid.copy(bytes, AT.id, 8, 16);
  uuid.copy(bytes, AT.id + 8, 0, 8);
  createHash('sha256').update(payload).digest().copy(bytes, AT.digest);
  bytes.writeUInt32BE(payloadType, AT.payloadType);
  bytes.writeUInt32BE(payload.length, AT.payloadLength);
  payload.copy(bytes, AT.payload);
  return bytes;
}

/** Undefined when it is no message, or not whole. */
export function decodeMessage(bytes: Buffer): ChannelMessage | undefined {
  if (bytes.length < AT.payload || bytes.readUInt32BE(0) !== AT.payloadLength) return undefined;
  const payload = bytes.subarray(AT.payload);
  if (bytes.readUInt32BE(AT.payloadLength) !== payload.length) return undefined;
  const digest = createHash('sha256').update(payload).digest();
  if (payload.length > 0 && !digest.equals(bytes.subarray(AT.digest, AT.digest + digest.length))) return undefined;
  const type = bytes.toString('latin1', AT.type, AT.type + TYPE_BYTES).replace(/[\0 ]+$/, '');
  const hex = bytes.toString('hex', AT.id + 8, AT.id + 16) + bytes.toString('hex', AT.id, AT.id + 8);
  return {
    type,
    id: hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-'),
    sequence: Number(bytes.readBigInt64BE(AT.sequence)),
    payloadType: bytes.readUInt32BE(AT.payloadType),
    payload,
  };
}

export function json(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value));
}
