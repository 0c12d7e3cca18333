import type { IncomingMessage } from 'node:http';
import { PAYLOAD_PATH, webhookIdOf } from '../../devtools/codebuild/webhooks/payload-url.ts';
import { receiveDelivery } from '../../devtools/codebuild/webhooks/receive.ts';
import type { Door } from './index.ts';

/** bytes; GitHub sends no payload that is larger. */
const MAX_BODY = 25 * 1024 * 1024;
const SILENCE_MS = 30_000;

/**
 * `POST /webhooks?t=<token>`: where git providers deliver events. The token names a project's webhook; whether the delivery is the provider's
 * is told by its signature. Without a token it is a request about a bucket that is named so.
 */
export const webhooks: Door = (app, { platform }) => {
  app.post<{ Querystring: { t?: unknown } }>(PAYLOAD_PATH, async (request, reply) => {
    const { t: token } = request.query;
    if (typeof token !== 'string') return reply.callNotFound();
    const id = webhookIdOf(platform, token);
    const row =
      id === undefined
        ? undefined
        : await platform.read
            .selectFrom('codebuild.webhooks')
            .selectAll()
            .where('id', '=', id)
            .where('status', 'in', ['CREATING', 'ACTIVE'])
            .executeTakeFirst();
    // Before anything of the body is read: nobody else may make us keep 25 MB.
    const body = row && (await bodyOf(request.raw));
    if (!row || !body) {
      reply.header('connection', 'close');
      request.raw.resume();
      return row
        ? reply.code(413).send({ message: `A payload has at most ${MAX_BODY} bytes.` })
        : reply.code(404).send({ message: 'There is no such webhook.' });
    }
    const { status, message } = await receiveDelivery(platform, row, request.headers, body);
    return reply.code(status).send({ message });
  });
};

/** Undefined when there is too much of it. */
async function bodyOf(raw: IncomingMessage): Promise<Buffer | undefined> {
  if (Number(raw.headers['content-length'] ?? 0) > MAX_BODY) return undefined;
  raw.setTimeout(SILENCE_MS, () => raw.destroy());
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of raw) {
    size += (chunk as Buffer).length;
    if (size > MAX_BODY) return undefined;
    chunks.push(chunk as Buffer);
  }
  return Buffer.concat(chunks);
}
