/** The values of condition keys and policy variables for one request. */
import type { Resolve } from '../../platform/policy/pattern.ts';
import type { Principal } from '../../platform/principal.ts';
import type { Check, RequestContext } from '../../platform/service.ts';
import type { Tags } from './tables.ts';

type Values = string | string[] | undefined;
type Request = Pick<RequestContext, 'principal' | 'region' | 'sourceIp' | 'userAgent' | 'via' | 'http' | 'now'>;

/** Nothing is computed before a policy asks for it. */
export function requestValues(ctx: Request, check: Check, identityTags: Tags | undefined): Resolve {
  const conditions = new Map(Object.entries(check.conditions ?? {}).map(([key, value]) => [key.toLowerCase(), value]));
  return (key) => {
    const own = conditions.get(key);
    if (own !== undefined) return own;
    const kept = sessionOf(ctx.principal)?.context?.[key];
    if (kept !== undefined) return kept;
    const global = globals.get(key);
    if (global) return global(ctx, check);
    const slash = key.indexOf('/');
    if (slash < 0) return undefined;
    return taggedValue(key.slice(0, slash), key.slice(slash + 1), ctx.principal, check, identityTags);
  };
}

const globals = new Map<string, (ctx: Request, check: Check) => Values>(
  Object.entries({
    'aws:currenttime': ({ now }) => now().toISOString(),
    'aws:epochtime': ({ now }) => String(Math.floor(now().getTime() / 1000)),
    'aws:principalaccount': ({ principal }) => principal.account,
    // A session is known by its role here, as its user id is by its session.
    'aws:principalarn': ({ principal }) => (principal.type === 'AssumedRole' ? principal.roleArn : principal.arn),
    'aws:principaltype': ({ principal }) => (principal.type === 'Root' ? 'Account' : principal.type),
    'aws:principalisawsservice': ({ principal }) => String(principal.type === 'Service'),
    'aws:principalservicename': ({ principal }) => (principal.type === 'Service' ? principal.service : undefined),
    'aws:sourceaccount': ({ principal }) => (principal.type === 'Service' ? principal.account : undefined),
    'aws:sourcearn': ({ principal }) => (principal.type === 'Service' ? principal.sourceArn : undefined),
    'aws:federatedprovider': ({ principal }) => (principal.type === 'WebIdentity' ? principal.provider : undefined),
    'aws:userid': ({ principal }) => (principal.type === 'Service' || principal.type === 'WebIdentity' ? undefined : principal.id),
    'aws:username': ({ principal }) => (principal.type === 'User' ? principal.name : undefined),
    'aws:tokenissuetime': ({ principal }) => sessionOf(principal)?.issuedAt.toISOString(),
    'aws:sourceidentity': ({ principal }) => sessionOf(principal)?.sourceIdentity,
    'aws:multifactorauthpresent': ({ principal }) => (sessionOf(principal) ? 'false' : undefined),
    'aws:requestedregion': ({ region }) => region,
    'aws:resourceaccount': ({ principal }, check) => check.resourceAccount ?? principal.account,
    'aws:securetransport': ({ http }) => String(http === undefined || http.origin.startsWith('https:')),
    'aws:sourceip': ({ sourceIp }) => sourceIp,
    'aws:tagkeys': (_, check) => (check.requestTags ? Object.keys(check.requestTags) : undefined),
    'aws:useragent': ({ userAgent }) => userAgent,
    'aws:viaawsservice': ({ via }) => String(via !== undefined),
    'aws:calledvia': ({ via }) => (via === undefined ? undefined : [`${via}.amazonaws.com`]),
    'aws:calledviafirst': ({ via }) => via && `${via}.amazonaws.com`,
    'aws:calledvialast': ({ via }) => via && `${via}.amazonaws.com`,
  } satisfies Record<string, (ctx: Request, check: Check) => Values>),
);

function sessionOf(principal: Principal) {
  return 'session' in principal ? principal.session : undefined;
}

function taggedValue(prefix: string, tag: string, principal: Principal, check: Check, identityTags: Tags | undefined): Values {
  switch (prefix) {
    case 'aws:principaltag':
      // A session's tags stand before those of its role.
      return findTag(sessionOf(principal)?.tags, tag) ?? findTag(identityTags, tag);
    case 'aws:resourcetag':
      return findTag(check.resourceTags, tag);
    case 'aws:requesttag':
      return findTag(check.requestTags, tag);
    default:
      // Services' own names for the same, such as `iam:ResourceTag/team`.
      return prefix.endsWith(':resourcetag') ? findTag(check.resourceTags, tag) : undefined;
  }
}

/** Condition keys do not distinguish case, so the tag's name does not either. */
function findTag(tags: Tags | undefined, lowerKey: string): string | undefined {
  if (!tags) return undefined;
  for (const [key, value] of Object.entries(tags)) if (key.toLowerCase() === lowerKey) return value;
  return undefined;
}
