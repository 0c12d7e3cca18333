/** From `aws deploy push` to files on a host: the AWS CLI, the server and our own agent, each as its users run it. */
import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { Rollouts } from '../support/codedeploy.ts';
import { cleanEnvironment, startServer, type TestServer } from '../support/server.ts';

const run = promisify(execFile);
// The `push` and `register` of other major versions do not heed AWS_ENDPOINT_URL.
const version = await run('aws', ['--version']).then(
  ({ stdout, stderr }) => /aws-cli\/(\d+)/.exec(stdout + stderr)?.[1],
  () => undefined,
);
const main = path.join(import.meta.dirname, '..', '..', 'src', 'main.ts');

describe('aws deploy', { skip: version === '1' ? false : 'there is no AWS CLI of version 1' }, () => {
  let server: TestServer;
  let rollouts: Rollouts;
  let folder: string;
  let agent: ChildProcess | undefined;
  let agentLog = '';

  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'penstock-deploy-'));
    server = await startServer();
    rollouts = await Rollouts.open(server);
    await rollouts.application('Web');
  });
  after(async () => {
    if (agent && agent.exitCode === null) {
      const ended = once(agent, 'exit');
      agent.kill('SIGTERM');
      await ended;
    }
    await rollouts?.close();
    await server?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  async function aws(...args: string[]): Promise<string> {
    const { stdout } = await run('aws', ['deploy', ...args], { env: server.env, cwd: folder });
    return stdout;
  }

  const at = (...parts: string[]): string => path.join(folder, ...parts);
  const installed = (name: string): Promise<string> => readFile(at('host', 'srv', 'web', name), 'utf8');
  const exists = (file: string): Promise<boolean> =>
    stat(file).then(
      () => true,
      () => false,
    );

  async function source(files: Record<string, string>): Promise<void> {
    await rm(at('source'), { recursive: true, force: true });
    const appspec = [
      'version: 0.0',
      'os: linux',
      'files:',
      '  - source: /pages',
      '    destination: /srv/web',
      'hooks:',
      '  ApplicationStop:',
      '    - location: scripts/stop.sh',
      '  ValidateService:',
      '    - location: scripts/validate.sh',
      '      timeout: 30',
    ].join('\n');
    for (const [name, content] of Object.entries({ 'appspec.yml': appspec, ...files })) {
      await mkdir(path.dirname(at('source', name)), { recursive: true });
      await writeFile(at('source', name), content);
    }
  }

  async function push(key: string): Promise<object> {
    await aws('push', '--application-name', 'Web', '--s3-location', `s3://revisions/${key}`, '--source', 'source', '--description', key);
    return { revisionType: 'S3', s3Location: { bucket: 'revisions', key, bundleType: 'zip' } };
  }

  async function deploy(revision: object, ...more: string[]): Promise<string> {
    const base = ['--application-name', 'Web', '--deployment-group-name', 'Fleet', '--revision', JSON.stringify(revision)];
    return JSON.parse(await aws('create-deployment', ...base, ...more, '--output', 'json')).deploymentId;
  }

  const scripts = {
    'scripts/stop.sh': '#!/bin/sh\necho stopped $DEPLOYMENT_GROUP_NAME\n',
    'scripts/validate.sh': '#!/bin/sh\necho validating $APPLICATION_NAME $LIFECYCLE_EVENT\n',
  };

  test('push registers the revision it uploads', async () => {
    await source({ 'pages/index.html': 'one', 'pages/old.html': 'old', ...scripts });
    await push('one.zip');
    const { revisions } = JSON.parse(await aws('list-application-revisions', '--application-name', 'Web', '--output', 'json'));
    assert.equal(revisions.length, 1);
    assert.match(revisions[0].s3Location.eTag, /^[0-9a-f]{32}/);
    const asked = ['get-application-revision', '--application-name', 'Web', '--revision', JSON.stringify(revisions[0]), '--output', 'json'];
    assert.equal(JSON.parse(await aws(...asked)).revisionInfo.description, 'one.zip');
  });

  test('register makes a host, with the file that its agent reads', async () => {
    await aws('register', '--instance-name', 'Box1', '--tags', 'Key=Fleet,Value=Web', '--region', server.region);
    assert.match(await readFile(at('codedeploy.onpremises.yml'), 'utf8'), /iam_user_arn: arn:aws:iam::\d{12}:user\/AWS\/CodeDeploy\/Box1/);
    const settings = [
      `:root_dir: ${at('agent')}`,
      `:log_dir: ${at('agent-log')}`,
      `:on_premises_config_file: ${at('codedeploy.onpremises.yml')}`,
      `:deploy_control_endpoint: ${server.endpoint}`,
      `:s3_endpoint_override: ${server.endpoint}`,
      `:signer_ca_file: ${server.caFile}`,
      ':wait_between_runs: 0',
    ];
    await writeFile(at('agent.yml'), settings.join('\n'));
    agent = spawn(process.execPath, [main, 'agent', '--config', at('agent.yml'), '--root', at('host')], {
      env: cleanEnvironment(),
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    agent.stdout!.on('data', (chunk) => (agentLog += chunk));
    agent.stderr!.on('data', (chunk) => (agentLog += chunk));
  });

  test('create-deployment installs it', async () => {
    const [revision] = JSON.parse(await aws('list-application-revisions', '--application-name', 'Web', '--output', 'json')).revisions;
    const info = await rollouts.settled(await deploy(revision));
    assert.equal(info.status, 'Succeeded', agentLog);
    assert.equal(await installed('index.html'), 'one');
    const target = await rollouts.target(info.deploymentId!, 'Box1');
    assert.match(target.lifecycleEvents![6]!.diagnostics!.logTail!, /validating Web ValidateService/);
  });

  test('the next revision replaces the files of the last', async () => {
    await source({ 'pages/index.html': 'two', ...scripts });
    const id = await deploy(await push('two.zip'));
    assert.equal((await rollouts.settled(id)).status, 'Succeeded', agentLog);
    assert.equal(await installed('index.html'), 'two');
    assert.equal(await exists(at('host', 'srv', 'web', 'old.html')), false);
    const [stop] = (await rollouts.target(id, 'Box1')).lifecycleEvents!;
    assert.match(stop!.diagnostics!.logTail!, /stopped Fleet/);
  });

  test('a script that fails is shown as it failed, and the last good revision comes back', async () => {
    await source({ 'pages/index.html': 'three', ...scripts, 'scripts/validate.sh': '#!/bin/sh\necho no good >&2\nexit 7\n' });
    const rollback = ['--auto-rollback-configuration', 'enabled=true,events=DEPLOYMENT_FAILURE'];
    const id = await deploy(await push('three.zip'), ...rollback);
    const info = await rollouts.settled(id);
    assert.equal(info.status, 'Failed');
    const { diagnostics } = (await rollouts.target(id, 'Box1')).lifecycleEvents!.find(({ status }) => status === 'Failed')!;
    assert.equal(diagnostics!.errorCode, 'ScriptFailed');
    assert.equal(diagnostics!.scriptName, 'scripts/validate.sh');
    assert.match(diagnostics!.message!, /exit code 7/);
    assert.match(diagnostics!.logTail!, /\[stderr\]no good/);
    assert.equal((await rollouts.settled(info.rollbackInfo!.rollbackDeploymentId!)).status, 'Succeeded', agentLog);
    assert.equal(await installed('index.html'), 'two');
  });

  test('deregister takes the host and its user away', async () => {
    await aws('deregister', '--instance-name', 'Box1', '--region', server.region);
    const { instanceNames } = JSON.parse(
      await aws('list-on-premises-instances', '--registration-status', 'Registered', '--output', 'json'),
    );
    assert.deepEqual(instanceNames, []);
    assert.ok((await readdir(at('agent'))).length > 0, 'what was deployed stays');
  });
});
