/** Who speaks git over HTTP, and in which region: always Basic, in one of the three forms that CodeCommit's clients send, or with a build's token. */
import type { FastifyRequest } from 'fastify';
import { BUILD_GIT_USER, buildCredentials } from '../../devtools/codebuild/credentials.ts';
import type { Repository } from '../../devtools/codecommit/repository.ts';
import { AwsError } from '../../platform/errors.ts';
import type { Principal } from '../../platform/principal.ts';
import type { Gateway } from '../exchange.ts';
import { parseGitCredential, verifyGitCredential } from '../git-credential.ts';
import type { GitCaller } from './git-access.ts';
import { createCaller, findRepositories, findRepository } from './git-access.ts';

/** No credentials, or none that a client could not do better next time: answered 401, so that git asks its user or its helper. */
export class UnauthenticatedError extends Error {
  override readonly name = 'UnauthenticatedError';
}

export async function identifyGitCaller(
  gateway: Gateway,
  request: FastifyRequest,
  name: string,
  /** Further paths that a client may have signed. */
  paths: string[] = [],
): Promise<{ caller: GitCaller; repository: Repository | undefined }> {
  const credentials = basicCredentials(request.headers.authorization);
  if (!credentials) throw new UnauthenticatedError('Credentials are required.');
  const told = regionOfHost(request.headers.host ?? '');
  const origin = { sourceIp: request.raw.socket.remoteAddress ?? '', userAgent: String(request.headers['user-agent'] ?? '') };
  const signed = parseGitCredential(credentials.user, credentials.password);
  if (!signed) {
    const { principal, regions = [] } = await principalOf(gateway, credentials);
    if (!principal) throw new UnauthenticatedError('The user name or password is not valid.');
    const { region, repository } = await findRepository(gateway, principal, name, [...told, ...regions]);
    return { caller: createCaller(gateway, principal, region, origin), repository };
  }
  const known = await gateway.access.credentials(signed.accessKeyId, signed.sessionToken);
  if (typeof known === 'string') throw denied('The security token included in the request is invalid.');
  const { regions, repositories } = await findRepositories(gateway, known.principal, name, told);
  const asked = { host: request.headers.host ?? '', regions, now: gateway.platform.now() };
  const region = [`/v1/repos/${name}`, ...paths]
    .map((path) => verifyGitCredential(signed, known.secret, { path, ...asked }))
    .find((each) => each !== undefined);
  if (region === undefined) throw denied('The request signature does not match, or it has expired.');
  return { caller: createCaller(gateway, known.principal, region, origin), repository: repositories.get(region) };
}

/** By a password of IAM, or by the token of a running build, which stands for the project's service role. */
async function principalOf(
  gateway: Gateway,
  { user, password }: { user: string; password: string },
): Promise<{ principal: Principal | undefined; regions?: string[] }> {
  if (user !== BUILD_GIT_USER) return { principal: await gateway.access.gitPassword(user, password) };
  const build = await buildCredentials(gateway.platform, password);
  if (!build) return { principal: undefined };
  const known = await gateway.access.credentials(build.credentials.accessKeyId, build.credentials.sessionToken);
  return typeof known === 'string' ? { principal: undefined } : { principal: known.principal, regions: [build.region] };
}

/** None when the host is not one of AWS's. */
function regionOfHost(host: string): string[] {
  const region = /^git-codecommit(?:-fips)?\.([a-z0-9-]+)\./.exec(host)?.[1];
  return region === undefined ? [] : [region];
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
