/** The HTTP and HTTPS servers: doors with routes of their own first, everything else is an AWS API request. */
import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import fastify, { type FastifyError, type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import { loadModel } from '../platform/model.ts';
import { doors } from './doors/index.ts';
import type { Exchange, Gateway, IncomingCall } from './exchange.ts';
import { record } from './record.ts';
import { encodeFailure, steps, take } from './steps.ts';

/** Pushes and uploads take long; a silent connection does not. */
const IDLE_MS = 10 * 60_000;

export interface Listening {
  port: number;
  close(): Promise<void>;
}

export async function listen(
  gateway: Gateway,
  where: { host: string; port: number; tls?: { key: string; cert: string } },
): Promise<Listening> {
  const app = fastify({
    ...(where.tls ? { https: where.tls } : {}),
    logger: false,
    // A path is the client's own affair: S3 keys hold anything.
    routerOptions: { maxParamLength: 16_384, ignoreTrailingSlash: false },
    exposeHeadRoutes: false,
    forceCloseConnections: true,
    connectionTimeout: 0,
    requestTimeout: 0,
    keepAliveTimeout: IDLE_MS,
    // No route has a schema of its own: the models are checked by our steps. So the compilers of schemas need not be loaded.
    schemaController: { compilersFactory: { buildValidator: noSchemas, buildSerializer: noSchemas } },
    frameworkErrors: (_error: Error, request: FastifyRequest, reply: FastifyReply) => answer(gateway, request, reply),
  } as object) as FastifyInstance;
  // Bodies are read (or streamed) by the steps, whatever their type says.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', (_request, _payload, done) => done(null));
  app.setErrorHandler((error, request, reply) => unexpected(gateway, error as FastifyError, request, reply));
  for (const door of doors) door(app, gateway);
  app.all('/*', (request, reply) => answer(gateway, request, reply));
  app.setNotFoundHandler((request, reply) => answer(gateway, request, reply));
  await app.listen({ host: where.host, port: where.port });
  const address = app.server.address();
  return { port: typeof address === 'object' && address ? address.port : where.port, close: () => app.close() };
}

/** Of a door; the steps write their own errors. What broke is the log's, not the caller's. */
function unexpected({ platform }: Gateway, error: FastifyError, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const { statusCode = 500, message } = error;
  // Fastify's own, such as a content type that is none.
  if (statusCode < 500) return reply.code(statusCode).send({ message });
  const requestId = randomUUID();
  platform.log.error({ error, requestId, path: request.routeOptions.url }, 'a request failed inside Penstock');
  return reply.code(500).send({ message: `An internal error occurred; the server's log tells more under the request id ${requestId}.` });
}

function noSchemas(): never {
  throw new Error('A route has a schema, and there is nothing here to compile it.');
}

async function answer(gateway: Gateway, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  const exchange = createExchange(gateway, toCall(request.raw, request.protocol === 'https'));
  try {
    await take(steps, exchange);
  } catch (error) {
    exchange.error = error as Error;
    encodeFailure(exchange, loadModel('s3'));
  }
  await record(exchange);
  return send(exchange, request.raw, reply);
}

function createExchange(gateway: Gateway, call: IncomingCall): Exchange {
  return { gateway, call, requestId: randomUUID(), startedAt: performance.now(), family: 's3', trailers: new Map() };
}

export function toCall(raw: IncomingMessage, secure: boolean): IncomingCall {
  const url = raw.url ?? '/';
  const cut = url.indexOf('?');
  return {
    method: raw.method ?? 'GET',
    path: cut < 0 ? url : url.slice(0, cut),
    query: cut < 0 ? '' : url.slice(cut + 1),
    headers: raw.headers,
    stream: raw,
    sourceIp: raw.socket.remoteAddress ?? '',
    secure,
    onGone(listener) {
      if (raw.socket.destroyed) listener();
      else raw.socket.once('close', listener);
      return () => raw.socket.off('close', listener);
    },
  };
}

function send(exchange: Exchange, raw: IncomingMessage, reply: FastifyReply): FastifyReply {
  const { status, headers, body } = exchange.response!;
  // What of the body was not read would be taken for the next request: after an early error the connection ends with the answer.
  if (!raw.readableEnded && raw.headers['content-length'] !== '0' && (raw.headers['content-length'] || raw.headers['transfer-encoding'])) {
    if (exchange.error) reply.header('connection', 'close');
    raw.resume();
  }
  reply.code(status).headers(headers);
  if (body instanceof Readable) {
    body.once('error', (error) => exchange.gateway.platform.log.warn({ error, requestId: exchange.requestId }, 'an answer broke off'));
    return reply.send(body);
  }
  if (body instanceof Uint8Array && !Buffer.isBuffer(body)) return reply.send(Buffer.from(body));
  return reply.send(body);
}
