/** AssumeRoleWithWebIdentity: a session of a role for whom an OpenID Connect provider vouches, such as a job of a CI service. */
import type { JWTPayload } from 'jose';
import { AwsError } from '../../platform/errors.ts';
import type { Principal } from '../../platform/principal.ts';
import { type Check, type Input, operation, type RequestContext } from '../../platform/service.ts';
import { accessDenied } from './errors.ts';
import { accountOf, findRole, issueRoleSession, requireDuration } from './role-session.ts';
import { checkSessionPolicies, packedSize, sessionTags } from './session-limits.ts';

const DEFAULT_SECONDS = 3600;
/** The claim that carries session tags. */
const TAGS_CLAIM = 'https://aws.amazon.com/tags';
const SOURCE_IDENTITY_CLAIM = 'https://aws.amazon.com/source_identity';

type WebIdentityInput = Input<'sts', 'AssumeRoleWithWebIdentity'>;

interface Verified {
  provider: string;
  issuer: string;
  claims: JWTPayload;
}

export const assumeRoleWithWebIdentity = operation('sts', 'AssumeRoleWithWebIdentity', {
  // The token says who asks, so it is verified first; then the handler asks the role's trust policy.
  authorize: 'none',
  async handle(ctx, input) {
    const account = accountOf(input.RoleArn);
    const verified = await verify(ctx, account, input.WebIdentityToken);
    const tags = claimedTags(verified.claims);
    const sourceIdentity = text(verified.claims[SOURCE_IDENTITY_CLAIM]);
    const role = await findRole(ctx, input.RoleArn);
    const principal: Principal = {
      type: 'WebIdentity',
      account,
      arn: verified.provider,
      id: `${verified.issuer}:${verified.claims.sub}`,
      provider: verified.provider,
    };
    const context = claimedContext(verified);
    const actions = [
      'sts:AssumeRoleWithWebIdentity',
      ...(tags.Tags.length > 0 ? ['sts:TagSession'] : []),
      ...(sourceIdentity === undefined ? [] : ['sts:SetSourceIdentity']),
    ];
    const check: Check = {
      principal,
      resource: input.RoleArn,
      resourceAccount: account,
      // A role that is not there is denied like one that is.
      resourcePolicy: role && decodeURIComponent(role.AssumeRolePolicyDocument!),
      conditions: {
        ...context,
        'sts:RoleSessionName': input.RoleSessionName,
        ...(sourceIdentity !== undefined && { 'sts:SourceIdentity': sourceIdentity }),
      },
      requestTags: Object.fromEntries(tags.Tags.map(({ Key, Value }) => [Key, Value])),
    };
    await ctx.authorize(actions.map((action) => ({ ...check, action }))).catch((error) => {
      throw error instanceof AwsError ? accessDenied('Not authorized to perform sts:AssumeRoleWithWebIdentity') : error;
    });
    const seconds = input.DurationSeconds ?? DEFAULT_SECONDS;
    requireDuration(role!, seconds);
    const limits = { RoleArn: input.RoleArn, RoleSessionName: input.RoleSessionName, Policy: input.Policy, PolicyArns: input.PolicyArns };
    await checkSessionPolicies(ctx, account, limits);
    return {
      ...issueRoleSession(ctx, role!, input, seconds, { ...sessionTags(principal, tags), sourceIdentity, context }),
      SubjectFromWebIdentityToken: verified.claims.sub,
      Audience: audienceOf(verified.claims)[0],
      Provider: verified.provider,
      PackedPolicySize: packedSize({ ...limits, Tags: tags.Tags }),
      SourceIdentity: sourceIdentity,
    };
  },
});

async function verify(ctx: RequestContext, account: string, token: WebIdentityInput['WebIdentityToken']): Promise<Verified> {
  // Loaded for the first who brings a token: most starts see none.
  const { readClaims, TokenError, verifyToken } = await import('../../platform/oidc/token.ts');
  try {
    const unproven = readClaims(token);
    const issuer = unproven.iss.replace(/^https:\/\//, '');
    const provider = `arn:aws:iam::${account}:oidc-provider/${issuer}`;
    const known = unproven.iss.startsWith('https://') ? await findProvider(ctx, account, provider) : undefined;
    if (!known) throw invalidToken(`No OpenIDConnect provider found in your account for ${unproven.iss}`);
    const claims = await verifyToken(token, {
      issuer: unproven.iss,
      audiences: known.ClientIDList ?? [],
      thumbprints: known.ThumbprintList ?? [],
      now: ctx.now(),
    });
    return { provider, issuer, claims };
  } catch (error) {
    if (!(error instanceof TokenError)) throw error;
    if (error.reason === 'expired') throw new AwsError('ExpiredTokenException', error.message, { status: 400 });
    throw invalidToken(error.message);
  }
}

async function findProvider(ctx: RequestContext, account: string, OpenIDConnectProviderArn: string) {
  const { iam } = ctx.aws.asService('sts', { account, region: ctx.region });
  try {
    return await iam.getOpenIDConnectProvider({ OpenIDConnectProviderArn });
  } catch (error) {
    if (error instanceof AwsError && (error.code === 'NoSuchEntity' || error.code === 'ValidationError')) return undefined;
    throw error;
  }
}

function invalidToken(message: string): AwsError {
  return new AwsError('InvalidIdentityToken', message, { status: 400 });
}

/**
 * The token's claims as condition keys, `ISSUER:sub` and so on. As on AWS, `aud` is the authorized party where the token names one, and `oaud`
 * then is its audience.
 */
function claimedContext({ provider, issuer, claims }: Verified): Record<string, string | string[]> {
  const context: Record<string, string | string[]> = { 'aws:federatedprovider': provider };
  for (const [name, value] of Object.entries(claims)) {
    const key = `${issuer}:${name}`.toLowerCase();
    if (typeof value === 'string') context[key] = value;
    else if (typeof value === 'number' || typeof value === 'boolean') context[key] = String(value);
    else if (Array.isArray(value) && value.every((one) => typeof one === 'string')) context[key] = value;
  }
  const party = text(claims.azp);
  if (party !== undefined) {
    context[`${issuer}:oaud`.toLowerCase()] = audienceOf(claims);
    context[`${issuer}:aud`.toLowerCase()] = party;
  }
  return context;
}

function audienceOf({ aud }: JWTPayload): string[] {
  return aud === undefined ? [] : [aud].flat();
}

/** `{principal_tags: {key: [value]}, transitive_tag_keys: [key]}` */
function claimedTags(claims: JWTPayload): { Tags: { Key: string; Value: string }[]; TransitiveTagKeys: string[] } {
  const claim = claims[TAGS_CLAIM] as { principal_tags?: Record<string, unknown>; transitive_tag_keys?: unknown } | undefined;
  const entries = Object.entries(claim?.principal_tags ?? {}).map(([Key, given]) => {
    const Value = text(Array.isArray(given) ? given[0] : given);
    if (Value === undefined || Key.length > 128 || Value.length > 256) throw invalidToken('The session tags of the token are not valid.');
    return { Key, Value };
  });
  const keys = claim?.transitive_tag_keys ?? [];
  if (entries.length > 50 || !Array.isArray(keys)) throw invalidToken('The session tags of the token are not valid.');
  return { Tags: entries, TransitiveTagKeys: keys.map(String) };
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}
