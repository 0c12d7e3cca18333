/** AssumeRole: temporary credentials of a role, for whom its trust policy names. */
import { type Check, type Input, operation, type RequestContext, type ShapeOf } from '../../platform/service.ts';
import { accessDenied, refuseMultiFactor, validationError } from './errors.ts';
import { accountOf, findRole, issueRoleSession, requireDuration } from './role-session.ts';
import { checkSessionPolicies, packedSize, sessionTags } from './session-limits.ts';

const DEFAULT_SECONDS = 3600;
/** A role assumed by a session of a role. */
const CHAINED_MAX_SECONDS = 3600;

type AssumeRoleInput = Input<'sts', 'AssumeRole'>;

export const assumeRole = operation('sts', 'AssumeRole', {
  async authorize(input, ctx) {
    if (ctx.principal.type === 'Root') throw accessDenied('Roles may not be assumed by root accounts.');
    const role = await findRole(ctx, input.RoleArn);
    // A role that is not there is denied like one that is: nobody learns the names of another's roles.
    const trust = role && decodeURIComponent(role.AssumeRolePolicyDocument!);
    return actionsOf(input).map((action) => assumptionCheck(input, action, trust));
  },
  async handle(ctx, input) {
    const { principal } = ctx;
    const account = accountOf(input.RoleArn);
    const role = await findRole(ctx, input.RoleArn);
    if (!role) throw validationError('The role was deleted meanwhile.');
    refuseMultiFactor(input.SerialNumber, input.TokenCode);
    await checkSessionPolicies(ctx, account, input);
    const PackedPolicySize = packedSize(input);
    const sourceIdentity = sourceIdentityOf(ctx, input);
    return {
      ...issueRoleSession(ctx, role, input, durationSeconds(ctx, role, input), { ...sessionTags(principal, input), sourceIdentity }),
      PackedPolicySize,
      SourceIdentity: sourceIdentity,
    };
  },
});

/** Tags and a source identity need permissions of their own. */
function actionsOf(input: AssumeRoleInput): string[] {
  const tagged = input.Tags && input.Tags.length > 0;
  return ['sts:AssumeRole', ...(tagged ? ['sts:TagSession'] : []), ...(input.SourceIdentity ? ['sts:SetSourceIdentity'] : [])];
}

function assumptionCheck(input: AssumeRoleInput, action: string, trust: string | undefined): Check {
  const conditions: Check['conditions'] = { 'sts:RoleSessionName': input.RoleSessionName };
  if (input.ExternalId !== undefined) conditions['sts:ExternalId'] = input.ExternalId;
  if (input.SourceIdentity !== undefined) conditions['sts:SourceIdentity'] = input.SourceIdentity;
  if (input.TransitiveTagKeys !== undefined) conditions['sts:TransitiveTagKeys'] = input.TransitiveTagKeys;
  return {
    action,
    resource: input.RoleArn,
    resourceAccount: accountOf(input.RoleArn),
    resourcePolicy: trust,
    conditions,
    requestTags: input.Tags && Object.fromEntries(input.Tags.map(({ Key, Value }) => [Key, Value])),
  };
}

function durationSeconds(
  ctx: RequestContext,
  role: ShapeOf<'iam', 'Role'>,
  { DurationSeconds = DEFAULT_SECONDS }: AssumeRoleInput,
): number {
  if (ctx.principal.type === 'AssumedRole' && DurationSeconds > CHAINED_MAX_SECONDS) {
    throw validationError('The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining');
  }
  requireDuration(role, DurationSeconds);
  return DurationSeconds;
}

/** Once set it stays, over all roles that are assumed one from another. */
function sourceIdentityOf({ principal }: RequestContext, { SourceIdentity }: AssumeRoleInput): string | undefined {
  const inherited = 'session' in principal ? principal.session?.sourceIdentity : undefined;
  if (inherited !== undefined && SourceIdentity !== undefined && SourceIdentity !== inherited) {
    throw accessDenied('The source identity of the calling session cannot be changed.');
  }
  return inherited ?? SourceIdentity;
}
