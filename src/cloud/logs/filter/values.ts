/** What JSON and space-delimited patterns compare with: numbers, text with `*`, `%regular expressions%`. */
import { RE2JS } from 're2js';
import { PatternError } from './pattern-error.ts';

export type Comparison = '=' | '!=' | '<' | '>' | '<=' | '>=';
/** Undefined: there is no such field. */
export type ValueTest = (value: unknown) => boolean;

const NUMBER = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/;

/** Finds the expression anywhere in a text; never backtracks. */
export function regexTest(source: string): (text: string) => boolean {
  try {
    const expression = RE2JS.compile(source);
    return (text) => expression.matcher(text).find();
  } catch {
    throw new PatternError(`%${source}% is not a regular expression`);
  }
}

/** `a*c`: the pieces must come in this order, the first at the start and the last at the end. Linear: each piece is looked for once. */
export function wildcardTest(pattern: string): (text: string) => boolean {
  const pieces = pattern.split('*');
  if (pieces.length === 1) return (text) => text === pattern;
  const first = pieces[0]!;
  const last = pieces.at(-1)!;
  const inner = pieces.slice(1, -1).filter((piece) => piece !== '');
  return (text) => {
    if (text.length < first.length + last.length || !text.startsWith(first) || !text.endsWith(last)) return false;
    let from = first.length;
    for (const piece of inner) {
      const found = text.indexOf(piece, from);
      if (found < 0) return false;
      from = found + piece.length;
    }
    return from <= text.length - last.length;
  };
}

function asNumber(value: unknown): number | undefined {
  if (typeof value === 'number') return value;
  return typeof value === 'string' && NUMBER.test(value) ? Number(value) : undefined;
}

function numberTest(comparison: Comparison, wanted: number): ValueTest {
  return (value) => {
    const number = asNumber(value);
    if (number === undefined) return comparison === '!=' && value !== undefined;
    switch (comparison) {
      case '=':
        return number === wanted;
      case '!=':
        return number !== wanted;
      case '<':
        return number < wanted;
      case '>':
        return number > wanted;
      case '<=':
        return number <= wanted;
      case '>=':
        return number >= wanted;
    }
  };
}

export interface Operand {
  kind: 'word' | 'quoted' | 'regex';
  text: string;
}

/** A field compared with what the pattern gives. Text that looks like a number is compared as one, unless it was quoted. */
export function comparisonTest(comparison: Comparison, { kind, text }: Operand): ValueTest {
  if (kind === 'word' && NUMBER.test(text)) return numberTest(comparison, Number(text));
  if (comparison !== '=' && comparison !== '!=') throw new PatternError(`${comparison} needs a number, not ${text}`);
  const matches = kind === 'regex' ? regexTest(text) : wildcardTest(text);
  return (value) => {
    if (value === undefined || value === null || typeof value === 'object') return false;
    return matches(String(value)) === (comparison === '=');
  };
}
