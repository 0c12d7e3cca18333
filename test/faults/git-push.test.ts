import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { CodeCommit } from '@aws-sdk/client-codecommit';
import { git, tryGit } from '../../src/git/client.ts';
import { signGit, withCredentials } from '../support/git.ts';
import { startServer } from '../support/server.ts';

test('a push during which the server is killed is either all there or not at all', async () => {
  const home = await mkdtemp(path.join(tmpdir(), 'penstock-push-fault-'));
  const server = await startServer();
  try {
    const codecommit = new CodeCommit(server.client);
    await codecommit.createRepository({ repositoryName: 'killed' });
    const work = path.join(home, 'work');
    await git(home, ['init', '-q', work]);
    await git(work, ['remote', 'add', 'origin', `${server.endpoint}/v1/repos/killed`]);
    const env = () => withCredentials(signGit(server, 'killed'));
    const tip = async () => (await git(work, ['ls-remote', 'origin', 'refs/heads/main'], env())).split('\t')[0] || undefined;

    let before: string | undefined;
    for (const [round, killAfterMs] of [40, 90, 150, 250, 400].entries()) {
      await writeFile(path.join(work, `blob-${round}`), randomBytes(1024 * 1024));
      await git(work, ['add', '.']);
      await git(work, ['commit', '-qm', `round ${round}`]);
      const head = await git(work, ['rev-parse', 'HEAD']);
      const push = tryGit(work, ['push', '-q', 'origin', 'main'], env());
      await delay(killAfterMs);
      await server.kill();
      const { code } = await push;
      await server.restart();

      const now = await tip();
      if (code === 0) assert.equal(now, head, 'an acknowledged push is there');
      else assert.ok(now === head || now === before, 'an interrupted push is there as a whole or not at all');
      if (now !== undefined) {
        const clone = path.join(home, `clone-${round}`);
        await git(home, ['clone', '-q', `${server.endpoint}/v1/repos/killed`, clone], env());
        await git(clone, ['fsck', '--full', '--strict']);
      }
      // Nothing that is left over is in the way.
      await git(work, ['push', '-q', 'origin', 'main'], env());
      before = head;
      assert.equal(await tip(), head);
    }
  } finally {
    await server.stop();
    await rm(home, { recursive: true, force: true });
  }
});
