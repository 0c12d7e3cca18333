/** Events as they are stored: some of one stream, in order, compressed as one row. */
import { promisify } from 'node:util';
import { zstdCompress, zstdDecompress } from 'node:zlib';
import type { ChunkRow } from './tables.ts';

const compress = promisify(zstdCompress);
const decompress = promisify(zstdDecompress);

/** No chunk's events lie further apart, so a reader of some moment need not look at chunks that begin earlier than this before it. */
export const MAX_SPAN_MS = 60_000;
/** Below this, compression gains nothing. */
const WORTH_COMPRESSING = 512;
/** A mebibyte of control characters, each six characters in JSON, with room for the times. */
const MAX_PLAIN_BYTES = 16 * 1024 * 1024;

export interface LogEvent {
  /** Milliseconds since 1970. */
  timestamp: number;
  message: string;
}

/** Cuts events, which are in order, into runs that are no longer than a chunk may last. */
export function cutBySpan(events: LogEvent[]): LogEvent[][] {
  const runs: LogEvent[][] = [];
  for (const event of events) {
    const run = runs.at(-1);
    if (run && event.timestamp - run[0]!.timestamp <= MAX_SPAN_MS) run.push(event);
    else runs.push([event]);
  }
  return runs;
}

type Packed = Pick<ChunkRow, 'first_at' | 'last_at' | 'size' | 'compressed' | 'events'>;

export async function pack(events: LogEvent[]): Promise<Packed> {
  const plain = Buffer.from(JSON.stringify(events.map(({ timestamp, message }) => [timestamp, message])));
  const compressed = plain.length >= WORTH_COMPRESSING;
  const stored = compressed ? await compress(plain) : plain;
  return { first_at: events[0]!.timestamp, last_at: events.at(-1)!.timestamp, size: stored.length, compressed, events: stored };
}

export async function unpack(chunk: Pick<ChunkRow, 'events' | 'compressed'>): Promise<[timestamp: number, message: string][]> {
  const plain = chunk.compressed ? await decompress(chunk.events, { maxOutputLength: MAX_PLAIN_BYTES }) : chunk.events;
  return JSON.parse(plain.toString()) as [number, string][];
}
