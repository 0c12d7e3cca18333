/** What keeps a server from starting is told in one line that says what to do, with status 1, and leaves nothing running. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { CodeCommit } from '@aws-sdk/client-codecommit';
import { commandLines } from '../support/processes.ts';
import { cleanEnvironment, startServer, type TestServer } from '../support/server.ts';

const main = path.join(import.meta.dirname, '..', '..', 'src', 'main.ts');
let home: string;
let server: TestServer;

before(async () => {
  home = await mkdtemp(path.join(tmpdir(), 'penstock-starting-'));
  server = await startServer();
});
after(async () => {
  await server?.stop();
  await rm(home, { recursive: true, force: true });
});

interface Ended {
  code: number;
  stdout: string;
  stderr: string;
}

function penstock(args: string[], env: Record<string, string> = {}): Promise<Ended> {
  return new Promise((resolve) => {
    const child = execFile(
      process.execPath,
      [main, ...args],
      { env: { ...cleanEnvironment(), PENSTOCK_LOG_LEVEL: 'error', ...env }, timeout: 60_000 },
      (_error, stdout, stderr) => resolve({ code: child.exitCode ?? -1, stdout, stderr }),
    );
  });
}

async function requireRefused(args: string[], words: RegExp, env: Record<string, string> = {}): Promise<void> {
  const { code, stdout, stderr } = await penstock(['up', '--port', '0', '--tls-port', '0', '--ssh-port', '0', ...args], env);
  assert.equal(code, 1, stderr);
  assert.equal(stdout, '');
  assert.match(stderr, /^penstock: [^\n]+\n$/, 'one line');
  assert.match(stderr, words);
}

/** Postmasters of that data directory. */
function postgres(dataDir: string): string[] {
  return commandLines(/postgres/).filter((line) => line.includes(`-D ${path.join(dataDir, 'postgres')} `));
}

test('a data directory that cannot be used', async () => {
  const file = path.join(home, 'file');
  await writeFile(file, '');
  await requireRefused(['--data', path.join(file, 'data')], /data directory .*file\/data cannot be used .*--data/);
});

test('settings that make no sense', async () => {
  await requireRefused(['--data', home, '--port', 'http'], /--port must be a port number/);
  await requireRefused(['--data', home, '--listen', '203.0.113.7'], /203\.0\.113\.7 is no address of this host/);
  assert.deepEqual(postgres(home), []);
});

test('a port that another program has', async () => {
  const other = createServer().listen(0, '127.0.0.1');
  await once(other, 'listening');
  const { port } = other.address() as { port: number };
  try {
    const data = path.join(home, 'port');
    await requireRefused(['--data', data, '--port', String(port)], new RegExp(`Port ${port} on 127\\.0\\.0\\.1 is taken .*--port`));
    await requireRefused(['--data', data, '--tls-port', String(port)], /--tls-port/);
    assert.deepEqual(postgres(data), [], 'the database went with it');
  } finally {
    other.close();
  }
});

test('a second server on the same data and port leaves the first one as it is', async () => {
  const record = await readFile(path.join(server.dataDir, 'server.json'), 'utf8');
  const { port } = new URL(server.endpoint);
  await requireRefused(['--data', server.dataDir, '--port', port], /runs on .* already: .*\(pid \d+\)/);
  // With ports of its own it works beside the first one, and goes without taking anything away.
  const taken = await startServer({ dataDir: server.dataDir });
  assert.equal(await readFile(path.join(server.dataDir, 'server.json'), 'utf8'), record);
  const repositories = new CodeCommit(taken.client);
  await repositories.createRepository({ repositoryName: 'made-by-the-second' });
  const child = taken.pid;
  process.kill(child, 'SIGTERM');
  await goneAfterTerm(child);
  assert.equal(await readFile(path.join(server.dataDir, 'server.json'), 'utf8'), record);
  const { repositoryMetadata } = await new CodeCommit(server.client).getRepository({ repositoryName: 'made-by-the-second' });
  assert.equal(repositoryMetadata?.repositoryName, 'made-by-the-second');
});

async function goneAfterTerm(pid: number): Promise<void> {
  for (;;) {
    try {
      process.kill(pid, 0);
    } catch {
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

test('another master key than the one that the data was made with', async () => {
  const env = { PENSTOCK_MASTER_KEY: '7'.repeat(64) };
  await requireRefused(['--data', server.dataDir], /another master key.*PENSTOCK_MASTER_KEY/, env);
  await requireRefused(['--data', home], /PENSTOCK_MASTER_KEY must hold 64 hexadecimal digits/, { PENSTOCK_MASTER_KEY: 'secret' });
  await new CodeCommit(server.client).listRepositories({});
});

test('a database that cannot be reached, or is none', async () => {
  const refuse = (url: string, words: RegExp) => requireRefused(['--data', home], words, { PENSTOCK_DATABASE_URL: url });
  await refuse('my-database', /PENSTOCK_DATABASE_URL must look like postgres:/);
  await refuse('mysql://root@localhost/x', /PENSTOCK_DATABASE_URL must look like postgres:/);
  await refuse('postgres://nobody@database.invalid/x', /PENSTOCK_DATABASE_URL cannot be used: .*database\.invalid/);
  const socket = encodeURIComponent(path.join(server.dataDir, 'run'));
  await refuse(`postgres://penstock@${socket}/missing`, /cannot be used: database "missing" does not exist/);
});

test('git that is missing or too old', async () => {
  const bin = path.join(home, 'bin');
  await mkdir(bin);
  await requireRefused(['--data', path.join(home, 'git')], /needs the git program \(2\.38 or newer\).*Install it/, { PATH: bin });
  await writeFile(path.join(bin, 'git'), '#!/bin/sh\necho git version 2.30.2\n');
  await chmod(path.join(bin, 'git'), 0o755);
  await requireRefused(['--data', path.join(home, 'git')], /needs git 2\.38 or newer, this is "git version 2\.30\.2"/, { PATH: bin });
});

test('env tells how to reach the running server, and says so when there is none', async () => {
  const { code, stdout } = await penstock(['env', '--data', server.dataDir, '--json']);
  assert.equal(code, 0);
  assert.equal(JSON.parse(stdout).AWS_ENDPOINT_URL, server.endpoint);
  const exports = (await penstock(['env', '--data', server.dataDir])).stdout;
  assert.match(exports, new RegExp(`^export AWS_ENDPOINT_URL='${server.endpoint}'$`, 'm'));
  for (const args of [[], ['--json']]) {
    const none = await penstock(['env', '--data', home, ...args]);
    assert.equal(none.code, 1);
    assert.equal(none.stdout, '');
    assert.match(none.stderr, /^penstock: No server runs on .*penstock up.*\n$/);
  }
  // A record whose process number is another program's by now.
  await writeFile(path.join(home, 'server.json'), JSON.stringify({ pid: process.pid, began: '1', endpoint: 'http://127.0.0.1:1' }));
  assert.equal((await penstock(['env', '--data', home])).code, 1);
});
