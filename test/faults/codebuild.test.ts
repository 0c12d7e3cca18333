/** kill -9 in the phases of a build: nothing stays in progress, nothing runs twice, and the record says what happened. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { type Build, CodeBuild } from '@aws-sdk/client-codebuild';
import { type BuildBench, buildBench, commands, phaseLines, zipOf } from '../support/codebuild.ts';
import { commandLines } from '../support/processes.ts';
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

/** Lines that builds wrote to a file outside of every machine: what really ran. */
function ran(name: string): string[] {
  try {
    return readFileSync(path.join(marks, name), 'utf8').split('\n').filter(Boolean);
  } catch {
    return [];
  }
}

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await delay(5);
}

for (const [index, phase] of ['install', 'pre_build', 'build', 'post_build'].entries()) {
  test(`killed in ${phase}: the build ends FAULT, its commands are gone and did not run again`, async () => {
    const seconds = 700 + index;
    const spec = `version: 0.2\nphases:\n  ${phase}:\n    commands:\n      - echo $CODEBUILD_BUILD_ID >>${marks}/${phase}\n      - sleep ${seconds}\n`;
    await bench.project(`killed-${phase}`, spec);
    const { build } = await bench.codebuild.startBuild({ projectName: `killed-${phase}` });
    await until(() => commandLines(new RegExp(`^sleep ${seconds}$`)).length > 0);
    await server.kill();
    await server.restart();
    const over = await bench.wait(build!.id!);
    assert.equal(over.buildStatus, 'FAULT');
    const faulty = over.phases!.find((item) => item.phaseStatus === 'FAULT');
    assert.equal(faulty?.phaseType, phase.toUpperCase());
    assert.match(
      faulty?.contexts?.[0]?.message ?? '',
      /ended before the build did\. Its commands had begun to run, so the build was not started over/,
    );
    assert.equal(over.phases!.at(-1)!.phaseType, 'COMPLETED');
    assert.deepEqual(ran(phase), [build!.id]);
    assert.deepEqual(commandLines(new RegExp(`^sleep ${seconds}$`)), []);
  });
}

test('killed before a command ran: the build starts over and runs once', async () => {
  // Fetching many sources takes a while in which no command has run.
  const sources = 12;
  await bench.s3.putObject({ Bucket: bench.bucket, Key: 'big.zip', Body: await zipOf({ file: 'x'.repeat(1_000_000) }) });
  const source = { type: 'S3', location: `${bench.bucket}/big.zip` } as const;
  await bench.project('early', commands(`echo $CODEBUILD_BUILD_ID >>${marks}/early`), {
    secondarySources: Array.from({ length: sources }, (_, index) => ({ ...source, sourceIdentifier: `s${index}` })),
  });
  for (const wanted of ['QUEUED', 'PROVISIONING', 'DOWNLOAD_SOURCE']) {
    const { build } = await bench.codebuild.startBuild({ projectName: 'early' });
    const before = await bench.wait(build!.id!, (now) => now.currentPhase !== 'QUEUED' || wanted === 'QUEUED');
    await server.kill();
    await server.restart();
    const over = await bench.wait(build!.id!);
    const count = ran('early').filter((id) => id === build!.id).length;
    assert.equal(count, 1, `${wanted} (${before.currentPhase}): ${phaseLines(over).join(', ')}`);
    if (over.buildStatus !== 'FAULT') assert.equal(over.buildStatus, 'SUCCEEDED', phaseLines(over).join('\n'));
  }
});

test('a faulty build is retried under autoRetryLimit, and the record links the two', async () => {
  const file = path.join(marks, 'retried');
  await bench.project('retried', commands(`echo $CODEBUILD_BUILD_ID >>${file}; [ $(wc -l <${file}) -gt 1 ] || sleep 711`), {
    autoRetryLimit: 1,
  });
  const { build } = await bench.codebuild.startBuild({ projectName: 'retried' });
  await until(() => commandLines(/^sleep 711$/).length > 0);
  await server.kill();
  await server.restart();
  const first = await bench.wait(build!.id!);
  assert.equal(first.buildStatus, 'FAULT');
  const second = await bench.wait(first.autoRetryConfig!.nextAutoRetry!);
  assert.equal(second.buildStatus, 'SUCCEEDED');
  assert.equal(second.autoRetryConfig!.previousAutoRetry, first.arn);
  assert.deepEqual(ran('retried'), [first.id, second.id]);
});

test('killed while it was being stopped: the build ends STOPPED', async () => {
  await bench.project('stopping', commands("trap '' TERM; sleep 721 & while :; do wait; done"));
  const { build } = await bench.codebuild.startBuild({ projectName: 'stopping' });
  await until(() => commandLines(/^sleep 721$/).length > 0);
  const stopping = bench.codebuild.stopBuild({ id: build!.id! }).catch(() => undefined);
  await delay(100);
  await server.kill();
  await stopping;
  await server.restart();
  assert.equal((await bench.wait(build!.id!)).buildStatus, 'STOPPED');
  assert.deepEqual(commandLines(/^sleep 721$/), []);
});

test('of two processes on one database one is killed: the other takes over, and stops what the first one runs', async () => {
  const worker = await startServer({ dataDir: server.dataDir, args: ['--role', 'worker'] });
  try {
    await bench.project('shared', commands(`echo $CODEBUILD_BUILD_ID >>${marks}/shared`, 'sleep 2'));
    const ids: string[] = [];
    for (let index = 0; index < 8; index += 1) ids.push((await bench.codebuild.startBuild({ projectName: 'shared' })).build!.id!);
    await until(() => ran('shared').length >= 3);
    await worker.kill();
    const over = await Promise.all(ids.map((id) => bench.wait(id)));
    for (const build of over) {
      assert.ok(build.buildStatus === 'SUCCEEDED' || build.buildStatus === 'FAULT', build.buildStatus);
      // A build that was lost may have died between the record of its first command and the command itself.
      const count = ran('shared').filter((id) => id === build.id).length;
      assert.ok(build.buildStatus === 'FAULT' ? count <= 1 : count === 1, `${build.id} ${build.buildStatus} ran ${count} times`);
    }
  } finally {
    await worker.kill();
  }
});

test('killed at random, over and over: every build ends, and none ran twice', async () => {
  await bench.project('random', commands(`echo $CODEBUILD_BUILD_ID >>${marks}/random`, 'sleep 0.2'));
  const ids: string[] = [];
  for (let round = 0; round < 4; round += 1) {
    const client = new CodeBuild(server.client);
    for (let index = 0; index < 4; index += 1) ids.push((await client.startBuild({ projectName: 'random' })).build!.id!);
    await delay(50 + Math.random() * 500);
    await server.kill();
    await server.restart();
  }
  const over: Build[] = await Promise.all(ids.map((id) => bench.wait(id)));
  for (const build of over) {
    const count = ran('random').filter((id) => id === build.id).length;
    const told = `${build.id}: ${phaseLines(build).join(', ')}`;
    if (build.buildStatus === 'SUCCEEDED') assert.equal(count, 1, told);
    else {
      assert.equal(build.buildStatus, 'FAULT', told);
      assert.ok(count <= 1, told);
    }
  }
});
