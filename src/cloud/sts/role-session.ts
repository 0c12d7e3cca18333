/** What all ways to assume a role have in common: the role itself, and the session that is made of it. */
import { AwsError } from '../../platform/errors.ts';
import type { RequestContext, ShapeOf } from '../../platform/service.ts';
import { issueSession, type SessionStatement } from '../../platform/session-token.ts';
import { validationError } from './errors.ts';

const ROLE_ARN = /^arn:aws[\w-]*:iam::(\d{12}):role\/(?:[\x21-\x7e]+\/)?([\w+=,.@-]+)$/;

/** The account in a role's ARN; throws ValidationError when it is none. */
export function accountOf(roleArn: string): string {
  const found = ROLE_ARN.exec(roleArn);
  if (!found) throw validationError(`${roleArn} is invalid`);
  return found[1]!;
}

/** Undefined when there is no such role. */
export async function findRole(ctx: RequestContext, roleArn: string): Promise<ShapeOf<'iam', 'Role'> | undefined> {
  const { iam } = ctx.aws.asService('sts', { account: accountOf(roleArn), region: ctx.region });
  try {
    const { Role } = await iam.getRole({ RoleName: ROLE_ARN.exec(roleArn)![2]! });
    return Role.Arn === roleArn ? Role : undefined;
  } catch (error) {
    if (error instanceof AwsError && error.code === 'NoSuchEntity') return undefined;
    throw error;
  }
}

/** Throws ValidationError when the session would be longer than the role allows. */
export function requireDuration(role: ShapeOf<'iam', 'Role'>, seconds: number): void {
  if (seconds <= (role.MaxSessionDuration ?? 3600)) return;
  throw validationError('The requested DurationSeconds exceeds the MaxSessionDuration set for this role.');
}

/** The session's credentials and name, as the answer shows them. */
export function issueRoleSession(
  ctx: RequestContext,
  role: ShapeOf<'iam', 'Role'>,
  asked: { RoleArn: string; RoleSessionName: string; Policy?: string; PolicyArns?: { arn?: string }[] },
  seconds: number,
  limits: Pick<SessionStatement, 'tags' | 'transitiveTagKeys' | 'sourceIdentity' | 'context'>,
) {
  const account = accountOf(asked.RoleArn);
  const issuedAt = ctx.now().getTime();
  const expiresAt = issuedAt + seconds * 1000;
  const { accessKeyId, secretAccessKey, sessionToken } = issueSession(ctx.keyring, {
    account,
    id: role.RoleId,
    arn: role.Arn,
    role: { name: role.RoleName, session: asked.RoleSessionName },
    policy: asked.Policy,
    policyArns: asked.PolicyArns?.length ? asked.PolicyArns.flatMap(({ arn }) => arn ?? []) : undefined,
    ...limits,
    issuedAt,
    expiresAt,
  });
  return {
    Credentials: {
      AccessKeyId: accessKeyId,
      SecretAccessKey: secretAccessKey,
      SessionToken: sessionToken,
      Expiration: new Date(expiresAt),
    },
    AssumedRoleUser: {
      AssumedRoleId: `${role.RoleId}:${asked.RoleSessionName}`,
      Arn: `arn:aws:sts::${account}:assumed-role/${role.RoleName}/${asked.RoleSessionName}`,
    },
  };
}
