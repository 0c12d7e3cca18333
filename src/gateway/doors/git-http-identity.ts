/** Who speaks git over HTTP, and in which region: always Basic, in one of the three forms that CodeCommit's clients send. */
import { randomUUID } from 'node:crypto';
import type { FastifyRequest } from 'fastify';
import type { Repository } from '../../devtools/codecommit/repository.ts';
import { lookUpEverywhere } from '../../devtools/codecommit/repository.ts';
import { AwsError } from '../../platform/errors.ts';
import type { Principal } from '../../platform/principal.ts';
import type { Check, RequestContext } from '../../platform/service.ts';
import type { Gateway } from '../exchange.ts';
import { parseGitCredential, verifyGitCredential } from '../git-credential.ts';

/** No credentials, or none that a client could not do better next time: answered 401, so that git asks its user or its helper. */
export class UnauthenticatedError extends Error {
  override readonly name = 'UnauthenticatedError';
}

export interface GitCaller {
  context: RequestContext;
  /** AccessDenied when the policies do not allow it. */
  authorize(check: Check & { action: string }): Promise<void>;
  may(check: Check & { action: string }): Promise<boolean>;
}

export async function identifyGitCaller(
  gateway: Gateway,
  request: FastifyRequest,
  name: string,
): Promise<{ caller: GitCaller; repository: Repository | undefined }> {
  const credentials = basicCredentials(request.headers.authorization);
  if (!credentials) throw new UnauthenticatedError('Credentials are required.');
  const signed = parseGitCredential(credentials.user, credentials.password);
  if (!signed) {
    const principal = await gateway.access.gitPassword(credentials.user, credentials.password);
    if (!principal) throw new UnauthenticatedError('The user name or password is not valid.');
    const { regions, repositories } = await candidates(gateway, request, principal, name);
    const region = regions.find((each) => repositories.has(each)) ?? regions[0]!;
    return { caller: createCaller(gateway, request, principal, region), repository: repositories.get(region) };
  }
  const known = await gateway.access.credentials(signed.accessKeyId, signed.sessionToken);
  if (typeof known === 'string') throw denied('The security token included in the request is invalid.');
  const { regions, repositories } = await candidates(gateway, request, known.principal, name);
  const region = verifyGitCredential(signed, known.secret, {
    path: `/v1/repos/${name}`,
    host: request.headers.host ?? '',
    regions,
    now: gateway.platform.now(),
  });
  if (region === undefined) throw denied('The request signature does not match, or it has expired.');
  return { caller: createCaller(gateway, request, known.principal, region), repository: repositories.get(region) };
}

/** The regions that the request may mean, likeliest first: the host's, ours, and every one that has a repository of this name. */
async function candidates(gateway: Gateway, request: FastifyRequest, principal: Principal, name: string) {
  const found = await lookUpEverywhere(gateway.platform, principal.account, name);
  const repositories = new Map(found.map((repository) => [repository.region, repository]));
  const told = regionOfHost(request.headers.host ?? '');
  const regions = [...new Set([...(told ? [told] : []), gateway.platform.config.region, ...repositories.keys()])];
  return { regions, repositories };
}

function regionOfHost(host: string): string | undefined {
  return /^git-codecommit(?:-fips)?\.([a-z0-9-]+)\./.exec(host)?.[1];
}

function createCaller(gateway: Gateway, request: FastifyRequest, principal: Principal, region: string): GitCaller {
  const { platform, access } = gateway;
  const authorize = (check: Check & { action: string }) => access.authorize(context, check);
  const context: RequestContext = {
    ...platform,
    account: principal.account,
    region,
    principal,
    requestId: randomUUID(),
    sourceIp: request.raw.socket.remoteAddress ?? '',
    userAgent: String(request.headers['user-agent'] ?? ''),
    authorize: async (checks) => {
      for (const check of Array.isArray(checks) ? checks : [checks])
        await authorize({ ...check, action: check.action ?? 'codecommit:GitPull' });
    },
  };
  return {
    context,
    authorize,
    may: (check) =>
      authorize(check).then(
        () => true,
        (error) => {
          if (error instanceof AwsError) return false;
          throw error;
        },
      ),
  };
}

function basicCredentials(header: string | undefined): { user: string; password: string } | undefined {
  const encoded = /^Basic +([A-Za-z0-9+/=]+)$/i.exec(header ?? '')?.[1];
  if (encoded === undefined) return undefined;
  const text = Buffer.from(encoded, 'base64').toString();
  const colon = text.indexOf(':');
  return colon < 0 ? undefined : { user: text.slice(0, colon), password: text.slice(colon + 1) };
}

function denied(message: string): AwsError {
  return new AwsError('AccessDeniedException', message, { status: 403 });
}
