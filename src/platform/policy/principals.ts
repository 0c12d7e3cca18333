/** Whom a statement of a resource policy or trust policy means. */
import type { Principal } from '../principal.ts';
import type { PrincipalSource, StatementSource } from './document.ts';

/**
 * How a principal is meant:
 * - `self`: by its own ARN (a user, or one session of a role);
 * - `role`: a session, by the ARN of its role: what the session may do is still limited by its boundary and session policies;
 * - `anyone`: by `*`;
 * - `account`: only its account is: the account's own policies must allow as well.
 */
export type Meant = 'self' | 'role' | 'anyone' | 'account';
export type PrincipalTest = (principal: Principal) => Meant | undefined;

const ROOT_ARN = /^arn:aws[\w-]*:iam::(\d{12}):root$/;

export function compilePrincipals({ principal, notPrincipal }: StatementSource): PrincipalTest | undefined {
  if (principal) return compileTest(principal);
  if (!notPrincipal) return undefined;
  const excluded = compileTest(notPrincipal);
  return (who) => (excluded(who) ? undefined : 'anyone');
}

function compileTest(source: PrincipalSource): PrincipalTest {
  const aws = source === '*' ? ['*'] : (source.AWS ?? []);
  const services = new Set(source === '*' ? [] : (source.Service ?? []).map(serviceName));
  const federated = new Set(source === '*' ? [] : source.Federated);
  const anyone = aws.includes('*');
  const accounts = new Set(aws.map((value) => ROOT_ARN.exec(value)?.[1] ?? (/^\d{12}$/.test(value) ? value : '')));
  const arns = new Set(aws);
  return (who) => {
    if (who.type === 'Service') return services.has(who.service) ? 'self' : anyone ? 'anyone' : undefined;
    if (who.type === 'WebIdentity') return who.provider !== undefined && federated.has(who.provider) ? 'self' : undefined;
    if (arns.has(who.arn)) return who.type === 'Root' ? 'account' : 'self';
    if (who.type === 'AssumedRole' && arns.has(who.roleArn)) return 'role';
    if (anyone) return 'anyone';
    return accounts.has(who.account) ? 'account' : undefined;
  };
}

/** `codedeploy.us-east-1.amazonaws.com` is `codedeploy.amazonaws.com`. */
function serviceName(host: string): string {
  return host.replace(/^([a-z0-9-]+)\.[a-z]{2}(?:-[a-z]+)+-\d\.(amazonaws\.com)$/, '$1.$2');
}
