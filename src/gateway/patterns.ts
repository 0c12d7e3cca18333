/**
 * The models' patterns, which are Java's, matched on the whole string in linear time. A pattern with one unbounded repetition of a single
 * character or class runs on JavaScript's own engine, where it cannot backtrack far, and so does one without any that looks ahead, which RE2
 * cannot; every other runs on RE2, where nothing can.
 */
import { RE2JS } from 're2js';

export type Matcher = (text: string) => boolean;

const matchers = new Map<string, Matcher>();

/** Compiled once per pattern. Throws SyntaxError for a pattern that neither engine reads. */
export function wholeStringMatcher(pattern: string): Matcher {
  const known = matchers.get(pattern);
  if (known) return known;
  const matcher = compile(pattern);
  matchers.set(pattern, matcher);
  return matcher;
}

/** Lookahead is the only thing in AWS's patterns that RE2 lacks; it mostly is a `(?!…)` at the start. */
function compile(pattern: string): Matcher {
  const refused = leadingRefusal(pattern);
  if (!refused) return compilePlain(pattern);
  const starts = compilePrefix(refused.inner);
  const rest = compile(refused.rest);
  return (text) => !starts(text) && rest(text);
}

function leadingRefusal(pattern: string): { inner: string; rest: string } | undefined {
  const start = pattern.startsWith('^(?!') ? 4 : pattern.startsWith('(?!') ? 3 : 0;
  if (start === 0) return undefined;
  let depth = 1;
  for (let index = start; index < pattern.length; index++) {
    const char = pattern[index];
    if (char === '\\') index++;
    else if (char === '(') depth++;
    else if (char === ')' && --depth === 0) return { inner: pattern.slice(start, index), rest: pattern.slice(index + 1) };
  }
  return undefined;
}

function compilePlain(pattern: string): Matcher {
  if (isSimple(pattern)) {
    const expression = new RegExp(`^(?:${toJavaScript(pattern)})$`, 'u');
    return (text) => expression.test(text);
  }
  const expression = RE2JS.compile(toRe2(pattern));
  return (text) => expression.matches(text);
}

/** Whether the text begins with it. A `$` inside still means the end of the text. */
function compilePrefix(pattern: string): Matcher {
  const expression = RE2JS.compile(toRe2(`^(?:${pattern})`));
  return (text) => expression.matcher(text).find();
}

/** No groups, at most one unbounded repetition: at worst one scan of the text. With lookahead: no unbounded repetition at all. */
function isSimple(pattern: string): boolean {
  const outside = pattern.replace(/\\./gs, 'x').replace(/\[[^\]]*\]/g, 'x');
  const unbounded = outside.match(/[*+]|\{\d+,\}/g) ?? [];
  if (outside.includes('(?!')) return unbounded.length === 0;
  return !/[()|]/.test(outside) && unbounded.length <= 1;
}

/**
 * Java's syntax for JavaScript's unicode mode, which allows fewer escapes, wants braces around long code points, and takes a hyphen after
 * a class such as `\w` for a broken range.
 */
function toJavaScript(pattern: string): string {
  return longCodePoints(pattern)
    .replace(/\\([^\w\s^$\\.*+?()[\]{}|/-])/g, '$1')
    .replace(/\\_/g, '_')
    .replace(/(\\[wdsWDS])-/g, '$1\\-')
    .replace(/\\-/g, '\\x2d');
}

function toRe2(pattern: string): string {
  return longCodePoints(pattern)
    .replace(/\\u\{([0-9A-Fa-f]+)\}/g, '\\x{$1}')
    .replace(/\\u([0-9A-Fa-f]{4})/g, '\\x{$1}');
}

/** The importers of AWS's models have flattened `\x{10000}` into `\u10000`, which would read as `\u1000` and a zero. */
function longCodePoints(pattern: string): string {
  return pattern.replace(/\\u(10[0-9A-Fa-f]{4}|10000)/g, '\\u{$1}');
}
