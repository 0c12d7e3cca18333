/**
 * The bare stack that Penstock's API stands on: fastify, kysely and pg, one query for a read and one transaction for a write; no signature, no
 * policy, no model. Argument: the directory of the database's socket. Writes its port to standard output.
 */
import fastify from 'fastify';
import { Kysely, PostgresDialect } from 'kysely';
import pg from 'pg';

interface Tables {
  'bench.things': { name: string; description: string | null; created_at: Date };
}

const pool = new pg.Pool({ host: process.argv[2], user: 'penstock', database: 'postgres', max: 40 });
await pool.query('create schema if not exists bench');
await pool.query('create table if not exists bench.things (name text primary key, description text, created_at timestamptz not null)');
const database = new Kysely<Tables>({ dialect: new PostgresDialect({ pool }) });
const app = fastify();

app.post('/', async (request) => {
  const { name, write } = request.body as { name: string; write?: boolean };
  const created_at = new Date();
  if (write) {
    await database.transaction().execute((trx) => trx.insertInto('bench.things').values({ name, description: null, created_at }).execute());
    return { name, created_at };
  }
  return database.selectFrom('bench.things').selectAll().where('name', '=', name).executeTakeFirst();
});

process.on('SIGTERM', async () => {
  await app.close();
  await pool.query('drop schema bench cascade');
  await pool.end();
});
await app.listen({ host: '127.0.0.1', port: 0 });
const address = app.server.address();
console.log(typeof address === 'object' && address?.port);
