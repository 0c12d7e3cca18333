/** The tokens of JSON and space-delimited filter patterns. */
import { PatternError } from './pattern-error.ts';

export interface Token {
  kind: 'word' | 'quoted' | 'regex' | 'symbol';
  text: string;
}

const SYMBOLS = ['&&', '||', '!=', '<=', '>=', '=', '<', '>', '(', ')', '{', '}', '[', ']', ','];

/** `isWord` tells which characters an unquoted word is made of: the two languages differ. */
export function tokenize(source: string, isWord: (char: string) => boolean): Token[] {
  const tokens: Token[] = [];
  let at = 0;
  while (at < source.length) {
    const char = source[at]!;
    if (/\s/.test(char)) {
      at++;
    } else if (char === '"') {
      const { text, end } = quoted(source, at);
      tokens.push({ kind: 'quoted', text });
      at = end;
    } else if (char === '%') {
      const end = source.indexOf('%', at + 1);
      if (end < 0) throw new PatternError('a regular expression is not closed by %');
      tokens.push({ kind: 'regex', text: source.slice(at + 1, end) });
      at = end + 1;
    } else if (isWord(char)) {
      let end = at + 1;
      while (end < source.length && isWord(source[end]!)) end++;
      tokens.push({ kind: 'word', text: source.slice(at, end) });
      at = end;
    } else {
      const symbol = SYMBOLS.find((candidate) => source.startsWith(candidate, at));
      if (!symbol) throw new PatternError(`unexpected ${char}`);
      tokens.push({ kind: 'symbol', text: symbol });
      at += symbol.length;
    }
  }
  return tokens;
}

/** Text in double quotes that begins at `start`, in which a backslash takes the next character as it is. */
export function quoted(source: string, start: number): { text: string; end: number } {
  let text = '';
  for (let at = start + 1; at < source.length; at++) {
    if (source[at] === '"') return { text, end: at + 1 };
    if (source[at] === '\\' && at + 1 < source.length) at++;
    text += source[at];
  }
  throw new PatternError('a quotation mark is not closed');
}

/** Reads tokens one after the other. */
export class TokenReader {
  private readonly tokens: Token[];
  private at = 0;

  constructor(tokens: Token[]) {
    this.tokens = tokens;
  }

  peek(): Token | undefined {
    return this.tokens[this.at];
  }

  next(): Token {
    const token = this.tokens[this.at++];
    if (!token) throw new PatternError('it ends too early');
    return token;
  }

  /** Takes the symbol if it comes next. */
  take(symbol: string): boolean {
    const token = this.peek();
    if (token?.kind !== 'symbol' || token.text !== symbol) return false;
    this.at++;
    return true;
  }

  expect(symbol: string): void {
    if (!this.take(symbol)) throw new PatternError(`${symbol} expected`);
  }

  /** Takes the word, in whatever case, if it comes next. */
  takeWord(word: string): boolean {
    const token = this.peek();
    if (token?.kind !== 'word' || token.text.toUpperCase() !== word) return false;
    this.at++;
    return true;
  }

  end(): void {
    const token = this.peek();
    if (token) throw new PatternError(`unexpected ${token.text}`);
  }
}

const COMPARISONS = ['=', '!=', '<', '>', '<=', '>='] as const;

export function takeComparison(reader: TokenReader): (typeof COMPARISONS)[number] {
  const comparison = COMPARISONS.find((candidate) => reader.take(candidate));
  if (!comparison) throw new PatternError('a comparison is expected');
  return comparison;
}

/** Conditions joined by `||` of conditions joined by `&&`, with parentheses; `atom` reads one condition. */
export function readCondition<T>(reader: TokenReader, atom: () => (subject: T) => boolean, depth = 0): (subject: T) => boolean {
  if (depth > 50) throw new PatternError('it is nested too deeply');
  const either = [readAll(reader, atom, depth)];
  while (reader.take('||')) either.push(readAll(reader, atom, depth));
  return either.length === 1 ? either[0]! : (subject) => either.some((test) => test(subject));
}

function readAll<T>(reader: TokenReader, atom: () => (subject: T) => boolean, depth: number): (subject: T) => boolean {
  const all: ((subject: T) => boolean)[] = [];
  do {
    if (reader.take('(')) {
      all.push(readCondition(reader, atom, depth + 1));
      reader.expect(')');
    } else all.push(atom());
  } while (reader.take('&&'));
  return all.length === 1 ? all[0]! : (subject) => all.every((test) => test(subject));
}
