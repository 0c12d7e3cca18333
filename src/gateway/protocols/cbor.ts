/** Smithy RPC v2 CBOR: the operation in the path, the whole input and output as one CBOR map (smithy.io, "Smithy RPC v2 CBOR protocol"). */
import type { ServiceModel, Shape } from '../../platform/model.ts';
import { decodeCbor, encodeCbor, Float64, loadCbor, Moment } from './cbor-values.ts';
import { type Codec, serializationError, type WireError, type WireResponse } from './codec.ts';
import { errorName, errorShape, errorStatus, queryErrorHeader } from './error-status.ts';
import { type JsonReader, type JsonWriter, readBoolean, readString, treeReader, treeWriter, wrongType } from './json-values.ts';

const PROTOCOL_HEADERS = { 'smithy-protocol': 'rpc-v2-cbor', 'content-type': 'application/cbor' };

function readNumber(value: unknown, wanted: string): number {
  if (typeof value !== 'number' && typeof value !== 'bigint') throw wrongType(value, wanted);
  return Number(value);
}

function readWhole(value: unknown, wanted: string, limit: number): number {
  const number = readNumber(value, wanted);
  if (!Number.isInteger(number) || Math.abs(number) > limit) throw serializationError(`NUMBER_VALUE can not be converted to ${wanted}`);
  return number;
}

const cborReader = treeReader((shape: Shape): JsonReader => {
  switch (shape.type) {
    case 'blob':
      return (value) => {
        if (!(value instanceof Uint8Array)) throw wrongType(value, 'Blob');
        return value;
      };
    case 'timestamp':
      return (value) => {
        if (!(value instanceof Date)) throw wrongType(value, 'Timestamp');
        return value;
      };
    case 'integer':
      return (value) => readWhole(value, 'an Integer', 0x7fffffff);
    case 'long':
      return (value) => readWhole(value, 'a Long', 2 ** 63);
    case 'float':
    case 'double':
      return (value) => readNumber(value, 'a Double');
    case 'boolean':
      return readBoolean;
    default:
      return readString;
  }
});

const cborWriter = treeWriter((shape: Shape): JsonWriter => {
  if (shape.type === 'timestamp') return (value: Date) => new Moment(value);
  // As doubles also where they are whole: some clients show what they were sent.
  if (shape.type === 'float' || shape.type === 'double') return (value: number) => new Float64(value);
  return (value) => value;
});

/** `com.amazonaws.cloudwatch#InvalidFormatFault`: the namespace that AWS's models have by custom. */
function errorId(model: ServiceModel, name: string): string {
  return `com.amazonaws.${model.metadata.serviceId.toLowerCase().replaceAll(' ', '')}#${name}`;
}

function errorBody(model: ServiceModel, operationName: string | undefined, shape: Shape | undefined, error: WireError): Uint8Array {
  const members: Record<string, unknown> = { __type: errorId(model, errorName(model, operationName, error.code)) };
  members[shape?.members?.Message ? 'Message' : 'message'] = error.message;
  for (const [name, ref] of Object.entries(shape?.members ?? {})) {
    const value = error.fields?.[name];
    if (value !== undefined) members[name] = cborWriter(model, ref.shape)(value);
  }
  return encodeCbor(members);
}

export const cborCodec: Codec = {
  prepare: loadCbor,

  async decode(model, operationName, { body, headers }) {
    const input = model.operations[operationName]!.input;
    if (!input || body.length === 0) return {};
    if (!/^application\/cbor\s*(;|$)/.test(headers['content-type'] ?? '')) {
      throw serializationError('The content type of a request with smithy-protocol rpc-v2-cbor must be application/cbor.');
    }
    return cborReader(model, input.shape)(decodeCbor(body), 0) as Record<string, unknown>;
  },

  encode(model, operationName, output, requestId): WireResponse {
    const shape = model.operations[operationName]!.output?.shape;
    const { 'content-type': type, ...headers } = PROTOCOL_HEADERS;
    return {
      status: 200,
      headers: { ...headers, ...(shape && { 'content-type': type }), 'x-amzn-RequestId': requestId },
      body: shape ? encodeCbor(cborWriter(model, shape)(output)) : '',
    };
  },

  encodeError(model, operationName, error): WireResponse {
    const shape = errorShape(model, operationName, error.code);
    const status = errorStatus(shape, error.code, error.status);
    return {
      status,
      headers: { ...PROTOCOL_HEADERS, 'x-amzn-RequestId': error.requestId, ...queryErrorHeader(model, operationName, error.code, status) },
      body: errorBody(model, operationName, shape, error),
    };
  },
};
