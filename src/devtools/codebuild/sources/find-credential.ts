/**
 * Which credential a source is fetched with (user guide, "Multiple access tokens"): its own, else that of a project whose primary source is
 * NO_SOURCE, else the account's for this type of server, else none: then the repository must be public.
 */
import { AwsError } from '../../../platform/errors.ts';
import type { Platform } from '../../../platform/platform.ts';
import type { Place } from '../names.ts';
import { type Credential, credentialOf, isConnectionArn, isSecretArn, type TokenType } from '../providers/credential.ts';
import type { RemoteRepository } from '../providers/provider.ts';
import type { BuildDefinition } from '../tables.ts';
import { findSourceCredentials, openToken } from './source-credentials.ts';

type Source = NonNullable<BuildDefinition['source']>;

/** A build, or a project: whose role asks, and in which session. */
export interface Asker extends Place {
  serviceRole: string | undefined;
  /** The primary source. */
  primary: Source | undefined;
  sessionName: string;
}

/** There is a credential and it cannot be had; the message is for the user. */
export class CredentialError extends Error {
  override readonly name = 'CredentialError';
}

/** Throws CredentialError. */
export async function findCredential(
  platform: Platform,
  asker: Asker,
  source: Source,
  remote: RemoteRepository,
): Promise<Credential | undefined> {
  const own = source.auth?.resource ? source.auth : undefined;
  const fallback = asker.primary?.type === 'NO_SOURCE' && asker.primary.auth?.resource ? asker.primary.auth : undefined;
  const auth = own ?? fallback;
  const found = auth ? await keptElsewhere(platform, asker, remote, auth.resource ?? '') : await ofAccount(platform, asker, remote);
  if (found?.base && !remote.base.startsWith(found.base))
    throw new CredentialError(`the connection is for ${found.base}, and the repository is at ${remote.base}`);
  return found;
}

async function ofAccount(platform: Platform, asker: Asker, remote: RemoteRepository): Promise<Credential | undefined> {
  const row = await findSourceCredentials(platform, asker, remote.serverType);
  if (!row) return undefined;
  if (row.resource) return keptElsewhere(platform, asker, remote, row.resource);
  const type: TokenType = row.auth_type === 'BASIC_AUTH' ? 'BASIC_AUTH' : 'PERSONAL_ACCESS_TOKEN';
  return credentialOf(remote.serverType, { type, token: openToken(platform, row), user: row.user_name ?? undefined });
}

/** By the service role, which must be allowed to read it. */
async function keptElsewhere(platform: Platform, asker: Asker, remote: RemoteRepository, resource: string): Promise<Credential> {
  const region = resource.split(':')[3] ?? asker.region;
  const { serviceRole: role = '', sessionName } = asker;
  try {
    const clients = await platform.aws.as({ role, service: 'codebuild', sessionName, region });
    if (isConnectionArn(resource)) {
      const { Token, ProviderEndpoint } = await clients.codeconnections.getConnectionToken({ ConnectionArn: resource });
      const base = ProviderEndpoint && `${ProviderEndpoint.replace(/\/+$/, '')}/`;
      return credentialOf(remote.serverType, { type: 'PERSONAL_ACCESS_TOKEN', token: Token, base });
    }
    if (!isSecretArn(resource)) throw new CredentialError(`${resource} is the ARN of neither a connection nor a secret`);
    const { SecretString } = await clients.secretsmanager.getSecretValue({ SecretId: resource });
    return readSecret(remote, SecretString ?? '', resource);
  } catch (error) {
    if (error instanceof AwsError) throw new CredentialError(`${resource}: ${error.code}: ${error.message}`);
    throw error;
  }
}

/** `{"ServerType": …, "AuthType": "PERSONAL_ACCESS_TOKEN" | "BASIC_AUTH", "Token": …, "Username": …}` */
function readSecret(remote: RemoteRepository, text: string, arn: string): Credential {
  let secret: Record<string, unknown> | null;
  try {
    secret = JSON.parse(text);
  } catch {
    secret = null;
  }
  const { ServerType: serverType, AuthType: type, Token: token, Username: user } = secret ?? {};
  if (typeof token !== 'string' || token === '' || /[\0\r\n]/.test(token)) throw new CredentialError(`the secret ${arn} has no Token`);
  if (type !== 'PERSONAL_ACCESS_TOKEN' && type !== 'BASIC_AUTH')
    throw new CredentialError(`the AuthType in the secret ${arn} must be PERSONAL_ACCESS_TOKEN or BASIC_AUTH`);
  if (serverType !== remote.serverType)
    throw new CredentialError(
      `the secret ${arn} is for the server type ${String(serverType)}, and the source is of type ${remote.serverType}`,
    );
  if (type === 'BASIC_AUTH' && (typeof user !== 'string' || /[\0\r\n:]/.test(user)))
    throw new CredentialError(`the secret ${arn} has no Username, which BASIC_AUTH needs`);
  return credentialOf(remote.serverType, { type, token, user: user as string | undefined });
}
