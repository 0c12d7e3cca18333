/** IAM's lists: `Marker`, `MaxItems`, `IsTruncated`. */
import type { RequestContext } from '../../platform/service.ts';
import { validationError } from './errors.ts';

interface PageInput {
  Marker?: string;
  MaxItems?: number;
}

export interface Page<T> {
  items: T[];
  IsTruncated: boolean;
  Marker?: string;
}

const DEFAULT_PAGE = 100;

/** Where the list goes on: the last key of the page before. */
export function afterKey(ctx: RequestContext, scope: string, { Marker }: PageInput): string | undefined {
  if (Marker === undefined) return undefined;
  const key = ctx.paging.open<string>(fullScope(ctx, scope), Marker);
  if (key === undefined) throw validationError('Invalid Marker.');
  return key;
}

/** How many rows to ask for: one more than the page holds. */
export function rowLimit({ MaxItems = DEFAULT_PAGE }: PageInput): number {
  return MaxItems + 1;
}

/** The page out of `rowLimit` rows that stand after the marker, in the order of their keys. */
export function pageOf<T>(ctx: RequestContext, scope: string, input: PageInput, rows: T[], keyOf: (row: T) => string): Page<T> {
  const size = rowLimit(input) - 1;
  const items = rows.slice(0, size);
  if (rows.length <= size) return { items, IsTruncated: false };
  return { items, IsTruncated: true, Marker: ctx.paging.seal(fullScope(ctx, scope), keyOf(items.at(-1)!)) };
}

/** The page of a list that is at hand as a whole. */
export function pageOfAll<T>(ctx: RequestContext, scope: string, input: PageInput, all: T[], keyOf: (row: T) => string): Page<T> {
  const after = afterKey(ctx, scope, input);
  const compare = (a: T, b: T): number => (keyOf(a) < keyOf(b) ? -1 : 1);
  const rest = all.filter((row) => after === undefined || keyOf(row) > after).sort(compare);
  return pageOf(ctx, scope, input, rest, keyOf);
}

function fullScope(ctx: RequestContext, scope: string): string {
  return `iam:${scope}:${ctx.account}`;
}
