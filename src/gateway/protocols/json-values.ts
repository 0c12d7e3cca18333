/**
 * JSON values to and from what handlers use (Date, Uint8Array), compiled once per shape of a model. Structures, lists and maps are the same
 * in CBOR, which brings its own scalars.
 */
import type { ServiceModel, Shape, ShapeRef } from '../../platform/model.ts';
import { MAX_DEPTH, perModel, serializationError, setOwn } from './codec.ts';
import { fromSeconds, parseTimestamp } from './timestamps.ts';

export type JsonReader = (value: unknown, depth: number) => unknown;
export type JsonWriter = (value: any) => unknown;

/** The reader of a shape of the same model. */
type ReaderOf = (shapeName: string) => JsonReader;
type WriterOf = (shapeName: string) => JsonWriter;

const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/;

/** How AWS names a JSON token in its complaint. */
function tokenName(value: unknown): string {
  if (typeof value === 'string') return 'STRING_VALUE';
  if (typeof value === 'number') return 'NUMBER_VALUE';
  return value ? 'TRUE_VALUE' : 'FALSE_VALUE';
}

export function wrongType(value: unknown, wanted: string): Error {
  if (Array.isArray(value)) return serializationError('Start of list found where not expected');
  if (typeof value === 'object') return serializationError('Start of structure or map found where not expected.');
  if (wanted === 'list' || wanted === 'structure' || wanted === 'map') return serializationError('Unexpected field type');
  return serializationError(`${tokenName(value)} can not be converted to ${/^[AEIOU]/.test(wanted) ? 'an' : 'a'} ${wanted}`);
}

function requireObject(value: unknown, depth: number, kind: string): Record<string, unknown> {
  if (typeof value !== 'object' || Array.isArray(value) || value instanceof Date || ArrayBuffer.isView(value)) throw wrongType(value, kind);
  if (depth > MAX_DEPTH) throw serializationError('The structure is nested too deeply.');
  return value as Record<string, unknown>;
}

/** What a member is called on the wire. */
export function wireName(name: string, ref: ShapeRef): string {
  return ref.locationName ?? name;
}

function structureReader(shape: Shape, readerOf: ReaderOf): JsonReader {
  const members = Object.entries(shape.members ?? {}).map(
    ([name, ref]) => [wireName(name, ref), name, lazy(() => readerOf(ref.shape))] as const,
  );
  return (value, depth) => {
    const source = requireObject(value, depth, 'structure');
    const result: Record<string, unknown> = {};
    for (const [wire, name, read] of members) {
      if (!Object.hasOwn(source, wire)) continue;
      const member = source[wire];
      if (member !== null) result[name] = read()(member, depth + 1);
    }
    return result;
  };
}

/** Shapes may contain themselves, so inner readers are looked up when first used. */
function lazy<T>(make: () => T): () => T {
  let made: T | undefined;
  return () => (made ??= make());
}

function listReader(shape: Shape, readerOf: ReaderOf): JsonReader {
  const item = lazy(() => readerOf(shape.member!.shape));
  return (value, depth) => {
    if (!Array.isArray(value)) throw wrongType(value, 'list');
    if (depth > MAX_DEPTH) throw serializationError('The structure is nested too deeply.');
    const read = item();
    return value.map((entry) => (entry === null ? null : read(entry, depth + 1)));
  };
}

function mapReader(shape: Shape, readerOf: ReaderOf): JsonReader {
  const item = lazy(() => readerOf(shape.value!.shape));
  return (value, depth) => {
    const source = requireObject(value, depth, 'map');
    const read = item();
    const result: Record<string, unknown> = {};
    for (const key of Object.keys(source)) {
      if (source[key] !== null) setOwn(result, key, read(source[key], depth + 1));
    }
    return result;
  };
}

function readInteger(value: unknown, wanted: string, limit: number): number {
  if (typeof value !== 'number') throw wrongType(value, wanted);
  const whole = Math.trunc(value);
  if (Math.abs(whole) > limit)
    throw serializationError(`NUMBER_VALUE can not be converted to ${wanted === 'Integer' ? 'an Integer' : 'a Long'}`);
  return whole;
}

function readFloat(value: unknown, wanted: string): number {
  if (typeof value === 'number') return value;
  if (value === 'NaN' || value === 'Infinity' || value === '-Infinity') return Number(value);
  throw wrongType(value, wanted);
}

function readTimestamp(value: unknown): Date {
  const date = typeof value === 'number' ? fromSeconds(value) : typeof value === 'string' ? parseTimestamp(value) : undefined;
  if (!date) throw wrongType(value, 'Timestamp');
  return date;
}

/** Bytes of base64 text; with or without padding, as AWS reads it. */
export function readBase64(value: unknown): Uint8Array {
  if (typeof value !== 'string') throw wrongType(value, 'Blob');
  if (!BASE64.test(value) || value.replace(/=+$/, '').length % 4 === 1)
    throw serializationError('STRING_VALUE can not be decoded as base64');
  return Buffer.from(value, 'base64');
}

/** The reader of one scalar shape; throws SerializationException for JSON of the wrong type. `null` is the caller's to treat as absent. */
function scalarReader(shape: Shape): JsonReader {
  switch (shape.type) {
    case 'blob':
      return readBase64;
    case 'timestamp':
      return readTimestamp;
    case 'integer':
      return (value) => readInteger(value, 'Integer', 0x7fffffff);
    case 'long':
      return (value) => readInteger(value, 'Long', 2 ** 63);
    case 'float':
      return (value) => readFloat(value, 'Float');
    case 'double':
      return (value) => readFloat(value, 'Double');
    case 'boolean':
      return readBoolean;
    default:
      return readString;
  }
}

export function readBoolean(value: unknown): boolean {
  if (typeof value !== 'boolean') throw wrongType(value, 'Boolean');
  return value;
}

export function readString(value: unknown): string {
  if (typeof value !== 'string') throw wrongType(value, 'String');
  return value;
}

/** Readers of all shapes of a model, from those of its scalars. */
export function treeReader(scalar: (shape: Shape) => JsonReader): (model: ServiceModel, shapeName: string) => JsonReader {
  const read = perModel((model, name): JsonReader => {
    const shape = model.shapes[name]!;
    const readerOf: ReaderOf = (inner) => read(model, inner);
    if (shape.type === 'structure') return structureReader(shape, readerOf);
    if (shape.type === 'list') return listReader(shape, readerOf);
    if (shape.type === 'map') return mapReader(shape, readerOf);
    return scalar(shape);
  });
  return read;
}

export const jsonReader = treeReader(scalarReader);

function membersWriter(members: [string, ShapeRef][], writerOf: WriterOf): JsonWriter {
  const plan = members.map(([name, ref]) => [name, wireName(name, ref), lazy(() => writerOf(ref.shape))] as const);
  return (value: Record<string, unknown>) => {
    const result: Record<string, unknown> = {};
    for (const [name, wire, write] of plan) {
      const member = value[name];
      if (member !== undefined && member !== null) result[wire] = write()(member);
    }
    return result;
  };
}

function writeMap(write: JsonWriter, value: Record<string, unknown>): Record<string, unknown> {
  const result: Record<string, unknown> = {};
  for (const key of Object.keys(value)) {
    if (value[key] !== undefined) setOwn(result, key, write(value[key]));
  }
  return result;
}

/** Writers of all shapes of a model, from those of its scalars. Only the members that a shape has are written: nothing leaves by accident. */
export function treeWriter(scalar: (shape: Shape) => JsonWriter): (model: ServiceModel, shapeName: string) => JsonWriter {
  const write = perModel((model, name): JsonWriter => {
    const shape = model.shapes[name]!;
    const writerOf: WriterOf = (inner) => write(model, inner);
    if (shape.type === 'structure') return membersWriter(Object.entries(shape.members ?? {}), writerOf);
    if (shape.type === 'list') {
      const item = lazy(() => writerOf(shape.member!.shape));
      return (value: unknown[]) => value.map((entry) => (entry === null || entry === undefined ? null : item()(entry)));
    }
    if (shape.type === 'map') {
      const item = lazy(() => writerOf(shape.value!.shape));
      return (value) => writeMap(item(), value);
    }
    return scalar(shape);
  });
  return write;
}

/** What `JSON.stringify` may then write for a value of this shape. */
export const jsonWriter = treeWriter((shape): JsonWriter => {
  switch (shape.type) {
    case 'blob':
      return (value: Uint8Array) => Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('base64');
    case 'timestamp':
      return shape.timestampFormat === 'iso8601' ? (value: Date) => value.toISOString() : (value: Date) => value.getTime() / 1000;
    case 'float':
    case 'double':
      return (value: number) => (Number.isFinite(value) ? value : String(value));
    default:
      return (value) => value;
  }
});

/** The members of one structure that travel in the body. */
export function structureWriter(model: ServiceModel, members: [string, ShapeRef][]): JsonWriter {
  return membersWriter(members, (inner) => jsonWriter(model, inner));
}
