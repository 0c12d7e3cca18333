/** How scripts are run and how they fail: codes, environment, time-outs, outputs, accounts. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { identify } from './processes.ts';
import { md5, startAgent, type TestAgent, tarOf, zipOf } from './testing.ts';
import { createSigner, type Signer } from './testing-signer.ts';

let signer: Signer;
before(async () => {
  signer = await createSigner();
});

/** Deploys a revision whose BeforeInstall is one script, and answers with what came of that. */
async function runHook(agent: TestAgent, script: string, options: { keys?: string; mode?: 'missing' | 'plain' } = {}) {
  const name = options.mode === 'plain' ? 'hook' : 'hook.sh';
  const bundle = {
    'appspec.yml': `version: 0.0\nos: linux\nhooks:\n  BeforeInstall:\n    - location: ${name}\n${options.keys ?? ''}`,
    ...(options.mode !== 'missing' && { [name]: script }),
  };
  const completions = await agent.deploy(bundle, { events: ['DownloadBundle', 'BeforeInstall'] });
  assert.equal(completions.length, 2, JSON.stringify(completions));
  return completions[1]!;
}

test('each way to fail has its code and message', async (t) => {
  const agent = await startAgent(t, signer);
  const missing = await runHook(agent, '', { mode: 'missing' });
  assert.deepEqual(missing.diagnostics, {
    error_code: 1,
    script_name: 'hook.sh',
    message: 'Script does not exist at specified location: hook.sh',
    log: 'LifecycleEvent - BeforeInstall\n',
  });

  const plain = await runHook(agent, '#!/bin/sh\necho ran\n', { mode: 'plain' });
  assert.equal(plain.status, 'Succeeded', 'a script that is not executable is made so');
  assert.match(plain.diagnostics.log, /\[stdout\]ran/);

  const failed = await runHook(agent, '#!/bin/sh\necho out\necho err >&2\nexit 3\n');
  assert.equal(failed.diagnostics.error_code, 4);
  assert.equal(failed.diagnostics.message, 'Script at specified location: hook.sh failed with exit code 3');
  assert.match(failed.diagnostics.log, /^\[stdout\]out$/m);
  assert.match(failed.diagnostics.log, /^\[stderr\]err$/m);

  const crashed = await runHook(agent, '#!/bin/sh\nkill -SEGV $$\n');
  assert.match(crashed.diagnostics.message, /failed with signal SIGSEGV$/);

  const interpreter = await runHook(agent, '#!/nowhere/sh\n');
  assert.equal(interpreter.diagnostics.error_code, 4);
  assert.match(interpreter.diagnostics.message, /exit code 12[67]$/);

  const appSpec = await agent.deploy({ 'appspec.yml': 'version: 1.0\nos: linux\n' }, { events: ['DownloadBundle', 'BeforeInstall'] });
  assert.equal(appSpec[1]!.diagnostics.error_code, 5);
  assert.match(appSpec[1]!.diagnostics.message, /invalid version value \(1\)/);
});

test('a script that uses up its time is ended with everything it started, even what ignores TERM', async (t) => {
  const agent = await startAgent(t, signer);
  const script = `#!/bin/sh\nsh -c 'trap "" TERM; echo $$; while :; do sleep 1; done'\n`;
  const { diagnostics } = await runHook(agent, script, { keys: '      timeout: 1\n' });
  assert.equal(diagnostics.error_code, 3);
  assert.equal(diagnostics.message, 'Script at specified location: hook.sh failed to complete in 1 seconds');
  const child = Number(/\[stdout\](\d+)/.exec(diagnostics.log)![1]);
  assert.equal(identify(child), undefined);
});

test('outputs that a child keeps open after the script fail the event, and one that closed them is left alone', async (t) => {
  const agent = await startAgent(t, signer);
  const open = await runHook(agent, '#!/bin/sh\necho before\nsleep 30 &\necho $! > $PENSTOCK_ROOT/pid\n', { keys: '      timeout: 1\n' });
  assert.equal(open.diagnostics.error_code, 6);
  assert.match(open.diagnostics.message, /failed to close STDOUT or STDERR/);
  process.kill(Number(await readFile(join(agent.root, 'pid'), 'utf8')));

  const closed = await runHook(agent, '#!/bin/sh\nsleep 30 < /dev/null > /dev/null 2>&1 &\necho $! > $PENSTOCK_ROOT/pid\n', {
    keys: '      timeout: 5\n',
  });
  assert.equal(closed.status, 'Succeeded');
  process.kill(Number(await readFile(join(agent.root, 'pid'), 'utf8')));
});

test("the environment is the AWS agent's, with the root beside it and no keys", async (t) => {
  process.env.AWS_SECRET_ACCESS_KEY = 'of-the-agent';
  process.env.PENSTOCK_DATABASE_URL = 'postgres://of-the-server';
  t.after(() => {
    delete process.env.AWS_SECRET_ACCESS_KEY;
    delete process.env.PENSTOCK_DATABASE_URL;
  });
  const agent = await startAgent(t, signer);
  const bundle = await zipOf({
    'appspec.yml': 'version: 0.0\nos: linux\nhooks:\n  AfterInstall:\n    - location: /env.sh\n',
    'env.sh': '#!/bin/sh\nenv > "$PENSTOCK_ROOT/env"\npwd > "$PENSTOCK_ROOT/pwd"\n[ -z "$(cat)" ]\n',
  });
  const completions = await agent.deploy(bundle, {
    deployment: 'd-ENV',
    events: ['DownloadBundle', 'AfterInstall'],
    spec: { etag: md5(bundle) },
  });
  assert.equal(completions[1]!.status, 'Succeeded', completions[1]!.diagnostics.message);
  const env = Object.fromEntries(
    (await readFile(join(agent.root, 'env'), 'utf8'))
      .trimEnd()
      .split('\n')
      .map((line) => line.split(/=(.*)/s)),
  );
  const expected = {
    LIFECYCLE_EVENT: 'AfterInstall',
    DEPLOYMENT_ID: 'd-ENV',
    APPLICATION_NAME: 'Shop',
    DEPLOYMENT_GROUP_NAME: 'Production',
    DEPLOYMENT_GROUP_ID: 'group-1',
    BUNDLE_BUCKET: 'bundles',
    BUNDLE_KEY: 'd-ENV.zip',
    BUNDLE_ETAG: md5(bundle),
    PENSTOCK_ROOT: agent.root,
    AWS_REGION: 'eu-west-1',
  };
  assert.deepEqual(Object.fromEntries(Object.keys(expected).map((name) => [name, env[name]])), expected);
  assert.equal(env.AWS_SECRET_ACCESS_KEY, undefined);
  assert.equal(env.PENSTOCK_DATABASE_URL, undefined);
  assert.equal(env.BUNDLE_VERSION, undefined);
  assert.equal((await readFile(join(agent.root, 'pwd'), 'utf8')).trim(), agent.root);
});

test('the log in the diagnostics is the last 2048 characters, the file has it all', async (t) => {
  const agent = await startAgent(t, signer);
  const script = '#!/bin/sh\ni=0\nwhile [ $i -lt 300 ]; do i=$((i+1)); echo "line $i ........................"; done\nprintf "no end"\n';
  const { diagnostics } = await runHook(agent, script);
  assert.equal(diagnostics.log.length, 2048);
  assert.ok(diagnostics.log.endsWith('line 300 ........................\n[stdout]no end\n'));
  const file = await readFile(join(agent.deploymentRoot, 'group-1/d-1/logs/scripts.log'), 'utf8');
  assert.equal(file.match(/\[stdout\]line/g)!.length, 300);

  const noise = await runHook(agent, '#!/bin/sh\nhead -c 5000 /dev/zero\nexit 1\n');
  assert.ok(JSON.stringify(noise.diagnostics).length <= 8192);
});

test('runas changes the account as root, and is refused with the reason otherwise', async (t) => {
  const agent = await startAgent(t, signer);
  const self = userInfo().username;
  const own = await runHook(agent, '#!/bin/sh\nid -un\n', { keys: `      runas: ${self}\n` });
  assert.match(own.diagnostics.log, new RegExp(`\\[stdout\\]${self}\n`));

  const other = await runHook(agent, '#!/bin/sh\nid -un\n', { keys: '      runas: no-such-user\n' });
  assert.equal(other.status, 'Failed');
  if (process.getuid!() === 0) assert.match(other.diagnostics.message, /run as user no-such-user failed with exit code|can't find user/);
  else assert.match(other.diagnostics.message, /is to run as user no-such-user, but the agent runs as .* and only root can change users/);
});

test('a script or appspec that is reached through a link out of the revision is refused', async (t) => {
  const agent = await startAgent(t, signer, { root: '""' });
  const link = { 'appspec.yml': 'version: 0.0\nos: linux\nhooks:\n  BeforeInstall:\n    - location: bin/true\n', bin: { link: '/bin' } };
  agent.server.objects.set('bundles/link.tar', await tarOf(link));
  const spec = { deployment: 'd-link', key: 'link.tar' };
  assert.equal((await agent.server.run('DownloadBundle', spec)).status, 'Succeeded');
  const { diagnostics } = await agent.server.run('BeforeInstall', spec);
  assert.match(diagnostics.message, /The path bin\/true .* leads out of the revision by a symbolic link/);
});
