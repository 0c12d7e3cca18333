/** `penstock machines check`: what it prints and how it ends, without a server. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import path from 'node:path';
import { test } from 'node:test';

const main = path.join(import.meta.dirname, '..', '..', 'src', 'main.ts');

async function check(args: string[], env: Record<string, string> = {}): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const child = spawn(process.execPath, [main, 'machines', 'check', ...args], { env: { ...process.env, ...env } });
  const { promise, resolve, reject } = Promise.withResolvers<number | null>();
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (chunk) => (stdout += chunk));
  child.stderr.on('data', (chunk) => (stderr += chunk));
  child.once('error', reject).once('close', resolve);
  return { code: await promise, stdout, stderr };
}

test('says of each promise that it was kept', async () => {
  const { code, stdout } = await check(['--machines', 'process']);
  const lines = stdout.trim().split('\n');
  assert.equal(code, 0, stdout);
  assert.match(lines[0]!, /^process \(no isolation/);
  assert.equal(lines.at(-1), 'Every promise was kept.');
  for (const what of ['machine puts trees in and gets them out', 'commands report their exit status or signal'])
    assert.ok(
      lines.some((line) => line.startsWith(`ok       ${what}`)),
      what,
    );
});

test('tells that there is no engine to check', async () => {
  const { code, stdout, stderr } = await check(['--machines', 'docker'], { PENSTOCK_DOCKER_HOST: 'unix:///nonexistent/docker.sock' });
  assert.deepEqual([code, stdout], [1, '']);
  assert.match(stderr, /docker\.sock/);
});
