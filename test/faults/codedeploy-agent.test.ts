/** The real agent and the real server, one or the other killed while a script runs: the script runs once, and its end is told. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { PutObjectCommand } from '@aws-sdk/client-s3';
import { zipOf } from '../../src/agent/testing.ts';
import { Rollouts, s3 } from '../support/codedeploy.ts';
import { cleanEnvironment, startServer, type TestServer } from '../support/server.ts';

const main = path.join(import.meta.dirname, '..', '..', 'src', 'main.ts');

let server: TestServer;
let rollouts: Rollouts;
let folder: string;
let agent: ChildProcess;
let agentLog = '';

before(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'penstock-agent-fault-'));
  server = await startServer();
  rollouts = await Rollouts.open(server);
  await rollouts.application('Web');
  const { identity, credentials } = await rollouts.host('web-1', { Fleet: 'Web' });
  const onPremises = [
    `region: ${server.region}`,
    `iam_user_arn: ${identity}`,
    `aws_access_key_id: ${credentials.accessKeyId}`,
    `aws_secret_access_key: ${credentials.secretAccessKey}`,
  ];
  await writeFile(at('onpremises.yml'), onPremises.join('\n'));
  const settings = [
    `root_dir: ${at('agent')}`,
    `on_premises_config_file: ${at('onpremises.yml')}`,
    `deploy_control_endpoint: ${server.endpoint}`,
    `signer_ca_file: ${server.caFile}`,
    'wait_between_runs: 0',
    'kill_agent_max_wait_time_seconds: 1',
  ];
  await writeFile(at('agent.yml'), settings.join('\n'));
  startAgent();
});
after(async () => {
  await killAgent('SIGTERM');
  await rollouts?.close();
  await server?.stop();
  await rm(folder, { recursive: true, force: true });
});

const at = (...parts: string[]): string => path.join(folder, ...parts);

function startAgent(): void {
  agent = spawn(process.execPath, [main, 'agent', '--config', at('agent.yml'), '--root', at('host')], {
    env: cleanEnvironment(),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  for (const stream of [agent.stdout!, agent.stderr!]) {
    stream.on('data', (chunk) => {
      agentLog += chunk;
    });
  }
}

async function killAgent(signal: NodeJS.Signals): Promise<void> {
  if (!agent || agent.exitCode !== null || agent.signalCode !== null) return;
  const ended = once(agent, 'exit');
  agent.kill(signal);
  await ended;
}

/** Deploys a revision whose AfterInstall notes that it began, waits for the file `go`, and notes that it ended. */
async function deploySlow(name: string): Promise<string> {
  const script = [
    '#!/bin/sh',
    `echo began >> ${at(name)}`,
    `while [ ! -e ${at(`${name}-go`)} ]; do sleep 0.05; done`,
    `echo ended >> ${at(name)}`,
  ];
  const appspec = ['version: 0.0', 'os: linux', 'hooks:', '  AfterInstall:', '    - location: slow.sh'];
  const Body = await zipOf({ 'appspec.yml': appspec.join('\n'), 'slow.sh': script.join('\n') });
  await rollouts.s3.send(new PutObjectCommand({ Bucket: 'revisions', Key: `${name}.zip`, Body }));
  const id = await rollouts.deploy('Web', s3(`${name}.zip`));
  while (!(await notes(name)).startsWith('began')) await delay(20);
  return id;
}

const notes = (name: string): Promise<string> => readFile(at(name), 'utf8').catch(() => '');

test('an agent that is killed while a script runs says so when it is back, and does not run it again', { timeout: 60_000 }, async () => {
  const id = await deploySlow('agent-killed');
  await killAgent('SIGKILL');
  startAgent();
  const info = await rollouts.settled(id);
  assert.equal(info.status, 'Failed', agentLog);
  const failed = (await rollouts.target(id, 'web-1')).lifecycleEvents!.find(({ status }) => status === 'Failed')!;
  assert.equal(failed.lifecycleEventName, 'AfterInstall');
  assert.match(failed.diagnostics!.message!, /agent restart/);
  assert.equal(await notes('agent-killed'), 'began\n');
});

test('a server that is killed while a script runs hears of its end when it is back', { timeout: 60_000 }, async () => {
  const id = await deploySlow('server-killed');
  await server.kill();
  await writeFile(at('server-killed-go'), '');
  while ((await notes('server-killed')) !== 'began\nended\n') await delay(20);
  await server.restart();
  assert.equal((await rollouts.settled(id)).status, 'Succeeded', agentLog);
  assert.equal(await notes('server-killed'), 'began\nended\n');
});

test('after both were killed the next deployment goes as if nothing had been', { timeout: 60_000 }, async () => {
  const id = await deploySlow('both-killed');
  await Promise.all([server.kill(), killAgent('SIGKILL')]);
  startAgent();
  await server.restart();
  assert.equal((await rollouts.settled(id)).status, 'Failed', agentLog);
  assert.equal(await notes('both-killed'), 'began\n');
  await writeFile(at('next-go'), '');
  const next = await rollouts.settled(await deploySlow('next'));
  assert.equal(next.status, 'Succeeded', agentLog);
  assert.equal(await notes('next'), 'began\nended\n');
});
