/** Text patterns of policies: `*`, `?` and policy variables such as `${aws:username}`. */

/** Finds a value of the request by its lower-case key, such as `aws:username`. */
export type Resolve = (key: string) => string | string[] | undefined;

export interface Pattern {
  /** False, too, when a variable has no value: `unresolved` tells. */
  matches(text: string, resolve: Resolve): boolean;
  /** Whether some variable in it has neither a value nor a default: then the pattern stands for nothing. */
  unresolved(resolve: Resolve): boolean;
}

export interface PatternOptions {
  /** `*` and `?` mean anything; else they stand for themselves. */
  wildcards: boolean;
  /** `${…}` is replaced: from policy version 2012-10-17 on. */
  variables: boolean;
  /** The caller gives lower-case texts. */
  ignoreCase?: boolean;
}

const ANY_RUN = -1;
const ANY_ONE = -2;

interface Variable {
  key: string;
  fallback: string | undefined;
}

const never = (): boolean => false;

export function compilePattern(source: string, options: PatternOptions): Pattern {
  const text = options.ignoreCase ? source.toLowerCase() : source;
  if (options.variables && text.includes('${')) return compileWithVariables(text, options);
  if (!options.wildcards || !/[*?]/.test(text)) return { matches: (given) => given === text, unresolved: never };
  if (text === '*') return { matches: () => true, unresolved: never };
  const codes = toCodes(text, true);
  return { matches: (given) => matchCodes(codes, given), unresolved: never };
}

function compileWithVariables(text: string, { wildcards, ignoreCase }: PatternOptions): Pattern {
  const pieces = splitVariables(text).map((piece) => (typeof piece === 'string' ? toCodes(piece, wildcards) : piece));
  const codesFor = (resolve: Resolve): number[] | undefined => {
    const codes: number[] = [];
    for (const piece of pieces) {
      if (Array.isArray(piece)) codes.push(...piece);
      else {
        const value = variableValue(piece, resolve);
        if (value === undefined) return undefined;
        // What a variable stands for is text, not a pattern: a user called `*` gains nothing.
        codes.push(...toCodes(ignoreCase ? value.toLowerCase() : value, false));
      }
    }
    return codes;
  };
  return {
    matches(given, resolve) {
      const codes = codesFor(resolve);
      return codes !== undefined && matchCodes(codes, given);
    },
    unresolved: (resolve) => codesFor(resolve) === undefined,
  };
}

function variableValue({ key, fallback }: Variable, resolve: Resolve): string | undefined {
  // `${*}`, `${?}` and `${$}` are the characters themselves.
  if (key === '*' || key === '?' || key === '$') return key;
  const found = resolve(key);
  return typeof found === 'string' ? found : fallback;
}

/** `a${k, 'd'}b` → `a`, the variable, `b`. An unclosed `${` is text. */
function splitVariables(text: string): (string | Variable)[] {
  const pieces: (string | Variable)[] = [];
  let at = 0;
  for (const found of text.matchAll(/\$\{\s*([^},]*?)\s*(?:,\s*'([^']*)'\s*)?\}/g)) {
    if (found.index > at) pieces.push(text.slice(at, found.index));
    pieces.push({ key: found[1]!.toLowerCase(), fallback: found[2] });
    at = found.index + found[0].length;
  }
  if (at < text.length) pieces.push(text.slice(at));
  return pieces;
}

function toCodes(text: string, wildcards: boolean): number[] {
  const codes: number[] = [];
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    if (wildcards && code === 0x2a) {
      if (codes.at(-1) !== ANY_RUN) codes.push(ANY_RUN);
    } else codes.push(wildcards && code === 0x3f ? ANY_ONE : code);
  }
  return codes;
}

/** Goes back only to the last `*`, so time is bounded by pattern × text, and is linear for the patterns that people write. */
function matchCodes(pattern: number[], text: string): boolean {
  let p = 0;
  let t = 0;
  let star = -1;
  let resume = 0;
  while (t < text.length) {
    const code = pattern[p];
    if (code === ANY_RUN) {
      star = p++;
      resume = t;
    } else if (code === ANY_ONE || code === text.charCodeAt(t)) {
      p++;
      t++;
    } else if (star >= 0) {
      p = star + 1;
      t = ++resume;
    } else return false;
  }
  while (pattern[p] === ANY_RUN) p++;
  return p === pattern.length;
}
