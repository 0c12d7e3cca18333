/** Connections to git providers. They are PENDING until an operator gives the token that stands for the handshake in AWS's console. */
import { randomUUID } from 'node:crypto';
import { AwsError } from '../../platform/errors.ts';
import type { Platform } from '../../platform/platform.ts';
import { type OperationDefinition, operation, type RequestContext, type ShapeOf } from '../../platform/service.ts';
import { requireHost } from './hosts.ts';
import type { ConnectionRow } from './tables.ts';
import { type ArnName, invalid, missing, onResource, tagsOf } from './tags.ts';

const PAGE = 100;

/** `name`: the service's present name or the one of before, as ARNs begin. */
const creationAs = (name: ArnName): OperationDefinition<'codeconnections', 'CreateConnection'> => ({
  authorize: ({ ProviderType, HostArn, Tags }) => ({
    resource: '*',
    requestTags: tagsOf(Tags),
    conditions: {
      ...(ProviderType ? { 'codeconnections:ProviderType': ProviderType } : {}),
      ...(HostArn ? { 'codeconnections:HostArn': HostArn } : {}),
    },
  }),
  partial: 'AzureDevOps is refused; a connection becomes AVAILABLE by `penstock connection complete`',
  async handle(ctx, { ConnectionName, ProviderType, HostArn, Tags }) {
    if ((ProviderType === undefined) === (HostArn === undefined)) throw invalid('Either ProviderType or HostArn must be given');
    const provider = ProviderType ?? (await requireHost(ctx, HostArn ?? '')).provider_type;
    if (ProviderType === 'AzureDevOps') throw invalid('Connections to AzureDevOps are not available in this installation');
    if (ProviderType === 'GitHubEnterpriseServer' || ProviderType === 'GitLabSelfManaged')
      throw invalid(`A connection to ${ProviderType} needs the HostArn of its host`);
    const arn = `arn:aws:${name}:${ctx.region}:${ctx.account}:connection/${randomUUID()}`;
    await ctx.transaction((tx) =>
      tx.sql
        .insertInto('codeconnections.connections')
        .values({
          arn,
          account: ctx.account,
          region: ctx.region,
          name: ConnectionName,
          provider_type: provider,
          host: HostArn ?? null,
          status: 'PENDING',
          tags: JSON.stringify(tagsOf(Tags)),
        })
        .execute(),
    );
    return { ConnectionArn: arn, Tags };
  },
});

export const createConnection = operation('codeconnections', 'CreateConnection', creationAs('codeconnections'));
export const createConnectionOfOldName = operation('codeconnections', 'CreateConnection', creationAs('codestar-connections'));

export const getConnection = operation('codeconnections', 'GetConnection', {
  authorize: ({ ConnectionArn }, ctx) => onResource(ctx, ConnectionArn),
  async handle(ctx, { ConnectionArn }) {
    return { Connection: describeConnection(await requireConnection(ctx, ConnectionArn)) };
  },
});

export const listConnections = operation('codeconnections', 'ListConnections', {
  authorize: () => '*',
  async handle(ctx, { ProviderTypeFilter, HostArnFilter, MaxResults, NextToken }) {
    const scope = `codeconnections:ListConnections:${ctx.account}:${ctx.region}:${ProviderTypeFilter ?? ''}:${HostArnFilter ?? ''}`;
    const after = NextToken === undefined ? { order: '0' } : ctx.paging.open<{ order: string }>(scope, NextToken);
    if (!after) throw invalid('Invalid next token provided');
    const size = MaxResults || PAGE;
    let query = ctx.read
      .selectFrom('codeconnections.connections')
      .selectAll()
      .where('account', '=', ctx.account)
      .where('region', '=', ctx.region)
      .where('connection_order', '>', after.order);
    if (ProviderTypeFilter) query = query.where('provider_type', '=', ProviderTypeFilter);
    if (HostArnFilter) query = query.where('host', '=', HostArnFilter);
    const rows = await query
      .orderBy('connection_order')
      .limit(size + 1)
      .execute();
    const page = rows.slice(0, size);
    const last = page.at(-1);
    const more = rows.length > size && last;
    return {
      Connections: page.map(describeConnection),
      NextToken: more ? ctx.paging.seal(scope, { order: String(last.connection_order) }) : undefined,
    };
  },
});

export const deleteConnection = operation('codeconnections', 'DeleteConnection', {
  authorize: ({ ConnectionArn }, ctx) => onResource(ctx, ConnectionArn),
  async handle(ctx, { ConnectionArn }) {
    await requireConnection(ctx, ConnectionArn);
    await ctx.transaction((tx) => tx.sql.deleteFrom('codeconnections.connections').where('arn', '=', ConnectionArn).execute());
    return {};
  },
});

/** For services in process, as the role that a user gave them: the role must be allowed `codeconnections:GetConnectionToken`. */
export const getConnectionToken = operation('codeconnections', 'GetConnectionToken', {
  authorize: ({ ConnectionArn }, ctx) => onResource(ctx, ConnectionArn),
  async handle(ctx, { ConnectionArn }) {
    const row = await requireConnection(ctx, ConnectionArn);
    if (row.status !== 'AVAILABLE' || row.sealed === null)
      throw ctx.error('ResourceUnavailableException', `Connection ${ConnectionArn} is not available: it is ${row.status}`);
    const token = ctx.keyring.open(purposeOf(row.arn), row.sealed);
    if (!token) throw new Error(`The token of ${row.arn} was sealed under another master key.`);
    const host = row.host === null ? undefined : await requireHost(ctx, row.host);
    return { Token: token.toString(), ProviderType: row.provider_type, ProviderEndpoint: host?.endpoint };
  },
});

/** The operator's part: the token of an account or an app at the provider. Throws ResourceNotFoundException, ValidationException. */
export async function completeConnection(platform: Pick<Platform, 'transaction' | 'keyring'>, arn: string, token: string): Promise<void> {
  if (token === '' || token.length > 4096 || /[\0\r\n]/.test(token)) throw invalid('A token is one line of at most 4096 characters');
  const found = await platform.transaction((tx) =>
    tx.sql
      .updateTable('codeconnections.connections')
      .set({ status: 'AVAILABLE', sealed: platform.keyring.seal(purposeOf(arn), Buffer.from(token)) })
      .where('arn', '=', arn)
      .returning('arn')
      .executeTakeFirst(),
  );
  if (!found) throw new AwsError('ResourceNotFoundException', `There is no connection ${arn}.`);
}

async function requireConnection(ctx: RequestContext, arn: string): Promise<ConnectionRow> {
  const row = await ctx.read
    .selectFrom('codeconnections.connections')
    .selectAll()
    .where('arn', '=', arn)
    .where('account', '=', ctx.account)
    .where('region', '=', ctx.region)
    .executeTakeFirst();
  if (!row) throw missing(arn);
  return row;
}

function describeConnection(row: ConnectionRow): ShapeOf<'codeconnections', 'Connection'> {
  return {
    ConnectionName: row.name,
    ConnectionArn: row.arn,
    ProviderType: row.provider_type,
    OwnerAccountId: row.account,
    ConnectionStatus: row.status,
    HostArn: row.host ?? undefined,
  };
}

function purposeOf(arn: string): string {
  return `codeconnections:${arn}`;
}
