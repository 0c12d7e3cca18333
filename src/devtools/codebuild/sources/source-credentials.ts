/** An account's credentials for git providers: one for each type of server. Tokens are sealed, and no answer shows them. */
import type { Platform } from '../../../platform/platform.ts';
import type { Input, RequestContext } from '../../../platform/service.ts';
import { operation } from '../../../platform/service.ts';
import type { Place } from '../names.ts';
import { isConnectionArn, isSecretArn } from '../providers/credential.ts';
import type { ServerType } from '../providers/provider.ts';
import { invalid } from '../rules.ts';
import type { SourceCredentialsRow } from './tables.ts';

type Given = Input<'codebuild', 'ImportSourceCredentials'>;

/** Characters; the longest tokens of the providers have a few hundred. */
const MAX_TOKEN = 4096;
const PROVIDER_OF: Record<ServerType, Input<'codeconnections', 'CreateConnection'>['ProviderType']> = {
  GITHUB: 'GitHub',
  GITHUB_ENTERPRISE: 'GitHubEnterpriseServer',
  GITLAB: 'GitLab',
  GITLAB_SELF_MANAGED: 'GitLabSelfManaged',
  BITBUCKET: 'Bitbucket',
};

export const importSourceCredentials = operation('codebuild', 'ImportSourceCredentials', {
  authorize: () => '*',
  partial: 'OAUTH is refused, as on AWS, where only the console can make such a connection',
  async handle(ctx, given) {
    const { serverType, authType, token, username, shouldOverwrite = true } = given;
    await checkCredentials(ctx, given);
    const elsewhere = authType === 'CODECONNECTIONS' || authType === 'SECRETS_MANAGER';
    const key = { account: ctx.account, region: ctx.region, server_type: serverType };
    const row = {
      auth_type: authType,
      sealed: elsewhere ? null : ctx.keyring.seal(purposeOf({ ...ctx, serverType }), Buffer.from(token)),
      user_name: username ?? null,
      resource: elsewhere ? token : null,
      created_at: ctx.now(),
    };
    const stored = await ctx.transaction((tx) => {
      const insert = tx.sql.insertInto('codebuild.source_credentials').values({ ...key, ...row });
      const decided = shouldOverwrite
        ? insert.onConflict((conflict) => conflict.columns(['account', 'region', 'server_type']).doUpdateSet(row))
        : insert.onConflict((conflict) => conflict.doNothing());
      return decided.returning('server_type').executeTakeFirst();
    });
    const arn = credentialsArn(ctx, serverType);
    if (!stored) throw ctx.error('ResourceAlreadyExistsException', `Source credentials already exist: ${arn}`);
    return { arn };
  },
});

export const listSourceCredentials = operation('codebuild', 'ListSourceCredentials', {
  authorize: () => '*',
  async handle(ctx) {
    const rows = await ctx.read
      .selectFrom('codebuild.source_credentials')
      .selectAll()
      .where('account', '=', ctx.account)
      .where('region', '=', ctx.region)
      .orderBy('server_type')
      .execute();
    return {
      sourceCredentialsInfos: rows.map((row) => ({
        arn: credentialsArn(ctx, row.server_type),
        serverType: row.server_type,
        authType: row.auth_type,
        resource: row.resource ?? undefined,
      })),
    };
  },
});

export const deleteSourceCredentials = operation('codebuild', 'DeleteSourceCredentials', {
  authorize: () => '*',
  async handle(ctx, { arn }) {
    const prefix = credentialsArn(ctx, '');
    if (!/^arn:[^:]+:codebuild:[^:]*:\d{12}:token\/.+$/.test(arn)) throw invalid(`Invalid source credentials ARN: ${arn}`);
    const serverType = arn.startsWith(prefix) ? arn.slice(prefix.length).toUpperCase() : '';
    const deleted = await ctx.transaction((tx) =>
      tx.sql
        .deleteFrom('codebuild.source_credentials')
        .where('account', '=', ctx.account)
        .where('region', '=', ctx.region)
        .where('server_type', '=', serverType as ServerType)
        .returning('server_type')
        .executeTakeFirst(),
    );
    if (!deleted) throw ctx.error('ResourceNotFoundException', `Source credentials cannot be found: ${arn}`);
    return { arn };
  },
});

/** The account's own row for a type of server; undefined when there is none. */
export function findSourceCredentials(
  { read }: Pick<Platform, 'read'>,
  { account, region }: Place,
  serverType: ServerType,
): Promise<SourceCredentialsRow | undefined> {
  return read
    .selectFrom('codebuild.source_credentials')
    .selectAll()
    .where('account', '=', account)
    .where('region', '=', region)
    .where('server_type', '=', serverType)
    .executeTakeFirst();
}

export function openToken({ keyring }: Pick<Platform, 'keyring'>, row: SourceCredentialsRow): string {
  const token = keyring.open(purposeOf({ ...row, serverType: row.server_type }), row.sealed ?? '');
  if (!token) throw new Error(`The source credentials of ${row.account} for ${row.server_type} were sealed under another master key.`);
  return token.toString();
}

async function checkCredentials(ctx: RequestContext, { serverType, authType, token, username }: Given): Promise<void> {
  if (/[\0\r\n]/.test(token) || token.length > MAX_TOKEN)
    throw invalid(`Invalid token: it must be one line of at most ${MAX_TOKEN} characters`);
  if (username !== undefined && /[\0\r\n:]/.test(username)) throw invalid('Invalid username: it must be one line without a colon');
  switch (authType) {
    case 'OAUTH':
      throw invalid('Access token with auth type OAUTH cannot be imported: it can be made only by connecting in the console');
    case 'BASIC_AUTH':
      if (serverType !== 'BITBUCKET') throw invalid(`Auth type BASIC_AUTH is not supported for server type ${serverType}`);
      if (!username) throw invalid('Username is required for auth type BASIC_AUTH');
      return;
    case 'PERSONAL_ACCESS_TOKEN':
      return;
    case 'SECRETS_MANAGER':
      if (!isSecretArn(token)) throw invalid('Invalid token: it must be the ARN of a secret for auth type SECRETS_MANAGER');
      return;
    case 'CODECONNECTIONS':
      return checkConnection(ctx, serverType, token);
  }
}

async function checkConnection(ctx: RequestContext, serverType: ServerType, arn: string): Promise<void> {
  if (!isConnectionArn(arn)) throw invalid('Invalid token: it must be the ARN of a connection for auth type CODECONNECTIONS');
  await ctx.authorize({ action: 'codeconnections:PassConnection', resource: arn });
  const { Connection } = await ctx.aws
    .asPrincipal(ctx.principal, ctx.region, 'codebuild')
    .codeconnections.getConnection({ ConnectionArn: arn });
  const provider = PROVIDER_OF[serverType];
  if (Connection?.ProviderType !== provider)
    throw invalid(`Invalid connection: its provider type is ${Connection?.ProviderType}, and server type ${serverType} needs ${provider}`);
}

function credentialsArn({ account, region }: Place, serverType: string): string {
  return `arn:aws:codebuild:${region}:${account}:token/${serverType.toLowerCase()}`;
}

function purposeOf({ account, region, serverType }: Place & { serverType: ServerType }): string {
  return `codebuild:source-credentials:${account}:${region}:${serverType}`;
}
