import { sql } from 'kysely';
import type { Door } from './index.ts';

/** `GET /health`: 200 while this process can serve, 503 while the database does not answer. Open to everybody. */
export const health: Door = (app, { platform }) => {
  app.get('/health', async (_request, reply) => {
    try {
      await sql`select 1`.execute(platform.read);
      return await reply.send({ status: 'ok' });
    } catch {
      return reply.code(503).send({ status: 'database unavailable' });
    }
  });
};
