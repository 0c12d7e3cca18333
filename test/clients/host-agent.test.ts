/** Penstock's own agent, in processes of its own, against the real server over TLS: deployments, a failing hook, and kills of both. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, watch, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { after, before, test } from 'node:test';
import { PutObjectCommand } from '@aws-sdk/client-s3';
import { ZipFile } from 'yazl';
import { Rollouts } from '../support/codedeploy.ts';
import { startServer, type TestServer } from '../support/server.ts';

const PENSTOCK = join(import.meta.dirname, '../../src/main.ts');

let server: TestServer;
let rollouts: Rollouts;
let directory: string;
const agents: ChildProcess[] = [];

before(async () => {
  server = await startServer();
  rollouts = await Rollouts.open(server);
  directory = await mkdtemp(join(tmpdir(), 'penstock-hosts-'));
});
after(async () => {
  for (const agent of agents) agent.kill('SIGKILL');
  await rollouts?.close();
  await server?.stop();
  await rm(directory, { recursive: true, force: true });
});

/** Registers a host of an application and writes its agent's files. */
async function prepareHost(name: string, application: string) {
  const { identity, credentials } = await rollouts.host(name, { Fleet: application });
  const home = join(directory, name);
  const root = join(home, 'root');
  await mkdir(root, { recursive: true });
  await writeFile(
    join(home, 'onpremises.yml'),
    `region: ${server.region}\niam_user_arn: ${identity}\naws_access_key_id: ${credentials.accessKeyId}\naws_secret_access_key: ${credentials.secretAccessKey}\n`,
  );
  const config = join(home, 'agent.yml');
  await writeFile(
    config,
    [
      `:root_dir: ${home}/data`,
      ':on_premises_config_file: onpremises.yml',
      `:deploy_control_endpoint: ${server.tlsEndpoint}`,
      `ca_file: ${server.caFile}`,
      `signer_ca_file: ${server.caFile}`,
    ].join('\n'),
  );
  const start = () => {
    const agent = spawn(process.execPath, [PENSTOCK, 'agent', '--config', config, '--root', root], {
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    agents.push(agent);
    return agent;
  };
  return { name, root, start };
}

/** Puts a revision with one hook into the bucket. */
async function revisionOf(key: string, event: string, script: string) {
  const zip = new ZipFile();
  const appspec = `version: 0.0\nos: linux\nfiles:\n  - source: version.txt\n    destination: /srv/app\nhooks:\n  ${event}:\n    - location: hook.sh\n`;
  zip.addBuffer(Buffer.from(appspec), 'appspec.yml');
  zip.addBuffer(Buffer.from(key), 'version.txt');
  zip.addBuffer(Buffer.from(script), 'hook.sh');
  zip.end();
  const revision = await rollouts.revision(key);
  await rollouts.s3.send(new PutObjectCommand({ Bucket: revision.s3Location!.bucket, Key: key, Body: await buffer(zip.outputStream) }));
  return revision;
}

/** Waits until a file is in a directory. */
async function appears(path: string): Promise<void> {
  const changes = watch(join(path, '..'));
  while (!(await readFile(path).catch(() => undefined))) {
    for await (const _ of changes) break;
  }
}

const SLOW = '#!/bin/sh\necho run >> "$PENSTOCK_ROOT/runs"\nwhile [ ! -e "$PENSTOCK_ROOT/go" ]; do sleep 0.1; done\n';

test('a revision is installed on two hosts; one that fails to start says why', async () => {
  await rollouts.application('Shop', { deploymentConfigName: 'CodeDeployDefault.AllAtOnce' });
  const hosts = [await prepareHost('shop1', 'Shop'), await prepareHost('shop2', 'Shop')];
  const running = hosts.map((host) => host.start());
  const good = await rollouts.deploy('Shop', await revisionOf('good.zip', 'ValidateService', '#!/bin/sh\necho fine\n'));
  await rollouts.settled(good, ['Succeeded']);
  for (const { root } of hosts) assert.equal(await readFile(join(root, 'srv/app/version.txt'), 'utf8'), 'good.zip');

  const bad = await rollouts.deploy('Shop', await revisionOf('bad.zip', 'ApplicationStart', '#!/bin/sh\necho no licence >&2\nexit 3\n'));
  await rollouts.settled(bad, ['Failed']);
  const { lifecycleEvents } = await rollouts.target(bad, 'shop1');
  const event = lifecycleEvents!.find(({ lifecycleEventName }) => lifecycleEventName === 'ApplicationStart')!;
  assert.equal(event.status, 'Failed');
  assert.equal(event.diagnostics!.errorCode, 'ScriptFailed');
  assert.equal(event.diagnostics!.scriptName, 'hook.sh');
  assert.match(event.diagnostics!.logTail!, /\[stderr\]no licence/);

  for (const agent of running) {
    agent.kill('SIGTERM');
    await once(agent, 'close');
    assert.equal(agent.exitCode, 0);
  }
});

test('the server killed while a hook runs: the deployment goes on, and the hook ran once', async () => {
  await rollouts.application('Bank');
  const host = await prepareHost('bank1', 'Bank');
  host.start();
  const deployment = await rollouts.deploy('Bank', await revisionOf('bank.zip', 'AfterInstall', SLOW));
  await appears(join(host.root, 'runs'));
  await server.kill();
  await writeFile(join(host.root, 'go'), '');
  await server.restart();
  await rollouts.settled(deployment, ['Succeeded']);
  assert.equal(await readFile(join(host.root, 'runs'), 'utf8'), 'run\n');
});

test('the agent killed while a hook runs: the event has failed after its restart, and the hook ran once', async () => {
  await rollouts.application('Mill');
  const host = await prepareHost('mill1', 'Mill');
  const agent = host.start();
  const deployment = await rollouts.deploy('Mill', await revisionOf('mill.zip', 'AfterInstall', SLOW));
  await appears(join(host.root, 'runs'));
  agent.kill('SIGKILL');
  await once(agent, 'close');
  host.start();
  await rollouts.settled(deployment, ['Failed']);
  const { lifecycleEvents } = await rollouts.target(deployment, 'mill1');
  const event = lifecycleEvents!.find(({ lifecycleEventName }) => lifecycleEventName === 'AfterInstall')!;
  assert.match(event.diagnostics!.message!, /after an agent restart/);
  assert.equal(await readFile(join(host.root, 'runs'), 'utf8'), 'run\n');
});
