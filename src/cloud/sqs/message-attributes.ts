/** Attributes of messages: what may be one, what they weigh, and the digest by which clients check them. */
import { createHash } from 'node:crypto';
import type { AwsError } from '../../platform/errors.ts';
import type { ShapeOf } from '../../platform/service.ts';
import { invalidParameter } from './errors.ts';
import type { StoredAttributes } from './tables.ts';

type Attributes = Record<string, ShapeOf<'sqs', 'MessageAttributeValue'>>;

const MAX_ATTRIBUTES = 10;
const NAME = /^(?!\.)(?!.*\.\.)(?!.*\.$)[A-Za-z0-9_.-]{1,256}$/;
const TYPE = /^(String|Number|Binary)(\.[^\u0000-\u001f\u007f]{1,})?$/;
const NUMBER = /^[+-]?(\d{1,38}(\.\d{0,38})?|\.\d{1,38})([eE][+-]?\d{1,3})?$/;

/** As rows keep them; throws for what SQS refuses. */
export function toStored(attributes: Attributes | undefined): StoredAttributes | null {
  const entries = Object.entries(attributes ?? {});
  if (entries.length === 0) return null;
  if (entries.length > MAX_ATTRIBUTES) {
    throw invalidParameter(`Number of message attributes [${entries.length}] exceeds the allowed maximum [${MAX_ATTRIBUTES}].`);
  }
  return Object.fromEntries(entries.map(([name, value]) => [name, storedValue(name, value)]));
}

function storedValue(
  name: string,
  { DataType: type, StringValue: text, BinaryValue: bytes, ...lists }: Attributes[string],
): StoredAttributes[string] {
  const complain = (reason: string): AwsError => invalidParameter(`The message attribute '${name.slice(0, 256)}' ${reason}`);
  if (!NAME.test(name) || /^(aws|amazon)\./i.test(name)) {
    throw complain(
      'has an invalid name. A name can contain A-Z, a-z, 0-9, underscore (_), hyphen (-), and period (.), must not begin with AWS. or Amazon., and is up to 256 characters long.',
    );
  }
  const kind = TYPE.exec(type)?.[1];
  if (!kind || type.length > 256) {
    throw complain(`has an invalid message attribute type, the set of supported type prefixes is Binary, Number, and String.`);
  }
  if (lists.StringListValues?.length || lists.BinaryListValues?.length) {
    throw invalidParameter('Message attribute list values in SendMessage operation are not supported.');
  }
  if ((text === undefined) === (bytes === undefined))
    throw complain('must contain non-empty message attribute value for message attribute type.');
  if (kind === 'Binary') {
    if (!bytes?.length) throw complain(`must contain non-empty message attribute value for message attribute type '${type}'.`);
    return { type, bytes: Buffer.from(bytes).toString('base64') };
  }
  if (!text) throw complain(`must contain non-empty message attribute value for message attribute type '${type}'.`);
  if (kind === 'Number' && !NUMBER.test(text))
    throw complain(`with type 'Number' must use field 'StringValue' that is a number; '${text.slice(0, 100)}' is none.`);
  requireText(text, `the message attribute '${name}'`);
  return { type, text };
}

/** Characters that XML 1.0 has (API reference, SendMessage); nothing else is taken. */
export function isText(text: string): boolean {
  return text.isWellFormed() && !/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/.test(text);
}

function requireText(text: string, what: string): void {
  if (!isText(text))
    throw invalidParameter(
      `Invalid binary character was found in ${what}; allowed are #x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF.`,
    );
}

export function fromStored(attributes: StoredAttributes): Attributes {
  return Object.fromEntries(
    Object.entries(attributes).map(([name, { type, text, bytes }]) => [
      name,
      bytes === undefined ? { DataType: type, StringValue: text } : { DataType: type, BinaryValue: Buffer.from(bytes, 'base64') },
    ]),
  );
}

/** Bytes that count against the limit of a message: names, types and values. */
export function sizeOf(attributes: StoredAttributes | null): number {
  let size = 0;
  for (const [name, { type, text, bytes }] of Object.entries(attributes ?? {})) {
    size +=
      Buffer.byteLength(name) +
      Buffer.byteLength(type) +
      (bytes === undefined ? Buffer.byteLength(text!) : Buffer.byteLength(bytes, 'base64'));
  }
  return size;
}

/** Developer guide, "Calculating the MD5 message digest for message attributes". */
export function digestOf(attributes: StoredAttributes | null): string | undefined {
  if (!attributes || Object.keys(attributes).length === 0) return undefined;
  const hash = createHash('md5');
  const add = (bytes: Buffer): void => {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(bytes.length);
    hash.update(length).update(bytes);
  };
  for (const name of Object.keys(attributes).sort()) {
    const { type, text, bytes } = attributes[name]!;
    add(Buffer.from(name));
    add(Buffer.from(type));
    hash.update(Buffer.from([bytes === undefined ? 1 : 2]));
    add(bytes === undefined ? Buffer.from(text!) : Buffer.from(bytes, 'base64'));
  }
  return hash.digest('hex');
}

/** Those that a receiver asked for: by name, by `prefix.*`, or all. */
export function selected(attributes: StoredAttributes | null, wanted: string[]): StoredAttributes | null {
  if (!attributes || wanted.length === 0) return null;
  if (wanted.includes('All') || wanted.includes('.*')) return attributes;
  const prefixes = wanted.filter((name) => name.endsWith('.*')).map((name) => name.slice(0, -2));
  const names = new Set(wanted);
  const entries = Object.entries(attributes).filter(([name]) => names.has(name) || prefixes.some((prefix) => name.startsWith(prefix)));
  return entries.length > 0 ? Object.fromEntries(entries) : null;
}
