/** Lists in pages, as all of KMS pages them: Limit, Marker, NextMarker, Truncated. */
import type { RequestContext } from '../../platform/service.ts';
import { kmsError } from './errors.ts';

interface Page<P> {
  limit: number;
  after: P | undefined;
  /** `rows`: up to one more than the limit. */
  cut<R>(rows: R[], position: (row: R) => P): { items: R[]; NextMarker?: string; Truncated: boolean };
}

/** `scope` ties markers to one list. */
export function pageOf<P>(
  ctx: RequestContext,
  scope: string,
  { Limit, Marker }: { Limit?: number | undefined; Marker?: string | undefined },
  { usual }: { usual: number },
): Page<P> {
  const after = Marker === undefined ? undefined : ctx.paging.open<P>(scope, Marker);
  if (Marker !== undefined && after === undefined) throw kmsError('InvalidMarkerException', 'Invalid Marker provided');
  const limit = Limit ?? usual;
  return {
    limit,
    after,
    cut(rows, position) {
      if (rows.length <= limit) return { items: rows, Truncated: false };
      const items = rows.slice(0, limit);
      return { items, NextMarker: ctx.paging.seal(scope, position(items.at(-1)!)), Truncated: true };
    },
  };
}
