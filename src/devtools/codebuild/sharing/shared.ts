/** What was shared with whom: policies of projects and report groups, as their readers and ListShared… ask for them. */
import { sql } from 'kysely';
import type { Transaction } from '../../../platform/platform.ts';
import type { Principal } from '../../../platform/principal.ts';
import type { RequestContext } from '../../../platform/service.ts';
import type { Place } from '../names.ts';
import { DIRECTIONS, PAGE, pageOf, startOf } from '../pages.ts';
import type { SharedKind } from './tables.ts';

/** The policy of one resource, for `resourcePolicy` of an IAM question; undefined when it has none. */
export async function resourcePolicyOf(ctx: Pick<RequestContext, 'read'>, place: Place, arn: string): Promise<string | undefined> {
  const row = await ctx.read
    .selectFrom('codebuild.resource_policies')
    .select('policy')
    .where('account', '=', place.account)
    .where('region', '=', place.region)
    .where('arn', '=', arn)
    .executeTakeFirst();
  return row?.policy;
}

/** A resource that is deleted takes its policy along, or the next one of its name would be shared unasked. */
export async function forgetResourcePolicy(tx: Transaction, place: Place, arn: string): Promise<void> {
  await tx.sql
    .deleteFrom('codebuild.resource_policies')
    .where('account', '=', place.account)
    .where('region', '=', place.region)
    .where('arn', '=', arn)
    .execute();
}

interface ListInput {
  sortBy?: 'ARN' | 'MODIFIED_TIME';
  sortOrder?: 'ASCENDING' | 'DESCENDING';
  maxResults?: number;
  nextToken?: string;
}

/** ARNs of other accounts' resources whose policies name the caller, the caller's account, or everybody. In this region, as on AWS. */
export async function listShared(
  ctx: RequestContext,
  kind: SharedKind,
  { sortBy = 'ARN', sortOrder = 'ASCENDING', maxResults = PAGE, nextToken }: ListInput,
): Promise<{ arns: string[]; nextToken: string | undefined }> {
  const scope = `codebuild:ListShared:${kind}:${ctx.principal.arn}:${ctx.region}:${sortBy}:${sortOrder}`;
  const after = startOf<{ arn: string; time: string }>(ctx, scope, nextToken);
  const [direction, behind] = DIRECTIONS[sortOrder];
  let query = ctx.read
    .selectFrom('codebuild.resource_policies')
    .select(['arn', 'modified_at'])
    .where('kind', '=', kind)
    .where('region', '=', ctx.region)
    .where('account', '!=', ctx.account)
    .where(sql<boolean>`principals && ${namesOf(ctx.principal)}::text[]`);
  if (sortBy === 'MODIFIED_TIME') {
    query = query.orderBy('modified_at', direction);
    if (after) query = query.where((eb) => eb(eb.refTuple('modified_at', 'arn'), behind, eb.tuple(new Date(after.time), after.arn)));
  } else if (after) query = query.where('arn', behind, after.arn);
  const rows = await query
    .orderBy('arn', direction)
    .limit(maxResults + 1)
    .execute();
  const positionOf = (row: (typeof rows)[number]) => ({ arn: row.arn, time: row.modified_at.toISOString() });
  const { page, nextToken: next } = pageOf(ctx, scope, rows, maxResults, positionOf);
  return { arns: page.map((row) => row.arn), nextToken: next };
}

/** Every name by which a policy may mean this caller. */
function namesOf(principal: Principal): string[] {
  const names = ['*', principal.account, principal.arn];
  return principal.type === 'AssumedRole' ? [...names, principal.roleArn] : names;
}
