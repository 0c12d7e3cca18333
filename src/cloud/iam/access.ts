/** What the gateway asks IAM on every request: whose credentials are these, and may they do this? */

import { accountOfAccessKey, accountOfSshKey } from '../../platform/access-key.ts';
import { AwsError } from '../../platform/errors.ts';
import type { Platform } from '../../platform/platform.ts';
import { cachedPolicy, type Policy } from '../../platform/policy/document.ts';
import { denialMessage, evaluate, type Question } from '../../platform/policy/evaluate.ts';
import type { Principal, SessionLimits } from '../../platform/principal.ts';
import type { Check, RequestContext } from '../../platform/service.ts';
import { openSession, type SessionStatement } from '../../platform/session-token.ts';
import { IdentityCache } from './cache.ts';
import { type Identity, loadIdentity, managedDocuments } from './identities.ts';
import { requestValues } from './request-values.ts';
import { openSecret, samePassword } from './secrets.ts';
import { UsageRecorder } from './usage.ts';

export interface Access {
  /** The secret and the principal of an access key; a word when there is none to be believed. */
  credentials(
    accessKeyId: string,
    sessionToken: string | undefined,
  ): Promise<{ secret: string; principal: Principal } | 'unknown' | 'invalid-token' | 'expired'>;
  /** The user of a service-specific credential (`name-at-ACCOUNT` and its password); undefined when it is wrong or not active. */
  gitPassword(user: string, password: string): Promise<Principal | undefined>;
  /** The user of an active SSH public key (`APKA…`), and the key as the SSH protocol carries it; undefined when there is none. */
  sshKey(id: string): Promise<{ publicKey: Buffer; principal: Principal } | undefined>;
  /** Throws AccessDeniedException, which each protocol writes in its own way, unless the caller may do what `check` asks. */
  authorize(context: RequestContext, check: Check & { action: string }): Promise<void>;
}

interface AccessKey {
  userId: string;
  secret: string;
  active: boolean;
}

export function createAccess(platform: Platform): Access {
  const cache = new IdentityCache(platform);
  const usage = new UsageRecorder(platform);
  const identityOf = (account: string, id: string): Promise<Identity | undefined> =>
    cache.get(account, `identity:${id}`, () => loadIdentity(platform.read, id));

  const longTerm = async (accessKeyId: string) => {
    const account = accountOfAccessKey(accessKeyId);
    if (account === undefined) return 'unknown';
    const key = await cache.get(account, `key:${accessKeyId}`, () => loadAccessKey(platform, accessKeyId));
    const user = key?.active ? await identityOf(account, key.userId) : undefined;
    return user ? { secret: key!.secret, principal: userPrincipal(user, accessKeyId) } : 'unknown';
  };

  const temporary = async (accessKeyId: string, token: string) => {
    const opened = openSession(platform.keyring, accessKeyId, token);
    if (!opened) return 'invalid-token';
    const { statement, secret } = opened;
    if (statement.expiresAt <= platform.now().getTime()) return 'expired';
    // Whoever was deleted, or made anew under the same name, has no sessions.
    const identity = await identityOf(statement.account, statement.id);
    if (!identity) return 'invalid-token';
    const managed = statement.policyArns
      ? await cache.get(statement.account, `session:${statement.policyArns.join()}`, () =>
          managedDocuments(platform.read, statement.policyArns!),
        )
      : undefined;
    return { secret, principal: sessionPrincipal(statement, identity, accessKeyId, sessionPolicies(statement, managed)) };
  };

  return {
    credentials: async (accessKeyId, token) => (token === undefined ? longTerm(accessKeyId) : temporary(accessKeyId, token)),

    async sshKey(id) {
      const account = accountOfSshKey(id);
      if (account === undefined) return undefined;
      const key = await cache.get(account, `ssh:${id}`, () => loadSshKey(platform, id));
      const user = key && (await identityOf(account, key.userId));
      return user && { publicKey: key.publicKey, principal: userPrincipal(user, id) };
    },

    async gitPassword(userName, password) {
      const account = /^[\w+=,.@-]+-at-(\d{12})$/.exec(userName)?.[1];
      if (account === undefined) return undefined;
      const known = await cache.get(account, `password:${userName}`, () => loadPassword(platform, userName));
      if (!samePassword(platform.keyring, password, known?.hash) || !known?.active) return undefined;
      if (known.expiresAt && known.expiresAt <= platform.now()) return undefined;
      const user = await identityOf(account, known.userId);
      return user && userPrincipal(user, undefined);
    },

    async authorize(asking, check) {
      const ctx = check.principal ? { ...asking, principal: check.principal } : asking;
      const { principal } = ctx;
      // As on AWS: a session that a user got for himself, without a second factor, has no business with IAM.
      if (principal.type === 'User' && principal.session && check.action.startsWith('iam:')) {
        throw new AwsError('InvalidClientTokenId', 'The security token included in the request is invalid', { status: 403 });
      }
      const identity =
        principal.type === 'User' || principal.type === 'AssumedRole'
          ? await identityOf(principal.account, entityId(principal))
          : undefined;
      const question = questionOf(ctx, check, identity);
      usage.note(principal, check.action.slice(0, check.action.indexOf(':')), ctx.region);
      const verdict = question ? evaluate(question) : undefined;
      if (verdict?.decision === 'allowed') return;
      const asked = { principal, action: check.action, resource: check.resource };
      // Why a role cannot be assumed is not told: its trust policy may be another account's.
      const message =
        verdict && !isAssumption(check.action) ? denialMessage(asked, verdict) : denialMessage(asked, { decision: 'allowed' });
      throw new AwsError('AccessDeniedException', message);
    },
  };
}

function isAssumption(action: string): boolean {
  return action.startsWith('sts:AssumeRole') || action === 'sts:TagSession' || action === 'sts:SetSourceIdentity';
}

/** Undefined when the resource's policy cannot be understood: then nothing is allowed. */
function questionOf(ctx: RequestContext, check: Check & { action: string }, identity: Identity | undefined): Question | undefined {
  const { principal } = ctx;
  const session = 'session' in principal ? principal.session?.policies : undefined;
  let resourcePolicy: Policy | undefined;
  try {
    resourcePolicy = check.resourcePolicy === undefined ? undefined : cachedPolicy(check.resourcePolicy);
  } catch (error) {
    ctx.log.error({ error, resource: check.resource }, 'the policy of a resource cannot be read');
    return undefined;
  }
  return {
    principal,
    action: check.action,
    resource: check.resource,
    resolve: requestValues(ctx, check, identity?.tags),
    resourceAccount: check.resourceAccount,
    identity: identity?.policies ?? [],
    boundary: identity?.boundary,
    session: session?.map(cachedPolicy),
    resourcePolicy,
    resourcePolicyRequired: check.resourcePolicyRequired ?? isAssumption(check.action),
    granted: check.granted,
  };
}

/** `AROA…` of `AROA…:session`. */
function entityId(principal: Principal): string {
  const colon = principal.id.indexOf(':');
  return colon < 0 ? principal.id : principal.id.slice(0, colon);
}

function userPrincipal({ account, arn, id, name }: Identity, accessKeyId: string | undefined): Principal {
  return { type: 'User', account, arn, id, name, accessKeyId };
}

function sessionPrincipal(statement: SessionStatement, identity: Identity, accessKeyId: string, policies: string[] | undefined): Principal {
  const { account, id, arn, role, tags, transitiveTagKeys, sourceIdentity, context } = statement;
  const session: SessionLimits = {
    policies,
    tags,
    transitiveTagKeys,
    sourceIdentity,
    context,
    issuedAt: new Date(statement.issuedAt),
    expiresAt: new Date(statement.expiresAt),
  };
  if (!role) return { type: 'User', account, arn: identity.arn, id, name: identity.name, accessKeyId, session };
  return {
    type: 'AssumedRole',
    account,
    arn: `arn:aws:sts::${account}:assumed-role/${role.name}/${role.session}`,
    id: `${id}:${role.session}`,
    roleArn: arn,
    roleName: role.name,
    sessionName: role.session,
    accessKeyId,
    session,
  };
}

function sessionPolicies({ policy, policyArns }: SessionStatement, managed: Map<string, string> | undefined): string[] | undefined {
  if (policy === undefined && policyArns === undefined) return undefined;
  return [...(policy === undefined ? [] : [policy]), ...(policyArns ?? []).flatMap((arn) => managed?.get(arn) ?? [])];
}

async function loadAccessKey(platform: Platform, id: string): Promise<AccessKey | undefined> {
  const row = await platform.read
    .selectFrom('iam.access_keys')
    .select(['user_id', 'secret', 'active'])
    .where('id', '=', id)
    .executeTakeFirst();
  return row && { userId: row.user_id, secret: openSecret(platform.keyring, id, row.secret), active: row.active };
}

async function loadSshKey(platform: Platform, id: string): Promise<{ userId: string; publicKey: Buffer } | undefined> {
  const row = await platform.read
    .selectFrom('iam.ssh_keys')
    .select(['user_id', 'public_key'])
    .where('id', '=', id)
    .where('active', '=', true)
    .executeTakeFirst();
  return row && { userId: row.user_id, publicKey: row.public_key };
}

async function loadPassword(platform: Platform, userName: string) {
  const row = await platform.read
    .selectFrom('iam.service_credentials')
    .select(['user_id', 'password_hash', 'active', 'expires_at'])
    .where('user_name', '=', userName)
    .executeTakeFirst();
  return row && { userId: row.user_id, hash: row.password_hash, active: row.active, expiresAt: row.expires_at };
}
