import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, it } from 'node:test';
import { sql } from 'kysely';
import { createLogger } from '../log.ts';
import { type EmbeddedPostgres, startEmbedded } from './embedded.ts';
import { createDatabase } from './kysely.ts';
import { type Connections, connect } from './pool.ts';
import { inTransaction } from './transaction.ts';

const log = createLogger('silent');
let dataDir: string;
let embedded: EmbeddedPostgres;
let connections: Connections;

before(async () => {
  dataDir = await mkdtemp(path.join(tmpdir(), 'penstock-pool-'));
  embedded = await startEmbedded(dataDir, log);
  connections = connect({ embedded }, log, 1);
});
after(async () => {
  await connections?.close();
  await embedded?.stop();
  await rm(dataDir, { recursive: true });
});

it('plans a statement once for each connection, and anew when its table was changed', async () => {
  const client = await connections.pool.connect();
  try {
    await client.query('create table things (name text)');
    await client.query('insert into things values ($1), ($2)', ['a', 'b']);
    const find = (name: string) => client.query('select * from things where name = $1', [name]).then(({ rows }) => rows);
    assert.deepEqual([await find('a'), await find('b')], [[{ name: 'a' }], [{ name: 'b' }]]);
    const { rows } = await client.query<{ calls: number }>(
      `select generic_plans + custom_plans as calls from pg_prepared_statements where statement like 'select * from things%'`,
    );
    assert.deepEqual(rows, [{ calls: 2 }]);
    await client.query('alter table things add column size int');
    assert.deepEqual(await find('a'), [{ name: 'a', size: null }]);
    await assert.rejects(client.query('select * from nothing where name = $1', ['a']), { code: '42P01' });
  } finally {
    client.release();
  }
});

it('begins a transaction anew when a table was changed under its statements', async () => {
  const database = createDatabase(connections.pool);
  await sql`create table counted (name text primary key, count int not null)`.execute(database);
  await sql`insert into counted values ('a', 0)`.execute(database);
  const count = () =>
    inTransaction(database, async (tx) => {
      await sql`update counted set count = count + 1 where name = ${'a'}`.execute(tx.sql);
      const { rows } = await sql`select * from counted where name = ${'a'}`.execute(tx.sql);
      return rows[0];
    });
  assert.deepEqual(await count(), { name: 'a', count: 1 });
  await sql`alter table counted add column size int`.execute(database);
  assert.deepEqual(await count(), { name: 'a', count: 2, size: null });
});

it('takes back the whole transaction when one statement or the work itself fails', async () => {
  const database = createDatabase(connections.pool);
  await sql`create table kept (name text primary key)`.execute(database);
  const keep = (names: string[], error?: Error) =>
    inTransaction(database, async (tx) => {
      for (const name of names) await sql`insert into kept values (${name})`.execute(tx.sql);
      if (error) throw error;
    });
  await keep(['a']);
  await assert.rejects(keep(['b', 'a']), { code: '23505' });
  await assert.rejects(keep([], new Error('changed my mind')), /changed my mind/);
  await assert.rejects(keep(['c'], new Error('changed my mind')), /changed my mind/);
  await keep([]);
  await keep(['d']);
  const { rows } = await sql<{ name: string }>`select name from kept order by name`.execute(database);
  assert.deepEqual(
    rows.map(({ name }) => name),
    ['a', 'd'],
  );
});

it('finds rows by their index also in a small table', async () => {
  const { pool } = connections;
  await pool.query(`create table small (name text primary key)`);
  await pool.query(`insert into small values ('a')`);
  await pool.query('analyze small');
  const { rows } = await pool.query<Record<string, string>>(`explain select * from small where name = 'a'`);
  assert.match(rows[0]!['QUERY PLAN']!, /^Index/);
});
