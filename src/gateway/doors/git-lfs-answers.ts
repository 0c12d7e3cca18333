/** Requests and answers of git LFS: JSON of a type of its own. */
import { Readable } from 'node:stream';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { AwsError } from '../../platform/errors.ts';
import type { Gateway } from '../exchange.ts';
import { UnauthenticatedError } from './git-http-identity.ts';

const LFS_TYPE = 'application/vnd.git-lfs+json';
const MAX_BODY = 4 * 1024 * 1024;
const DOCUMENTATION = 'https://github.com/git-lfs/git-lfs/blob/main/docs/api/README.md';

/** An answer of the LFS API that is not a success. */
export class LfsError extends Error {
  override readonly name = 'LfsError';
  readonly status: number;
  /** Members of the answer beside the message. */
  readonly members: object;

  constructor(status: number, message: string, members: object = {}) {
    super(message);
    this.status = status;
    this.members = members;
  }
}

export async function readJson(request: FastifyRequest): Promise<Record<string, unknown>> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request.raw) {
    size += (chunk as Buffer).length;
    if (size > MAX_BODY) throw new LfsError(413, `A request may have at most ${MAX_BODY} bytes.`);
    chunks.push(chunk as Buffer);
  }
  try {
    const value: unknown = JSON.parse(Buffer.concat(chunks).toString());
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  } catch {
    // Told below.
  }
  throw new LfsError(422, 'The request is not a JSON object.');
}

/** Answers with what `work` gives, as JSON or as it streams, and with errors in LFS's form. */
export async function answerLfs(
  gateway: Gateway,
  request: FastifyRequest,
  reply: FastifyReply,
  work: () => Promise<object | Readable | undefined>,
): Promise<FastifyReply> {
  try {
    const body = await work();
    if (body instanceof Readable) return reply.send(body);
    return reply.type(LFS_TYPE).send(Buffer.from(body === undefined ? '' : JSON.stringify(body)));
  } catch (error) {
    const { status, members, message } = failureOf(gateway, request, error as Error);
    if (status === 429) reply.header('retry-after', '1');
    if (status === 401) reply.header('lfs-authenticate', 'Basic realm="AWS CodeCommit"');
    if (!request.raw.readableEnded) {
      // What the client still sends is nobody's.
      reply.header('connection', 'close');
      request.raw.resume();
    }
    return reply
      .code(status)
      .type(LFS_TYPE)
      .send(Buffer.from(JSON.stringify({ message, documentation_url: DOCUMENTATION, ...members })));
  }
}

function failureOf({ platform }: Gateway, request: FastifyRequest, error: Error): { status: number; message: string; members: object } {
  const { message } = error;
  if (error instanceof LfsError) return error;
  if (error instanceof UnauthenticatedError) return { status: 401, message, members: {} };
  if (error instanceof AwsError) {
    return { status: error.status ?? (error.code === 'RepositoryDoesNotExistException' ? 404 : 403), message, members: {} };
  }
  platform.log.error({ error, url: request.url }, 'a request of git LFS failed');
  return { status: 500, message: 'Internal error.', members: {} };
}
