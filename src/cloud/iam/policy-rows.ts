/** The account's own managed policies by ARN. */
import { AwsError } from '../../platform/errors.ts';
import type { Transaction } from '../../platform/platform.ts';
import type { RequestContext } from '../../platform/service.ts';
import { requireArn } from './attachments.ts';
import { awsPolicies } from './aws-policies.ts';
import { accessChanged } from './cache.ts';
import type { Entity } from './entities.ts';
import { noSuchEntity } from './errors.ts';

/** Throws NoSuchEntity, InvalidInput when it is no ARN. */
export async function requirePolicy(ctx: RequestContext, arn: string): Promise<Entity> {
  requireArn(arn);
  const found = await ctx.read
    .selectFrom('iam.entities')
    .selectAll()
    .where('arn', '=', arn)
    .where('kind', '=', 'policy')
    .where('account', '=', ctx.account)
    .executeTakeFirst();
  if (!found) throw noSuchEntity('policy', arn);
  return found;
}

/** Changes a policy under lock. AWS's own cannot be changed. */
export function changePolicy<T>(ctx: RequestContext, arn: string, change: (tx: Transaction, policy: Entity) => Promise<T>): Promise<T> {
  requireArn(arn);
  if (awsPolicies().has(arn)) throw new AwsError('AccessDenied', 'Policy is outside your own account.', { status: 403 });
  return ctx.transaction(async (tx) => {
    const policy = await tx.sql
      .selectFrom('iam.entities')
      .selectAll()
      .where('arn', '=', arn)
      .where('kind', '=', 'policy')
      .where('account', '=', ctx.account)
      .forUpdate()
      .executeTakeFirst();
    if (!policy) throw noSuchEntity('policy', arn);
    const result = await change(tx, policy);
    await accessChanged(tx, ctx.account);
    return result;
  });
}
