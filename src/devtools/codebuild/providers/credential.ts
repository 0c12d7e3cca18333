/** A token or password for a git provider, as git and as the provider's REST API take it. */
import type { ServerType } from './provider.ts';

export interface Credential {
  user: string;
  password: string;
  /** The value of an `Authorization` header for the REST API. */
  apiAuthorization: string;
  /** It is good for this host alone (`https://git.example.com/`), where it says so itself. */
  base: string | undefined;
}

export type TokenType = 'PERSONAL_ACCESS_TOKEN' | 'BASIC_AUTH';

/** What a provider expects in the place of the user's name when the password is a token. */
const TOKEN_USERS: Record<ServerType, string> = {
  GITHUB: 'x-access-token',
  GITHUB_ENTERPRISE: 'x-access-token',
  GITLAB: 'oauth2',
  GITLAB_SELF_MANAGED: 'oauth2',
  BITBUCKET: 'x-token-auth',
};

export function credentialOf(
  serverType: ServerType,
  { type, token, user, base }: { type: TokenType; token: string; user?: string | undefined; base?: string | undefined },
): Credential {
  if (type === 'BASIC_AUTH') {
    const pair = { user: user ?? '', password: token };
    return { ...pair, apiAuthorization: basic(pair), base };
  }
  return { user: TOKEN_USERS[serverType], password: token, apiAuthorization: `Bearer ${token}`, base };
}

export function basic({ user, password }: { user: string; password: string }): string {
  return `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
}

export function isConnectionArn(text: string): boolean {
  return /^arn:[^:]+:(codeconnections|codestar-connections):[^:]+:\d{12}:connection\/[^/]+$/.test(text);
}

export function isSecretArn(text: string): boolean {
  return /^arn:[^:]+:secretsmanager:[^:]+:\d{12}:secret:.+$/.test(text);
}
