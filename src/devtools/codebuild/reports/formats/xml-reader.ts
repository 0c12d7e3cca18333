/**
 * Reads XML as it comes, piece by piece: a report of any size takes the memory of its longest tag. The installed XML library makes a tree of the
 * whole document, which for 50 MB of test results is a gigabyte. Nothing is ever looked up: a DOCTYPE is passed over, entities of its own are refused.
 */

/** The file is not what its format asks for: it is cut short, not well formed, or asks for what is refused. */
export class MalformedReport extends Error {
  override readonly name = 'MalformedReport';
}

export interface XmlElement {
  /** Without its namespace prefix. */
  name: string;
  attributes: Map<string, string>;
  parent: XmlElement | undefined;
}

export interface XmlHandler {
  open(element: XmlElement): void;
  /** `text`: what stands directly in it, at most MAX_TEXT characters of it. */
  close(element: XmlElement, text: string): void;
}

/** characters; what a handler is given of an element's text. */
const MAX_TEXT = 32 * 1024;
/** characters */
const MAX_TAG = 4 * 1024 * 1024;
const MAX_DEPTH = 256;
/** characters of `&#x10FFFF;` and of `&quot;`, with room. */
const MAX_REFERENCE = 16;

const PREDEFINED = new Map([
  ['amp', '&'],
  ['lt', '<'],
  ['gt', '>'],
  ['quot', '"'],
  ['apos', "'"],
]);

interface Open {
  element: XmlElement;
  text: string;
}

type State = 'content' | 'cdata' | 'comment' | 'instruction';
const ENDS = { cdata: ']]>', comment: '-->', instruction: '?>' } as const;

export class XmlReader {
  readonly #handler: XmlHandler;
  readonly #stack: Open[] = [];
  #rest = '';
  #state: State = 'content';
  #rootSeen = false;

  constructor(handler: XmlHandler) {
    this.#handler = handler;
  }

  write(piece: string): void {
    this.#rest += piece;
    let at = 0;
    for (;;) {
      const next = this.#state === 'content' ? this.#content(at) : this.#skip(at, this.#state);
      if (next === undefined) break;
      at = next;
    }
    this.#rest = this.#rest.slice(this.#consumed);
    this.#consumed = 0;
    if (this.#rest.length > MAX_TAG) throw new MalformedReport(`a tag is longer than ${MAX_TAG} characters`);
  }

  end(): void {
    if (this.#state !== 'content' || this.#rest.trim() !== '' || this.#stack.length > 0)
      throw new MalformedReport('the document ends too early');
    if (!this.#rootSeen) throw new MalformedReport('the document has no element');
  }

  /** How much of `#rest` is done with. */
  #consumed = 0;

  /** Behind the next thing of the content, or undefined when more must come first. */
  #content(at: number): number | undefined {
    const open = this.#rest.indexOf('<', at);
    if (open < 0) return this.#waitInText(at);
    if (open > at) this.#text(this.#rest.slice(at, open));
    this.#consumed = open;
    if (this.#rest.length - open < 2) return undefined;
    const kind = this.#rest[open + 1];
    if (kind === '?') return this.#enter('instruction', open + 2);
    if (kind === '!') return this.#declaration(open);
    const end = tagEnd(this.#rest, open + 1);
    if (end < 0) return undefined;
    const inside = this.#rest.slice(open + 1, end);
    if (kind === '/') this.#close(inside.slice(1).trim());
    else this.#open(inside);
    this.#consumed = end + 1;
    return end + 1;
  }

  /** All text but what may be the first half of a reference. */
  #waitInText(at: number): undefined {
    const tail = this.#rest.lastIndexOf('&');
    const end = tail >= at && tail > this.#rest.length - MAX_REFERENCE && !this.#rest.includes(';', tail) ? tail : this.#rest.length;
    if (end > at) this.#text(this.#rest.slice(at, end));
    this.#consumed = end;
    return undefined;
  }

  #declaration(open: number): number | undefined {
    const text = this.#rest;
    if (text.startsWith('<!--', open)) return this.#enter('comment', open + 4);
    if (text.startsWith('<![CDATA[', open)) {
      if (this.#stack.length === 0) throw new MalformedReport('text stands outside of the document');
      return this.#enter('cdata', open + 9);
    }
    if (text.startsWith('<!DOCTYPE', open)) {
      const end = text.indexOf('>', open);
      const subset = text.indexOf('[', open);
      if (subset >= 0 && (end < 0 || subset < end)) throw new MalformedReport('declarations in the document type are not allowed');
      if (end >= 0) this.#consumed = end + 1;
      return end < 0 ? undefined : end + 1;
    }
    if (text.length - open >= 9) throw new MalformedReport('a declaration stands where none may be');
    return undefined;
  }

  #enter(state: State, at: number): number {
    this.#state = state;
    this.#consumed = at;
    return at;
  }

  #skip(at: number, state: 'cdata' | 'comment' | 'instruction'): number | undefined {
    const mark = ENDS[state];
    const end = this.#rest.indexOf(mark, at);
    // The mark itself may be cut in two.
    const until = end < 0 ? Math.max(at, this.#rest.length - mark.length + 1) : end;
    if (state === 'cdata' && until > at) this.#keep(this.#rest.slice(at, until));
    this.#consumed = end < 0 ? until : end + mark.length;
    if (end < 0) return undefined;
    this.#state = 'content';
    return this.#consumed;
  }

  #text(raw: string): void {
    if (this.#stack.length > 0) this.#keep(decode(raw));
    else if (raw.replace('\uFEFF', '').trim() !== '') throw new MalformedReport('text stands outside of the document');
  }

  #keep(text: string): void {
    const open = this.#stack.at(-1)!;
    if (open.text.length < MAX_TEXT) open.text += text.slice(0, MAX_TEXT - open.text.length);
  }

  #open(inside: string): void {
    const closed = inside.endsWith('/');
    const tag = readTag(closed ? inside.slice(0, -1) : inside);
    if (this.#stack.length === 0 && this.#rootSeen) throw new MalformedReport('there is more than one root element');
    if (this.#stack.length >= MAX_DEPTH) throw new MalformedReport(`elements are nested more than ${MAX_DEPTH} deep`);
    this.#rootSeen = true;
    const element = { ...tag, parent: this.#stack.at(-1)?.element };
    this.#stack.push({ element, text: '' });
    this.#handler.open(element);
    if (closed) this.#pop();
  }

  #close(name: string): void {
    const open = this.#stack.at(-1);
    if (!open || open.element.name !== localName(name)) throw new MalformedReport(`</${name.slice(0, 100)}> closes nothing`);
    this.#pop();
  }

  #pop(): void {
    const { element, text } = this.#stack.pop()!;
    this.#handler.close(element, text);
  }
}

/** Of the `>` that is in no attribute's value; -1 when it has not come yet. */
function tagEnd(text: string, from: number): number {
  let quote = 0;
  for (let at = from; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (quote !== 0) quote = code === quote ? 0 : quote;
    else if (code === 0x22 || code === 0x27) quote = code;
    else if (code === 0x3e) return at;
  }
  return -1;
}

const NAME = /[^\s=/<>"'&]+/y;
const ATTRIBUTE = /\s+([^\s=/<>"'&]+)\s*=\s*(?:"([^"<]*)"|'([^'<]*)')/y;

function readTag(inside: string): { name: string; attributes: Map<string, string> } {
  NAME.lastIndex = 0;
  const name = NAME.exec(inside)?.[0];
  if (name === undefined) throw new MalformedReport('a tag has no name');
  const attributes = new Map<string, string>();
  let at = name.length;
  for (;;) {
    ATTRIBUTE.lastIndex = at;
    const found = ATTRIBUTE.exec(inside);
    if (!found) break;
    attributes.set(localName(found[1]!), decode(found[2] ?? found[3] ?? ''));
    at = ATTRIBUTE.lastIndex;
  }
  if (inside.slice(at).trim() !== '') throw new MalformedReport(`the tag <${name.slice(0, 100)}> cannot be read`);
  return { name: localName(name), attributes };
}

function localName(name: string): string {
  return name.slice(name.indexOf(':') + 1);
}

/** What XML predefines, and characters by number. Entities of a document's own would be declared in what is refused. */
function decode(text: string): string {
  if (!text.includes('&')) return text;
  return text.replace(/&([^;\s&]{0,12});?/g, (whole, name: string) => {
    const known = PREDEFINED.get(name) ?? character(name);
    if (known === undefined || !whole.endsWith(';')) throw new MalformedReport(`the entity ${whole.slice(0, 20)} is not defined`);
    return known;
  });
}

function character(name: string): string | undefined {
  const [, hex, decimal] = /^#(?:x([0-9a-fA-F]{1,6})|(\d{1,7}))$/.exec(name) ?? [];
  if (hex === undefined && decimal === undefined) return undefined;
  const point = hex === undefined ? Number(decimal) : Number.parseInt(hex, 16);
  return point > 0 && point <= 0x10ffff && (point < 0xd800 || point > 0xdfff) ? String.fromCodePoint(point) : undefined;
}
