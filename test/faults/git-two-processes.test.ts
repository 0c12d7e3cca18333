import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { CodeCommit } from '@aws-sdk/client-codecommit';
import { git } from '../../src/git/client.ts';
import { signGit, withCredentials } from '../support/git.ts';
import { startServer, type TestServer } from '../support/server.ts';

test('two processes serve one repository: what one takes the other has at once, and goes on with alone', async () => {
  const home = await mkdtemp(path.join(tmpdir(), 'penstock-two-'));
  const first = await startServer();
  const second = await startServer({ dataDir: first.dataDir });
  try {
    await new CodeCommit(first.client).createRepository({ repositoryName: 'both' });
    const url = (server: TestServer) => `${server.endpoint}/v1/repos/both`;
    const env = (server: TestServer) => withCredentials(signGit(server, 'both'));
    const works = [path.join(home, 'a'), path.join(home, 'b')];
    await git(home, ['init', '-q', works[0]!]);
    await git(home, ['init', '-q', works[1]!]);
    const commit = async (work: string, name: string) => {
      await writeFile(path.join(work, name), name);
      await git(work, ['add', '.']);
      await git(work, ['commit', '-qm', name]);
    };
    for (let round = 0; round < 6; round++) {
      // Each takes its turn as the one who pushes, with what the other pushed before.
      const [server, work] = round % 2 === 0 ? [first, works[0]!] : [second, works[1]!];
      if (round > 0) await git(work, ['pull', '-q', '--ff-only', url(server), 'main'], env(server));
      await commit(work, `round-${round}`);
      await git(work, ['push', '-q', url(server), 'HEAD:main'], env(server));
    }
    const main = { repositoryName: 'both', branchName: 'main' };
    const head = await git(works[1]!, ['rev-parse', 'HEAD']);
    const tips = await Promise.all([first, second].map((server) => new CodeCommit(server.client).getBranch(main)));
    assert.deepEqual(
      tips.map(({ branch }) => branch?.commitId),
      [head, head],
    );
    await second.kill();
    await git(home, ['clone', '-q', url(first), path.join(home, 'clone')], env(first));
    await git(path.join(home, 'clone'), ['fsck', '--full']);
    assert.equal(await git(path.join(home, 'clone'), ['rev-list', '--count', 'HEAD']), '6');
  } finally {
    await second.kill();
    await first.stop();
    await rm(home, { recursive: true, force: true });
  }
});
