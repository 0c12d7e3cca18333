/** query: the operation by `Action`, the input as a flat form with dotted names, the output as XML in a result wrapper. */
import { AwsError } from '../../platform/errors.ts';
import type { ServiceModel, Shape, ShapeRef } from '../../platform/model.ts';
import { type Codec, perModel, setOwn, type WireRequest, type WireResponse } from './codec.ts';
import { errorShape, errorStatus, queryCode } from './error-status.ts';
import { parseTimestamp } from './timestamps.ts';
import { escapeXml } from './xml.ts';
import { element, namespaceAttribute, xmlWriter } from './xml-values.ts';

/** One dotted name, split: `Tags.member.1.Key=a` is Tags → member → 1 → Key → "a". */
interface FormNode {
  value?: string;
  children?: Map<string, FormNode>;
}

/** No input of any model nests as deep; a name with more dots is some other text and cannot be a member. */
const MAX_SEGMENTS = 40;

/** A request's form, from the body or, for GET, from the query. */
function formOf(request: WireRequest): URLSearchParams {
  return request.body.length > 0 ? new URLSearchParams(request.body.toString('utf8')) : request.query;
}

function childOf(node: FormNode, segment: string): FormNode {
  node.children ??= new Map();
  const known = node.children.get(segment);
  if (known) return known;
  const child: FormNode = {};
  node.children.set(segment, child);
  return child;
}

function treeOf(form: URLSearchParams): FormNode {
  const root: FormNode = {};
  for (const [name, value] of form) {
    const segments = name.split('.', MAX_SEGMENTS + 1);
    if (segments.length > MAX_SEGMENTS) continue;
    let node = root;
    for (const segment of segments) node = childOf(node, segment);
    node.value = value;
  }
  return root;
}

/** Items `1`, `2`, … in the order of their numbers; gaps are closed. */
function numbered(node: FormNode | undefined): FormNode[] {
  return [...(node?.children ?? [])]
    .filter(([key]) => /^\d{1,9}$/.test(key))
    .sort(([a], [b]) => Number(a) - Number(b))
    .map(([, child]) => child);
}

type FormReader = (node: FormNode, name: string) => unknown;

function malformed(name: string, text: string, wanted: string): AwsError {
  return new AwsError('MalformedInput', `'${text.slice(0, 100)}' at '${name}' is not a valid ${wanted}.`, { status: 400 });
}

function scalarReader(shape: Shape): FormReader {
  switch (shape.type) {
    case 'boolean':
      return ({ value = '' }, name) => {
        if (!/^(true|false)$/i.test(value)) throw malformed(name, value, 'boolean');
        return value.toLowerCase() === 'true';
      };
    case 'integer':
    case 'long':
      return ({ value = '' }, name) => {
        const limit = shape.type === 'integer' ? 0x7fffffff : 2 ** 63;
        if (!/^[+-]?\d{1,19}$/.test(value) || Math.abs(Number(value)) > limit) throw malformed(name, value, 'integer');
        return Number(value);
      };
    case 'float':
    case 'double':
      return ({ value = '' }, name) => {
        if (value.trim() === '' || Number.isNaN(Number(value))) throw malformed(name, value, 'number');
        return Number(value);
      };
    case 'timestamp':
      return ({ value = '' }, name) => parseTimestamp(value) ?? raise(malformed(name, value, 'timestamp'));
    case 'blob':
      return ({ value = '' }) => Buffer.from(value, 'base64');
    default:
      return ({ value }) => value;
  }
}

function raise(error: Error): never {
  throw error;
}

function listReader(model: ServiceModel, shape: Shape): FormReader {
  const itemName = shape.member!.locationName ?? 'member';
  return (node, name) => {
    const read = formReader(model, shape.member!.shape);
    const holder = shape.flattened ? node : node.children?.get(itemName);
    return numbered(holder).map((child, index) => read(child, `${name}.${index + 1}`));
  };
}

function mapReader(model: ServiceModel, shape: Shape): FormReader {
  const keyName = shape.key!.locationName ?? 'key';
  const valueName = shape.value!.locationName ?? 'value';
  return (node, name) => {
    const read = formReader(model, shape.value!.shape);
    const result: Record<string, unknown> = {};
    for (const entry of numbered(shape.flattened ? node : node.children?.get('entry'))) {
      const key = entry.children?.get(keyName)?.value;
      const value = entry.children?.get(valueName);
      if (key !== undefined && value) setOwn(result, key, read(value, `${name}.${key}`));
    }
    return result;
  };
}

function memberName(model: ServiceModel, name: string, ref: ShapeRef): string {
  const shape = model.shapes[ref.shape]!;
  if (shape.type === 'list' && shape.flattened && shape.member?.locationName) return shape.member.locationName;
  return ref.locationName ?? name;
}

const formReader: (model: ServiceModel, shapeName: string) => FormReader = perModel((model, shapeName): FormReader => {
  const shape = model.shapes[shapeName]!;
  if (shape.type === 'list') return listReader(model, shape);
  if (shape.type === 'map') return mapReader(model, shape);
  if (shape.type !== 'structure') return scalarReader(shape);
  const members = Object.entries(shape.members ?? {}).map(([name, ref]) => [name, memberName(model, name, ref), ref.shape] as const);
  return (node, path) => {
    const result: Record<string, unknown> = {};
    for (const [name, wire, inner] of members) {
      const child = node.children?.get(wire);
      if (!child) continue;
      const value = formReader(model, inner)(child, path ? `${path}.${wire}` : wire);
      if (value !== undefined) result[name] = value;
    }
    return result;
  };
});

function responseHeaders(requestId: string): Record<string, string> {
  return { 'content-type': 'text/xml', 'x-amzn-RequestId': requestId };
}

export const queryCodec: Codec = {
  async decode(model, operationName, request) {
    const input = model.operations[operationName]!.input;
    if (!input) return {};
    return formReader(model, input.shape)(treeOf(formOf(request)), '') as Record<string, unknown>;
  },

  encode(model, operationName, output, requestId): WireResponse {
    const ref = model.operations[operationName]!.output;
    const namespace = namespaceAttribute(model.metadata.xmlNamespace ? { uri: model.metadata.xmlNamespace } : undefined);
    const content = ref ? xmlWriter(model, ref.shape)(output).content : '';
    const result = ref?.resultWrapper ? element(ref.resultWrapper, '', content) : content;
    const metadata = element('ResponseMetadata', '', element('RequestId', '', requestId));
    return { status: 200, headers: responseHeaders(requestId), body: element(`${operationName}Response`, namespace, result + metadata) };
  },

  encodeError(model, operationName, error): WireResponse {
    const wireCode = queryCode(model, operationName, error.code);
    const shape = errorShape(model, operationName, wireCode);
    const status = errorStatus(shape, wireCode, error.status);
    const namespace = namespaceAttribute(model.metadata.xmlNamespace ? { uri: model.metadata.xmlNamespace } : undefined);
    const type = element('Type', '', status >= 500 ? 'Receiver' : 'Sender');
    const code = element('Code', '', escapeXml(wireCode));
    const message = element('Message', '', escapeXml(error.message));
    const body = element('Error', '', type + code + message) + element('RequestId', '', error.requestId);
    return { status, headers: responseHeaders(error.requestId), body: element('ErrorResponse', namespace, body) };
  },
};
