/** Git against a test server: the credentials that CodeCommit's helper would make, without the half second that it takes. */
import { createHash, createHmac } from 'node:crypto';
import type { TestServer } from './server.ts';

export interface GitKey {
  accessKeyId: string;
  secretAccessKey: string;
  sessionToken?: string;
}

/** User name and password for one repository, signed as `aws codecommit credential-helper` does: host without port. */
export function signGit(
  server: TestServer,
  repository: string,
  key: GitKey = server.credentials,
  options: { region?: string; now?: Date } = {},
) {
  const { region = server.region, now = new Date() } = options;
  const timestamp = now.toISOString().replace(/[-:]|\.\d+Z/g, '');
  const date = timestamp.slice(0, 8);
  const canonical = `GIT\n/v1/repos/${repository}\n\nhost:${new URL(server.endpoint).hostname}\n\nhost\n`;
  const hash = createHash('sha256').update(canonical).digest('hex');
  const toSign = `AWS4-HMAC-SHA256\n${timestamp}\n${date}/${region}/codecommit/aws4_request\n${hash}`;
  const steps = [date, region, 'codecommit', 'aws4_request'];
  const signingKey = steps.reduce<Buffer | string>(
    (secret, step) => createHmac('sha256', secret).update(step).digest(),
    `AWS4${key.secretAccessKey}`,
  );
  const signature = createHmac('sha256', signingKey).update(toSign).digest('hex');
  return {
    user: key.sessionToken ? `${key.accessKeyId}%${key.sessionToken}` : key.accessKeyId,
    password: `${timestamp}Z${signature}`,
  };
}

export function basic({ user, password }: { user: string; password: string }): string {
  return `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
}

/** For git's environment: every request carries these credentials. */
export function withCredentials(credentials: { user: string; password: string }): Record<string, string> {
  return {
    GIT_CONFIG_COUNT: '2',
    GIT_CONFIG_KEY_0: 'init.defaultBranch',
    GIT_CONFIG_VALUE_0: 'main',
    GIT_CONFIG_KEY_1: 'http.extraHeader',
    GIT_CONFIG_VALUE_1: `Authorization: ${basic(credentials)}`,
  };
}
