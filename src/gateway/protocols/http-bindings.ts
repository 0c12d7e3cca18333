/** Members that travel in the path, query, headers or status: the same in rest-json and rest-xml. */
import { AwsError } from '../../platform/errors.ts';
import type { ServiceModel, Shape, ShapeRef } from '../../platform/model.ts';
import { perModel, setOwn, type WireRequest } from './codec.ts';
import { pathLabels } from './routes.ts';
import { formatTimestamp, parseTimestamp, type TimestampFormat } from './timestamps.ts';

export interface Binding {
  name: string;
  wire: string;
  ref: ShapeRef;
  shape: Shape;
}

/** The members of one structure, sorted by where they travel. */
export interface Bindings {
  uri: Binding[];
  query: Binding[];
  header: Binding[];
  headers: Binding[];
  status: Binding | undefined;
  /** Members of the body, when there is no payload member. */
  body: Binding[];
  payload: Binding | undefined;
}

/** By the name of the structure. */
export const bindingsOf = perModel((model, shapeName): Bindings => {
  const structure = model.shapes[shapeName]!;
  const all = Object.entries(structure.members ?? {}).map(
    ([name, ref]): Binding => ({ name, wire: ref.locationName ?? name, ref, shape: model.shapes[ref.shape]! }),
  );
  const at = (location: ShapeRef['location']) => all.filter(({ ref }) => ref.location === location);
  return {
    uri: at('uri'),
    query: at('querystring'),
    header: at('header').map((binding) => ({ ...binding, wire: binding.wire.toLowerCase() })),
    headers: at('headers').map((binding) => ({ ...binding, wire: binding.wire.toLowerCase() })),
    status: at('statusCode')[0],
    body: structure.payload ? [] : at(undefined),
    payload: all.find(({ name }) => name === structure.payload),
  };
});

/** Whether the operation reads its payload as it arrives, so that the gateway must not gather the body first. */
export function takesStream(model: ServiceModel, operationName: string): boolean {
  const input = model.operations[operationName]?.input;
  return input !== undefined && isStreaming(bindingsOf(model, input.shape).payload);
}

export function isStreaming(payload: Binding | undefined): boolean {
  return payload !== undefined && (payload.ref.streaming === true || payload.shape.streaming === true);
}

/** Text of a path, query or header value as the member's type; undefined when it is none. */
function fromText(shape: Shape, text: string): unknown {
  switch (shape.type) {
    case 'boolean':
      return text === 'true' ? true : text === 'false' ? false : undefined;
    case 'integer':
    case 'long': {
      const limit = shape.type === 'integer' ? 0x7fffffff : 2 ** 63;
      return /^[+-]?\d{1,19}$/.test(text) && Math.abs(Number(text)) <= limit ? Number(text) : undefined;
    }
    case 'float':
    case 'double':
      return text.trim() !== '' && !Number.isNaN(Number(text)) ? Number(text) : undefined;
    case 'timestamp':
      return parseTimestamp(text);
    case 'blob':
      return Buffer.from(text, 'base64');
    default:
      return text;
  }
}

function readScalar(model: ServiceModel, binding: Binding, shape: Shape, text: string): unknown {
  const value = fromText(shape, text);
  if (value !== undefined) return value;
  if (model.metadata.serviceId === 'S3') {
    // RFC 9110 §13.1: a conditional date that cannot be read is as if it were not sent.
    if (binding.ref.location === 'header' && shape.type === 'timestamp') return undefined;
    const range = shape.type === 'integer' ? ` not an integer or within integer range` : ' is not valid';
    throw new AwsError('InvalidArgument', `Provided ${binding.wire}${range}`, {
      status: 400,
      fields: { ArgumentName: binding.wire, ArgumentValue: text },
    });
  }
  throw new AwsError('SerializationException', `The value of ${binding.wire} is not of type ${shape.type}.`, { status: 400 });
}

function readQuery(model: ServiceModel, input: Record<string, unknown>, bindings: Bindings, query: URLSearchParams): void {
  for (const binding of bindings.query) {
    const { name, wire, shape } = binding;
    if (shape.type === 'list') {
      const item = model.shapes[shape.member!.shape]!;
      if (query.has(wire)) input[name] = query.getAll(wire).map((text) => readScalar(model, binding, item, text));
    } else if (shape.type === 'map') {
      input[name] = readQueryMap(bindings, query, model.shapes[shape.value!.shape]!.type === 'list');
    } else {
      const text = query.get(wire);
      if (text !== null) input[name] = readScalar(model, binding, shape, text);
    }
  }
}

/** A map in the query takes every key that no other member claims. */
function readQueryMap(bindings: Bindings, query: URLSearchParams, ofLists: boolean): Record<string, unknown> {
  const claimed = new Set(bindings.query.map(({ wire }) => wire));
  const result: Record<string, unknown> = {};
  for (const key of new Set(query.keys())) {
    if (!claimed.has(key)) setOwn(result, key, ofLists ? query.getAll(key) : query.get(key));
  }
  return result;
}

function readHeaders(model: ServiceModel, input: Record<string, unknown>, bindings: Bindings, headers: WireRequest['headers']): void {
  for (const binding of bindings.header) {
    const text = headers[binding.wire];
    if (text === undefined) continue;
    if (binding.shape.type === 'list') {
      const item = model.shapes[binding.shape.member!.shape]!;
      input[binding.name] = text.split(',').map((part) => readScalar(model, binding, item, part.trim()));
    } else {
      const value = readScalar(model, binding, binding.shape, text);
      if (value !== undefined) input[binding.name] = value;
    }
  }
  for (const { name, wire } of bindings.headers) {
    const map: Record<string, unknown> = {};
    for (const [header, value] of Object.entries(headers)) {
      if (header.startsWith(wire) && value !== undefined) setOwn(map, header.slice(wire.length), value);
    }
    if (Object.keys(map).length > 0) input[name] = map;
  }
}

/** Everything of the input but the body. */
export function readBindings(
  model: ServiceModel,
  operationName: string,
  bindings: Bindings,
  request: WireRequest,
): Record<string, unknown> {
  const input: Record<string, unknown> = {};
  if (bindings.uri.length > 0) {
    const labels = pathLabels(model, operationName, request.path);
    for (const binding of bindings.uri) {
      const text = labels[binding.wire];
      if (text !== undefined) input[binding.name] = readScalar(model, binding, binding.shape, text);
    }
  }
  readQuery(model, input, bindings, request.query);
  readHeaders(model, input, bindings, request.headers);
  return input;
}

function toText(shape: Shape, value: any): string {
  if (shape.type === 'timestamp') return formatTimestamp(value, (shape.timestampFormat as TimestampFormat | undefined) ?? 'rfc822', false);
  if (shape.type === 'blob') return Buffer.from(value).toString('base64');
  return String(value);
}

/** A header line cannot carry controls: a value with them would split the response. */
function headerValue(text: string): string {
  return text.replace(/[\u0000-\u0008\u000a-\u001f\u007f]/g, ' ');
}

/** Header members of an output as headers. */
export function writeHeaders(model: ServiceModel, bindings: Bindings, output: Record<string, any>): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const { name, wire, shape } of bindings.header) {
    const value = output[name];
    if (value === undefined || value === null) continue;
    const item = shape.type === 'list' ? model.shapes[shape.member!.shape]! : shape;
    const text = Array.isArray(value) ? value.map((entry) => toText(item, entry)).join(', ') : toText(item, value);
    headers[wire] = headerValue(text);
  }
  for (const { name, wire } of bindings.headers) {
    for (const [key, value] of Object.entries<string>(output[name] ?? {})) headers[wire + key] = headerValue(value);
  }
  return headers;
}

/** The status of a success: the model's member, else the operation's own, else 200. */
export function successStatus(
  model: ServiceModel,
  operationName: string,
  bindings: Bindings | undefined,
  output: Record<string, unknown>,
): number {
  const member = bindings?.status && output[bindings.status.name];
  return typeof member === 'number' ? member : (model.operations[operationName]!.http.responseCode ?? 200);
}
