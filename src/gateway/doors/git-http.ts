/**
 * CodeCommit's repositories for git over HTTP and HTTPS: `/v1/repos/NAME/info/refs`, `/git-upload-pack`, `/git-receive-pack`. Who and
 * where is found by git-http-identity.ts; everything about git is in src/git.
 */
import type { Readable } from 'node:stream';
import { pipeline, Transform } from 'node:stream';
import { createGunzip } from 'node:zlib';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Repository } from '../../devtools/codecommit/repository.ts';
import { lookUpReferences, openRepository, openView } from '../../devtools/codecommit/repository.ts';
import { unlock } from '../../devtools/codecommit/repository-keys.ts';
import { FLUSH, packet } from '../../git/pkt-line.ts';
import { advertisement } from '../../git/receive-request.ts';
import { gitStore } from '../../git/store.ts';
import { protocolVersion, RequestTooLargeError, uploadAdvertisement, uploadPack } from '../../git/upload.ts';
import { AwsError } from '../../platform/errors.ts';
import type { Gateway } from '../exchange.ts';
import type { GitAccess } from './git-access.ts';
import { SILENCE_MS, takePush, turns, withAccess } from './git-access.ts';
import { identifyGitCaller, UnauthenticatedError } from './git-http-identity.ts';
import type { Door } from './index.ts';

type GitService = 'git-upload-pack' | 'git-receive-pack';

/** Of a push that came compressed, which git's never do: a few kilobytes could unpack to anything. */
const MAX_UNPACKED = 64 * 1024 * 1024;
const uncached = { expires: 'Fri, 01 Jan 1980 00:00:00 GMT', pragma: 'no-cache', 'cache-control': 'no-cache, max-age=0, must-revalidate' };

export const gitHttp: Door = (app, gateway) => {
  app.get('/v1/repos/:name/info/refs', (request, reply) => {
    const { service } = request.query as { service?: string };
    if (!isGitService(service)) return refuse(request, reply, 403, 'Only smart HTTP is served: use a newer git.');
    return answer(gateway, request, reply, service, (call) => advertise(call, service));
  });
  app.post('/v1/repos/:name/git-upload-pack', (request, reply) =>
    answer(gateway, request, reply, 'git-upload-pack', (call) => turns.take(call.gone, () => serveFetch(call))),
  );
  app.post('/v1/repos/:name/git-receive-pack', (request, reply) =>
    answer(gateway, request, reply, 'git-receive-pack', (call) => turns.take(call.gone, () => servePush(call))),
  );
};

/** One request whose caller may do what it asks for. */
interface GitCall {
  gateway: Gateway;
  request: FastifyRequest;
  reply: FastifyReply;
  access: GitAccess;
  repository: Repository;
  version: 0 | 1 | 2;
  /** Aborted when the client is not there any more. */
  gone: AbortSignal;
}

async function answer(
  gateway: Gateway,
  request: FastifyRequest,
  reply: FastifyReply,
  service: GitService,
  serve: (call: GitCall) => Promise<void>,
): Promise<FastifyReply> {
  const gone = new AbortController();
  reply.raw.once('close', () => gone.abort());
  request.raw.setTimeout(SILENCE_MS, () => request.raw.destroy());
  try {
    const type = `application/x-${service}-request`;
    if (request.method === 'POST' && request.headers['content-type'] !== type) return refuse(request, reply, 415, `Expected ${type}.`);
    const { name } = request.params as { name: string };
    const { caller, repository: found } = await identifyGitCaller(gateway, request, name);
    const access: GitAccess = {
      gateway,
      protocol: request.protocol === 'https' ? 'HTTPS' : 'HTTP',
      action: service === 'git-upload-pack' ? 'GitPull' : 'GitPush',
      caller,
      repositoryName: name,
      found,
      dataTransferred: false,
      references: [],
    };
    await withAccess(access, async (repository) => {
      const version = protocolVersion(request.headers['git-protocol'] as string | undefined);
      reply.hijack();
      await serve({ gateway, request, reply, access, repository, version, gone: gone.signal });
    });
  } catch (error) {
    return fail(gateway, request, reply, error as Error, gone.signal);
  }
  return reply;
}

async function advertise({ gateway, reply, access, repository, version }: GitCall, service: GitService): Promise<void> {
  let body: Buffer;
  if (service === 'git-upload-pack') {
    body = await uploadAdvertisement(await openView(access.caller.context, repository), version);
  } else {
    await unlock(access.caller.context, repository);
    body = Buffer.concat([
      packet('# service=git-receive-pack\n'),
      FLUSH,
      ...advertisement(await lookUpReferences(gateway.platform, repository.id), version === 1),
    ]);
  }
  reply.raw
    .writeHead(200, { ...uncached, 'content-type': `application/x-${service}-advertisement`, 'content-length': body.length })
    .end(body);
}

async function serveFetch({ gateway, request, reply, access, repository, version, gone }: GitCall): Promise<void> {
  const view = await openView(access.caller.context, repository);
  access.dataTransferred = true;
  reply.raw.writeHead(200, { ...uncached, 'content-type': 'application/x-git-upload-pack-result' });
  await uploadPack(view, version, bodyOf(request), reply.raw, gone, gitStore(gateway.platform).clones);
}

async function servePush({ request, reply, access, repository, gone }: GitCall): Promise<void> {
  await openRepository(access.caller.context, repository);
  reply.raw.writeHead(200, { ...uncached, 'content-type': 'application/x-git-receive-pack-result' });
  await takePush(access, repository, { input: bodyOf(request, MAX_UNPACKED), output: reply.raw, signal: gone });
}

/** git compresses large fetch requests. What is not compressed is not bounded here. */
function bodyOf(request: FastifyRequest, maxUnpacked = Number.POSITIVE_INFINITY): Readable {
  const encoding = request.headers['content-encoding'];
  if (encoding !== 'gzip' && encoding !== 'x-gzip') return request.raw;
  let size = 0;
  const bounded = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      size += chunk.length;
      if (size > maxUnpacked) done(new RequestTooLargeError(`The request unpacks to more than ${maxUnpacked} bytes.`));
      else done(null, chunk);
    },
  });
  pipeline(request.raw, createGunzip(), bounded, () => {});
  return bounded;
}

function fail(gateway: Gateway, request: FastifyRequest, reply: FastifyReply, error: Error, gone: AbortSignal): FastifyReply {
  if (gone.aborted) return reply;
  if (reply.raw.headersSent) {
    // The client must not take a part for the whole.
    if (!reply.raw.writableEnded) reply.raw.destroy();
    const theirs = error instanceof RequestTooLargeError || (error as NodeJS.ErrnoException).code?.startsWith('Z_');
    if (!theirs) gateway.platform.log.error({ error, url: request.url }, 'a git request broke off');
    return reply;
  }
  if (error instanceof UnauthenticatedError) {
    reply.header('www-authenticate', 'Basic realm="AWS CodeCommit"');
    return refuse(request, reply, 401, error.message);
  }
  if (error instanceof AwsError && error.status === 429) reply.header('retry-after', '1');
  if (error instanceof AwsError)
    return refuse(request, reply, error.status ?? (error.code === 'RepositoryDoesNotExistException' ? 404 : 403), error.message);
  gateway.platform.log.error({ error, url: request.url }, 'a git request failed');
  return refuse(request, reply, 500, 'Internal error.');
}

/** Plain words: git shows them to its user behind `remote:`. */
function refuse(request: FastifyRequest, reply: FastifyReply, status: number, message: string): FastifyReply {
  const { raw } = request;
  if (raw.headers['content-length'] !== undefined || raw.headers['transfer-encoding'] !== undefined) {
    // What the client still sends is nobody's.
    reply.raw.setHeader('connection', 'close');
    raw.resume();
  }
  if (reply.sent) {
    reply.raw.writeHead(status, { 'content-type': 'text/plain; charset=utf-8' }).end(`${message}\n`);
    return reply;
  }
  return reply.code(status).headers(uncached).type('text/plain; charset=utf-8').send(`${message}\n`);
}

function isGitService(text: string | undefined): text is GitService {
  return text === 'git-upload-pack' || text === 'git-receive-pack';
}
