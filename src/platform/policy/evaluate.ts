/**
 * May this principal do this? AWS's evaluation logic: an explicit deny anywhere decides; then the caller's own policies within its boundary and
 * its session's policies, or the resource's policy; across accounts both.
 */
import type { Principal } from '../principal.ts';
import type { Policy } from './document.ts';
import type { Resolve } from './pattern.ts';
import type { Meant } from './principals.ts';

export interface Question {
  principal: Principal;
  /** `codecommit:GetRepository` */
  action: string;
  /** An ARN, or `*`. */
  resource: string;
  resolve: Resolve;
  /** Of the resource; the principal's own when absent. */
  resourceAccount?: string;
  /** Users' and roles' own policies, those of users' groups among them. */
  identity: readonly Policy[];
  boundary?: Policy;
  /** Absent when the session has none. Several allow together what any of them allows. */
  session?: readonly Policy[];
  resourcePolicy?: Policy;
  /** True where the owner's policies alone never suffice, as with a role's trust policy. */
  resourcePolicyRequired?: boolean;
  /** A grant of the resource's owner, which counts as much as a policy that names the caller, and across accounts alone suffices. */
  granted?: boolean;
}

export type PolicyKind = 'identity-based policy' | 'resource-based policy' | 'permissions boundary' | 'session policy';

/** `by` names the kind of policy that denied, or that should have allowed and did not. */
export type Verdict = { decision: 'allowed' } | { decision: 'explicitDeny' | 'implicitDeny'; by: PolicyKind };

const ALLOWED: Verdict = { decision: 'allowed' };

export function evaluate(question: Question): Verdict {
  const { principal, identity, boundary, session, resourcePolicy } = question;
  const action = question.action.toLowerCase();
  const resource = withGrant(question, fromResource(question, action));
  const own = decide(identity, question, action);
  const bounded = boundary ? decide([boundary], question, action) : 'allow';
  const inSession = session ? decide(session, question, action) : 'allow';

  if (own === 'deny') return { decision: 'explicitDeny', by: 'identity-based policy' };
  if (bounded === 'deny') return { decision: 'explicitDeny', by: 'permissions boundary' };
  if (inSession === 'deny') return { decision: 'explicitDeny', by: 'session policy' };
  if (resource === 'deny') return { decision: 'explicitDeny', by: 'resource-based policy' };

  const sameAccount = (question.resourceAccount ?? principal.account) === principal.account;
  if (question.resourcePolicyRequired && !resource) return implicit('resource-based policy');
  if (principal.type === 'Service') return evaluateService(resource, sameAccount, resourcePolicy !== undefined);

  // Within the account, a resource's policy that names the caller is enough. A session named by its role stays within its limits.
  const ownAllows = own === 'allow' || principal.type === 'Root';
  if (sameAccount) {
    if (resource === 'self' || (resource === 'anyone' && principal.type !== 'AssumedRole')) return ALLOWED;
    const granted = ownAllows || resource === 'role' || resource === 'anyone';
    if (!granted) return implicit('identity-based policy');
  } else {
    if (!ownAllows && !question.granted) return implicit('identity-based policy');
    if (!resource) return implicit('resource-based policy');
  }
  if (bounded !== 'allow') return implicit('permissions boundary');
  return inSession === 'allow' ? ALLOWED : implicit('session policy');
}

function implicit(by: PolicyKind): Verdict {
  return { decision: 'implicitDeny', by };
}

/** A service needs to be named by the resource's policy; where the resource has none, it works for its own account only. */
function evaluateService(resource: Meant | undefined, sameAccount: boolean, hasPolicy: boolean): Verdict {
  const allowed = resource !== undefined || (sameAccount && !hasPolicy);
  return allowed ? ALLOWED : implicit('resource-based policy');
}

function decide(policies: readonly Policy[], { resource, resolve }: Question, action: string): 'allow' | 'deny' | undefined {
  let allowed = false;
  for (const policy of policies) {
    for (const statement of policy.statements) {
      if (statement.allow && allowed) continue;
      if (!statement.applies(action, resource, resolve)) continue;
      if (!statement.allow) return 'deny';
      allowed = true;
    }
  }
  return allowed ? 'allow' : undefined;
}

const STRENGTH: Meant[] = ['account', 'role', 'anyone', 'self'];

/** Sessions that were granted something as their role stay within their limits. */
function withGrant({ granted, principal }: Question, named: Meant | 'deny' | undefined): Meant | 'deny' | undefined {
  if (!granted || named === 'deny' || named === 'self') return named;
  return principal.type === 'AssumedRole' ? 'role' : 'self';
}

/** The strongest way in which the resource's policy allows the caller. */
function fromResource({ resourcePolicy, principal, resource, resolve }: Question, action: string): Meant | 'deny' | undefined {
  let strongest = -1;
  for (const statement of resourcePolicy?.statements ?? []) {
    const meant = statement.principals?.(principal);
    if (!meant || !statement.applies(action, resource, resolve)) continue;
    if (!statement.allow) return 'deny';
    strongest = Math.max(strongest, STRENGTH.indexOf(meant));
  }
  return STRENGTH[strongest];
}

/** The text of AccessDenied. */
export function denialMessage(question: Pick<Question, 'principal' | 'action' | 'resource'>, verdict: Verdict): string {
  const { principal, action, resource } = question;
  const asked = `User: ${principal.arn} is not authorized to perform: ${action} on resource: ${resource}`;
  if (verdict.decision === 'allowed') return asked;
  if (verdict.decision === 'explicitDeny') return `${asked} with an explicit deny in ${article(verdict.by)} ${verdict.by}`;
  return `${asked} because no ${verdict.by} allows the ${action} action`;
}

function article(kind: PolicyKind): string {
  return kind === 'identity-based policy' ? 'an' : 'a';
}
