/** Hosts: GitHub Enterprise Servers and GitLabs of one's own, for connections to go to. */
import { randomBytes } from 'node:crypto';
import { type OperationDefinition, operation, type RequestContext, type ShapeOf } from '../../platform/service.ts';
import type { HostRow, ProviderType } from './tables.ts';
import { type ArnName, invalid, missing, onResource, tagsOf } from './tags.ts';

const PAGE = 100;
const OWN_SERVERS: ReadonlySet<ProviderType> = new Set(['GitHubEnterpriseServer', 'GitLabSelfManaged']);
const NO_VPC = 'VpcConfiguration is not available in this installation, which reaches hosts by its own network';
const PARTIAL = 'VpcConfiguration is refused; a host is AVAILABLE at once, since no app is registered at it';

const creationAs = (name: ArnName): OperationDefinition<'codeconnections', 'CreateHost'> => ({
  authorize: ({ Tags, ProviderType }) => ({
    resource: '*',
    requestTags: tagsOf(Tags),
    conditions: { 'codeconnections:ProviderType': ProviderType },
  }),
  partial: PARTIAL,
  async handle(ctx, { Name, ProviderType, ProviderEndpoint, VpcConfiguration, Tags }) {
    if (VpcConfiguration) throw invalid(NO_VPC);
    if (!OWN_SERVERS.has(ProviderType)) throw invalid(`Hosts are for ${[...OWN_SERVERS].join(' and ')}, not for ${ProviderType}`);
    // As AWS does it, the name is told apart by eight digits.
    const slug = Name.replace(/[^A-Za-z0-9-]/g, '-');
    const arn = `arn:aws:${name}:${ctx.region}:${ctx.account}:host/${slug}-${randomBytes(4).toString('hex')}`;
    await ctx.transaction((tx) =>
      tx.sql
        .insertInto('codeconnections.hosts')
        .values({
          arn,
          account: ctx.account,
          region: ctx.region,
          name: Name,
          provider_type: ProviderType,
          endpoint: checkEndpoint(ProviderEndpoint),
          tags: JSON.stringify(tagsOf(Tags)),
        })
        .execute(),
    );
    return { HostArn: arn, Tags };
  },
});

export const createHost = operation('codeconnections', 'CreateHost', creationAs('codeconnections'));
export const createHostOfOldName = operation('codeconnections', 'CreateHost', creationAs('codestar-connections'));

export const getHost = operation('codeconnections', 'GetHost', {
  authorize: ({ HostArn }, ctx) => onResource(ctx, HostArn),
  async handle(ctx, { HostArn }) {
    const { HostArn: _, ...described } = describeHost(await requireHost(ctx, HostArn));
    return described;
  },
});

export const listHosts = operation('codeconnections', 'ListHosts', {
  authorize: () => '*',
  async handle(ctx, { MaxResults, NextToken }) {
    const scope = `codeconnections:ListHosts:${ctx.account}:${ctx.region}`;
    const after = NextToken === undefined ? { order: '0' } : ctx.paging.open<{ order: string }>(scope, NextToken);
    if (!after) throw invalid('Invalid next token provided');
    const size = MaxResults || PAGE;
    const rows = await ctx.read
      .selectFrom('codeconnections.hosts')
      .selectAll()
      .where('account', '=', ctx.account)
      .where('region', '=', ctx.region)
      .where('host_order', '>', after.order)
      .orderBy('host_order')
      .limit(size + 1)
      .execute();
    const page = rows.slice(0, size);
    const last = page.at(-1);
    const more = rows.length > size && last;
    return { Hosts: page.map(describeHost), NextToken: more ? ctx.paging.seal(scope, { order: String(last.host_order) }) : undefined };
  },
});

/** Tokens were given for the server that was named then: at another one, connections wait for new ones. */
export const updateHost = operation('codeconnections', 'UpdateHost', {
  authorize: ({ HostArn }, ctx) => onResource(ctx, HostArn),
  partial: PARTIAL,
  async handle(ctx, { HostArn, ProviderEndpoint, VpcConfiguration }) {
    if (VpcConfiguration) throw invalid(NO_VPC);
    const { endpoint: before } = await requireHost(ctx, HostArn);
    const endpoint = ProviderEndpoint === undefined ? before : checkEndpoint(ProviderEndpoint);
    if (endpoint === before) return {};
    await ctx.transaction(async (tx) => {
      await tx.sql.updateTable('codeconnections.hosts').set({ endpoint }).where('arn', '=', HostArn).execute();
      await tx.sql
        .updateTable('codeconnections.connections')
        .set({ status: 'PENDING', sealed: null })
        .where('host', '=', HostArn)
        .execute();
    });
    return {};
  },
});

export const deleteHost = operation('codeconnections', 'DeleteHost', {
  authorize: ({ HostArn }, ctx) => onResource(ctx, HostArn),
  async handle(ctx, { HostArn }) {
    await requireHost(ctx, HostArn);
    await ctx.transaction(async (tx) => {
      await tx.sql.selectFrom('codeconnections.hosts').select('arn').where('arn', '=', HostArn).forUpdate().execute();
      const used = await tx.sql.selectFrom('codeconnections.connections').select('arn').where('host', '=', HostArn).executeTakeFirst();
      if (used) throw ctx.error('ResourceUnavailableException', `Host ${HostArn} has connections; they must be deleted first`);
      await tx.sql.deleteFrom('codeconnections.hosts').where('arn', '=', HostArn).execute();
    });
    return {};
  },
});

export async function requireHost(ctx: RequestContext, arn: string): Promise<HostRow> {
  const row = await ctx.read
    .selectFrom('codeconnections.hosts')
    .selectAll()
    .where('arn', '=', arn)
    .where('account', '=', ctx.account)
    .where('region', '=', ctx.region)
    .executeTakeFirst();
  if (!row) throw missing(arn);
  return row;
}

function describeHost(row: HostRow): ShapeOf<'codeconnections', 'Host'> {
  return { Name: row.name, HostArn: row.arn, ProviderType: row.provider_type, ProviderEndpoint: row.endpoint, Status: 'AVAILABLE' };
}

/** Tokens go there, so it must be a server that shows a certificate. */
function checkEndpoint(text: string): string {
  const url = URL.parse(text);
  if (url?.protocol !== 'https:' || url.username !== '' || url.password !== '' || url.pathname !== '/' || url.search !== '')
    throw invalid(`ProviderEndpoint must be the HTTPS URL of a server, not ${text}`);
  return url.origin;
}
