/** One page of a list: where it starts, and the token of where the next one does. */
import type { RequestContext } from '../../platform/service.ts';
import { invalid } from './rules.ts';

/** What AWS takes and gives at most. */
export const PAGE = 100;

export const DIRECTIONS = { ASCENDING: ['asc', '>'], DESCENDING: ['desc', '<'] } as const;

/** Undefined at the list's beginning. */
export function startOf<T>(ctx: RequestContext, scope: string, nextToken: string | undefined): T | undefined {
  if (nextToken === undefined) return undefined;
  const position = ctx.paging.open<T>(scope, nextToken);
  if (position === undefined) throw invalid('Invalid next token provided');
  return position;
}

/** `rows`: one more than the page, if there are more. */
export function pageOf<R>(
  ctx: RequestContext,
  scope: string,
  rows: R[],
  size: number,
  positionOf: (row: R) => unknown,
): { page: R[]; nextToken: string | undefined } {
  const page = rows.slice(0, size);
  const last = page.at(-1);
  return { page, nextToken: rows.length > size && last ? ctx.paging.seal(scope, positionOf(last)) : undefined };
}
