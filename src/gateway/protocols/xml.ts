/** XML text to a plain tree and back to escaped text. Hostile documents (DOCTYPE, entities, deep nesting) are refused. */
import { XMLParser } from 'fast-xml-parser';
import { MAX_DEPTH } from './codec.ts';

/** A node is its text when it has no elements and no attributes. `@name` keys are attributes, `#text` is text beside elements. */
export type XmlNode = string | XmlElement;
export interface XmlElement {
  [name: string]: XmlNode | XmlNode[];
}

const PREDEFINED: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };

/** Only what XML itself predefines, and character references; anything else stays as written. */
function decodeReferences(text: string): string {
  if (!text.includes('&')) return text;
  return text.replace(/&(?:#x([0-9a-fA-F]{1,6})|#(\d{1,7})|(amp|lt|gt|quot|apos));/g, (whole, hex, decimal, name) => {
    if (name) return PREDEFINED[name]!;
    const point = hex ? Number.parseInt(hex, 16) : Number(decimal);
    return point > 0 && point <= 0x10ffff && (point < 0xd800 || point > 0xdfff) ? String.fromCodePoint(point) : whole;
  });
}

const parser = new XMLParser({
  ignoreAttributes: false,
  attributeNamePrefix: '@',
  removeNSPrefix: true,
  parseTagValue: false,
  trimValues: false,
  ignoreDeclaration: true,
  ignorePiTags: true,
  maxNestedTags: MAX_DEPTH,
  jPath: false,
  processEntities: true,
  entityDecoder: {
    decode: decodeReferences,
    reset: () => {},
    setXmlVersion: () => {},
    addInputEntities: () => {},
    setExternalEntities: () => {},
  },
});

/** The root element of a document. Throws Error when it is no well-formed document, or a hostile one. */
export function parseXml(text: string): { name: string; root: XmlNode } {
  if (/<!DOCTYPE/i.test(text)) throw new Error('A document type is not allowed.');
  const document = parser.parse(text, true) as XmlElement;
  const roots = Object.keys(document).filter((name) => name !== '#text');
  const name = roots[0];
  if (roots.length !== 1 || name === undefined || Array.isArray(document[name])) throw new Error('There must be one root element.');
  return { name, root: document[name]! };
}

/** All children of that name, in order. */
export function childrenOf(node: XmlNode, name: string): XmlNode[] {
  if (typeof node === 'string' || !Object.hasOwn(node, name)) return [];
  const found = node[name]!;
  return Array.isArray(found) ? found : [found];
}

export function textOf(node: XmlNode): string {
  if (typeof node === 'string') return node;
  const text = Object.hasOwn(node, '#text') ? node['#text']! : '';
  return typeof text === 'string' ? text : '';
}

const ESCAPES: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };

/** Controls become character references, as S3 writes them: a carriage return or a tab in a key survives the reader's normalisation. */
export function escapeXml(text: string): string {
  return text.replace(/[&<>"\u0000-\u001f\u0085\u2028\ufffe\uffff]/g, (char) =>
    char === '\n' ? char : (ESCAPES[char] ?? `&#x${char.charCodeAt(0).toString(16)};`),
  );
}
