/** kill -9 of the embedded database while builds run: each ends, runs its commands at most once, and no line of its log is missing. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { Build } from '@aws-sdk/client-codebuild';
import { type BuildBench, buildBench, commands, phaseLines } from '../support/codebuild.ts';
import { startServer, type TestServer } from '../support/server.ts';

let server: TestServer;
let bench: BuildBench;
let marks: string;

before(async () => {
  server = await startServer();
  bench = await buildBench(server);
  marks = await mkdtemp(path.join(tmpdir(), 'marks-'));
});
after(async () => {
  await server.stop();
  await rm(marks, { recursive: true, force: true });
});

/** The one that runs, or the next once it was started. */
async function killDatabase(): Promise<void> {
  const pidFile = path.join(server.dataDir, 'postgres', 'postmaster.pid');
  await patiently(async () => process.kill(Number(readFileSync(pidFile, 'utf8').split('\n')[0]), 'SIGKILL'));
}

/** Requests may fail while the database is away. */
async function patiently<T>(call: () => Promise<T>): Promise<T> {
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await call();
    } catch (error) {
      if (attempt === 100) throw error;
      await delay(50);
    }
  }
}

async function over(id: string): Promise<Build> {
  for (;;) {
    const { builds } = await patiently(() => bench.codebuild.batchGetBuilds({ ids: [id] }));
    if (builds?.[0]?.buildComplete) return builds[0];
    await delay(20);
  }
}

test('builds go on through deaths of the database', async () => {
  const file = path.join(marks, 'ran');
  await bench.project(
    'through',
    commands(`echo $CODEBUILD_BUILD_ID >>${file}`, 'for i in 1 2 3 4 5 6 7 8 9 10; do echo line-$i; sleep 0.1; done', 'echo last'),
  );
  const ids: string[] = [];
  for (let index = 0; index < 4; index += 1) ids.push((await bench.codebuild.startBuild({ projectName: 'through' })).build!.id!);
  for (const pause of [150, 700]) {
    await delay(pause);
    await killDatabase();
  }
  for (const id of ids) {
    const build = await over(id);
    const told = phaseLines(build).join('\n');
    const count = readFileSync(file, 'utf8')
      .split('\n')
      .filter((line) => line === id).length;
    assert.ok(count <= 1, `${id} ran ${count} times\n${told}`);
    if (build.buildStatus !== 'SUCCEEDED') {
      assert.equal(build.buildStatus, 'FAULT', told);
      continue;
    }
    assert.equal(count, 1);
    const lines = (await patiently(() => bench.log(build))).split('\n').filter((line) => /^(line-|last)/.test(line));
    assert.deepEqual(lines, [...Array.from({ length: 10 }, (_, index) => `line-${index + 1}`), 'last'], told);
  }
});
