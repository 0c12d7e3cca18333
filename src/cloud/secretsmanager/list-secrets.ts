/** ListSecrets and DescribeSecret, and the filters that find secrets. */
import { type Expression, type SqlBool, sql } from 'kysely';
import { AwsError } from '../../platform/errors.ts';
import { type Input, operation, type RequestContext } from '../../platform/service.ts';
import { onSecret, requireSecret, secretArn } from './secret.ts';
import type { Secret } from './tables.ts';

const PAGE = 100;

type ListInput = Input<'secretsmanager', 'ListSecrets'>;
type Filter = NonNullable<ListInput['Filters']>[number];

export const listSecrets = operation('secretsmanager', 'ListSecrets', {
  authorize: () => '*',
  async handle(ctx, input) {
    const { secrets, NextToken } = await pageOfSecrets(ctx, input);
    const stages = await stagesOf(ctx, secrets);
    return { SecretList: secrets.map((secret) => ({ ...describe(secret), SecretVersionsToStages: stages.get(secret.id) })), NextToken };
  },
});

export const describeSecret = operation('secretsmanager', 'DescribeSecret', {
  authorize: onSecret,
  async handle(ctx, { SecretId }) {
    const secret = await requireSecret(ctx, SecretId);
    return { ...describe(secret), VersionIdsToStages: (await stagesOf(ctx, [secret])).get(secret.id) };
  },
});

function describe(secret: Secret) {
  return {
    ARN: secretArn(secret),
    Name: secret.name,
    Description: secret.description ?? undefined,
    KmsKeyId: secret.kms_key_id ?? undefined,
    LastChangedDate: secret.changed_at,
    LastAccessedDate: secret.accessed_on ?? undefined,
    DeletedDate: secret.deleted_at ?? undefined,
    Tags: Object.entries(secret.tags).map(([Key, Value]) => ({ Key, Value })),
    CreatedDate: secret.created_at,
  };
}

/** By secret: its versions that have stages. */
async function stagesOf(ctx: RequestContext, secrets: Secret[]): Promise<Map<string, Record<string, string[]>>> {
  const found = new Map<string, Record<string, string[]>>();
  if (secrets.length === 0) return found;
  const rows = await ctx.read
    .selectFrom('secretsmanager.versions')
    .select(['secret_id', 'version_id', 'stages'])
    .where(
      'secret_id',
      'in',
      secrets.map(({ id }) => id),
    )
    .where(sql<boolean>`cardinality(stages) > 0`)
    .execute();
  for (const { secret_id, version_id, stages } of rows) found.set(secret_id, { ...found.get(secret_id), [version_id]: stages });
  return found;
}

const SORTED = {
  'created-date': 'created_at',
  'last-accessed-date': 'accessed_on',
  'last-changed-date': 'changed_at',
  name: 'name',
} as const;

/** One page; the token says how many were shown before, since any column may be the order. */
export async function pageOfSecrets(ctx: RequestContext, input: ListInput): Promise<{ secrets: Secret[]; NextToken: string | undefined }> {
  const { Filters = [], MaxResults = PAGE, NextToken, SortBy = 'created-date', SortOrder = 'desc', IncludePlannedDeletion = false } = input;
  const scope = `secretsmanager:list:${ctx.account}:${ctx.region}:${JSON.stringify([Filters, SortBy, SortOrder, IncludePlannedDeletion])}`;
  const shown = NextToken === undefined ? 0 : ctx.paging.open<number>(scope, NextToken);
  if (shown === undefined) throw new AwsError('InvalidNextTokenException', 'The NextToken value is invalid.');
  let query = ctx.read.selectFrom('secretsmanager.secrets').selectAll().where('account', '=', ctx.account).where('region', '=', ctx.region);
  if (!IncludePlannedDeletion) query = query.where('deleted_at', 'is', null);
  for (const filter of Filters) query = query.where(() => conditionOf(filter));
  const rows = await query
    .orderBy(SORTED[SortBy], (order) => (SortOrder === 'asc' ? order.asc().nullsFirst() : order.desc().nullsLast()))
    .orderBy('id')
    .offset(shown)
    .limit(MaxResults + 1)
    .execute();
  const secrets = rows.slice(0, MaxResults);
  return { secrets, NextToken: rows.length > MaxResults ? ctx.paging.seal(scope, shown + MaxResults) : undefined };
}

/** Any of the values, each a beginning; with `!` in front, what does not begin so. Names differ by case, the rest does not. */
function conditionOf({ Key, Values = [] }: Filter): Expression<SqlBool> {
  if (Key === undefined || Values.length === 0) throw new AwsError('InvalidParameterException', 'A filter needs a key and values.');
  const positive = Values.filter((value) => !value.startsWith('!')).map((value) => begins(Key, value));
  const negative = Values.filter((value) => value.startsWith('!')).map((value) => sql<SqlBool>`not ${begins(Key, value.slice(1))}`);
  const any = positive.length > 0 ? sql<SqlBool>`(${sql.join(positive, sql` or `)})` : sql<SqlBool>`true`;
  return negative.length > 0 ? sql<SqlBool>`(${any} and ${sql.join(negative, sql` and `)})` : any;
}

function begins(key: string, value: string): Expression<SqlBool> {
  const lower = value.toLowerCase();
  switch (key) {
    case 'name':
      return sql<SqlBool>`starts_with(name, ${value})`;
    case 'description':
      return words(lower);
    case 'tag-key':
      return sql<SqlBool>`exists (select 1 from jsonb_object_keys(tags) as tag (name) where starts_with(tag.name, ${value}))`;
    case 'tag-value':
      return sql<SqlBool>`exists (select 1 from jsonb_each_text(tags) as tag (name, value) where starts_with(tag.value, ${value}))`;
    case 'all':
      return sql<SqlBool>`(starts_with(lower(name), ${lower}) or ${words(lower)} or exists (
        select 1 from jsonb_each_text(tags) as tag (name, value)
        where starts_with(lower(tag.name), ${lower}) or starts_with(lower(tag.value), ${lower})))`;
    default:
      // No secret here has a region of origin or an owning service.
      return sql<SqlBool>`false`;
  }
}

/** Each word of a description is looked at. */
function words(lower: string): Expression<SqlBool> {
  return sql<SqlBool>`exists (
    select 1 from regexp_split_to_table(lower(coalesce(description, '')), '[\\s,]+') as word (text) where starts_with(word.text, ${lower}))`;
}
