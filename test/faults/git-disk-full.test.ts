import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { CodeCommit } from '@aws-sdk/client-codecommit';
import { git, tryGit } from '../../src/git/client.ts';
import { signGit, withCredentials } from '../support/git.ts';
import { startServer } from '../support/server.ts';

const MB = 1024 * 1024;

for (const { part, told } of [
  { part: 'blobs', told: /no space left/i },
  { part: 'cache', told: /no space left/i },
]) {
  test(`a push that fills the disk of the ${part} is refused as a whole, and the repository goes on`, async (t) => {
    const home = await mkdtemp(path.join(tmpdir(), 'penstock-disk-full-'));
    const full = path.join(home, 'data', part);
    await mkdir(full, { recursive: true });
    const mounted = mountSmall(t, full);
    try {
      if (mounted) await fillAndRecover(home, full, told);
    } finally {
      if (mounted) execFileSync('umount', ['-l', full]);
      await rm(home, { recursive: true, force: true });
    }
  });
}

async function fillAndRecover(home: string, full: string, told: RegExp): Promise<void> {
  const dataDir = path.join(home, 'data');
  await using server = await startServer({ dataDir });
  const repositoryName = 'full';
  await new CodeCommit(server.client).createRepository({ repositoryName });
  const url = `${server.endpoint}/v1/repos/${repositoryName}`;
  const env = withCredentials(signGit(server, repositoryName));
  const work = path.join(home, 'work');
  await git(home, ['init', '-q', work]);
  const commit = async (name: string, bytes: number) => {
    await writeFile(path.join(work, name), randomBytes(bytes));
    await git(work, ['add', '.']);
    await git(work, ['commit', '-qm', name]);
    return git(work, ['rev-parse', 'HEAD']);
  };
  const tip = async () => (await git(work, ['ls-remote', url, 'refs/heads/main'], env)).split('\t')[0];

  const small = await commit('small', 100_000);
  await git(work, ['push', '-q', url, 'main'], env);
  await commit('large', 12 * MB);
  const refused = await tryGit(work, ['push', '-q', url, 'main'], env);
  assert.notEqual(refused.code, 0);
  assert.match(refused.stderr, told);
  assert.equal(await tip(), small, 'nothing has happened');
  // What the push left is gone again: there is room as before.
  const left = (await readdir(full, { recursive: true })).filter((name) => /tmp\/.|incoming\/.|tmp_pack/.test(name));
  assert.deepEqual(left, []);
  await git(work, ['reset', '-q', '--hard', small]);
  const next = await commit('next', MB);
  await git(work, ['push', '-q', url, 'main'], env);
  assert.equal(await tip(), next);
  const clone = path.join(home, 'clone');
  await git(home, ['clone', '-q', url, clone], env);
  await git(clone, ['fsck', '--full', '--strict']);
}

/** Skips the test where nothing may be mounted. */
function mountSmall(t: TestContext, directory: string): boolean {
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=8m,mode=0700', 'tmpfs', directory], { stdio: 'pipe' });
    return true;
  } catch {
    t.skip('a small file system to fill needs the right to mount');
    return false;
  }
}
