/** GetParameter, GetParameters and GetParameterHistory. */
import { sql } from 'kysely';
import { operation, type RequestContext, type ShapeOf } from '../../platform/service.ts';
import { candidates, onParameter, parameterArn, parameterNotFound, readSelector, versionNotFound } from './names.ts';
import { findParameter } from './parameter-rows.ts';
import { decryptValue } from './secure-strings.ts';
import type { ParameterRow, VersionRow } from './tables.ts';

const HISTORY_PAGE = 50;

export const getParameter = operation('ssm', 'GetParameter', {
  authorize: ({ Name }, ctx) => onParameter(ctx, Name),
  async handle(ctx, { Name, WithDecryption = false }) {
    const found = await findVersion(ctx, Name);
    if (found === 'no parameter') throw parameterNotFound('');
    if (found === 'no version') throw versionNotFound(readSelector(ctx, Name).name, readSelector(ctx, Name).selector!);
    return { Parameter: await describeParameter(ctx, found, WithDecryption) };
  },
});

export const getParameters = operation('ssm', 'GetParameters', {
  authorize: ({ Names }, ctx) => Names.map((name) => onParameter(ctx, name)),
  async handle(ctx, { Names, WithDecryption = false }) {
    const names = [...new Set(Names)];
    const found = await Promise.all(names.map(async (name) => ({ name, version: await findVersion(ctx, name) })));
    const there = found.flatMap(({ version }) => (typeof version === 'string' ? [] : [version]));
    return {
      Parameters: await Promise.all(there.map((version) => describeParameter(ctx, version, WithDecryption))),
      InvalidParameters: found.filter(({ version }) => typeof version === 'string').map(({ name }) => name),
    };
  },
});

export const getParameterHistory = operation('ssm', 'GetParameterHistory', {
  authorize: ({ Name }, ctx) => onParameter(ctx, Name),
  async handle(ctx, { Name, WithDecryption = false, MaxResults = HISTORY_PAGE, NextToken }) {
    const row = await findParameter(ctx.read, ctx, readSelector(ctx, Name).name);
    if (!row) throw parameterNotFound('');
    const scope = `ssm:history:${row.id}`;
    const after = NextToken === undefined ? 0 : ctx.paging.open<number>(scope, NextToken);
    if (after === undefined) throw ctx.error('InvalidNextToken', 'The specified token is not valid.');
    const rows = await ctx.read
      .selectFrom('ssm.versions')
      .selectAll()
      .where('parameter_id', '=', row.id)
      .where('version', '>', after)
      .orderBy('version')
      .limit(MaxResults + 1)
      .execute();
    const page = rows.slice(0, MaxResults);
    const arn = parameterArn(ctx, row.name);
    return {
      Parameters: await Promise.all(
        page.map(async (version) => ({
          Name: row.name,
          Type: version.type,
          KeyId: version.key_id ?? undefined,
          LastModifiedDate: version.modified_at,
          LastModifiedUser: version.modified_by,
          Description: version.description ?? undefined,
          Value: WithDecryption && version.type === 'SecureString' ? await decryptValue(ctx, arn, version.value) : version.value,
          AllowedPattern: version.allowed_pattern ?? undefined,
          Version: version.version,
          Labels: version.labels,
          Tier: version.tier,
          Policies: [],
          DataType: version.data_type,
        })),
      ),
      NextToken: rows.length > MaxResults ? ctx.paging.seal(scope, page.at(-1)!.version) : undefined,
    };
  },
});

export interface FoundVersion {
  parameter: Pick<ParameterRow, 'name' | 'account' | 'region'>;
  version: VersionRow;
  /** As the request gave it, with its colon. */
  selector?: string;
}

async function findVersion(ctx: RequestContext, given: string): Promise<FoundVersion | 'no parameter' | 'no version'> {
  const { name, selector } = readSelector(ctx, given);
  let parameter: ParameterRow | undefined;
  for (const candidate of candidates(given, name)) parameter ??= await findParameter(ctx.read, ctx, candidate);
  if (!parameter) return 'no parameter';
  let query = ctx.read.selectFrom('ssm.versions').selectAll().where('parameter_id', '=', parameter.id);
  if (selector === undefined) query = query.where('version', '=', parameter.version);
  else if (/^\d{1,15}$/.test(selector)) query = query.where('version', '=', Number(selector));
  else query = query.where(sql<boolean>`${selector} = any(labels)`);
  const version = await query.executeTakeFirst();
  if (!version) return 'no version';
  return { parameter, version, selector: selector === undefined ? undefined : `:${selector}` };
}

export async function describeParameter(
  ctx: RequestContext,
  { parameter, version, selector }: FoundVersion,
  withDecryption: boolean,
): Promise<ShapeOf<'ssm', 'Parameter'>> {
  const ARN = parameterArn(parameter, parameter.name);
  const decrypt = withDecryption && version.type === 'SecureString';
  return {
    Name: parameter.name,
    Type: version.type,
    Value: decrypt ? await decryptValue(ctx, ARN, version.value) : version.value,
    Version: version.version,
    Selector: selector,
    LastModifiedDate: version.modified_at,
    ARN,
    DataType: version.data_type,
  };
}
