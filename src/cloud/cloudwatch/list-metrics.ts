/** ListMetrics: the metrics that had values within the last two weeks. */
import { sql } from 'kysely';
import { operation } from '../../platform/service.ts';
import { invalidValue } from './errors.ts';
import './tables.ts';

const PAGE = 500;
const TWO_WEEKS_S = 14 * 86_400;
const RECENT_S = 3 * 3_600;
/** Rows may say some minutes less than there is. */
const SLACK_S = 600;
const MAX_FILTERS = 10;

interface Position {
  namespace: string;
  name: string;
  id: string;
}

export const listMetrics = operation('cloudwatch', 'ListMetrics', {
  authorize: () => '*',
  partial: 'there are no linked accounts',
  async handle(ctx, { Namespace, MetricName, Dimensions = [], NextToken, RecentlyActive, OwningAccount, IncludeLinkedAccounts = false }) {
    if (Dimensions.length > MAX_FILTERS) throw invalidValue(`The collection Dimensions must not have a size greater than ${MAX_FILTERS}.`);
    const scope = `cloudwatch:ListMetrics:${ctx.account}:${ctx.region}`;
    const after = NextToken === undefined ? undefined : ctx.paging.open<Position>(scope, NextToken);
    if (NextToken !== undefined && !after) throw invalidValue('Request parameter NextToken is invalid');
    if (OwningAccount !== undefined && OwningAccount !== ctx.account) return { Metrics: [], OwningAccounts: [] };
    // No metric has such a name, and PostgreSQL knows no such text.
    if (`${Namespace}${MetricName}${JSON.stringify(Dimensions)}`.match(/\0|\\u0000/)) return { Metrics: [] };
    const since = Math.floor(ctx.now().getTime() / 1000) - (RecentlyActive === undefined ? TWO_WEEKS_S : RECENT_S + SLACK_S);
    let query = ctx.read
      .selectFrom('cloudwatch.metrics')
      .selectAll()
      .where('account', '=', ctx.account)
      .where('region', '=', ctx.region)
      .where('last_at', '>=', since);
    if (Namespace !== undefined) query = query.where('namespace', '=', Namespace);
    if (MetricName !== undefined) query = query.where('name', '=', MetricName);
    for (const { Name, Value } of Dimensions) query = query.where(sql<boolean>`dimensions @> ${JSON.stringify([{ Name, Value }])}::jsonb`);
    if (after) {
      query = query.where((eb) => eb(eb.refTuple('namespace', 'name', 'id'), '>', eb.tuple(after.namespace, after.name, after.id)));
    }
    const rows = await query
      .orderBy('namespace')
      .orderBy('name')
      .orderBy('id')
      .limit(PAGE + 1)
      .execute();
    const page = rows.slice(0, PAGE);
    const last = page.at(-1);
    return {
      Metrics: page.map(({ namespace, name, dimensions }) => ({ Namespace: namespace, MetricName: name, Dimensions: dimensions })),
      NextToken:
        rows.length > PAGE && last
          ? ctx.paging.seal(scope, { namespace: last.namespace, name: last.name, id: last.id } satisfies Position)
          : undefined,
      OwningAccounts: IncludeLinkedAccounts ? page.map(() => ctx.account) : undefined,
    };
  },
});
