/** Stands in until the IAM service is there: one administrator who may do everything. */
import { createHmac, randomBytes } from 'node:crypto';
import type { Platform, Transaction } from '../platform/platform.ts';
import type { Principal } from '../platform/principal.ts';
import type { Check, RequestContext } from '../platform/service.ts';

const ACCESS_KEY = 'AKIAPENSTOCKADMIN000';

export interface Access {
  credentials(
    accessKeyId: string,
    sessionToken: string | undefined,
  ): Promise<{ secret: string; principal: Principal } | 'unknown' | 'invalid-token' | 'expired'>;
  gitPassword(user: string, password: string): Promise<Principal | undefined>;
  authorize(context: RequestContext, check: Check & { action: string }): Promise<void>;
}

const secretOf = (platform: Pick<Platform, 'keyring'>): string =>
  createHmac('sha256', platform.keyring.derive('temporary')).update('admin').digest('base64url').slice(0, 40);

export function createAccess(platform: Platform): Access {
  const { account } = platform.config;
  return {
    credentials: async (accessKeyId) =>
      accessKeyId === ACCESS_KEY
        ? {
            secret: secretOf(platform),
            principal: {
              type: 'User',
              account,
              arn: `arn:aws:iam::${account}:user/administrator`,
              id: 'AIDAPENSTOCKADMIN',
              name: 'administrator',
              accessKeyId,
            },
          }
        : 'unknown',
    gitPassword: async () => undefined,
    authorize: async () => {},
  };
}

export async function ensureAccount(_tx: Transaction, platform: Pick<Platform, 'keyring'>, _account: string) {
  randomBytes(1);
  return { accessKeyId: ACCESS_KEY, secretAccessKey: secretOf(platform) };
}
