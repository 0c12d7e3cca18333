/** The agent against a server that speaks the command protocol: order of calls, signatures, redelivery, revisions on disk. */
import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { HOST, modeOf, startAgent, treeOf, zipOf } from './testing.ts';
import { createSigner, type Signer } from './testing-signer.ts';

let signer: Signer;
before(async () => {
  signer = await createSigner();
});

const bundle = (version: string, extra = '') => ({
  'appspec.yml': [
    'version: 0.0',
    'os: linux',
    'files:',
    '  - source: /web',
    '    destination: /srv/app',
    '  - source: etc/app.conf',
    '    destination: /etc/app',
    'hooks:',
    '  ApplicationStop:',
    '    - location: scripts/stop.sh',
    '  ApplicationStart:',
    '    - location: scripts/start.sh',
    extra,
  ].join('\n'),
  'web/index.html': version,
  [`web/only-${version}.txt`]: version,
  'etc/app.conf': `version=${version}`,
  'scripts/stop.sh': `#!/bin/sh\necho stopping ${version}\n`,
  'scripts/start.sh': `#!/bin/sh\necho starting ${version}\n`,
});

test('a deployment installs the revision, the next one replaces it, and the old revision stops the application', async (t) => {
  const { server, deploy, root, deploymentRoot } = await startAgent(t, signer);
  const first = await deploy(bundle('one'));
  assert.deepEqual(
    first.map(({ status }) => status),
    Array(7).fill('Succeeded'),
  );
  assert.deepEqual(first[0]!.diagnostics, { error_code: 0, script_name: '', message: 'Succeeded: ', log: '' }, 'nothing to stop before');
  assert.match(first[5]!.diagnostics.log, /^LifecycleEvent - ApplicationStart\nScript - scripts\/start.sh\n\[stdout\]starting one\n$/);
  assert.deepEqual(await treeOf(root), { 'srv/app/index.html': 'one', 'srv/app/only-one.txt': 'one', 'etc/app/app.conf': 'version=one' });

  const second = await deploy(bundle('two'));
  assert.match(second[0]!.diagnostics.log, /\[stdout\]stopping one\n/);
  assert.deepEqual(await treeOf(root), { 'srv/app/index.html': 'two', 'srv/app/only-two.txt': 'two', 'etc/app/app.conf': 'version=two' });

  const instructions = await treeOf(join(deploymentRoot, 'deployment-instructions'));
  const last = join(deploymentRoot, 'group-1', 'd-2');
  assert.equal(instructions['group-1_last_successful_install'], last);
  assert.equal(instructions['group-1_most_recent_install'], last);
  assert.deepEqual(instructions['group-1-cleanup']!.trimEnd().split('\n'), [
    join(root, 'srv'),
    join(root, 'srv/app'),
    join(root, 'srv/app/index.html'),
    join(root, 'srv/app/only-two.txt'),
    join(root, 'etc'),
    join(root, 'etc/app'),
    join(root, 'etc/app/app.conf'),
  ]);
  assert.deepEqual(JSON.parse(instructions['group-1-install.json']!).instructions[2], {
    type: 'copy',
    source: join(last, 'deployment-archive/web/index.html'),
    destination: join(root, 'srv/app/index.html'),
  });
  assert.match(
    await readFile(join(last, 'logs/scripts.log'), 'utf8'),
    /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d LifecycleEvent - ApplicationStart\n/,
  );
  const all = await readFile(join(deploymentRoot, 'deployment-logs/codedeploy-agent-deployments.log'), 'utf8');
  assert.match(all, /^\[[-\d]+ [:.\d]+\] \[d-2\]\[stdout\]starting two$/m);
  assert.deepEqual(await readdir(join(deploymentRoot, 'ongoing-deployment')), [], 'no event is under way');
  assert.equal(await modeOf(join(root, 'srv/app/index.html')), '644');

  const calls = server.calls.filter(({ operation }) => operation !== 'PollHostCommand').slice(0, 3);
  assert.deepEqual(
    calls.map(({ operation }) => operation),
    ['GetDeploymentSpecification', 'PutHostCommandAcknowledgement', 'PutHostCommandComplete'],
  );
  assert.equal(calls[0]!.input.HostIdentifier, HOST);
  assert.deepEqual(calls[1]!.input.Diagnostics, { Format: 'JSON', Payload: '{"IsCommandNoop":true}' });
  assert.match(
    calls[0]!.headers.authorization!,
    /\/eu-west-1\/codedeploy-commands\/aws4_request, SignedHeaders=.*x-amz-codedeploy-agent-version/,
  );
  const acks = server.calls.filter(({ operation }) => operation === 'PutHostCommandAcknowledgement').slice(0, 7);
  assert.deepEqual(
    acks.map(({ input }) => JSON.parse(input.Diagnostics.Payload).IsCommandNoop),
    [true, false, true, false, true, false, true],
    'only what has scripts, the download and the installation have something to do',
  );
});

test('a command delivered again is not run again, only reported again', async (t) => {
  const { server, deploy } = await startAgent(t, signer);
  await deploy(bundle('one', '  AfterInstall:\n    - location: scripts/start.sh\n'), { events: ['DownloadBundle', 'Install'] });
  const spec = { deployment: 'd-1', key: 'd-1.zip' };
  const first = await server.run('AfterInstall', spec, 'twice');
  const second = server.completion('twice');
  server.deliver('AfterInstall', spec, 'twice');
  assert.deepEqual(await second, first);
  const acks = server.calls.filter(
    ({ operation, input }) => operation === 'PutHostCommandAcknowledgement' && input.HostCommandIdentifier === 'twice',
  );
  assert.equal(acks.length, 1);
});

test('an acknowledgement answered with an end stops the command', async (t) => {
  const { server, deploy, root, stop } = await startAgent(t, signer);
  await deploy(bundle('one'), { events: ['DownloadBundle'] });
  for (const id of ['noop', 'cancelled']) server.ackStatuses.set(id, 'Failed');
  const noop = await server.run('BeforeInstall', { deployment: 'd-1', key: 'd-1.zip' }, 'noop');
  assert.equal(noop.diagnostics.message, 'Succeeded: CompletedNoopCommand');
  server.deliver('Install', { deployment: 'd-1', key: 'd-1.zip' }, 'cancelled');
  await server.run('ValidateService', { deployment: 'd-1', key: 'd-1.zip' });
  await stop();
  assert.deepEqual(await treeOf(root), {});
  assert.ok(
    !server.calls.some(({ operation, input }) => operation === 'PutHostCommandComplete' && input.HostCommandIdentifier === 'cancelled'),
  );
});

test('a specification without a good signature is refused and nothing of it happens', async (t) => {
  const { server, root } = await startAgent(t, signer);
  server.objects.set('bundles/a.zip', await zipOf(bundle('one')));
  const attempt = async () => (await server.run('DownloadBundle', { deployment: 'd-1', key: 'a.zip' })).diagnostics;
  const genuine = server.envelope;

  const refusals: [string, typeof genuine, RegExp][] = [
    [
      'of another authority',
      async (text) => ({ Format: 'PKCS7/JSON', Payload: await (await createSigner()).sign(text) }),
      /Validation of PKCS7/,
    ],
    [
      'by a certificate that is over',
      async (text) => ({ Format: 'PKCS7/JSON', Payload: await (await createSigner({ days: -1 })).sign(text) }),
      /Validation/,
    ],
    [
      'that is plain text',
      async (text) => ({ Format: 'TEXT/JSON', Payload: text }),
      /^Unsupported DeploymentSpecification format: TEXT\/JSON$/,
    ],
    ['that is not PKCS7', async (text) => ({ Format: 'PKCS7/JSON', Payload: text }), /not in PEM form/],
    [
      'over other content',
      async (text) => {
        const { Payload } = await genuine(text);
        const der = Buffer.from(Payload.replace(/-----.*?-----/g, ''), 'base64');
        const at = der.indexOf('"Shop"');
        assert.ok(at > 0);
        der.write('"Evil"', at);
        return { Format: 'PKCS7/JSON', Payload: `-----BEGIN PKCS7-----\n${der.toString('base64')}\n-----END PKCS7-----\n` };
      },
      /Validation of PKCS7/,
    ],
  ];
  for (const [name, envelope, expected] of refusals) {
    server.envelope = envelope;
    const { error_code, message } = await attempt();
    assert.equal(error_code, 5, name);
    assert.match(message, expected, name);
  }
  assert.ok(!server.calls.some(({ operation }) => operation === 'GetObject' || operation === 'PutHostCommandAcknowledgement'));
  assert.deepEqual(await treeOf(root), {});
  server.envelope = genuine;
  assert.equal((await attempt()).error_code, 0);
});

test('a certificate for TLS servers does not sign specifications', async (t) => {
  const tls = await createSigner({ purposes: ['1.3.6.1.5.5.7.3.1'] });
  const { server } = await startAgent(t, tls);
  const { diagnostics } = await server.run('DownloadBundle', { deployment: 'd-1', key: 'a.zip' });
  assert.match(diagnostics.message, /not for signing messages/);
});

test('a bundle that is missing, another one, or no archive fails DownloadBundle', async (t) => {
  const { server, deploy } = await startAgent(t, signer);
  const missing = await server.run('DownloadBundle', { deployment: 'd-9', key: 'none.zip' });
  assert.match(missing.diagnostics.message, /s3:\/\/bundles\/none.zip could not be downloaded: NoSuchKey/);
  const [other] = await deploy(bundle('one'), { events: ['DownloadBundle'], spec: { etag: 'feed' } });
  assert.match(other!.diagnostics.message, /^Expected deployment artifact bundle etag feed but was actually "[0-9a-f]{32}"$/);
  const [garbage] = await deploy(Buffer.from('not a zip'), { events: ['DownloadBundle'] });
  assert.match(garbage!.diagnostics.message, /^The bundle cannot be unpacked: /);
  const [bare] = await deploy({ 'readme.txt': 'no appspec' }, { events: ['DownloadBundle'] });
  assert.equal(bare!.diagnostics.message, 'appspec file is not found.');
});

test('old revisions are pruned, but never the last installed one', async (t) => {
  const { deploy, deploymentRoot } = await startAgent(t, signer, { ':max_revisions:': 2 });
  await deploy(bundle('installed'), { deployment: 'd-installed' });
  for (const id of ['d-a', 'd-b', 'd-c']) await deploy(bundle(id), { deployment: id, events: ['DownloadBundle'] });
  assert.deepEqual((await readdir(join(deploymentRoot, 'group-1'))).sort(), ['d-c', 'd-installed']);
});

test('the agent outlasts a server that fails, and ids that would leave its directory are refused', async (t) => {
  const { server, deploy } = await startAgent(t, signer);
  server.failure = { status: 503, body: 'starting' };
  const [completion] = await Promise.all([
    deploy(bundle('one'), { events: ['DownloadBundle'] }),
    new Promise<void>((resolve) => setTimeout(resolve, 100)).then(() => {
      server.failure = undefined;
    }),
  ]);
  assert.equal(completion[0]!.status, 'Succeeded');
  const outside = await server.run('DownloadBundle', { deployment: '../../etc', key: 'd-1.zip' });
  assert.equal(outside.diagnostics.message, 'DeploymentId is not a valid id: "../../etc"');
  const unknown = await server.run('Reboot', { deployment: 'd-1', key: 'd-1.zip' });
  assert.equal(unknown.diagnostics.message, 'Unsupported command type: Reboot.');
  const github = await server.run('DownloadBundle', {
    deployment: 'd-1',
    key: 'd-1.zip',
    Revision: { RevisionType: 'GitHub', GitHubRevision: {} },
  });
  assert.match(github.diagnostics.message, /type GitHub are not supported/);
});
