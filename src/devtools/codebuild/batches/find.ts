/** Batches by their ids: found, and asked about in policies. */
import { AwsError } from '../../../platform/errors.ts';
import type { Check, RequestContext } from '../../../platform/service.ts';
import { buildId } from '../names.ts';
import { onProject } from '../projects.ts';
import { batchArn, parseBatchId } from './names.ts';
import type { BatchRow } from './tables.ts';

/** By the id as given. Another account's, another region's or a malformed id finds nothing. */
export async function findBatches(ctx: RequestContext, ids: string[]): Promise<Map<string, BatchRow>> {
  const parsed = new Map(ids.map((given) => [given, parseBatchId(ctx, given)]));
  const uuids = [...parsed.values()].flatMap((item) => (item ? [item.id] : []));
  if (uuids.length === 0) return new Map();
  const rows = await ctx.read
    .selectFrom('codebuild.build_batches')
    .selectAll()
    .where('id', 'in', uuids)
    .where('account', '=', ctx.account)
    .where('region', '=', ctx.region)
    .execute();
  const byId = new Map(rows.map((row) => [buildId(row), row]));
  return new Map(
    [...parsed].flatMap(([given, item]) => {
      const row = item && byId.get(buildId(item));
      return row ? [[given, row] as const] : [];
    }),
  );
}

/** A batch belongs to its project, which is what policies name. */
export function onBatch(ctx: RequestContext, ids: string[]): Promise<Check[]> {
  const projects = new Set(ids.map((id) => parseBatchId(ctx, id)?.project ?? '*'));
  return Promise.all([...projects].map((name) => onProject(ctx, name)));
}

export function batchNotFound(ctx: RequestContext, ref: { project: string; id: string }): AwsError {
  return new AwsError(
    'ResourceNotFoundException',
    `Build batch cannot be found: ${batchArn({ ...ref, account: ctx.account, region: ctx.region })}`,
  );
}
