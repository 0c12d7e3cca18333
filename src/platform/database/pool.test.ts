import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { it } from 'node:test';
import { createLogger } from '../log.ts';
import { startEmbedded } from './embedded.ts';
import { connect } from './pool.ts';

it('plans a statement once for each connection, and anew when its table was changed', async () => {
  const dataDir = await mkdtemp(path.join(tmpdir(), 'penstock-pool-'));
  const log = createLogger('silent');
  const embedded = await startEmbedded(dataDir, log);
  const { pool, close } = connect({ embedded }, log, 1);
  const client = await pool.connect();
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
    await close();
    await embedded.stop();
    await rm(dataDir, { recursive: true });
  }
});
