import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { CodeCommit } from '@aws-sdk/client-codecommit';
import { git, tryGit } from '../../src/git/client.ts';
import { basic, signGit, withCredentials } from '../support/git.ts';
import { startServer, type TestServer } from '../support/server.ts';

const ZERO = '0'.repeat(40);
const emptyPack = Buffer.from('5041434b0000000200000000029d08823bd8a8eab510ad6ac75c823cfd3ed31e', 'hex');

let server: TestServer;
let codecommit: CodeCommit;
let home: string;

before(async () => {
  server = await startServer();
  codecommit = new CodeCommit(server.client);
  home = await mkdtemp(path.join(tmpdir(), 'penstock-git-clients-'));
});
after(async () => {
  await server.stop();
  await rm(home, { recursive: true, force: true });
});

const url = (name: string) => `${server.endpoint}/v1/repos/${name}`;
const signed = (name: string) => withCredentials(signGit(server, name));

/** A new repository, and a work tree with it as origin. */
async function repository(name: string): Promise<string> {
  await codecommit.createRepository({ repositoryName: name });
  const work = path.join(home, name);
  await git(home, ['init', '-q', work]);
  await git(work, ['remote', 'add', 'origin', url(name)]);
  return work;
}

async function commit(work: string, name: string, content: string | Buffer): Promise<string> {
  await mkdir(path.dirname(path.join(work, name)), { recursive: true });
  await writeFile(path.join(work, name), content);
  await git(work, ['add', '.']);
  await git(work, ['commit', '-qm', `change ${name}`]);
  return git(work, ['rev-parse', 'HEAD']);
}

const pkt = (text: string) => `${(Buffer.byteLength(text) + 4).toString(16).padStart(4, '0')}${text}`;

async function postPush(name: string, commands: string[], pack: Buffer): Promise<string> {
  const lines = commands.map((command, index) => pkt(index === 0 ? `${command}\0 report-status` : command)).join('');
  const answer = await fetch(`${url(name)}/git-receive-pack`, {
    method: 'POST',
    headers: { authorization: basic(signGit(server, name)), 'content-type': 'application/x-git-receive-pack-request' },
    body: Buffer.concat([Buffer.from(`${lines}0000`), pack]),
  });
  assert.equal(answer.status, 200);
  return answer.text();
}

test('who may not in is told so: 401 without credentials, 403 with wrong ones, 404 for what is not there', async () => {
  await repository('doors');
  const ask = async (name: string, authorization?: string) => {
    const headers: Record<string, string> = authorization ? { authorization } : {};
    return fetch(`${url(name)}/info/refs?service=git-upload-pack`, { headers });
  };
  const anonymous = await ask('doors');
  assert.equal(anonymous.status, 401);
  assert.match(anonymous.headers.get('www-authenticate')!, /^Basic realm=/);
  assert.equal((await ask('doors', basic({ user: 'bob-at-123456789012', password: 'guess' }))).status, 401);
  assert.equal((await ask('doors', 'Bearer x')).status, 401);
  const good = signGit(server, 'doors');
  assert.equal((await ask('doors', basic(good))).status, 200);
  assert.equal(
    (await ask('doors', basic({ ...good, password: good.password.replace(/.$/, (last) => (last === '0' ? '1' : '0')) }))).status,
    403,
  );
  assert.equal((await ask('doors', basic({ ...good, user: 'AKIAIOSFODNN7EXAMPLE' }))).status, 403);
  const stale = signGit(server, 'doors', server.credentials, { now: new Date(Date.now() - 16 * 60_000) });
  assert.equal((await ask('doors', basic(stale))).status, 403);
  assert.equal((await ask('absent', basic(good))).status, 403, 'a signature is for one repository');
  assert.equal((await ask('absent', basic(signGit(server, 'absent')))).status, 404);
  const dumb = await fetch(`${url('doors')}/info/refs`, { headers: { authorization: basic(good) } });
  assert.equal(dumb.status, 403);
  const headers = (await ask('doors', basic(good))).headers;
  assert.match(headers.get('cache-control')!, /no-cache/);
  assert.match((await tryGit(home, ['ls-remote', url('absent')], signed('absent'))).stderr, /not found/);
});

test('the first push makes the default branch, and a clone has it', async () => {
  const work = await repository('first');
  const head = await commit(work, 'README.md', 'hello\n');
  await git(work, ['push', '-q', 'origin', 'HEAD:trunk'], signed('first'));
  assert.equal((await codecommit.getRepository({ repositoryName: 'first' })).repositoryMetadata?.defaultBranch, 'trunk');
  const clone = path.join(home, 'first-clone');
  await git(home, ['clone', '-q', url('first'), clone], signed('first'));
  assert.equal(await git(clone, ['rev-parse', '--abbrev-ref', 'HEAD']), 'trunk');
  assert.equal(await git(clone, ['rev-parse', 'HEAD']), head);
});

test('an empty repository can be cloned, in every protocol version', async () => {
  await repository('empty');
  for (const version of [0, 1, 2]) {
    const clone = path.join(home, `empty-${version}`);
    const outcome = await tryGit(home, ['-c', `protocol.version=${version}`, 'clone', url('empty'), clone], signed('empty'));
    assert.equal(outcome.code, 0, outcome.stderr);
    assert.match(outcome.stderr, /empty repository/);
  }
});

test('shallow, partial and single-branch clones work, deepen, fetch what they lack, and push', async () => {
  const work = await repository('clones');
  for (let i = 0; i < 5; i++) await commit(work, `dir/file-${i}`, `${i}`);
  await git(work, ['push', '-q', 'origin', 'main'], signed('clones'));
  for (const version of [0, 2]) {
    const protocol = ['-c', `protocol.version=${version}`];
    const shallow = path.join(home, `shallow-${version}`);
    await git(home, [...protocol, 'clone', '-q', '--depth=2', url('clones'), shallow], signed('clones'));
    assert.equal(await git(shallow, ['rev-list', '--count', 'HEAD']), '2');
    await git(shallow, [...protocol, 'fetch', '-q', '--deepen=1'], signed('clones'));
    assert.equal(await git(shallow, ['rev-list', '--count', 'HEAD']), '3');
    await commit(shallow, `from-shallow-${version}`, 'x');
    await git(shallow, [...protocol, 'push', '-q', 'origin', `HEAD:shallow-${version}`], signed('clones'));
    await git(shallow, [...protocol, 'fetch', '-q', '--unshallow'], signed('clones'));
    await git(shallow, ['fsck', '--strict']);
    const partial = path.join(home, `partial-${version}`);
    await git(home, [...protocol, 'clone', '-q', '--filter=blob:none', '--no-checkout', url('clones'), partial], signed('clones'));
    assert.equal(await git(partial, [...protocol, 'show', 'HEAD:dir/file-3'], signed('clones')), '3');
  }
});

test('force pushes and deletions are taken, but not of the default branch', async () => {
  const work = await repository('forced');
  await commit(work, 'a', '1');
  await commit(work, 'a', '2');
  await git(work, ['push', '-q', 'origin', 'main', 'main:side'], signed('forced'));
  await git(work, ['reset', '-q', '--hard', 'HEAD~1']);
  const other = await commit(work, 'a', '3');
  assert.match((await tryGit(work, ['push', 'origin', 'main'], signed('forced'))).stderr, /non-fast-forward/);
  await git(work, ['push', '-q', '--force', 'origin', 'main'], signed('forced'));
  assert.equal((await codecommit.getBranch({ repositoryName: 'forced', branchName: 'main' })).branch?.commitId, other);
  await git(work, ['push', '-q', 'origin', ':side'], signed('forced'));
  assert.deepEqual((await codecommit.listBranches({ repositoryName: 'forced' })).branches, ['main']);
  const refused = await tryGit(work, ['push', 'origin', ':main'], signed('forced'));
  assert.match(refused.stderr, /\[remote rejected\] main \(deletion of the current branch prohibited\)/);
});

test('names that collide, leave the references or are none are refused one by one', async () => {
  const work = await repository('odd');
  const head = await commit(work, 'a', '1');
  await git(work, ['push', '-q', 'origin', 'main', 'main:a/b'], signed('odd'));
  const outcome = await tryGit(work, ['push', 'origin', 'main:a', 'main:a/b/c', 'main:fine'], signed('odd'));
  assert.match(outcome.stderr, /rejected\] main -> a \(failed to update ref\)/);
  assert.match(outcome.stderr, /rejected\] main -> a\/b\/c \(failed to update ref\)/);
  assert.match(outcome.stderr, /\[new branch\] +main -> fine/);
  const names = ['refs/heads/../../config', 'refs/heads/a..b', 'HEAD', 'refs/heads/.x', 'refs/heads/x.lock', '../x', 'refs/heads/\u0001'];
  const answer = await postPush(
    'odd',
    names.map((name) => `${ZERO} ${head} ${name}`),
    emptyPack,
  );
  for (const name of names) assert.ok(answer.includes(`ng ${name} funny refname`), name);
  assert.match(
    await postPush('odd', [`${'1'.repeat(40)} ${head} refs/heads/fine`], emptyPack),
    /ng refs\/heads\/fine failed to update ref/,
  );
  assert.match(await postPush('odd', [`${ZERO} ${head} refs/heads/fine`], emptyPack), /ng refs\/heads\/fine reference already exists/);
  assert.deepEqual((await codecommit.listBranches({ repositoryName: 'odd' })).branches, ['a/b', 'fine', 'main']);
});

test('corrupt and cut packs change nothing', async () => {
  const work = await repository('corrupt');
  await commit(work, 'a', randomBytes(10_000));
  const head = await git(work, ['rev-parse', 'HEAD']);
  const pack = execFileSync('git', ['pack-objects', '--revs', '--stdout', '-q'], { cwd: work, input: `${head}\n` });
  const bent = Buffer.from(pack);
  bent[bent.length - 100]! ^= 0xff;
  for (const bad of [bent, pack.subarray(0, pack.length / 2), randomBytes(2000), Buffer.alloc(0)]) {
    const answer = await postPush('corrupt', [`${ZERO} ${head} refs/heads/main`], bad);
    assert.match(answer, /ng refs\/heads\/main unpacker error/);
  }
  assert.deepEqual((await codecommit.listBranches({ repositoryName: 'corrupt' })).branches, []);
  assert.match(await postPush('corrupt', [`${ZERO} ${head} refs/heads/main`], pack), /ok refs\/heads\/main/);
  await git(home, ['clone', '-q', url('corrupt'), path.join(home, 'corrupt-clone')], signed('corrupt'));
});

test('4,000 references go in one push, 4,001 do not', async () => {
  const work = await repository('refs');
  const head = await commit(work, 'a', '1');
  await git(work, ['push', '-q', 'origin', 'main'], signed('refs'));
  // By hand: git itself takes ten seconds to match so many references before it sends anything.
  const commands = Array.from({ length: 4001 }, (_, index) => `${ZERO} ${head} refs/tags/t${index}`);
  const refused = await postPush('refs', commands, emptyPack);
  assert.equal(refused.match(/ng refs\/tags\/t\d+ more than 4000 references in one push/g)?.length, 4001);
  const taken = await postPush('refs', commands.slice(1), emptyPack);
  assert.equal(taken.match(/ok refs\/tags\/t/g)?.length, 4000);
  assert.equal((await git(work, ['ls-remote', '--tags', 'origin'], signed('refs'))).split('\n').length, 4000);
});

test('a large push in chunks is taken and cloned again whole, also after the cache is lost', async () => {
  const work = await repository('large');
  for (let i = 0; i < 6; i++) await commit(work, `blob-${i}`, randomBytes(2 * 1024 * 1024));
  await git(work, ['push', '-q', 'origin', 'main'], signed('large'));
  const head = await git(work, ['rev-parse', 'HEAD']);
  await server.kill();
  await rm(path.join(server.dataDir, 'cache'), { recursive: true, force: true });
  await server.restart();
  const clone = path.join(home, 'large-clone');
  await git(home, ['clone', '-q', url('large'), clone], signed('large'));
  assert.equal(await git(clone, ['rev-parse', 'HEAD']), head);
  await git(clone, ['fsck', '--full']);
});

test('of pushes made at once to one branch exactly one wins', async () => {
  const work = await repository('race');
  await commit(work, 'a', '1');
  await git(work, ['push', '-q', 'origin', 'main'], signed('race'));
  const clones = await Promise.all(
    Array.from({ length: 4 }, async (_, index) => {
      const clone = path.join(home, `race-${index}`);
      await git(home, ['clone', '-q', url('race'), clone], signed('race'));
      return { clone, head: await commit(clone, `f${index}`, 'x') };
    }),
  );
  const outcomes = await Promise.all(clones.map(({ clone }) => tryGit(clone, ['push', 'origin', 'main'], signed('race'))));
  const winners = clones.filter((_, index) => outcomes[index]!.code === 0);
  assert.equal(winners.length, 1);
  assert.equal((await codecommit.getBranch({ repositoryName: 'race', branchName: 'main' })).branch?.commitId, winners[0]!.head);
});

test("the AWS CLI's credential helper works unmodified, over HTTP and over TLS", async (t) => {
  const cli = await tryGit(home, ['-c', 'alias.cli=!aws --version', 'cli']);
  if (cli.code !== 0) return t.skip('the AWS CLI is not installed');
  const work = await repository('helper');
  await commit(work, 'a', '1');
  const helper = [
    ['-c', 'credential.helper='],
    ['-c', 'credential.UseHttpPath=true'],
    ['-c', `credential.helper=!f() { test "$1" = get && aws codecommit credential-helper get --ignore-host-check; }; f`],
  ].flat();
  await git(work, [...helper, 'push', '-q', 'origin', 'main'], server.env);
  const tls = `${server.tlsEndpoint}/v1/repos/helper`;
  await git(home, [...helper, 'clone', '-q', tls, path.join(home, 'helper-clone')], { ...server.env, GIT_SSL_CAINFO: server.caFile });
});

test('git-remote-codecommit works unmodified', async (t) => {
  const probe = await tryGit(home, ['-c', 'alias.grc=!command -v git-remote-codecommit', 'grc']);
  if (probe.code !== 0) return t.skip('git-remote-codecommit is not installed');
  const work = await repository('grc');
  await commit(work, 'a', '1');
  const env = { ...server.env, GIT_SSL_CAINFO: server.caFile, CODE_COMMIT_ENDPOINT: `localhost:${new URL(server.tlsEndpoint).port}` };
  await git(work, ['push', '-q', `codecommit::${server.region}://grc`, 'main'], env);
  await git(home, ['clone', '-q', `codecommit::${server.region}://grc`, path.join(home, 'grc-clone')], env);
});
