/** Lists, page by page. */
import { AwsError } from '../../platform/errors.ts';
import type { RequestContext } from '../../platform/service.ts';

export const PAGE = 100;

/**
 * One page of a list: `fetch` gets where the last page ended and gives up to `limit` rows from there on, `position` tells where a row
 * stands. `list` names the list with all its filters, so that a token of one list is refused by another.
 */
export async function onePage<Row, Position>(
  ctx: RequestContext,
  list: string,
  token: string | undefined,
  fetch: (after: Position | undefined, limit: number) => Promise<Row[]>,
  position: (row: Row) => Position,
): Promise<{ rows: Row[]; nextToken?: string }> {
  const scope = `codedeploy:${ctx.account}:${ctx.region}:${list}`;
  const after = token === undefined ? undefined : ctx.paging.open<Position>(scope, token);
  if (token !== undefined && after === undefined)
    throw new AwsError('InvalidNextTokenException', 'The next token was specified in an invalid format.');
  const rows = await fetch(after, PAGE + 1);
  if (rows.length <= PAGE) return { rows };
  rows.length = PAGE;
  return { rows, nextToken: ctx.paging.seal(scope, position(rows.at(-1)!)) };
}

export function limitBatch(items: unknown[], most: number): void {
  if (items.length > most) {
    throw new AwsError(
      'BatchLimitExceededException',
      `The maximum number of names or IDs allowed for this request (${most}) was exceeded.`,
    );
  }
}
