/** Runs each service's `schema/NNN-name.sql` files in order, once, however many processes start at the same time. */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import type pg from 'pg';

/** Any fixed number, known only to us: one migration at a time in one database. */
const MIGRATION_LOCK = 7_461_001;

export interface Schema {
  owner: string;
  folder: URL;
}

export class MigrationError extends Error {
  override readonly name = 'MigrationError';
}

export async function migrate(pool: pg.Pool, schemas: Schema[]): Promise<void> {
  const client = await pool.connect();
  try {
    await client.query('select pg_advisory_lock($1)', [MIGRATION_LOCK]);
    await client.query(`create schema if not exists platform`);
    await client.query(
      `create table if not exists platform.migrations (owner text, file text, digest text not null, run_at timestamptz not null default now(), primary key (owner, file))`,
    );
    const { rows } = await client.query<{ owner: string; file: string; digest: string }>(
      'select owner, file, digest from platform.migrations',
    );
    const done = new Map(rows.map((row) => [`${row.owner}/${row.file}`, row.digest]));
    for (const schema of schemas) await migrateOne(client, schema, done);
  } finally {
    await client.query('select pg_advisory_unlock($1)', [MIGRATION_LOCK]).catch(() => {});
    client.release();
  }
}

async function migrateOne(client: pg.PoolClient, schema: Schema, done: Map<string, string>): Promise<void> {
  const files = readdirSync(schema.folder)
    .filter((file) => file.endsWith('.sql'))
    .sort();
  for (const file of files) {
    const text = readFileSync(new URL(file, schema.folder), 'utf8');
    const digest = createHash('sha256').update(text).digest('hex');
    const before = done.get(`${schema.owner}/${file}`);
    if (before === digest) continue;
    if (before !== undefined) {
      throw new MigrationError(
        `${schema.owner}/${file} was changed after it had run on this database. Schema files are append-only: add a new one.`,
      );
    }
    try {
      await client.query('begin');
      await client.query(text);
      await client.query('insert into platform.migrations (owner, file, digest) values ($1, $2, $3)', [schema.owner, file, digest]);
      await client.query('commit');
    } catch (cause) {
      await client.query('rollback');
      throw new MigrationError(`The schema file ${schema.owner}/${file} failed: ${(cause as Error).message}`, { cause });
    }
  }
}
