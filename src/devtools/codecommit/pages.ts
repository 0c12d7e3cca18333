/** How the lists of this service are cut into pages. */
import { AwsError } from '../../platform/errors.ts';
import type { RequestContext } from '../../platform/service.ts';

/** `InvalidMaxResultsException` below one; more than the maximum is the maximum. */
export function pageSize(wanted: number | undefined, fallback: number, max: number = fallback): number {
  if (wanted !== undefined && wanted < 1) {
    throw new AwsError('InvalidMaxResultsException', `The specified number of maximum results is not valid: ${wanted}`);
  }
  return Math.min(wanted ?? fallback, max);
}

/** Where the list goes on; undefined: at its beginning. `InvalidContinuationTokenException` for a token of another list. */
export function openToken<T>(ctx: RequestContext, scope: string, token: string | undefined): T | undefined {
  if (token === undefined) return undefined;
  const position = ctx.paging.open<T>(scope, token);
  if (position === undefined) throw new AwsError('InvalidContinuationTokenException', 'The specified continuation token is not valid.');
  return position;
}

/** One page of rows of which one more than its size was asked for. */
export function pageOf<T>(ctx: RequestContext, scope: string, rows: T[], limit: number, position: (last: T) => unknown) {
  const page = rows.slice(0, limit);
  return { page, nextToken: rows.length > limit ? ctx.paging.seal(scope, position(page.at(-1)!)) : undefined };
}
