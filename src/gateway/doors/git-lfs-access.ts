/** Who asks for large files: git's credentials, or what `git-lfs-authenticate` gave over SSH. */
import type { FastifyRequest } from 'fastify';
import type { Repository } from '../../devtools/codecommit/repository.ts';
import { repositoryArn } from '../../devtools/codecommit/repository.ts';
import type { Gateway } from '../exchange.ts';
import type { GitAccess } from './git-access.ts';
import { createCaller, findRepository, withAccess } from './git-access.ts';
import { identifyGitCaller, UnauthenticatedError } from './git-http-identity.ts';
import { LfsError } from './git-lfs-answers.ts';
import { type LfsOperation, openLeave } from './git-lfs-tokens.ts';

/** Lets the one who asks do `work`, as for a pull or a push; git-lfs is told 401 in the way that makes it ask for credentials. */
export async function withLfsAccess<T>(
  gateway: Gateway,
  request: FastifyRequest,
  operation: LfsOperation,
  work: (access: GitAccess, repository: Repository) => Promise<T>,
): Promise<T> {
  const name = repositoryNameOf(request);
  const { caller, repository: found } = await identify(gateway, request, name, operation);
  const access: GitAccess = {
    gateway,
    protocol: request.protocol === 'https' ? 'HTTPS' : 'HTTP',
    action: operation === 'upload' ? 'GitPush' : 'GitPull',
    caller,
    repositoryName: name,
    found,
    dataTransferred: false,
    references: [],
  };
  return await withAccess(access, (repository) => work(access, repository));
}

async function identify(gateway: Gateway, request: FastifyRequest, name: string, operation: LfsOperation) {
  const { platform } = gateway;
  const leave = openLeave(platform.keyring, request.headers.authorization, platform.now());
  if (!leave) return identifyGitCaller(gateway, request, name, [`/v1/repos/${name}.git/info/lfs`]);
  const key = leave.kind === 'ssh-key' ? await gateway.access.sshKey(leave.keyId) : undefined;
  if (leave.kind !== 'ssh-key' || !key || leave.repositoryName !== name) throw new UnauthenticatedError('Credentials are required.');
  if (leave.operation === 'download' && operation === 'upload') throw new LfsError(403, 'This token is for downloads.');
  const { region, repository } = await findRepository(gateway, key.principal, name);
  return { caller: createCaller(gateway, key.principal, region, originOf(request)), repository };
}

function originOf(request: FastifyRequest): { sourceIp: string; userAgent: string } {
  return { sourceIp: request.raw.socket.remoteAddress ?? '', userAgent: String(request.headers['user-agent'] ?? '') };
}

function repositoryNameOf(request: FastifyRequest): string {
  return (request.params as { name: string }).name.replace(/\.git$/, '');
}

/** The branch that the objects are for may be protected. */
export async function requirePush({ caller }: GitAccess, repository: Repository, reference: string): Promise<void> {
  await caller.authorize({
    action: 'codecommit:GitPush',
    resource: repositoryArn(caller.context, repository.name),
    resourceTags: repository.tags,
    conditions: { 'codecommit:References': reference },
  });
}
