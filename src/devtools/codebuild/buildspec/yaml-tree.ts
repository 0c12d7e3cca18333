/** YAML as a small tree that knows its lines, so that every later complaint can name one. Hostile input is refused, never expanded. */
import { isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument, type YAMLError } from 'yaml';

export interface YamlScalar {
  kind: 'scalar';
  /** The text as written for plain scalars (`1.10` stays `1.10`), the decoded text for quoted and block ones; `''` for an empty value. */
  text: string;
  isNull: boolean;
  line: number;
}
export interface YamlList {
  kind: 'list';
  items: YamlNode[];
  line: number;
}
export interface YamlMap {
  kind: 'map';
  entries: Map<string, { node: YamlNode; line: number }>;
  line: number;
}
export type YamlNode = YamlScalar | YamlList | YamlMap;

/** What CodeBuild reports with the code YAML_FILE_ERROR. */
export class BuildspecError extends Error {
  override readonly name = 'BuildspecError';
}

/** bytes; AWS gives no figure. The worst of so many take a second or so, in which the process does nothing else. */
const MAX_BYTES = 256 * 1024;
/** Nodes after aliases are followed: an alias bomb reaches this long before it costs memory. */
const MAX_NODES = 50_000;
const MAX_DEPTH = 64;

export function parseYaml(source: string): YamlNode {
  if (Buffer.byteLength(source) > MAX_BYTES) throw new BuildspecError(`buildspec is larger than ${MAX_BYTES} bytes`);
  const lines = new LineCounter();
  // The library compares each key with each; twice the same is found below.
  const document = parseDocument(source, { lineCounter: lines, uniqueKeys: false, version: '1.2', prettyErrors: false });
  const error = document.errors[0];
  if (error) throw new BuildspecError(describe(error, lines));
  return new Converter(lines).convert(document.contents, 1, 0);
}

class Converter {
  readonly #lines: LineCounter;
  /** What an alias stands for at this place of the document. The library would look through all of it for each alias. */
  readonly #anchors = new Map<string, unknown>();
  readonly #seen = new WeakSet<object>();
  #count = 0;

  constructor(lines: LineCounter) {
    this.#lines = lines;
  }

  convert(node: unknown, parentLine: number, depth: number): YamlNode {
    this.#count += 1;
    if (this.#count > MAX_NODES) throw new BuildspecError('document contains excessive aliasing');
    if (depth > MAX_DEPTH) throw new BuildspecError(`exceeded max depth of ${MAX_DEPTH} at line ${parentLine}`);
    const line = this.#lineOf(node, parentLine);
    if (isAlias(node)) {
      const target = this.#anchors.get(node.source);
      if (!target) throw new BuildspecError(`unknown anchor '${node.source}' referenced`);
      return this.convert(target, line, depth + 1);
    }
    this.#noteAnchor(node);
    if (isSeq(node)) return { kind: 'list', items: node.items.map((item) => this.convert(item, line, depth + 1)), line };
    if (isMap(node)) return this.#convertMap(node.items, line, depth);
    return toScalar(node, line);
  }

  #convertMap(items: readonly { key: unknown; value: unknown }[], line: number, depth: number): YamlMap {
    const own: YamlMap['entries'] = new Map();
    const merged: YamlMap['entries'] = new Map();
    for (const { key, value } of items) {
      const keyLine = this.#lineOf(key, line);
      if (!isScalar(key)) throw new BuildspecError(`invalid map key at line ${keyLine}`);
      const name = toScalar(key, keyLine).text;
      const node = this.convert(value, keyLine, depth + 1);
      if (name === '<<') mergeInto(merged, node);
      else if (own.has(name)) throw new BuildspecError(`mapping key is already defined at line ${keyLine}`);
      else own.set(name, { node, line: keyLine });
    }
    // `<<: *anchor` brings in the anchor's keys; the map's own keys win wherever they stand.
    return { kind: 'map', entries: new Map([...merged, ...own]), line };
  }

  /** At the first visit only: one by way of an alias comes later than what was anchored meanwhile. */
  #noteAnchor(node: unknown): void {
    const { anchor } = (node ?? {}) as { anchor?: string };
    if (anchor === undefined || this.#seen.has(node as object)) return;
    this.#seen.add(node as object);
    this.#anchors.set(anchor, node);
  }

  #lineOf(node: unknown, fallback: number): number {
    const start = (node as Node | null | undefined)?.range?.[0];
    return start === undefined ? fallback : this.#lines.linePos(start).line;
  }
}

function mergeInto(entries: YamlMap['entries'], node: YamlNode): void {
  const sources = node.kind === 'list' ? node.items : [node];
  for (const source of sources) {
    if (source.kind !== 'map') throw new BuildspecError(`map merge requires map or sequence of maps as the value at line ${source.line}`);
    for (const [key, entry] of source.entries) if (!entries.has(key)) entries.set(key, entry);
  }
}

function toScalar(node: unknown, line: number): YamlScalar {
  if (!isScalar(node) || node.value === null) return { kind: 'scalar', text: '', isNull: true, line };
  const plain = node.type === 'PLAIN' && typeof node.source === 'string';
  const text = plain ? (node.source as string) : String(node.value);
  // Neither a command nor a record could hold it.
  if (text.includes('\0') || !text.isWellFormed()) throw new BuildspecError(`control characters are not allowed at line ${line}`);
  return { kind: 'scalar', text, isNull: false, line };
}

/** The parser's finding in the words that CodeBuild's log would have (those of its YAML library), with the line. */
function describe(error: YAMLError, lines: LineCounter): string {
  const { line } = lines.linePos(error.pos[0]);
  return `${wording(error)} at line ${line}`;
}

function wording(error: YAMLError): string {
  switch (error.code) {
    case 'TAB_AS_INDENT':
    case 'BAD_SCALAR_START':
      return 'found character that cannot start any token';
    case 'BLOCK_AS_IMPLICIT_KEY':
    case 'BLOCK_IN_FLOW':
      return 'mapping values are not allowed in this context';
    case 'MULTILINE_IMPLICIT_KEY':
    case 'KEY_OVER_1024_CHARS':
      return "could not find expected ':'";
    case 'BAD_INDENT':
    case 'UNEXPECTED_TOKEN':
      return 'did not find expected key';
    case 'MISSING_CHAR':
      return missingCharacter(error.message);
    case 'BAD_DQ_ESCAPE':
      return 'found unknown escape character';
    case 'MULTIPLE_DOCS':
      return 'expected a single document in the stream';
    default:
      return error.message.replace(/\s+/g, ' ');
  }
}

function missingCharacter(message: string): string {
  if (/quote/i.test(message)) return 'found unexpected end of stream';
  if (/\]|sequence/.test(message)) return "did not find expected ',' or ']'";
  if (/\}|map/.test(message)) return "did not find expected ',' or '}'";
  return "could not find expected ':'";
}
