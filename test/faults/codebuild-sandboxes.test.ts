/** kill -9 of the process that runs a sandbox: the machine lives on with the next one, and nothing claims to have run that did not. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { type BuildBench, buildBench, commands, zipOf } from '../support/codebuild.ts';
import { commandLines } from '../support/processes.ts';
import { type SandboxBench, sandboxBench } from '../support/sandboxes.ts';
import { startServer, type TestServer } from '../support/server.ts';
import { PluginSession } from '../support/session-plugin.ts';

let server: TestServer;
let bench: BuildBench;
let boxes: SandboxBench;

before(async () => {
  server = await startServer();
  bench = await buildBench(server);
  boxes = sandboxBench(bench);
});
after(async () => {
  await boxes.stopAll();
  await server.stop();
});

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await delay(10);
}

test('killed while a command runs: the command is said to have failed, the sandbox goes on with its files and background processes', async () => {
  const id = await boxes.start('killed');
  await boxes.run(id, 'echo before > file; sleep 7301 </dev/null >/dev/null 2>&1 &');
  const { commandExecution } = await bench.codebuild.startCommandExecution({ sandboxId: id, command: 'echo begun > began; sleep 7302' });
  await until(() => commandLines(/^sleep 7302$/).length > 0);
  await server.kill();
  await server.restart();

  const cut = await boxes.waitCommand(id, commandExecution!.id!);
  assert.equal(cut.status, 'FAILED');
  assert.equal(cut.exitCode, undefined);
  assert.equal(cut.standardErrContent, 'The process that ran this command ended before the command did.\n');
  assert.deepEqual(commandLines(/^sleep 7302$/), [], 'what was left of it is gone');
  const next = await boxes.run(id, 'cat file began; curl -s "$AWS_CONTAINER_CREDENTIALS_FULL_URI" | grep -c SecretAccessKey');
  assert.equal(next.standardOutputContent, 'before\nbegun\n1\n');
  assert.equal(commandLines(/^sleep 7301$/).length, 1, 'background processes live on');
  await bench.codebuild.stopSandbox({ id });
  await boxes.wait(id, (now) => now.status === 'STOPPED');
  assert.deepEqual(commandLines(/^sleep 730[12]$/), []);
});

test('killed while it is made: it is made anew, and commands that waited run once', async () => {
  await bench.s3.putObject({ Bucket: bench.bucket, Key: 'big.zip', Body: await zipOf({ file: 'x'.repeat(1_000_000) }) });
  const source = { type: 'S3', location: `${bench.bucket}/big.zip` } as const;
  await bench.project('early', commands('true'), {
    secondarySources: Array.from({ length: 12 }, (_, index) => ({ ...source, sourceIdentifier: `s${index}` })),
  });
  for (const wanted of ['QUEUED', 'PROVISIONING', 'DOWNLOAD_SOURCE']) {
    const { sandbox } = await bench.codebuild.startSandbox({ projectName: 'early' });
    const id = sandbox!.id!;
    boxes.add(id);
    const { commandExecution } = await bench.codebuild.startCommandExecution({ sandboxId: id, command: 'echo run >> count; cat count' });
    await boxes.wait(id, ({ status }) => status !== 'QUEUED' || wanted === 'QUEUED');
    await server.kill();
    await server.restart();
    const ran = await boxes.waitCommand(id, commandExecution!.id!);
    // It may have been killed while the command ran, where it cannot know whether all of it was done.
    if (ran.status === 'SUCCEEDED') assert.equal(ran.standardOutputContent, 'run\n');
    else assert.match(ran.standardErrContent!, /ended before the command did/);
  }
});

test('killed while it was being stopped: it is stopped', async () => {
  const id = await boxes.start('stopping');
  const { commandExecution } = await bench.codebuild.startCommandExecution({
    sandboxId: id,
    command: "trap '' TERM; sleep 7303 & while :; do wait; done",
  });
  await until(() => commandLines(/^sleep 7303$/).length > 0);
  await bench.codebuild.stopSandbox({ id });
  await server.kill();
  await server.restart();
  assert.equal((await boxes.wait(id, (now) => now.endTime !== undefined)).status, 'STOPPED');
  assert.equal((await boxes.waitCommand(id, commandExecution!.id!)).status, 'FAILED');
  assert.deepEqual(commandLines(/^sleep 7303$/), []);
});

test('a process that ends in order lets go of its sandboxes, and another one takes them up', async () => {
  const id = await boxes.start('in-order');
  await boxes.run(id, 'echo kept > file');
  await server.restart({ args: ['--role', 'api'] });
  let open: PluginSession;
  const worker = await startServer({ dataDir: server.dataDir, args: ['--role', 'worker'] });
  try {
    assert.equal((await boxes.run(id, 'cat file')).standardOutputContent, 'kept\n');
    // Told to the one, run by the other.
    const { ssmSession } = await bench.codebuild.startSandboxConnection({ sandboxId: id });
    const session = new PluginSession(ssmSession!);
    await session.until(({ handshake }) => handshake !== undefined);
    session.type('cat file; exit\r');
    await session.until(({ ended }) => ended !== undefined);
    assert.match(session.text, /kept\r\n/);
    const { ssmSession: direct } = await bench.codebuild.startSandboxConnection({ sandboxId: id });
    open = new PluginSession({ ...direct, streamUrl: direct!.streamUrl!.replace(/^ws:..[^/]+/, worker.endpoint.replace('http', 'ws')) });
    await open.until(({ handshake }) => handshake !== undefined);
  } finally {
    await server.restart({ args: [] });
    await worker.stop();
  }
  await open.until(({ ended }) => ended !== undefined);
  assert.equal((await boxes.run(id, 'cat file')).standardOutputContent, 'kept\n');
});
