/** Attributes of messages: what may be one, and how envelopes and queues show them. */
import { AwsError } from '../../platform/errors.ts';
import type { ShapeOf } from '../../platform/service.ts';
import type { StoredAttributes } from './tables.ts';

type Attributes = Record<string, ShapeOf<'sns', 'MessageAttributeValue'>>;

const NAME = /^(?!\.)(?!.*\.\.)(?!.*\.$)[A-Za-z0-9_.-]{1,256}$/;
const TYPE = /^(String|Number|Binary|String\.Array)(\.[^\u0000-\u001f\u007f]+)?$/;
const NUMBER = /^[+-]?(\d{1,38}(\.\d{0,38})?|\.\d{1,38})([eE][+-]?\d{1,3})?$/;

/** As rows keep them; throws ParameterValueInvalid. */
export function toStored(attributes: Attributes | undefined): StoredAttributes | null {
  const entries = Object.entries(attributes ?? {});
  if (entries.length === 0) return null;
  return Object.fromEntries(entries.map(([name, value]) => [name, storedValue(name, value)]));
}

function storedValue(
  name: string,
  { DataType: type, StringValue: text, BinaryValue: bytes }: Attributes[string],
): StoredAttributes[string] {
  const shown = name.slice(0, 256);
  const complain = (reason: string): AwsError => new AwsError('ParameterValueInvalid', `The message attribute '${shown}' ${reason}`);
  if (!NAME.test(name) || /^(aws|amazon)\./i.test(name)) throw complain('has an invalid name.');
  if (!TYPE.test(type) || type.length > 256) {
    throw complain('has an invalid message attribute type, the set of supported type prefixes is Binary, Number, and String.');
  }
  const empty = `must contain non-empty message attribute value for message attribute type '${type}'.`;
  if (type.startsWith('Binary')) {
    if (!bytes?.length) throw complain(empty);
    return { type, value: Buffer.from(bytes).toString('base64') };
  }
  if (!text) throw complain(empty);
  if (/[\u0000-\u0008\u000b\u000c\u000e-\u001f]/.test(text) || !text.isWellFormed())
    throw complain('holds characters that are not allowed.');
  if (type.startsWith('Number') && !NUMBER.test(text)) throw complain('could not be parsed as a number.');
  if (type === 'String.Array') requireArray(text, complain);
  return { type, value: text };
}

function requireArray(text: string, complain: (reason: string) => AwsError): void {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // What is no JSON is no array either.
  }
  const fits = Array.isArray(value) && value.every((item) => item === null || ['string', 'number', 'boolean'].includes(typeof item));
  if (!fits) throw complain("has an invalid value for type 'String.Array'.");
}

export function sizeOf(attributes: StoredAttributes | null): number {
  let size = 0;
  for (const [name, { type, value }] of Object.entries(attributes ?? {})) {
    size +=
      Buffer.byteLength(name) +
      Buffer.byteLength(type) +
      (type.startsWith('Binary') ? Buffer.byteLength(value, 'base64') : Buffer.byteLength(value));
  }
  return size;
}

/** In the JSON that subscribers get. */
export function toEnvelope(attributes: StoredAttributes): Record<string, { Type: string; Value: string }> {
  return Object.fromEntries(Object.entries(attributes).map(([name, { type, value }]) => [name, { Type: type, Value: value }]));
}

/** As attributes of a queue's message, for raw delivery. */
export function toQueue(attributes: StoredAttributes | null): Record<string, ShapeOf<'sqs', 'MessageAttributeValue'>> | undefined {
  if (!attributes) return undefined;
  return Object.fromEntries(
    Object.entries(attributes).map(([name, { type, value }]) => [
      name,
      type.startsWith('Binary') ? { DataType: type, BinaryValue: Buffer.from(value, 'base64') } : { DataType: type, StringValue: value },
    ]),
  );
}
