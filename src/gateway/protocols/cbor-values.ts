/**
 * CBOR bytes to values and back. What comes from outside is bounded while it is read: by depth, and by the number of items, since an empty
 * list is one byte on the wire and dozens in memory.
 */
import type * as Cborg from 'cborg';
import { MAX_DEPTH, serializationError } from './codec.ts';
import { fromSeconds } from './timestamps.ts';

/** PutMetricData at all its limits has half as many. */
const MAX_ITEMS = 1_000_000;

const TEXT_OF_CHUNKS = 0x7f;
const BYTES_OF_CHUNKS = 0x5f;
const BREAK = 0xff;
const TIMESTAMP_TAG = 1;

/** A number that is written as a double whatever its value. */
export class Float64 {
  readonly value: number;
  constructor(value: number) {
    this.value = value;
  }
}

/** A time, written as tag 1 around seconds. */
export class Moment {
  readonly seconds: number;
  constructor(date: Date) {
    this.seconds = date.getTime() / 1000;
  }
}

let library: typeof Cborg | undefined;

/** For the first call that speaks CBOR, not at every start. To be awaited before anything else here is called. */
export async function loadCbor(): Promise<void> {
  library ??= await import('cborg');
}

function cborg(): typeof Cborg {
  if (!library) throw new Error('loadCbor was not awaited.');
  return library;
}

/** One item, whole. Throws SerializationException for anything else. Timestamps come as Date, and integers beyond 2^53 as bigint. */
export function decodeCbor(bytes: Buffer): unknown {
  try {
    return cborg().decode(bytes, {
      tokenizer: boundedTokens(bytes),
      coerceUndefinedToNull: true,
      rejectDuplicateMapKeys: true,
      tags: { [TIMESTAMP_TAG]: (content) => timestamp(content()) },
    });
  } catch (error) {
    const { message } = error as Error;
    throw serializationError(`The request body is not valid CBOR: ${message.replace(/^CBOR decode error: /, '').slice(0, 200)}.`);
  }
}

function timestamp(seconds: unknown): Date {
  const date = typeof seconds === 'number' ? fromSeconds(seconds) : undefined;
  if (!date) throw new Error('tag 1 is not around a number of seconds');
  return date;
}

/** The library's tokens, with texts and bytes in chunks put together, which it does not know, and with an end to depth and number. */
function boundedTokens(bytes: Buffer): Cborg.DecodeOptions['tokenizer'] {
  const { Tokenizer, Token, Type } = cborg();
  let tokens = new Tokenizer(bytes, {});
  let passed = 0;
  let items = 0;
  /** How many items are still to come in each collection that is open. */
  const open: number[] = [];

  const tally = (): void => {
    items += 1;
    if (items > MAX_ITEMS) throw new Error(`there are more than ${MAX_ITEMS} items`);
  };

  const chunks = (first: number): Cborg.Token => {
    const parts: Uint8Array[] = [];
    const start = passed + tokens.pos();
    let at = start + 1;
    while (bytes[at] !== BREAK) {
      if (at >= bytes.length) throw new Error('a text in chunks is not ended');
      // A chunk has a length and is of the same kind.
      if (bytes[at]! >>> 5 !== first >>> 5 || bytes[at] === first) throw new Error('a text in chunks has a part of another kind');
      tally();
      const reader = new Tokenizer(bytes.subarray(at), {});
      const { value } = reader.next();
      parts.push(typeof value === 'string' ? Buffer.from(value) : value);
      at += reader.pos();
    }
    passed = at + 1;
    tokens = new Tokenizer(bytes.subarray(passed), {});
    const whole = Buffer.concat(parts);
    return first === TEXT_OF_CHUNKS ? new Token(Type.string, whole.toString('utf8')) : new Token(Type.bytes, whole);
  };

  const count = (token: Cborg.Token): void => {
    tally();
    const { type, value } = token;
    if (Type.equals(type, Type.break)) open.pop();
    else if (Type.equals(type, Type.tag)) return void open.push(1);
    else if ((Type.equals(type, Type.array) || Type.equals(type, Type.map)) && value > 0) {
      open.push(Type.equals(type, Type.map) ? value * 2 : value);
      if (open.length > MAX_DEPTH) throw new Error('it is nested too deeply');
      return;
    }
    // An item is complete, and with it perhaps those around it.
    while (open.length > 0) {
      const missing = open.pop()! - 1;
      if (missing > 0) return void open.push(missing);
    }
  };

  return {
    pos: () => passed + tokens.pos(),
    done: () => passed + tokens.pos() >= bytes.length,
    next() {
      const first = bytes[passed + tokens.pos()]!;
      const token = first === TEXT_OF_CHUNKS || first === BYTES_OF_CHUNKS ? chunks(first) : tokens.next();
      count(token);
      return token;
    },
  };
}

/** Of plain objects, lists, texts, numbers, booleans, bytes, and the two classes above. */
export function encodeCbor(value: unknown): Uint8Array {
  const { encode, Token, Type } = cborg();
  return encode(value, {
    float64: true,
    typeEncoders: {
      Object(data: unknown) {
        if (data instanceof Float64) return new Token(Type.float, data.value);
        if (data instanceof Moment) return [new Token(Type.tag, TIMESTAMP_TAG), new Token(Type.float, data.seconds)];
        return null;
      },
    },
  });
}
