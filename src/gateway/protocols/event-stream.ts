/**
 * Answers that are a stream of events (`application/vnd.amazon.eventstream`). A message is: its length and that of its headers, their CRC-32,
 * the headers, the payload, and the CRC-32 of all before (AWS, "Event stream encoding").
 */
import { Readable } from 'node:stream';
import { crc32 } from 'node:zlib';
import type { ServiceModel } from '../../platform/model.ts';
import { jsonWriter } from './json-values.ts';

const PRELUDE_BYTES = 12;
const CHECKSUM_BYTES = 4;
const STRING = 7;

export const EVENT_STREAM_TYPE = 'application/vnd.amazon.eventstream';

/** The member that is a stream of events, if the shape has one. */
export function eventStreamMember(model: ServiceModel, shapeName: string): { name: string; shape: string } | undefined {
  for (const [name, { shape }] of Object.entries(model.shapes[shapeName]!.members ?? {})) {
    if (model.shapes[shape]!.eventstream) return { name, shape };
  }
  return undefined;
}

/** One message after the other, as they come. An error of the source that the stream's shape knows is its last message. */
export function eventStream(model: ServiceModel, unionName: string, events: AsyncIterable<Record<string, unknown>>): Readable {
  const members = model.shapes[unionName]!.members!;
  async function* messages(): AsyncGenerator<Buffer> {
    // What the answer has beside its events; clients of JSON services wait for it.
    yield encodeMessage({ ':message-type': 'event', ':event-type': 'initial-response', ':content-type': 'application/json' }, '{}');
    for await (const event of events) {
      const [name, value] = Object.entries(event).find(([, item]) => item !== undefined)!;
      const { shape } = members[name]!;
      const failed = model.shapes[shape]!.exception === true;
      const kind = failed ? 'exception' : 'event';
      const headers = { ':message-type': kind, [`:${kind}-type`]: name, ':content-type': 'application/json' };
      yield encodeMessage(headers, JSON.stringify(jsonWriter(model, shape)(value)));
      if (failed) return;
    }
  }
  return Readable.from(messages(), { objectMode: false, highWaterMark: 64 * 1024 });
}

export function encodeMessage(headers: Record<string, string>, payload: string): Buffer {
  const head = Buffer.concat(Object.entries(headers).map(([name, value]) => encodeHeader(name, value)));
  const body = Buffer.from(payload);
  const total = PRELUDE_BYTES + head.length + body.length + CHECKSUM_BYTES;
  const message = Buffer.alloc(total);
  message.writeUInt32BE(total, 0);
  message.writeUInt32BE(head.length, 4);
  message.writeUInt32BE(crc32(message.subarray(0, 8)), 8);
  head.copy(message, PRELUDE_BYTES);
  body.copy(message, PRELUDE_BYTES + head.length);
  message.writeUInt32BE(crc32(message.subarray(0, total - CHECKSUM_BYTES)), total - CHECKSUM_BYTES);
  return message;
}

function encodeHeader(name: string, value: string): Buffer {
  const text = Buffer.from(value);
  const header = Buffer.alloc(1 + name.length + 3 + text.length);
  header.writeUInt8(name.length, 0);
  header.write(name, 1, 'latin1');
  header.writeUInt8(STRING, 1 + name.length);
  header.writeUInt16BE(text.length, 2 + name.length);
  text.copy(header, 4 + name.length);
  return header;
}
