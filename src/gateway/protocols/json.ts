/** AWS JSON 1.0 and 1.1: the operation by `X-Amz-Target`, the whole input and output as one JSON object. */
import type { ServiceModel, Shape } from '../../platform/model.ts';
import type { Codec, WireError, WireRequest, WireResponse } from './codec.ts';
import { serializationError } from './codec.ts';
import { errorName, errorShape, errorStatus, queryErrorHeader } from './error-status.ts';
import { EVENT_STREAM_TYPE, eventStream, eventStreamMember } from './event-stream.ts';
import { jsonReader, jsonWriter } from './json-values.ts';

/** A JSON document; undefined for no bytes at all. */
export function parseJson(body: Buffer): unknown {
  if (body.length === 0) return undefined;
  try {
    return JSON.parse(body.toString('utf8'));
  } catch {
    throw serializationError('The request body is not valid JSON.');
  }
}

/** Members of an error as its shape names them; most shapes name nothing, and the wire still carries `message`. */
export function errorMembers(model: ServiceModel, shape: Shape | undefined, error: WireError): Record<string, unknown> {
  const messageName = shape?.members?.Message ? 'Message' : 'message';
  const members: Record<string, unknown> = { [messageName]: error.message };
  for (const [name, ref] of Object.entries(shape?.members ?? {})) {
    const value = error.fields?.[name];
    if (value !== undefined && !ref.location) members[ref.locationName ?? name] = jsonWriter(model, ref.shape)(value);
  }
  return members;
}

function contentType(model: ServiceModel): string {
  return `application/x-amz-json-${model.metadata.jsonVersion ?? '1.1'}`;
}

export const jsonCodec: Codec = {
  async decode(model: ServiceModel, operationName: string, request: WireRequest): Promise<Record<string, unknown>> {
    const document = parseJson(request.body);
    const input = model.operations[operationName]!.input;
    if (document === undefined || document === null || !input) return {};
    return jsonReader(model, input.shape)(document, 0) as Record<string, unknown>;
  },

  encode(model, operationName, output, requestId): WireResponse {
    const shape = model.operations[operationName]!.output?.shape;
    const events = shape === undefined ? undefined : eventStreamMember(model, shape);
    if (events) {
      const source = output[events.name] as AsyncIterable<Record<string, unknown>>;
      const headers = { 'content-type': EVENT_STREAM_TYPE, 'x-amzn-RequestId': requestId };
      return { status: 200, headers, body: eventStream(model, events.shape, source) };
    }
    return {
      status: 200,
      headers: { 'content-type': contentType(model), 'x-amzn-RequestId': requestId },
      body: shape ? JSON.stringify(jsonWriter(model, shape)(output)) : '',
    };
  },

  encodeError(model, operationName, error): WireResponse {
    const shape = errorShape(model, operationName, error.code);
    const status = errorStatus(shape, error.code, error.status);
    const name = errorName(model, operationName, error.code);
    return {
      status,
      headers: {
        'content-type': contentType(model),
        'x-amzn-RequestId': error.requestId,
        'x-amzn-errortype': name,
        ...queryErrorHeader(model, operationName, error.code, status),
      },
      body: JSON.stringify({ __type: name, ...errorMembers(model, shape, error) }),
    };
  },
};
