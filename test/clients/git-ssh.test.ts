import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { CodeCommit } from '@aws-sdk/client-codecommit';
import { IAM } from '@aws-sdk/client-iam';
import { git, tryGit } from '../../src/git/client.ts';
import type { SshKey } from '../support/git-ssh.ts';
import { newSshKey, sshKeyOf, sshOptions, withSshKey } from '../support/git-ssh.ts';
import { startServer, type TestServer } from '../support/server.ts';

let server: TestServer;
let iam: IAM;
let codecommit: CodeCommit;
let home: string;
let ada: SshKey;
let adaEnv: Record<string, string>;

before(async () => {
  server = await startServer();
  iam = new IAM(server.client);
  codecommit = new CodeCommit(server.client);
  home = await mkdtemp(path.join(tmpdir(), 'penstock-ssh-'));
  await user('ada', everything);
  ada = await sshKeyOf(iam, 'ada', home);
  adaEnv = await withSshKey(server, home, ada);
});
after(async () => {
  await server.stop();
  await rm(home, { recursive: true, force: true });
});

const everything = { Effect: 'Allow', Action: 'codecommit:*', Resource: '*' };

async function user(UserName: string, ...Statement: object[]): Promise<void> {
  await iam.createUser({ UserName });
  await iam.putUserPolicy({ UserName, PolicyName: 'all', PolicyDocument: JSON.stringify({ Version: '2012-10-17', Statement }) });
}

async function repository(name: string): Promise<string> {
  const { repositoryMetadata } = await codecommit.createRepository({ repositoryName: name });
  const work = path.join(home, name);
  await git(home, ['init', '-q', work]);
  await git(work, ['remote', 'add', 'origin', repositoryMetadata!.cloneUrlSsh!]);
  return work;
}

async function commit(work: string, name: string, content: string | Buffer): Promise<string> {
  await writeFile(path.join(work, name), content);
  await git(work, ['add', '.']);
  await git(work, ['commit', '-qm', `change ${name}`]);
  return git(work, ['rev-parse', 'HEAD']);
}

interface Outcome {
  code: number;
  stdout: string;
  stderr: string;
}

/** Runs `ssh` with a command, or without one. */
async function ssh(key: SshKey, command: string[], options: string[] = []): Promise<Outcome> {
  const args = [...(await sshOptions(server, home, key)), ...options, `${key.id}@127.0.0.1`, ...command];
  return new Promise((resolve) => {
    const child = execFile('ssh', args, (error, stdout, stderr) => resolve({ code: Number(error?.code ?? 0), stdout, stderr }));
    child.stdin!.end();
  });
}

test('push, clone and fetch by the address that CodeCommit tells, in every protocol version', async () => {
  const work = await repository('first');
  const head = await commit(work, 'README.md', 'hello\n');
  await commit(work, 'large', randomBytes(3_000_000));
  await git(work, ['push', '-q', 'origin', 'main'], adaEnv);
  const tip = await git(work, ['rev-parse', 'HEAD']);
  assert.equal((await codecommit.getBranch({ repositoryName: 'first', branchName: 'main' })).branch?.commitId, tip);
  for (const version of [0, 1, 2]) {
    const clone = path.join(home, `first-${version}`);
    await git(home, ['-c', `protocol.version=${version}`, 'clone', '-q', `${server.sshEndpoint}/v1/repos/first`, clone], adaEnv);
    assert.equal(await git(clone, ['rev-parse', 'HEAD']), tip);
    await git(clone, ['fsck', '--full']);
    const next = await commit(clone, `version-${version}`, 'x');
    await git(clone, ['-c', `protocol.version=${version}`, 'push', '-q', 'origin', `HEAD:v${version}`], adaEnv);
    await git(work, ['-c', `protocol.version=${version}`, 'fetch', '-q', 'origin'], adaEnv);
    assert.equal(await git(work, ['rev-parse', `origin/v${version}`]), next);
  }
  const shallow = path.join(home, 'first-shallow');
  await git(home, ['clone', '-q', '--depth=1', '--filter=blob:none', `${server.sshEndpoint}/v1/repos/first`, shallow], adaEnv);
  assert.notEqual(head, await git(shallow, ['rev-parse', 'HEAD']));
  const trace = await tryGit(work, ['ls-remote', 'origin'], { ...adaEnv, GIT_TRACE_PACKET: '1' });
  assert.match(trace.stderr, /< version 2/);
});

test('an empty repository is cloned, deletions and refusals are told, and the default branch stays', async () => {
  const work = await repository('changes');
  assert.match((await tryGit(home, ['clone', `${server.sshEndpoint}/v1/repos/changes`, 'nothing'], adaEnv)).stderr, /empty repository/);
  await commit(work, 'a', '1');
  await git(work, ['push', '-q', 'origin', 'main', 'main:side'], adaEnv);
  await git(work, ['push', '-q', 'origin', ':side'], adaEnv);
  assert.equal((await tryGit(work, ['push', 'origin', 'main'], adaEnv)).stderr.trim(), 'Everything up-to-date');
  const refused = await tryGit(work, ['push', 'origin', ':main'], adaEnv);
  assert.match(refused.stderr, /\[remote rejected\] main \(deletion of the current branch prohibited\)/);
  await git(work, ['commit', '--amend', '-qm', 'other']);
  assert.match((await tryGit(work, ['push', 'origin', 'main'], adaEnv)).stderr, /rejected.*non-fast-forward/s);
});

test('keys of every type, with SHA-2 signatures only', async () => {
  const work = await repository('types');
  await commit(work, 'a', '1');
  await git(work, ['push', '-q', 'origin', 'main'], adaEnv);
  for (const options of [
    ['-t', 'rsa', '-b', '2048'],
    ['-t', 'ecdsa', '-b', '256'],
    ['-t', 'ecdsa', '-b', '384'],
    ['-t', 'ecdsa', '-b', '521'],
  ]) {
    const key = await sshKeyOf(iam, 'ada', home, ...options);
    await git(work, ['ls-remote', 'origin'], await withSshKey(server, home, key));
    if (options[1] === 'rsa') {
      for (const [algorithm, code] of [
        ['rsa-sha2-256,rsa-sha2-512', 1],
        ['ssh-rsa', 255],
      ] as const) {
        assert.equal((await ssh(key, [], ['-T', '-o', `PubkeyAcceptedAlgorithms=${algorithm}`])).code, code, algorithm);
      }
    }
    await iam.deleteSSHPublicKey({ UserName: 'ada', SSHPublicKeyId: key.id });
  }
});

test('a key that is not the named one, not active, or deleted opens nothing', async () => {
  const key = await sshKeyOf(iam, 'ada', home);
  const other = await newSshKey(home);
  const denied = async (asked: SshKey) => {
    const { code, stderr } = await ssh(asked, ["git-upload-pack '/v1/repos/first'"]);
    assert.equal(code, 255);
    assert.match(stderr, /Permission denied \(publickey\)/);
  };
  await denied({ ...other, id: key.id });
  await denied({ ...key, id: 'APKAEIBAERJR2EXAMPLE' });
  await denied({ ...key, id: 'git' });
  await denied({ ...key, id: ada.id });
  assert.equal((await ssh(key, [])).code, 1);
  await iam.updateSSHPublicKey({ UserName: 'ada', SSHPublicKeyId: key.id, Status: 'Inactive' });
  await denied(key);
  await iam.updateSSHPublicKey({ UserName: 'ada', SSHPublicKeyId: key.id, Status: 'Active' });
  assert.equal((await ssh(key, [])).code, 1);
  await iam.deleteSSHPublicKey({ UserName: 'ada', SSHPublicKeyId: key.id });
  await denied(key);
});

test('policies hold as over HTTP: pull only, nothing at all, and protected branches', async () => {
  const work = await repository('guarded');
  await commit(work, 'a', '1');
  await git(work, ['push', '-q', 'origin', 'main'], adaEnv);
  const arn = `arn:aws:codecommit:${server.region}:${server.account}:guarded`;
  await user('reader', { Effect: 'Allow', Action: 'codecommit:GitPull', Resource: arn });
  const reader = await withSshKey(server, home, await sshKeyOf(iam, 'reader', home));
  await git(work, ['fetch', '-q', 'origin'], reader);
  const pushed = await tryGit(work, ['push', 'origin', 'main:reader'], reader);
  assert.equal(pushed.code, 128);
  assert.match(
    pushed.stderr,
    new RegExp(
      `fatal: User: arn:aws:iam::${server.account}:user/reader is not authorized to perform: codecommit:GitPush on resource: ${arn}`,
    ),
  );

  await user('stranger', { Effect: 'Allow', Action: 's3:*', Resource: '*' });
  const stranger = await withSshKey(server, home, await sshKeyOf(iam, 'stranger', home));
  assert.match((await tryGit(work, ['ls-remote', 'origin'], stranger)).stderr, /not authorized to perform: codecommit:GitPull/);

  // As AWS's guide protects a branch.
  await user('grace', everything, {
    Effect: 'Deny',
    Action: ['codecommit:GitPush'],
    Resource: '*',
    Condition: { StringEqualsIfExists: { 'codecommit:References': ['refs/heads/main'] }, Null: { 'codecommit:References': 'false' } },
  });
  const grace = await withSshKey(server, home, await sshKeyOf(iam, 'grace', home));
  await commit(work, 'b', '2');
  const outcome = await tryGit(work, ['push', 'origin', 'main', 'main:grace'], grace);
  assert.match(outcome.stderr, /! \[remote rejected\] main -> main \(you are not authorized to push to this reference\)/);
  assert.match(outcome.stderr, /\[new branch\] +main -> grace/);
});

test('what is no command of git, no repository, or no path is refused in words', async () => {
  const absent = await tryGit(home, ['ls-remote', `${server.sshEndpoint}/v1/repos/absent`], adaEnv);
  assert.equal(absent.code, 128);
  assert.match(absent.stderr, /^fatal: absent does not exist\n/);
  const shell = await ssh(ada, [], ['-T']);
  assert.match(
    shell.stderr,
    /You have successfully authenticated over SSH\. You can use Git to interact with AWS CodeCommit\. Interactive shells are not supported\./,
  );
  assert.equal(shell.code, 1);
  for (const command of [
    'ls',
    "git-upload-pack '/v1/repos/first'; id",
    "git-upload-pack '/v1/repos/first' '--x'",
    "git-upload-archive '/v1/repos/first'",
    'git-upload-pack $(id)',
    `git-upload-pack '${'x'.repeat(30_000)}'`,
    'git-lfs-transfer /v1/repos/first download',
  ]) {
    const { code, stdout, stderr } = await ssh(ada, [command]);
    assert.deepEqual([code, stdout], [128, ''], command);
    assert.match(stderr, /^fatal: (You have successfully authenticated|'.*' does not appear)/, command);
  }
  for (const place of ['/v1/repos/../repos/first', '/etc', '/v1/repos/first.git/x', '/v1/repos/']) {
    assert.match((await ssh(ada, [`git-upload-pack '${place}'`])).stderr, /does not appear to be a git repository/, place);
  }
  assert.match((await ssh(ada, ['sftp'], ['-s'])).stderr, /subsystem request failed/);
  assert.match(
    (await ssh(ada, [], ['-N', '-o', 'ExitOnForwardFailure=yes', '-R', '0:127.0.0.1:1'])).stderr,
    /remote port forwarding failed/,
  );
  assert.match((await ssh(ada, [], ['-W', '127.0.0.1:22'])).stderr, /administratively prohibited|forwarding failed/);
});

test('garbage instead of SSH ends the connection, and others do not notice', async () => {
  const { port } = new URL(server.sshEndpoint.replace('ssh:', 'http:'));
  for (const garbage of ['GET / HTTP/1.1\r\n\r\n', randomBytes(5000), `SSH-2.0-x\r\n${'\0'.repeat(50_000)}`, '']) {
    await new Promise<void>((resolve) => {
      const socket = connect(Number(port), '127.0.0.1', () => socket.end(garbage));
      socket
        .on('error', () => {})
        .on('close', () => resolve())
        .resume();
    });
  }
  assert.equal((await ssh(ada, [])).code, 1);
});

test('git ends when its client vanishes in the middle', async () => {
  const children = async () => (await readFile(`/proc/${server.pid}/task/${server.pid}/children`, 'utf8')).trim().split(' ');
  const before = new Set(await children());
  const child = spawn('ssh', [...(await sshOptions(server, home, ada)), `${ada.id}@127.0.0.1`, "git-upload-pack '/v1/repos/first'"]);
  await once(child.stdout, 'data');
  const [started] = (await children()).filter((pid) => !before.has(pid));
  assert.match(await readFile(`/proc/${started}/cmdline`, 'utf8'), /upload-pack/);
  child.kill('SIGKILL');
  while (existsSync(`/proc/${started}`)) await new Promise((resolve) => setTimeout(resolve, 20));
});

test('several commands over one connection', async () => {
  const control = ['-o', 'ControlMaster=auto', '-o', `ControlPath=${path.join(home, 'control')}`, '-o', 'ControlPersist=30'];
  const env = { ...adaEnv, GIT_SSH_COMMAND: `${adaEnv.GIT_SSH_COMMAND} ${control.join(' ')}` };
  const asked = Array.from({ length: 5 }, () => git(home, ['ls-remote', `${server.sshEndpoint}/v1/repos/first`, 'main'], env));
  assert.equal(new Set(await Promise.all(asked)).size, 1);
  await ssh(ada, ['-'], [...control, '-O', 'exit']);
});

test('a new start and another process show the same host keys, and `known-hosts` tells them', async () => {
  const keys = server.sshHostKeys;
  const main = path.join(import.meta.dirname, '..', '..', 'src', 'main.ts');
  const told = await new Promise<string>((resolve, reject) => {
    execFile(process.execPath, [main, 'known-hosts', '--data', server.dataDir], (error, stdout) =>
      error ? reject(error) : resolve(stdout),
    );
  });
  const { port } = new URL(server.sshEndpoint.replace('ssh:', 'http:'));
  assert.deepEqual(
    told.trim().split('\n'),
    keys.map((key) => `[127.0.0.1]:${port},[localhost]:${port} ${key}`),
  );
  await server.kill();
  await server.restart();
  assert.deepEqual(server.sshHostKeys, keys);
  const references = await git(home, ['ls-remote', `${server.sshEndpoint}/v1/repos/first`], adaEnv);
  const other = await startServer({ dataDir: server.dataDir });
  try {
    const env = await withSshKey(other, home, ada);
    assert.equal(await git(home, ['ls-remote', `${other.sshEndpoint}/v1/repos/first`], env), references);
  } finally {
    await other.stop();
  }
});
