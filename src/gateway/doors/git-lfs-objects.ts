/** Where the objects of git LFS move, as they are, by the leave that the batch request gave for each. */
import type { IncomingMessage } from 'node:http';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { findLfsObjects, LfsMismatchError, readLfsObject, storeLfsObject } from '../../devtools/codecommit/lfs-objects.ts';
import type { ByteRange } from '../../ports/blobs/port.ts';
import type { Gateway } from '../exchange.ts';
import { SILENCE_MS } from './git-access.ts';
import { UnauthenticatedError } from './git-http-identity.ts';
import { answerLfs, LfsError, readJson } from './git-lfs-answers.ts';
import type { LfsOperation, ObjectLeave } from './git-lfs-tokens.ts';
import { openLeave } from './git-lfs-tokens.ts';

export function objectRoutes(app: FastifyInstance, gateway: Gateway): void {
  app.put('/v1/repos/:name/info/lfs/objects/:oid', (request, reply) =>
    answerLfs(gateway, request, reply, () => take(gateway, request, requireLeave(gateway, request, 'upload'))),
  );
  app.get('/v1/repos/:name/info/lfs/objects/:oid', (request, reply) => give(gateway, request, reply));
  app.post('/v1/repos/:name/info/lfs/verify', (request, reply) =>
    answerLfs(gateway, request, reply, async () => {
      const { repositoryId, oid, size } = requireLeave(gateway, request, 'upload');
      const asked = await readJson(request);
      if (asked.oid !== oid || asked.size !== size) throw new LfsError(422, 'This token is for another object.');
      await requireObject(gateway, repositoryId, oid);
      return undefined;
    }),
  );
}

/** 401 unless the request carries leave to do this with this object. */
function requireLeave({ platform }: Gateway, request: FastifyRequest, operation: LfsOperation): ObjectLeave {
  const leave = openLeave(platform.keyring, request.headers.authorization, platform.now());
  const { name, oid } = request.params as { name: string; oid?: string };
  if (leave?.kind !== 'object' || leave.operation !== operation || leave.repositoryName !== name.replace(/\.git$/, '')) {
    throw new UnauthenticatedError('A token of the batch request is required; it may have expired.');
  }
  if (oid !== undefined && leave.oid !== oid) throw new UnauthenticatedError('The token is for another object.');
  return leave;
}

async function requireObject({ platform }: Gateway, repositoryId: string, oid: string): Promise<number> {
  const size = (await findLfsObjects(platform, repositoryId, [oid])).get(oid);
  if (size === undefined) throw new LfsError(404, 'Object does not exist');
  return size;
}

async function take(gateway: Gateway, request: FastifyRequest, leave: ObjectLeave): Promise<undefined> {
  const { platform } = gateway;
  const { raw } = request;
  const { repositoryId, repositoryName, oid, size } = leave;
  const length = raw.headers['content-length'];
  if (length !== undefined && Number(length) !== size) throw new LfsError(422, `The object has ${size} bytes, the request ${length}.`);
  if (size > platform.config.lfsMaxBytes) throw new LfsError(413, `A large file may have at most ${platform.config.lfsMaxBytes} bytes.`);
  if ((await findLfsObjects(platform, repositoryId, [oid])).has(oid)) {
    raw.resume();
    return undefined;
  }
  raw.setTimeout(SILENCE_MS, () => raw.destroy());
  try {
    await storeLfsObject(platform, { id: repositoryId, name: repositoryName }, { oid, size }, raw, goneSignal(raw));
  } catch (error) {
    if (error instanceof LfsMismatchError) throw new LfsError(422, error.message);
    if (raw.destroyed && !raw.readableEnded) throw new LfsError(400, 'The upload broke off.');
    throw error;
  }
  return undefined;
}

function goneSignal(raw: IncomingMessage): AbortSignal {
  const gone = new AbortController();
  raw.once('close', () => raw.readableEnded || gone.abort());
  return gone.signal;
}

function give(gateway: Gateway, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  return answerLfs(gateway, request, reply, async () => {
    const { repositoryId, oid } = requireLeave(gateway, request, 'download');
    const size = await requireObject(gateway, repositoryId, oid);
    const range = parseRange(request.headers.range, size);
    if (range === 'unsatisfiable') {
      reply.header('content-range', `bytes */${size}`);
      throw new LfsError(416, `The object has ${size} bytes.`);
    }
    reply.headers({ 'accept-ranges': 'bytes', etag: `"${oid}"`, 'content-type': 'application/octet-stream' });
    if (range) reply.code(206).header('content-range', `bytes ${range.start}-${range.end}/${size}`);
    reply.header('content-length', range ? range.end - range.start + 1 : size);
    return await readLfsObject(gateway.platform, repositoryId, oid, range);
  });
}

/** `bytes=a-b`, `bytes=a-` or `bytes=-n`; anything else is as if it were not sent. */
function parseRange(header: string | undefined, size: number): ByteRange | 'unsatisfiable' | undefined {
  const [, first = '', last = ''] = /^bytes=(\d*)-(\d*)$/.exec(header ?? '') ?? [];
  if (first === '' && last === '') return undefined;
  const start = first === '' ? Math.max(0, size - Number(last)) : Number(first);
  const end = first === '' || last === '' ? size - 1 : Math.min(Number(last), size - 1);
  if (first !== '' && last !== '' && Number(first) > Number(last)) return undefined;
  return start >= size ? 'unsatisfiable' : { start, end };
}
