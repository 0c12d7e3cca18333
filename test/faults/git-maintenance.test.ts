import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { CodeCommit } from '@aws-sdk/client-codecommit';
import pg from 'pg';
import { git } from '../../src/git/client.ts';
import { signGit, withCredentials } from '../support/git.ts';
import { startPostgres } from '../support/postgres.ts';
import { startServer, type TestServer } from '../support/server.ts';

const repositoryName = 'maintained';
const branchName = 'main';

test('packs are put together by two processes that are killed at it, while commits go on: nothing is lost', async () => {
  const home = await mkdtemp(path.join(tmpdir(), 'penstock-maintenance-fault-'));
  await using postgres = await startPostgres();
  const env = { PENSTOCK_DATABASE_URL: postgres.url };
  const first = await startServer({ env });
  const second = await startServer({ dataDir: first.dataDir, env });
  const database = new pg.Pool({ connectionString: postgres.url });
  const packs = async (state: string) =>
    Number((await database.query('select count(*) from codecommit.packs where state = $1', [state])).rows[0].count);
  try {
    const client = (server: TestServer) => new CodeCommit(server.client);
    await client(first).createRepository({ repositoryName });
    let tip: string | undefined;
    let commits = 0;
    const commit = async (server: TestServer) => {
      // Large enough that the packs take a moment.
      const fileContent = randomBytes(100_000);
      const made = await client(server).putFile({ repositoryName, branchName, filePath: `f${commits}`, fileContent, parentCommitId: tip });
      tip = made.commitId;
      commits++;
    };
    for (const [round, killAfterMs] of [0, 40, 150].entries()) {
      const [one, other] = round % 2 === 0 ? [first, second] : [second, first];
      for (let i = 0; i < 11; i++) await commit(i % 2 === 0 ? one : other);
      await delay(killAfterMs);
      await one.kill();
      await commit(other);
      const { branch } = await client(other).getBranch({ repositoryName, branchName });
      assert.equal(branch!.commitId, tip, 'an acknowledged commit is there');
      await one.restart();
    }
    // Whoever was killed at it, somebody takes it up.
    while ((await packs('live')) > 10) await delay(100);
    await rm(path.join(first.dataDir, 'cache'), { recursive: true });
    const clone = path.join(home, 'clone');
    await git(
      home,
      ['clone', '-q', `${first.endpoint}/v1/repos/${repositoryName}`, clone],
      withCredentials(signGit(first, repositoryName)),
    );
    await git(clone, ['fsck', '--full', '--strict']);
    assert.equal(await git(clone, ['rev-parse', 'HEAD']), tip);
    assert.equal(await git(clone, ['rev-list', '--count', 'HEAD']), String(commits));
  } finally {
    await database.end();
    await second.kill();
    await first.stop();
    await rm(home, { recursive: true, force: true });
  }
});
