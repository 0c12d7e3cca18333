import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { CodeCommit } from '@aws-sdk/client-codecommit';
import { type GitOutcome, git, tryGit } from '../../src/git/client.ts';
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

test('of pushes to one branch through two processes exactly one wins; pushes to many branches all do', async () => {
  const home = await mkdtemp(path.join(tmpdir(), 'penstock-race-'));
  const first = await startServer();
  const second = await startServer({ dataDir: first.dataDir });
  try {
    const repositoryName = 'raced';
    const codecommit = new CodeCommit(first.client);
    await codecommit.createRepository({ repositoryName });
    const servers = [first, second];
    const works = await Promise.all(
      servers.map(async (_, n) => {
        const work = path.join(home, String(n));
        await git(home, ['init', '-q', work]);
        return work;
      }),
    );
    const push = (n: number, ...refs: string[]): Promise<GitOutcome> => {
      const server = servers[n]!;
      const env = withCredentials(signGit(server, repositoryName));
      return tryGit(works[n]!, ['push', '--porcelain', `${server.endpoint}/v1/repos/${repositoryName}`, ...refs], env);
    };
    const commit = async (n: number, name: string) => {
      await writeFile(path.join(works[n]!, name), `${name} by ${n}`);
      await git(works[n]!, ['add', '.']);
      await git(works[n]!, ['commit', '-qm', name]);
      return git(works[n]!, ['rev-parse', 'HEAD']);
    };
    const tip = async () => (await codecommit.getBranch({ repositoryName, branchName: 'main' })).branch!.commitId;

    for (let round = 0; round < 6; round++) {
      const heads = await Promise.all([commit(0, `round-${round}`), commit(1, `round-${round}`)]);
      const outcomes = await Promise.all([push(0, 'HEAD:refs/heads/main'), push(1, 'HEAD:refs/heads/main')]);
      const winner = outcomes.findIndex(({ code }) => code === 0);
      const loser = 1 - winner;
      assert.deepEqual(outcomes.map(({ code }) => code).sort(), [0, 1], JSON.stringify(outcomes));
      assert.equal(await tip(), heads[winner]);
      // Refused by the client, if it saw the other's push already, else by the server: both in git's own words.
      assert.match(
        outcomes[loser]!.stdout,
        /\[rejected\] \(fetch first\)|\[remote rejected\] \((failed to update ref|reference already exists)\)/,
      );
      const env = withCredentials(signGit(servers[winner]!, repositoryName));
      await git(works[loser]!, ['fetch', '-q', `${servers[winner]!.endpoint}/v1/repos/${repositoryName}`, 'main'], env);
      await git(works[loser]!, ['reset', '-q', '--hard', 'FETCH_HEAD']);
    }
    const many = (n: number) => Array.from({ length: 200 }, (_, ref) => `HEAD:refs/heads/${n}/${ref}`);
    const all = await Promise.all([push(0, ...many(0)), push(1, ...many(1))]);
    assert.deepEqual(
      all.map(({ code }) => code),
      [0, 0],
    );
    const env = withCredentials(signGit(first, repositoryName));
    const refs = await git(works[0]!, ['ls-remote', '--heads', `${first.endpoint}/v1/repos/${repositoryName}`], env);
    assert.equal(refs.split('\n').length, 401);
  } finally {
    await second.kill();
    await first.stop();
    await rm(home, { recursive: true, force: true });
  }
});
