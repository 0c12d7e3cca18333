/**
 * Large files of CodeCommit's repositories by git LFS (its API, version 1): the batch request, which says where each object goes or comes
 * from, and locks. The objects themselves move through git-lfs-objects.ts. git-lfs puts `.git` behind a repository's address.
 */
import type { FastifyRequest } from 'fastify';
import { findLfsObjects, type LfsObject } from '../../devtools/codecommit/lfs-objects.ts';
import type { Repository } from '../../devtools/codecommit/repository.ts';
import { unlock } from '../../devtools/codecommit/repository-keys.ts';
import type { GitAccess } from './git-access.ts';
import { requirePush, withLfsAccess } from './git-lfs-access.ts';
import { answerLfs, LfsError, readJson } from './git-lfs-answers.ts';
import { lockRoutes } from './git-lfs-locks.ts';
import { objectRoutes } from './git-lfs-objects.ts';
import { LFS_TOKEN_SECONDS, type LfsOperation, sealLeave } from './git-lfs-tokens.ts';
import type { Door } from './index.ts';

/** git-lfs asks for a hundred. */
const MAX_OBJECTS = 1000;

export const gitLfs: Door = (app, gateway) => {
  app.post('/v1/repos/:name/info/lfs/objects/batch', (request, reply) =>
    answerLfs(gateway, request, reply, async () => {
      const body = await readJson(request);
      const operation = body.operation === 'upload' || body.operation === 'download' ? body.operation : undefined;
      if (!operation) throw new LfsError(422, 'The operation must be "upload" or "download".');
      return await withLfsAccess(gateway, request, operation, (access, repository) => batch(access, repository, request, operation, body));
    }),
  );
  objectRoutes(app, gateway);
  lockRoutes(app, gateway);
};

async function batch(
  access: GitAccess,
  repository: Repository,
  request: FastifyRequest,
  operation: LfsOperation,
  body: Record<string, unknown>,
): Promise<object> {
  const { platform } = access.gateway;
  const { objects, transfers, hash_algo: hash, ref } = body;
  if (hash !== undefined && hash !== 'sha256')
    throw new LfsError(409, `The hash algorithm ${JSON.stringify(hash)} is not supported; use sha256.`);
  if (Array.isArray(transfers) && transfers.length > 0 && !transfers.includes('basic')) {
    throw new LfsError(422, 'The only transfer that is supported is "basic".');
  }
  if (!Array.isArray(objects)) throw new LfsError(422, 'A list of objects is required.');
  if (objects.length > MAX_OBJECTS) throw new LfsError(413, `One request may name ${MAX_OBJECTS} objects, not ${objects.length}.`);
  const reference = (ref as { name?: unknown } | null | undefined)?.name;
  if (operation === 'upload' && typeof reference === 'string') await requirePush(access, repository, reference);
  await unlock(access.caller.context, repository);
  const present = await findLfsObjects(
    platform,
    repository.id,
    objects.filter(isObject).map(({ oid }) => oid),
  );
  const origin = `${request.protocol}://${request.headers.host ?? ''}/v1/repos/${repository.name}/info/lfs`;
  const actions = (object: LfsObject, names: string[]) => {
    const { oid, size } = object;
    const leave = { kind: 'object', operation, repositoryId: repository.id, repositoryName: repository.name, oid, size } as const;
    const header = { Authorization: sealLeave(platform.keyring, leave, platform.now()) };
    const href = (action: string) => `${origin}/${action === 'verify' ? 'verify' : `objects/${oid}`}`;
    const each = (action: string) => [action, { href: href(action), header, expires_in: LFS_TOKEN_SECONDS }];
    return { oid, size, authenticated: true, actions: Object.fromEntries(names.map(each)) };
  };
  const max = platform.config.lfsMaxBytes;
  const describe = (object: unknown) => {
    if (!isObject(object))
      return { ...(object as object), error: { code: 422, message: 'An object has an oid (SHA-256 in hexadecimal) and a size.' } };
    const { oid, size } = object;
    const stored = present.get(oid);
    if (stored !== undefined && stored !== size) {
      return { oid, size, error: { code: 422, message: `The object has ${stored} bytes, not ${size}.` } };
    }
    if (operation === 'download') {
      return stored === undefined ? { oid, size, error: { code: 404, message: 'Object does not exist' } } : actions(object, ['download']);
    }
    if (stored !== undefined) return { oid, size };
    if (size > max)
      return { oid, size, error: { code: 422, message: `The object has ${size} bytes; a large file may have at most ${max}.` } };
    return actions(object, ['upload', 'verify']);
  };
  access.dataTransferred = true;
  return { transfer: 'basic', objects: objects.map(describe), hash_algo: 'sha256' };
}

function isObject(value: unknown): value is LfsObject {
  const { oid, size } = (value ?? {}) as { oid?: unknown; size?: unknown };
  return typeof oid === 'string' && /^[0-9a-f]{64}$/.test(oid) && Number.isSafeInteger(size) && (size as number) >= 0;
}
