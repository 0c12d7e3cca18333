/** Parameters by name. */
import type { Transaction } from '../../platform/platform.ts';
import type { RequestContext } from '../../platform/service.ts';
import type { ParameterRow } from './tables.ts';

type Place = Pick<RequestContext, 'account' | 'region'>;

export function findParameter(read: Pick<RequestContext['read'], 'selectFrom'>, { account, region }: Place, name: string) {
  return read
    .selectFrom('ssm.parameters')
    .selectAll()
    .where('account', '=', account)
    .where('region', '=', region)
    .where('name', '=', name)
    .executeTakeFirst();
}

export function lockParameter(tx: Transaction, { account, region }: Place, name: string): Promise<ParameterRow | undefined> {
  return tx.sql
    .selectFrom('ssm.parameters')
    .selectAll()
    .where('account', '=', account)
    .where('region', '=', region)
    .where('name', '=', name)
    .forUpdate()
    .executeTakeFirst();
}
