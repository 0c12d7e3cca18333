/** Reads a query from left to right. What `/` means depends on where it stands, so there are no tokens ahead of their use. */
import { QueryError } from './syntax.ts';

/** White space, and comments from `#` to the end of the line. */
const BLANK = /(?:\s|#[^\n]*)*/y;
const WORD = /[A-Za-z_]\w*/y;
const FIELD = /@?[A-Za-z_][\w.@]*/y;
const NUMBER = /(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?/y;
const UNIT =
  /(?:ms|milliseconds?|msec|mo|months?|mon|s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?|w|weeks?|q|qtr|quarters?|y|yrs?|years?)\b/y;
const QUOTED = /"((?:\\[\s\S]|[^"\\])*)"|'((?:\\[\s\S]|[^'\\])*)'/y;
const BACKTICKED = /`([^`]+)`/y;
const REGEX = /\/((?:\\[\s\S]|\[(?:\\[\s\S]|[^\]\\])*\]|[^/\\[])+)\//y;

export class Scanner {
  readonly text: string;
  at = 0;
  #depth = 0;

  constructor(text: string) {
    this.text = text;
  }

  /** Where the next thing begins. */
  start(): number {
    this.at += this.#length(BLANK);
    return this.at;
  }

  done(): boolean {
    return this.start() === this.text.length;
  }

  #length(pattern: RegExp): number {
    return this.#match(pattern)?.[0].length ?? 0;
  }

  #match(pattern: RegExp): RegExpExecArray | null {
    pattern.lastIndex = this.at;
    return pattern.exec(this.text);
  }

  #next(pattern: RegExp): RegExpExecArray | undefined {
    this.start();
    const found = this.#match(pattern);
    if (!found) return undefined;
    this.at += found[0].length;
    return found;
  }

  /** Whether that sign comes next, which is then behind us. */
  take(sign: string): boolean {
    if (!this.text.startsWith(sign, this.start())) return false;
    this.at += sign.length;
    return true;
  }

  expect(sign: string): void {
    if (!this.take(sign)) throw this.error(`'${sign}' is expected`);
  }

  takeWord(wanted: string): boolean {
    this.start();
    const found = this.#match(WORD)?.[0];
    // `as.b` is a field.
    if (found?.toLowerCase() !== wanted || /[.@]/.test(this.text[this.at + found.length] ?? '')) return false;
    this.at += found.length;
    return true;
  }

  word(): string | undefined {
    return this.#next(WORD)?.[0];
  }

  /** A field's name, in backticks where it has other signs than letters, digits, `_`, `@` and `.`. */
  field(): string | undefined {
    return this.#next(BACKTICKED)?.[1] ?? this.#next(FIELD)?.[0];
  }

  number(): number | undefined {
    const found = this.#next(NUMBER);
    return found && Number(found[0]);
  }

  /** Directly behind a number. */
  unit(): string | undefined {
    const found = this.#match(UNIT);
    if (found) this.at += found[0].length;
    return found?.[0];
  }

  quoted(): string | undefined {
    const found = this.#next(QUOTED);
    return found && (found[1] ?? found[2]!).replace(/\\(["'\\])/g, '$1');
  }

  regex(): string | undefined {
    const found = this.#next(REGEX);
    return found?.[1]?.replace(/\\\//g, '/');
  }

  /** Keeps nesting from costing the stack. */
  nested<T>(work: () => T): T {
    this.#depth += 1;
    if (this.#depth > 100) throw this.error('the query is nested too deeply');
    const result = work();
    this.#depth -= 1;
    return result;
  }

  error(message: string): QueryError {
    return new QueryError(message, this.at, Math.min(this.at + 1, this.text.length));
  }

  unexpected(): QueryError {
    const shown = this.text.slice(this.start(), this.at + 20);
    return this.error(shown === '' ? 'the query ends too early' : `'${shown}' is not expected here`);
  }
}
