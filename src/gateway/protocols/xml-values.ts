/** XML elements to and from what handlers use, compiled once per shape. Shared by rest-xml and by what query answers. */
import type { ServiceModel, Shape, ShapeRef } from '../../platform/model.ts';
import { perModel, setOwn } from './codec.ts';
import { formatTimestamp, parseTimestamp } from './timestamps.ts';
import { childrenOf, escapeXml, textOf, type XmlNode } from './xml.ts';

type XmlReader = (node: XmlNode) => unknown;
/** The content of an element, and what its start tag carries beside its name. */
type XmlWriter = (value: any) => { attributes: string; content: string };

/** Thrown for text that is not of the member's type; each protocol has its own name for it. */
export class XmlValueError extends Error {
  override readonly name = 'XmlValueError';
}

function isFlat(ref: ShapeRef, shape: Shape): boolean {
  return ref.flattened ?? shape.flattened ?? false;
}

/** The element that holds a member. A flattened list is named by its items, if they name themselves. */
function elementName(name: string, ref: ShapeRef, shape: Shape): string {
  if (shape.type === 'list' && isFlat(ref, shape) && shape.member?.locationName && !ref.locationName) return shape.member.locationName;
  return ref.locationName ?? name;
}

function scalar(shape: Shape, text: string): unknown {
  switch (shape.type) {
    case 'boolean':
      if (text === 'true' || text === 'false') return text === 'true';
      throw new XmlValueError(`'${text.slice(0, 100)}' is not a boolean`);
    case 'integer':
    case 'long':
      if (/^[+-]?\d{1,19}$/.test(text.trim()) && (shape.type === 'long' || Math.abs(Number(text)) <= 0x7fffffff)) return Number(text);
      throw new XmlValueError(`'${text.slice(0, 100)}' is not an integer`);
    case 'float':
    case 'double':
      if (text.trim() !== '' && !Number.isNaN(Number(text))) return Number(text);
      throw new XmlValueError(`'${text.slice(0, 100)}' is not a number`);
    case 'timestamp': {
      const date = parseTimestamp(text);
      if (date) return date;
      throw new XmlValueError(`'${text.slice(0, 100)}' is not a timestamp`);
    }
    case 'blob':
      return Buffer.from(text, 'base64');
    default:
      return text;
  }
}

interface MemberReader {
  name: string;
  element: string;
  attribute: string | undefined;
  flat: 'list' | 'map' | undefined;
  ref: ShapeRef;
}

function structureReader(model: ServiceModel, shape: Shape): XmlReader {
  const members = Object.entries(shape.members ?? {})
    .filter(([, ref]) => !ref.location)
    .map(([name, ref]): MemberReader => {
      const inner = model.shapes[ref.shape]!;
      const flat = isFlat(ref, inner) && (inner.type === 'list' || inner.type === 'map') ? inner.type : undefined;
      const element = elementName(name, ref, inner);
      return { name, element, attribute: ref.xmlAttribute ? `@${element.split(':').at(-1)}` : undefined, flat, ref };
    });
  return (node) => {
    const result: Record<string, unknown> = {};
    for (const { name, element, attribute, flat, ref } of members) {
      const found = childrenOf(node, attribute ?? element);
      if (found.length === 0) continue;
      const inner = model.shapes[ref.shape]!;
      if (flat === 'list') result[name] = found.map(xmlReader(model, inner.member!.shape));
      else if (flat === 'map') result[name] = readEntries(model, inner, found);
      else result[name] = xmlReader(model, ref.shape)(found[0]!);
    }
    return result;
  };
}

function readEntries(model: ServiceModel, shape: Shape, entries: XmlNode[]): Record<string, unknown> {
  const result: Record<string, unknown> = {};
  for (const entry of entries) {
    const key = childrenOf(entry, shape.key!.locationName ?? 'key')[0];
    const value = childrenOf(entry, shape.value!.locationName ?? 'value')[0];
    if (key !== undefined && value !== undefined) setOwn(result, textOf(key), xmlReader(model, shape.value!.shape)(value));
  }
  return result;
}

/** Reads the content of one element as a shape. Throws XmlValueError for text of the wrong type. */
export const xmlReader: (model: ServiceModel, shapeName: string) => XmlReader = perModel((model, name): XmlReader => {
  const shape = model.shapes[name]!;
  if (shape.type === 'structure') return structureReader(model, shape);
  if (shape.type === 'list') {
    const element = shape.member!.locationName ?? 'member';
    return (node) => childrenOf(node, element).map(xmlReader(model, shape.member!.shape));
  }
  if (shape.type === 'map') return (node) => readEntries(model, shape, childrenOf(node, 'entry'));
  return (node) => scalar(shape, textOf(node));
});

function scalarText(shape: Shape, value: any, milliseconds: boolean): string {
  if (shape.type === 'timestamp') return formatTimestamp(value, shape.timestampFormat ?? 'iso8601', milliseconds);
  if (shape.type === 'blob') return Buffer.from(value).toString('base64');
  return escapeXml(String(value));
}

export function namespaceAttribute(namespace: { uri: string; prefix?: string } | undefined): string {
  return namespace ? ` xmlns${namespace.prefix ? `:${namespace.prefix}` : ''}="${escapeXml(namespace.uri)}"` : '';
}

export function element(name: string, attributes: string, content: string): string {
  return content === '' ? `<${name}${attributes}/>` : `<${name}${attributes}>${content}</${name}>`;
}

/** One member of a structure as elements, none when it is absent. */
function memberElements(model: ServiceModel, name: string, ref: ShapeRef, value: any): string {
  const shape = model.shapes[ref.shape]!;
  const outer = elementName(name, ref, shape);
  if (isFlat(ref, shape) && shape.type === 'list') {
    const write = xmlWriter(model, shape.member!.shape);
    return value.map((item: unknown) => written(outer, '', write(item))).join('');
  }
  if (isFlat(ref, shape) && shape.type === 'map') return entryElements(model, shape, outer, value);
  return written(outer, namespaceAttribute(ref.xmlNamespace), xmlWriter(model, ref.shape)(value));
}

function written(name: string, attributes: string, inner: { attributes: string; content: string }): string {
  return element(name, attributes + inner.attributes, inner.content);
}

function entryElements(model: ServiceModel, shape: Shape, name: string, value: Record<string, unknown>): string {
  const write = xmlWriter(model, shape.value!.shape);
  const keyName = shape.key!.locationName ?? 'key';
  const valueName = shape.value!.locationName ?? 'value';
  return Object.entries(value)
    .map(([key, item]) => element(name, '', element(keyName, '', escapeXml(key)) + written(valueName, '', write(item))))
    .join('');
}

/** Members of a structure by the given list, so that bound members can be left out. */
export function writeMembers(
  model: ServiceModel,
  members: [string, ShapeRef][],
  value: Record<string, any>,
): { attributes: string; content: string } {
  let attributes = '';
  let content = '';
  for (const [name, ref] of members) {
    const member = value[name];
    if (member === undefined || member === null) continue;
    if (ref.xmlAttribute) attributes += ` ${ref.locationName ?? name}="${escapeXml(String(member))}"`;
    else content += memberElements(model, name, ref, member);
  }
  return { attributes, content };
}

/** Writes the content of one element. S3's times carry milliseconds always. */
export const xmlWriter: (model: ServiceModel, shapeName: string) => XmlWriter = perModel((model, name): XmlWriter => {
  const shape = model.shapes[name]!;
  if (shape.type === 'structure') {
    const members = Object.entries(shape.members ?? {}).filter(([, ref]) => !ref.location);
    const namespace = namespaceAttribute(shape.xmlNamespace?.prefix ? shape.xmlNamespace : undefined);
    return (value) => {
      const { attributes, content } = writeMembers(model, members, value);
      return { attributes: namespace + attributes, content };
    };
  }
  if (shape.type === 'list') {
    const itemName = shape.member!.locationName ?? 'member';
    return (value: unknown[]) => {
      const write = xmlWriter(model, shape.member!.shape);
      return { attributes: '', content: value.map((item) => written(itemName, '', write(item))).join('') };
    };
  }
  if (shape.type === 'map') return (value) => ({ attributes: '', content: entryElements(model, shape, 'entry', value) });
  const milliseconds = model.metadata.protocol === 'rest-xml';
  return (value) => ({ attributes: '', content: scalarText(shape, value, milliseconds) });
});
