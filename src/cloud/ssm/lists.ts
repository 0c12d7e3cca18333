/** DescribeParameters and GetParametersByPath. */
import { sql } from 'kysely';
import { AwsError } from '../../platform/errors.ts';
import { operation, type RequestContext } from '../../platform/service.ts';
import { conditionsOf, underPath } from './filters.ts';
import { describeParameter } from './get-parameters.ts';
import { parameterArn, readSelector } from './names.ts';
import './tables.ts';

const DESCRIBE_PAGE = 50;
const PATH_PAGE = 10;

export const describeParameters = operation('ssm', 'DescribeParameters', {
  authorize: () => '*',
  async handle(ctx, { Filters = [], ParameterFilters = [], MaxResults = DESCRIBE_PAGE, NextToken, Shared }) {
    if (Filters.length > 0 && ParameterFilters.length > 0) {
      throw ctx.error('ValidationException', 'You can use either Filters or ParameterFilters in a single request, not both.');
    }
    const filters = ParameterFilters.length > 0 ? ParameterFilters : Filters.map((one) => ({ ...one, Option: olderOption(one.Key) }));
    const scope = `ssm:describe:${ctx.account}:${ctx.region}:${JSON.stringify(filters)}`;
    const after = openToken(ctx, scope, NextToken);
    // Nothing of another account is shared with anybody here.
    if (Shared) return { Parameters: [] };
    const keys = ['Path', 'Name', 'Type', 'KeyId', 'Tier', 'DataType', 'Label', 'tag'];
    const rows = await ctx.read
      .selectFrom('ssm.parameters as parameter')
      .selectAll()
      .where('account', '=', ctx.account)
      .where('region', '=', ctx.region)
      .where('name', '>', after)
      .where((where) => where.and(conditionsOf(filters, keys, where as never)))
      .orderBy('name')
      .limit(MaxResults + 1)
      .execute();
    const page = rows.slice(0, MaxResults);
    return {
      Parameters: page.map((row) => ({
        Name: row.name,
        ARN: parameterArn(ctx, row.name),
        Type: row.type,
        KeyId: row.key_id ?? undefined,
        LastModifiedDate: row.modified_at,
        LastModifiedUser: row.modified_by,
        Description: row.description ?? undefined,
        AllowedPattern: row.allowed_pattern ?? undefined,
        Version: row.version,
        Tier: row.tier,
        Policies: [],
        DataType: row.data_type,
      })),
      NextToken: rows.length > MaxResults ? ctx.paging.seal(scope, page.at(-1)!.name) : undefined,
    };
  },
});

/** The older filters of names and keys mean beginnings. */
function olderOption(key: string): string {
  return key === 'Type' ? 'Equals' : 'BeginsWith';
}

export const getParametersByPath = operation('ssm', 'GetParametersByPath', {
  authorize: ({ Path, Recursive = false }, ctx) => ({
    resource: parameterArn(ctx, readSelector(ctx, Path).name),
    conditions: { 'ssm:Recursive': String(Recursive) },
  }),
  async handle(ctx, { Path, Recursive = false, ParameterFilters = [], WithDecryption = false, MaxResults = PATH_PAGE, NextToken }) {
    const path = readSelector(ctx, Path).name;
    const scope = `ssm:path:${ctx.account}:${ctx.region}:${path}:${Recursive}:${JSON.stringify(ParameterFilters)}`;
    const after = openToken(ctx, scope, NextToken);
    const label = ParameterFilters.find(({ Key }) => Key === 'Label');
    const rows = await ctx.read
      .selectFrom('ssm.parameters as parameter')
      .innerJoin('ssm.versions as version', 'version.parameter_id', 'parameter.id')
      .selectAll('version')
      .select('parameter.name as name')
      .where('parameter.account', '=', ctx.account)
      .where('parameter.region', '=', ctx.region)
      .where('parameter.name', '>', after)
      .where((where) => underPath(path, Recursive, where as never))
      .where((where) => where.and(conditionsOf(ParameterFilters, ['Type', 'KeyId', 'Label'], where as never)))
      .where((where) =>
        label
          ? sql<boolean>`version.labels && ${label.Values ?? []}::text[]`
          : where('version.version', '=', where.ref('parameter.version')),
      )
      .orderBy('parameter.name')
      .limit(MaxResults + 1)
      .execute();
    const page = rows.slice(0, MaxResults);
    return {
      Parameters: await Promise.all(
        page.map(({ name, ...version }) =>
          describeParameter(ctx, { parameter: { name, account: ctx.account, region: ctx.region }, version }, WithDecryption),
        ),
      ),
      NextToken: rows.length > MaxResults ? ctx.paging.seal(scope, page.at(-1)!.name) : undefined,
    };
  },
});

function openToken(ctx: RequestContext, scope: string, token: string | undefined): string {
  const after = token === undefined ? '' : ctx.paging.open<string>(scope, token);
  if (after === undefined) throw new AwsError('InvalidNextToken', 'The specified token is not valid.');
  return after;
}
