/** TERM in the middle of everything, KILL and a new start on the same data, two first starts at once. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { CodeCommit } from '@aws-sdk/client-codecommit';
import { buildBench, commands } from '../support/codebuild.ts';
import { commandLines } from '../support/processes.ts';
import { startServer, type TestServer } from '../support/server.ts';

let home: string;
before(async () => {
  home = await mkdtemp(path.join(tmpdir(), 'penstock-stopping-'));
});
after(() => rm(home, { recursive: true, force: true }));

function postmaster(dataDir: string): number | undefined {
  const file = path.join(dataDir, 'postgres', 'postmaster.pid');
  return existsSync(file) ? Number(readFileSync(file, 'utf8').split('\n')[0]) : undefined;
}

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}

/** A request whose body never ends, and a connection that says nothing. */
async function hangOn(server: TestServer): Promise<() => void> {
  const { hostname, port } = new URL(server.endpoint);
  const silent = connect(Number(port), hostname);
  await once(silent, 'connect');
  const endless = request({ hostname, port, method: 'PUT', path: '/bucket/key', headers: { 'content-length': '1000000' } });
  endless.on('error', () => {});
  silent.on('error', () => {});
  endless.write('the beginning');
  return () => {
    silent.destroy();
    endless.destroy();
  };
}

test('TERM while builds, requests and silent connections are open: status 0, and the database goes last', async () => {
  const dataDir = path.join(home, 'term');
  const server = await startServer({ dataDir });
  const letGo = await hangOn(server);
  try {
    const bench = await buildBench(server);
    await bench.project('long', commands('sleep 4711'));
    const { build } = await bench.codebuild.startBuild({ projectName: 'long' });
    await bench.wait(build!.id!, (now) => now.currentPhase === 'BUILD');
    const database = postmaster(dataDir)!;
    // Fails when the status is another than 0.
    await server.stop();
    assert.equal(alive(database), false);
    assert.equal(existsSync(path.join(dataDir, 'server.json')), false);
    assert.deepEqual(commandLines(/^sleep 4711$/), []);

    await server.restart();
    const over = await bench.wait(build!.id!);
    assert.equal(over.buildStatus, 'FAULT');
    await server.stop();
  } finally {
    letGo();
    await server.kill();
  }
});

test('a second TERM ends it at once, and the next start finds everything', async () => {
  const dataDir = path.join(home, 'twice');
  const server = await startServer({ dataDir });
  await new CodeCommit(server.client).createRepository({ repositoryName: 'kept' });
  const { pid } = server;
  process.kill(pid, 'SIGTERM');
  process.kill(pid, 'SIGTERM');
  while (alive(pid)) await new Promise((resolve) => setTimeout(resolve, 10));
  await server.restart();
  assert.equal((await new CodeCommit(server.client).listRepositories({})).repositories!.length, 1);
  await server.stop();
});

test('after a KILL the orphaned database is taken over, and stopped by the one that took it', async () => {
  const dataDir = path.join(home, 'orphan');
  const server = await startServer({ dataDir });
  await new CodeCommit(server.client).createRepository({ repositoryName: 'kept' });
  const database = postmaster(dataDir)!;
  await server.kill();
  assert.ok(alive(database));
  await server.restart();
  assert.equal(postmaster(dataDir), database);
  assert.equal((await new CodeCommit(server.client).listRepositories({})).repositories!.length, 1);
  await server.stop();
  assert.equal(alive(database), false);
});

test('everything is killed, and the number in the pid file is another program’s by now', async () => {
  const dataDir = path.join(home, 'reused');
  const server = await startServer({ dataDir });
  await new CodeCommit(server.client).createRepository({ repositoryName: 'kept' });
  const file = path.join(dataDir, 'postgres', 'postmaster.pid');
  await server.kill();
  process.kill(postmaster(dataDir)!, 'SIGKILL');
  await writeFile(file, readFileSync(file, 'utf8').replace(/^\d+/, String(process.pid)));
  await server.restart();
  assert.equal((await new CodeCommit(server.client).listRepositories({})).repositories!.length, 1);
  await server.stop();
});

test('two first starts at once on an empty directory agree, and the last one to go stops the database', async () => {
  const dataDir = path.join(home, 'both');
  const [one, two] = await Promise.all([startServer({ dataDir }), startServer({ dataDir })]);
  try {
    assert.deepEqual(one.credentials, two.credentials);
    await new CodeCommit(one.client).createRepository({ repositoryName: 'of-both' });
    const database = postmaster(dataDir)!;
    await one.stop();
    assert.ok(alive(database));
    assert.equal((await new CodeCommit(two.client).listRepositories({})).repositories!.length, 1);
    await two.stop();
    assert.equal(alive(database), false);
  } finally {
    await one.kill();
    await two.stop();
  }
});
