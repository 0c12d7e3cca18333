/** Keys as an ordered set: what comes after what, and how lists write them. */
import { invalidArgument } from './errors.ts';

const LAST_CODE_POINT = 0x10ffff;

/** The smallest text that comes after everything that begins with `prefix`, in the order of UTF-8 bytes; undefined when there is none. */
export function successor(prefix: string): string | undefined {
  const points = Array.from(prefix, (character) => character.codePointAt(0)!);
  while (points.at(-1) === LAST_CODE_POINT) points.pop();
  const last = points.pop();
  if (last === undefined) return undefined;
  // Surrogates are no characters of their own.
  const next = last === 0xd7ff ? 0xe000 : last + 1;
  return String.fromCodePoint(...points, next);
}

/** What a key is rolled up to: all up to the first delimiter behind the prefix. */
export function commonPrefix(key: string, prefix: string, delimiter: string | undefined): string | undefined {
  if (!delimiter) return undefined;
  const at = key.indexOf(delimiter, prefix.length);
  return at < 0 ? undefined : key.slice(0, at + delimiter.length);
}

/** For `encoding-type=url`: keys may hold what XML cannot. */
export function keyEncoder(encodingType: 'url' | undefined): <T extends string | undefined>(text: T) => T {
  if (encodingType === undefined) return (text) => text;
  return (text) => text && (encodeURIComponent(text).replaceAll('%2F', '/') as typeof text);
}

/** `max-keys` and its like: at most a thousand whatever is asked for. */
export function pageSize(name: string, asked: number | undefined): number {
  if (asked === undefined) return 1000;
  if (asked < 0) throw invalidArgument(name, asked, `Argument ${name} must be an integer between 0 and 2147483647`);
  return Math.min(asked, 1000);
}

/** Where a list goes on: behind a row (and, where several rows have its key, behind its `tie`), or from a key on. */
export type Position<Tie> = { after: string; tie?: Tie } | { from: string };

export interface Page<Row> {
  rows: Row[];
  commonPrefixes: string[];
  truncated: boolean;
  /** The last of the rows and prefixes. */
  last: { row: Row } | { prefix: string } | undefined;
}

/**
 * Collects one page of rows in key order, rolling keys up to common prefixes. What lies under a prefix is jumped over, not read: a folder of
 * a million objects costs one query more.
 */
export async function collectPage<Row extends { key: string }, Tie>(list: {
  prefix: string;
  delimiter: string | undefined;
  start: Position<Tie>;
  limit: number;
  positionOf(row: Row): Position<Tie>;
  fetch(position: Position<Tie>, limit: number): Promise<Row[]>;
}): Promise<Page<Row>> {
  const page: Page<Row> = { rows: [], commonPrefixes: [], truncated: false, last: undefined };
  if (list.limit === 0) return page;
  let position = list.start;
  let batch = list.limit + 1;
  for (;;) {
    const rows = await list.fetch(position, batch);
    const before = page.rows.length + page.commonPrefixes.length;
    let under: string | undefined;
    for (const row of rows) {
      if (under !== undefined && row.key.startsWith(under)) continue;
      if (page.rows.length + page.commonPrefixes.length === list.limit) return { ...page, truncated: true };
      under = commonPrefix(row.key, list.prefix, list.delimiter);
      if (under === undefined) {
        page.rows.push(row);
        page.last = { row };
        position = list.positionOf(row);
      } else {
        page.commonPrefixes.push(under);
        page.last = { prefix: under };
        const next = successor(under);
        if (next === undefined) return page;
        position = { from: next };
      }
    }
    if (rows.length < batch) return page;
    // Batches shrink while most of them is jumped over.
    const gained = page.rows.length + page.commonPrefixes.length - before;
    batch = gained <= 1 ? Math.max(10, Math.ceil(batch / 4)) : Math.min(list.limit + 1, batch * 2);
  }
}

/** Where a list starts that was asked to go on behind `marker`: a marker that is itself a common prefix stands for all that it covers. */
export function startBehind<Tie>(marker: string | undefined, prefix: string, delimiter: string | undefined, tie?: Tie): Position<Tie> {
  if (!marker) return { from: prefix };
  if (marker.startsWith(prefix) && commonPrefix(marker, prefix, delimiter) === marker) return { from: successor(marker) ?? marker };
  return marker < prefix ? { from: prefix } : { after: marker, tie };
}
