/** rest-json: the operation by method and path; JSON for what is left of the input and output. */
import { type Codec, perModel, type WireResponse } from './codec.ts';
import { errorShape, errorStatus } from './error-status.ts';
import { bindingsOf, isStreaming, readBindings, successStatus, writeHeaders } from './http-bindings.ts';
import { errorMembers, parseJson } from './json.ts';
import { jsonReader, jsonWriter, structureWriter } from './json-values.ts';

/** Writes the members that travel in the body. */
const bodyWriter = perModel((model, outputName) =>
  structureWriter(
    model,
    bindingsOf(model, outputName).body.map(({ name, ref }) => [name, ref]),
  ),
);

export const restJsonCodec: Codec = {
  async decode(model, operationName, request) {
    const inputName = model.operations[operationName]!.input?.shape;
    if (!inputName) return {};
    const bindings = bindingsOf(model, inputName);
    const input = readBindings(model, operationName, bindings, request);
    const { payload } = bindings;
    if (payload?.shape.type === 'blob') {
      if (isStreaming(payload) && request.stream) input[payload.name] = request.stream;
      else if (request.body.length > 0) input[payload.name] = request.body;
    } else if (payload?.shape.type === 'string') {
      if (request.body.length > 0) input[payload.name] = request.body.toString('utf8');
    } else if (payload) {
      const document = parseJson(request.body);
      if (document !== undefined && document !== null) input[payload.name] = jsonReader(model, payload.ref.shape)(document, 0);
    } else if (bindings.body.length > 0) {
      const document = parseJson(request.body);
      if (document !== undefined && document !== null) {
        const body = jsonReader(model, inputName)(document, 0) as Record<string, unknown>;
        for (const { name } of bindings.body) if (name in body) input[name] = body[name];
      }
    }
    return input;
  },

  encode(model, operationName, output, requestId): WireResponse {
    const outputName = model.operations[operationName]!.output?.shape;
    const bindings = outputName ? bindingsOf(model, outputName) : undefined;
    const headers: Record<string, string> = { 'x-amzn-RequestId': requestId };
    const status = successStatus(model, operationName, bindings, output);
    if (!bindings) return { status, headers, body: undefined };
    Object.assign(headers, writeHeaders(model, bindings, output));
    const { payload } = bindings;
    if (payload && (payload.shape.type === 'blob' || payload.shape.type === 'string')) {
      if (!headers['content-type']) headers['content-type'] = payload.shape.type === 'blob' ? 'application/octet-stream' : 'text/plain';
      return { status, headers, body: output[payload.name] as WireResponse['body'] };
    }
    headers['content-type'] ??= 'application/json';
    if (payload) {
      const value = output[payload.name];
      return { status, headers, body: value === undefined ? '' : JSON.stringify(jsonWriter(model, payload.ref.shape)(value)) };
    }
    return { status, headers, body: status === 204 ? undefined : JSON.stringify(bodyWriter(model, outputName!)(output)) };
  },

  encodeError(model, operationName, error): WireResponse {
    const shape = errorShape(model, operationName, error.code);
    return {
      status: errorStatus(shape, error.code, error.status),
      headers: { 'content-type': 'application/json', 'x-amzn-RequestId': error.requestId, 'x-amzn-ErrorType': error.code },
      body: JSON.stringify(errorMembers(model, shape, error)),
    };
  },
};
