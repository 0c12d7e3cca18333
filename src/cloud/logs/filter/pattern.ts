/** The filter pattern language of CloudWatch Logs ("Filter pattern syntax", user guide): terms, JSON conditions, space-delimited fields. */
import { compileFieldsPattern } from './fields-pattern.ts';
import { compileJsonPattern } from './json-pattern.ts';
import { quoted } from './lexer.ts';
import { PatternError } from './pattern-error.ts';
import { regexTest } from './values.ts';

export type MessageTest = (message: string) => boolean;

/** Undefined when everything matches. Throws PatternError for what AWS refuses. */
export function compilePattern(source: string): MessageTest | undefined {
  const pattern = source.trim();
  if (pattern === '') return undefined;
  if (pattern.startsWith('{')) return compileJsonPattern(pattern);
  if (pattern.startsWith('[')) return compileFieldsPattern(pattern);
  return compileTerms(pattern);
}

interface Term {
  sign: '' | '?' | '-';
  test: MessageTest;
}

/** All plain terms, none of the `-` terms; `?` terms count only where there is no other, and then any of them will do. */
function compileTerms(pattern: string): MessageTest {
  const terms = readTerms(pattern);
  const required = terms.filter(({ sign }) => sign === '');
  const refused = terms.filter(({ sign }) => sign === '-');
  const optional = terms.filter(({ sign }) => sign === '?');
  if (required.length === 0 && refused.length === 0) return (message) => optional.some(({ test }) => test(message));
  return (message) => required.every(({ test }) => test(message)) && !refused.some(({ test }) => test(message));
}

function readTerms(pattern: string): Term[] {
  const terms: Term[] = [];
  let at = 0;
  while (at < pattern.length) {
    if (/\s/.test(pattern[at]!)) {
      at++;
      continue;
    }
    const sign = pattern[at] === '?' || pattern[at] === '-' ? (pattern[at++] as '?' | '-') : '';
    const { test, end } = readTerm(pattern, at);
    terms.push({ sign, test });
    at = end;
  }
  return terms;
}

function readTerm(pattern: string, at: number): { test: MessageTest; end: number } {
  if (pattern[at] === '"') {
    const { text, end } = quoted(pattern, at);
    return { test: (message) => message.includes(text), end };
  }
  if (pattern[at] === '%') {
    const end = pattern.indexOf('%', at + 1);
    if (end < 0) throw new PatternError('a regular expression is not closed by %');
    return { test: regexTest(pattern.slice(at + 1, end)), end: end + 1 };
  }
  const word = /[^\s]*/y;
  word.lastIndex = at;
  const text = word.exec(pattern)![0];
  // Anything but letters, digits and underscores must be in quotation marks.
  if (!/^[\p{L}\p{N}_]+$/u.test(text)) throw new PatternError(`${text || 'a lone sign'} must be quoted`);
  return { test: (message) => message.includes(text), end: at + text.length };
}
