/**
 * Patterns of paths as buildspecs have them: `*` and `?` within a name, `**` across directories, `[a-z]`, `[!a]`, `{one,two}`; a leading dot is nothing
 * special. They are users' own and meet users' own names in the server, so they go to an engine that needs time in proportion to both: the
 * usual translation into JavaScript's regular expressions takes `*a*a*a*a*a*b` for a reason to work for minutes.
 */
import { RE2JS } from 're2js';

/** Whether a path, with `/` as separator, is meant by the pattern. */
export function globMatcher(pattern: string): (path: string) => boolean {
  const clean = pattern.replace(/^(\.\/)+/, '').replace(/\/{2,}/g, '/');
  if (clean === '**' || clean === '**/*') return () => true;
  if (!isGlob(clean)) return (path) => path === clean;
  const compiled = compile(new Translation(clean).source());
  return (path) => path === clean || (compiled?.matches(path) ?? false);
}

/** Undefined for what is no pattern, such as `[z-a]`: a file may still be called so. */
function compile(source: string): RE2JS | undefined {
  try {
    return RE2JS.compile(source, RE2JS.DOTALL);
  } catch {
    return undefined;
  }
}

export function isGlob(text: string): boolean {
  return /[*?[{]/.test(text);
}

class Translation {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  source(): string {
    return this.#sequence(false);
  }

  /** Up to the end, or to the comma or bracket that ends an alternative. */
  #sequence(alternative: boolean): string {
    let source = '';
    while (this.#at < this.#text.length) {
      const character = this.#text[this.#at]!;
      if (alternative && (character === ',' || character === '}')) break;
      source += this.#next(character);
    }
    return source;
  }

  #next(character: string): string {
    switch (character) {
      case '*':
        return this.#stars();
      case '?':
        this.#at += 1;
        return '[^/]';
      case '[':
        return this.#characterClass() ?? this.#literal(1);
      case '{':
        return this.#alternatives() ?? this.#literal(1);
      case '\\':
        this.#at += 1;
        return this.#literal(1);
      default:
        return this.#literal(1);
    }
  }

  /** `**` is more than `*` only as a whole name: it stands for any number of directories, none included. */
  #stars(): string {
    const begin = this.#at;
    while (this.#text[this.#at] === '*') this.#at += 1;
    const startsName = begin === 0 || '/{,'.includes(this.#text[begin - 1]!);
    const after = this.#text[this.#at];
    if (this.#at - begin < 2 || !startsName) return '[^/]*';
    if (after === '/') {
      this.#at += 1;
      return '(?:.*/)?';
    }
    return after === undefined || after === ',' || after === '}' ? '.*' : '[^/]*';
  }

  #characterClass(): string | undefined {
    const found = /^\[([!^]?)(\]?[^\]/]*)\]/.exec(this.#text.slice(this.#at));
    if (!found || found[2] === '') return undefined;
    this.#at += found[0].length;
    const members = found[2]!.replace(/[\\[\]^&~]/g, '\\$&');
    return found[1] ? `[^/${members}]` : `[${members}]`;
  }

  #alternatives(): string | undefined {
    const begin = this.#at;
    const alternatives: string[] = [];
    do {
      this.#at += 1;
      alternatives.push(this.#sequence(true));
    } while (this.#text[this.#at] === ',');
    if (this.#text[this.#at] === '}' && alternatives.length > 1) {
      this.#at += 1;
      return `(?:${alternatives.join('|')})`;
    }
    // One bracket, or one choice, is just that.
    this.#at = begin;
    return undefined;
  }

  #literal(length: number): string {
    const text = this.#text.slice(this.#at, this.#at + length);
    this.#at += length;
    return text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
  }
}
