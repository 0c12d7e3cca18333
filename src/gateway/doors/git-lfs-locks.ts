/** Locks of git LFS: made and released by who may push, seen by who may pull. */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { type LfsLock, listLocks, lockPath, unlock } from '../../devtools/codecommit/lfs-locks.ts';
import type { Principal } from '../../platform/principal.ts';
import type { Gateway } from '../exchange.ts';
import type { GitAccess } from './git-access.ts';
import { requirePush, withLfsAccess } from './git-lfs-access.ts';
import { answerLfs, LfsError, readJson } from './git-lfs-answers.ts';

const MAX_PATH = 4096;

export function lockRoutes(app: FastifyInstance, gateway: Gateway): void {
  app.post('/v1/repos/:name/info/lfs/locks', (request, reply) =>
    answerLfs(gateway, request, reply, async () => {
      const { path, ref } = await readJson(request);
      return await withLfsAccess(gateway, request, 'upload', async (access, repository) => {
        if (typeof path !== 'string' || path === '' || path.length > MAX_PATH || path.includes('\0')) {
          throw new LfsError(422, `A path of 1 to ${MAX_PATH} characters is required.`);
        }
        const reference = (ref as { name?: unknown } | null | undefined)?.name;
        if (typeof reference === 'string') await requirePush(access, repository, reference);
        const { lock, made } = await lockPath(gateway.platform, repository.id, path, ownerOf(access));
        if (!made) throw new LfsError(409, 'already created lock', { lock: describe(lock) });
        reply.code(201);
        return { lock: describe(lock) };
      });
    }),
  );
  app.get('/v1/repos/:name/info/lfs/locks', (request, reply) =>
    answerLfs(gateway, request, reply, () =>
      withLfsAccess(gateway, request, 'download', async (access, repository) => {
        const { path, id, cursor, limit } = request.query as Record<string, string | undefined>;
        if (id !== undefined && !isId(id)) return { locks: [] };
        const filter = { path, id, ...pageOf(access, repository.id, cursor, limit) };
        const { locks, more } = await listLocks(gateway.platform, repository.id, filter);
        return { locks: locks.map(describe), ...nextOf(access, repository.id, locks, more) };
      }),
    ),
  );
  app.post('/v1/repos/:name/info/lfs/locks/verify', (request, reply) =>
    answerLfs(gateway, request, reply, async () => {
      const { cursor, limit } = await readJson(request);
      return await withLfsAccess(gateway, request, 'upload', async (access, repository) => {
        const { locks, more } = await listLocks(gateway.platform, repository.id, pageOf(access, repository.id, cursor, limit));
        const mine = (lock: LfsLock) => lock.owner_arn === ownerOf(access).arn;
        return {
          ours: locks.filter(mine).map(describe),
          theirs: locks.filter((lock) => !mine(lock)).map(describe),
          ...nextOf(access, repository.id, locks, more),
        };
      });
    }),
  );
  app.post('/v1/repos/:name/info/lfs/locks/:id/unlock', (request, reply) =>
    answerLfs(gateway, request, reply, async () => {
      const { force } = await readJson(request);
      return await withLfsAccess(gateway, request, 'upload', async (access, repository) => {
        const id = idOf(request);
        const owner = { arn: ownerOf(access).arn, force: force === true };
        const lock = id === undefined ? undefined : await unlock(gateway.platform, repository.id, id, owner);
        if (lock === 'not-owner') throw new LfsError(403, 'The lock is held by somebody else; force is needed to release it.');
        if (!lock) throw new LfsError(404, 'There is no such lock.');
        return { lock: describe(lock) };
      });
    }),
  );
}

function ownerOf({ caller }: GitAccess): { arn: string; name: string } {
  const { principal } = caller.context;
  return { arn: principal.arn, name: nameOf(principal) };
}

function nameOf(principal: Principal): string {
  if (principal.type === 'User') return principal.name;
  return principal.type === 'AssumedRole' ? `${principal.roleName}/${principal.sessionName}` : principal.arn;
}

function pageOf({ gateway }: GitAccess, repositoryId: string, cursor: unknown, limit: unknown): { after?: string; limit?: number } {
  const size = Number(limit ?? 100);
  if (!Number.isInteger(size) || size < 0) throw new LfsError(422, 'The limit must be a number.');
  if (cursor === undefined || cursor === '' || cursor === null) return { limit: size || 100 };
  const after = typeof cursor === 'string' ? gateway.platform.paging.open<string>(`lfs-locks:${repositoryId}`, cursor) : undefined;
  if (after === undefined) throw new LfsError(422, 'The cursor is not valid.');
  return { after, limit: size || 100 };
}

function nextOf({ gateway }: GitAccess, repositoryId: string, locks: LfsLock[], more: boolean): { next_cursor?: string } {
  return more ? { next_cursor: gateway.platform.paging.seal(`lfs-locks:${repositoryId}`, locks.at(-1)!.path) } : {};
}

function idOf(request: FastifyRequest): string | undefined {
  const { id } = request.params as { id: string };
  return isId(id) ? id : undefined;
}

function isId(text: string): boolean {
  return /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(text);
}

function describe({ id, path, locked_at, owner_name }: LfsLock): object {
  return { id, path, locked_at: locked_at.toISOString(), owner: { name: owner_name } };
}
