/** Agents in processes of their own that are killed, stopped, and started twice. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, watch, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { statOf } from './files.ts';
import { lockDirectory } from './lock.ts';
import { identify } from './processes.ts';
import { type CommandServer, configure, startCommandServer, zipOf } from './testing.ts';
import { createSigner, type Signer } from './testing-signer.ts';

let signer: Signer;
let server: CommandServer;
let directory: string;
const children: ChildProcess[] = [];

before(async () => {
  signer = await createSigner();
  server = await startCommandServer(signer);
  directory = await mkdtemp(join(tmpdir(), 'penstock-crash-'));
});
after(async () => {
  for (const child of children) child.kill('SIGKILL');
  await server.close();
  await rm(directory, { recursive: true, force: true });
});

const AGENT = `
  import { runAgent } from ${JSON.stringify(join(import.meta.dirname, 'main.ts'))};
  const stop = new AbortController();
  process.once('SIGTERM', () => stop.abort());
  runAgent({ configFile: process.argv[1], signal: stop.signal }).catch((error) => {
    console.error(error.message);
    process.exitCode = 1;
  });`;

function startProcess(configFile: string): ChildProcess {
  const child = spawn(process.execPath, ['--input-type=module', '-e', AGENT, configFile], { stdio: ['ignore', 'inherit', 'pipe'] });
  children.push(child);
  return child;
}

async function endOf(child: ChildProcess): Promise<{ code: number | null; errors: string }> {
  let errors = '';
  child.stderr!.setEncoding('utf8').on('data', (text) => {
    errors += text;
  });
  await once(child, 'close');
  return { code: child.exitCode, errors };
}

/** Waits until a file is there. */
async function appears(path: string): Promise<void> {
  const changes = watch(join(path, '..'));
  if (await statOf(path)) return;
  for await (const _ of changes) if (await statOf(path)) return;
}

/** A revision whose AfterInstall notes that it ran, tells its process and then waits for a file. */
const slowBundle = () =>
  zipOf({
    'appspec.yml': 'version: 0.0\nos: linux\nhooks:\n  AfterInstall:\n    - location: slow.sh\n',
    'slow.sh':
      '#!/bin/sh\necho run >> "$PENSTOCK_ROOT/runs"\necho $$ > "$PENSTOCK_ROOT/pid.part"\nmv "$PENSTOCK_ROOT/pid.part" "$PENSTOCK_ROOT/pid"\nwhile [ ! -e "$PENSTOCK_ROOT/go" ]; do sleep 0.1; done\necho finished\n',
  });

async function prepare(name: string, settings: Record<string, unknown> = {}) {
  const home = join(directory, name);
  const root = join(home, 'root');
  await mkdir(root, { recursive: true });
  const configFile = await configure(home, server, signer, { root: 'root', ...settings });
  server.objects.set(`bundles/${name}.zip`, await slowBundle());
  const spec = { deployment: `d-${name}`, key: `${name}.zip` };
  return { home, root, configFile, spec };
}

test('an agent killed while a script runs reports the event as failed after its restart, and never runs it again', async () => {
  const { home, root, configFile, spec } = await prepare('killed');
  const first = startProcess(configFile);
  await server.run('DownloadBundle', spec);
  const report = server.completion('slow-1');
  server.deliver('AfterInstall', spec, 'slow-1');
  await appears(join(root, 'pid'));
  const script = Number(await readFile(join(root, 'pid'), 'utf8'));
  assert.deepEqual(await readdir(join(home, 'deployment-root/ongoing-deployment')), ['d-killed']);
  first.kill('SIGKILL');
  await once(first, 'close');
  assert.ok(identify(script), 'the script has outlived its agent');

  const second = startProcess(configFile);
  const { status, diagnostics } = await report;
  assert.equal(status, 'Failed');
  assert.equal(diagnostics.error_code, 7);
  assert.equal(diagnostics.message, 'Failed: Failing in-progress lifecycle event after an agent restart.');
  assert.equal(identify(script), undefined, 'what was left of the script is gone');

  const again = server.completion('slow-1');
  server.deliver('AfterInstall', spec, 'slow-1');
  assert.equal((await again).diagnostics.error_code, 7);
  assert.equal(await readFile(join(root, 'runs'), 'utf8'), 'run\n', 'it ran once');
  assert.deepEqual(await readdir(join(home, 'deployment-root/ongoing-deployment')), []);
  second.kill('SIGTERM');
  assert.equal((await endOf(second)).code, 0);
});

test('an agent that is told to stop finishes its command first; a second one on the same directory is refused', async () => {
  const { root, configFile, spec } = await prepare('stopped');
  const agent = startProcess(configFile);
  await server.run('DownloadBundle', spec);
  const report = server.completion('slow-2');
  server.deliver('AfterInstall', spec, 'slow-2');
  await appears(join(root, 'pid'));

  const rival = await endOf(startProcess(configFile));
  assert.equal(rival.code, 1);
  assert.match(rival.errors, new RegExp(`Another agent \\(process ${agent.pid}\\) uses`));

  agent.kill('SIGTERM');
  const ended = endOf(agent);
  await writeFile(join(root, 'go'), '');
  const { status, diagnostics } = await report;
  assert.equal(status, 'Succeeded');
  assert.match(diagnostics.log, /\[stdout\]finished/);
  assert.equal((await ended).code, 0);
});

test('a command that outlasts the patience of the stop is cut off and reported', async () => {
  const { root, configFile, spec } = await prepare('impatient', { kill_agent_max_wait_time_seconds: 0 });
  const agent = startProcess(configFile);
  await server.run('DownloadBundle', spec);
  const report = server.completion('slow-3');
  server.deliver('AfterInstall', spec, 'slow-3');
  await appears(join(root, 'pid'));
  const script = Number(await readFile(join(root, 'pid'), 'utf8'));
  agent.kill('SIGTERM');
  const ended = endOf(agent);
  assert.equal((await report).diagnostics.error_code, 7);
  assert.equal((await ended).code, 0);
  assert.equal(identify(script), undefined);
});

test('of many that want one directory at once, one gets it, and the next can after it', async () => {
  const lock = join(directory, 'lock');
  const attempts = await Promise.allSettled(Array.from({ length: 8 }, () => lockDirectory(lock)));
  const winners = attempts.filter((attempt) => attempt.status === 'fulfilled');
  assert.equal(winners.length, 1);
  await winners[0]!.value();
  const release = await lockDirectory(lock);
  await assert.rejects(lockDirectory(lock), /Another agent/);
  await release();
});
