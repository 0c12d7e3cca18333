/** Configuration, identity, and the ways to the server that they describe. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm, utimes, writeFile } from 'node:fs/promises';
import { createServer } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { connectCommandService } from './command-service.ts';
import { loadConfig } from './config.ts';
import { loadIdentity } from './credentials.ts';
import { openTransport } from './http.ts';
import { createTlsIdentity } from './testing-signer.ts';

let directory: string;
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'penstock-config-'));
});
after(() => rm(directory, { recursive: true, force: true }));

async function file(name: string, content: string): Promise<string> {
  await writeFile(join(directory, name), content);
  return join(directory, name);
}

const MINIMUM = ':root_dir: data\n:deploy_control_endpoint: http://127.0.0.1:8080\nsigner_ca_file: /etc/ca.pem\n';

test("the AWS agent's keys and plain ones are read, and file names count from the file", async () => {
  const config = await loadConfig(
    await file('a.yml', `${MINIMUM}:verbose: true\nmax_revisions: 2\n:wait_between_runs: 3\nroot: sandbox\n`),
  );
  assert.equal(config.rootDir, join(directory, 'data'));
  assert.equal(config.logDir, join(directory, 'data/logs'));
  assert.equal(config.root, join(directory, 'sandbox'));
  assert.equal(config.s3Endpoint.href, 'http://127.0.0.1:8080/');
  assert.equal(config.onPremisesConfigFile, '/etc/codedeploy-agent/conf/codedeploy.onpremises.yml');
  assert.deepEqual([config.verbose, config.maxRevisions, config.waitBetweenRunsSeconds], [true, 2, 3]);
  assert.equal((await loadConfig(await file('b.yml', MINIMUM), { root: '/elsewhere' })).root, '/elsewhere');
});

test('settings that cannot be used are named', async () => {
  const cases: [string, RegExp][] = [
    [':root_dir: x\n', /deploy_control_endpoint is required/],
    [MINIMUM.replace('http://127.0.0.1:8080', 'ftp://x'), /must be an http or https URL/],
    [`${MINIMUM}max_revisions: 0\n`, /max_revisions must be a number from 1/],
    [`${MINIMUM}verbose: maybe\n`, /verbose must be true or false/],
    ['- a\n', /must hold settings/],
    ['a: [\n', /not valid YAML/],
  ];
  for (const [content, expected] of cases) await assert.rejects(loadConfig(await file('bad.yml', content)), expected);
});

test("a session's keys are read again when their file changes", async () => {
  const credentials = await file(
    'credentials',
    '[other]\naws_access_key_id = NO\n[default]\naws_access_key_id=A1\naws_secret_access_key = s\naws_session_token=t1\n',
  );
  const identity = await loadIdentity(
    await file(
      'session.yml',
      `region: eu-west-1\niam_session_arn: arn:aws:sts::1:assumed-role/r/box\naws_credentials_file: ${credentials}\n`,
    ),
  );
  assert.equal(identity.hostIdentifier, 'arn:aws:sts::1:assumed-role/r/box');
  assert.deepEqual(await identity.credentials(), { accessKeyId: 'A1', secretAccessKey: 's', sessionToken: 't1' });
  await file('credentials', '[default]\naws_access_key_id=A2\naws_secret_access_key=s\naws_session_token=t2\n');
  await utimes(credentials, new Date(), new Date(Date.now() + 5000));
  assert.equal((await identity.credentials()).accessKeyId, 'A2');

  await assert.rejects(loadIdentity(await file('none.yml', 'region: x\n')), /aws_access_key_id is required/);
  await assert.rejects(loadIdentity(join(directory, 'missing.yml')), /cannot be read/);
});

test('a TLS server is trusted by the ca_file and by nothing else', async (t) => {
  const tls = await createTlsIdentity('127.0.0.1');
  const server = createServer({ key: tls.key, cert: tls.certificate }, (_request, response) => response.end('{}'));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());

  const url = `https://127.0.0.1:${(server.address() as { port: number }).port}`;
  const config = await loadConfig(await file('tls.yml', MINIMUM.replace('http://127.0.0.1:8080', url)));
  const identity = {
    region: 'eu-west-1',
    hostIdentifier: 'arn:aws:iam::1:user/box',
    credentials: async () => ({ accessKeyId: 'a', secretAccessKey: 's' }),
  };
  const poll = async (ca: string | undefined) => {
    const transport = openTransport(config, identity, ca);
    try {
      return await connectCommandService(config, identity, transport).poll(new AbortController().signal);
    } finally {
      transport.close();
    }
  };
  assert.equal(await poll(tls.certificate), undefined);
  await assert.rejects(poll(undefined), /self[- ]signed|unable to verify/i);
});
