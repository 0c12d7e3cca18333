/** OpenID Connect providers: whose tokens may be exchanged for sessions of roles (sts:AssumeRoleWithWebIdentity). */
import type { Selectable } from 'kysely';
import { AwsError } from '../../platform/errors.ts';
import { topThumbprint } from '../../platform/oidc/provider-https.ts';
import type { Tables, Transaction } from '../../platform/platform.ts';
import { type Check, operation, type RequestContext } from '../../platform/service.ts';
import { newTags, tagList } from './entities.ts';
import { invalidInput, quotaExceeded, validationError } from './errors.ts';
import { pageOfAll } from './paging.ts';

type Provider = Selectable<Tables['iam.oidc_providers']>;

const MAX_PROVIDERS = 100;
const MAX_CLIENTS = 100;
const MAX_THUMBPRINTS = 5;

const createOpenIDConnectProvider = operation('iam', 'CreateOpenIDConnectProvider', {
  authorize: ({ Url, Tags }, ctx) => ({
    resource: providerArn(ctx.account, withoutScheme(Url)),
    requestTags: Tags && Object.fromEntries(Tags.map(({ Key, Value }) => [Key, Value])),
  }),
  async handle(ctx, { Url, ClientIDList = [], ThumbprintList, Tags }) {
    const url = requireProviderUrl(Url);
    const arn = providerArn(ctx.account, url);
    const clientIds = unique(ClientIDList);
    if (clientIds.length > MAX_CLIENTS) throw quotaExceeded('ClientIdsPerOpenIdConnectProvider', MAX_CLIENTS);
    const thumbprints = ThumbprintList?.length ? requireThumbprints(ThumbprintList) : [await foundThumbprint(Url)];
    const tags = newTags(Tags);
    await ctx.transaction(async (tx) => {
      const { count } = await tx.sql
        .selectFrom('iam.oidc_providers')
        .select((query) => query.fn.countAll<string>().as('count'))
        .where('account', '=', ctx.account)
        .executeTakeFirstOrThrow();
      if (Number(count) >= MAX_PROVIDERS) throw quotaExceeded('OpenIdConnectProvidersPerAccount', MAX_PROVIDERS);
      const made = await tx.sql
        .insertInto('iam.oidc_providers')
        .values({
          arn,
          account: ctx.account,
          url,
          client_ids: clientIds,
          thumbprints,
          tags: JSON.stringify(tags),
          created_at: ctx.now(),
        })
        .onConflict((conflict) => conflict.column('arn').doNothing())
        .returning('arn')
        .executeTakeFirst();
      if (!made) throw new AwsError('EntityAlreadyExists', `Provider with url https://${url} already exists.`);
    });
    return { OpenIDConnectProviderArn: arn, Tags: tagList(tags) };
  },
});

const getOpenIDConnectProvider = operation('iam', 'GetOpenIDConnectProvider', {
  authorize: onProvider,
  async handle(ctx, { OpenIDConnectProviderArn }) {
    const provider = await requireProvider(ctx, OpenIDConnectProviderArn);
    return {
      Url: provider.url,
      ClientIDList: provider.client_ids,
      ThumbprintList: provider.thumbprints,
      CreateDate: provider.created_at,
      Tags: tagList(provider.tags),
    };
  },
});

const listOpenIDConnectProviders = operation('iam', 'ListOpenIDConnectProviders', {
  authorize: () => '*',
  async handle(ctx) {
    const rows = await ctx.read.selectFrom('iam.oidc_providers').select('arn').where('account', '=', ctx.account).orderBy('arn').execute();
    return { OpenIDConnectProviderList: rows.map(({ arn }) => ({ Arn: arn })) };
  },
});

const deleteOpenIDConnectProvider = operation('iam', 'DeleteOpenIDConnectProvider', {
  authorize: onProvider,
  async handle(ctx, { OpenIDConnectProviderArn }) {
    await changeProvider(ctx, OpenIDConnectProviderArn, (tx, { arn }) =>
      tx.sql.deleteFrom('iam.oidc_providers').where('arn', '=', arn).execute(),
    );
    return {};
  },
});

const addClientIDToOpenIDConnectProvider = operation('iam', 'AddClientIDToOpenIDConnectProvider', {
  authorize: onProvider,
  async handle(ctx, { OpenIDConnectProviderArn, ClientID }) {
    await changeProvider(ctx, OpenIDConnectProviderArn, async (tx, { arn, client_ids }) => {
      const all = unique([...client_ids, ClientID]);
      if (all.length > MAX_CLIENTS) throw quotaExceeded('ClientIdsPerOpenIdConnectProvider', MAX_CLIENTS);
      await tx.sql.updateTable('iam.oidc_providers').set({ client_ids: all }).where('arn', '=', arn).execute();
    });
    return {};
  },
});

const removeClientIDFromOpenIDConnectProvider = operation('iam', 'RemoveClientIDFromOpenIDConnectProvider', {
  authorize: onProvider,
  async handle(ctx, { OpenIDConnectProviderArn, ClientID }) {
    await changeProvider(ctx, OpenIDConnectProviderArn, (tx, { arn, client_ids }) =>
      tx.sql
        .updateTable('iam.oidc_providers')
        .set({ client_ids: client_ids.filter((one) => one !== ClientID) })
        .where('arn', '=', arn)
        .execute(),
    );
    return {};
  },
});

const updateOpenIDConnectProviderThumbprint = operation('iam', 'UpdateOpenIDConnectProviderThumbprint', {
  authorize: onProvider,
  async handle(ctx, { OpenIDConnectProviderArn, ThumbprintList }) {
    if (ThumbprintList.length === 0) throw invalidInput('Thumbprint list must contain fewer than 5 entries.');
    const thumbprints = requireThumbprints(ThumbprintList);
    await changeProvider(ctx, OpenIDConnectProviderArn, (tx, { arn }) =>
      tx.sql.updateTable('iam.oidc_providers').set({ thumbprints }).where('arn', '=', arn).execute(),
    );
    return {};
  },
});

const tagOpenIDConnectProvider = operation('iam', 'TagOpenIDConnectProvider', {
  authorize: async (input, ctx) => ({
    ...(await onProvider(input, ctx)),
    requestTags: Object.fromEntries(input.Tags.map(({ Key, Value }) => [Key, Value])),
  }),
  async handle(ctx, { OpenIDConnectProviderArn, Tags }) {
    await changeProvider(ctx, OpenIDConnectProviderArn, (tx, { arn, tags }) =>
      tx.sql
        .updateTable('iam.oidc_providers')
        .set({ tags: JSON.stringify(newTags(Tags, tags)) })
        .where('arn', '=', arn)
        .execute(),
    );
    return {};
  },
});

const untagOpenIDConnectProvider = operation('iam', 'UntagOpenIDConnectProvider', {
  authorize: async (input, ctx) => ({ ...(await onProvider(input, ctx)), conditions: { 'aws:TagKeys': input.TagKeys } }),
  async handle(ctx, { OpenIDConnectProviderArn, TagKeys }) {
    const dropped = new Set(TagKeys.map((key) => key.toLowerCase()));
    await changeProvider(ctx, OpenIDConnectProviderArn, (tx, { arn, tags }) =>
      tx.sql
        .updateTable('iam.oidc_providers')
        .set({ tags: JSON.stringify(Object.fromEntries(Object.entries(tags).filter(([key]) => !dropped.has(key.toLowerCase())))) })
        .where('arn', '=', arn)
        .execute(),
    );
    return {};
  },
});

const listOpenIDConnectProviderTags = operation('iam', 'ListOpenIDConnectProviderTags', {
  authorize: onProvider,
  async handle(ctx, input) {
    const { arn, tags } = await requireProvider(ctx, input.OpenIDConnectProviderArn);
    const { items, ...page } = pageOfAll(ctx, `tags:${arn}`, input, tagList(tags), (one) => one.Key);
    return { Tags: items, ...page };
  },
});

async function onProvider({ OpenIDConnectProviderArn }: { OpenIDConnectProviderArn: string }, ctx: RequestContext): Promise<Check> {
  return { resource: OpenIDConnectProviderArn, resourceTags: (await findProvider(ctx, OpenIDConnectProviderArn))?.tags };
}

function findProvider(ctx: RequestContext, arn: string): Promise<Provider | undefined> {
  return ctx.read.selectFrom('iam.oidc_providers').selectAll().where('arn', '=', arn).where('account', '=', ctx.account).executeTakeFirst();
}

async function requireProvider(ctx: RequestContext, arn: string): Promise<Provider> {
  const found = await findProvider(ctx, arn);
  if (!found) throw noProvider(arn);
  return found;
}

async function changeProvider(
  ctx: RequestContext,
  arn: string,
  change: (tx: Transaction, provider: Provider) => Promise<unknown>,
): Promise<void> {
  await ctx.transaction(async (tx) => {
    const provider = await tx.sql
      .selectFrom('iam.oidc_providers')
      .selectAll()
      .where('arn', '=', arn)
      .where('account', '=', ctx.account)
      .forUpdate()
      .executeTakeFirst();
    if (!provider) throw noProvider(arn);
    await change(tx, provider);
  });
}

function noProvider(arn: string): AwsError {
  return new AwsError('NoSuchEntity', `OpenIDConnect Provider not found for arn ${arn}`);
}

function providerArn(account: string, url: string): string {
  return `arn:aws:iam::${account}:oidc-provider/${url}`;
}

function withoutScheme(url: string): string {
  return url.replace(/^https:\/\//, '');
}

/** The URL as it is kept. A port is allowed here, unlike on AWS: self-hosted providers have them. */
function requireProviderUrl(given: string): string {
  const url = URL.canParse(given) ? new URL(given) : undefined;
  if (url?.protocol !== 'https:' || url.search || url.hash || url.username || url.password || !/^https:\/\/[\x21-\x7e]+$/.test(given)) {
    throw validationError('Invalid Open ID Connect Provider URL');
  }
  return withoutScheme(given);
}

function requireThumbprints(given: string[]): string[] {
  if (given.length > MAX_THUMBPRINTS) throw invalidInput('Thumbprint list must contain fewer than 5 entries.');
  if (!given.every((one) => /^[0-9a-fA-F]{40}$/.test(one))) throw invalidInput('Thumbprint must be 40 hexadecimal characters.');
  return unique(given.map((one) => one.toLowerCase()));
}

/** As on AWS, where none is given the provider is asked. */
async function foundThumbprint(url: string): Promise<string> {
  try {
    return await topThumbprint(url);
  } catch (error) {
    throw new AwsError('OpenIdIdpCommunicationError', `${url} could not be reached to learn its certificate: ${(error as Error).message}`);
  }
}

function unique(values: string[]): string[] {
  return [...new Set(values)];
}

export const oidcProviders = {
  createOpenIDConnectProvider,
  getOpenIDConnectProvider,
  listOpenIDConnectProviders,
  deleteOpenIDConnectProvider,
  addClientIDToOpenIDConnectProvider,
  removeClientIDFromOpenIDConnectProvider,
  updateOpenIDConnectProviderThumbprint,
  tagOpenIDConnectProvider,
  untagOpenIDConnectProvider,
  listOpenIDConnectProviderTags,
};
