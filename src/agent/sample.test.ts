/** The sample application of the demo, deployed by two agents on this one host. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { startAgent, treeOf } from './testing.ts';
import { createSigner } from './testing-signer.ts';

const SAMPLE = join(import.meta.dirname, '../../samples/hello-web');

test('the sample runs on two instances of one host and is replaced by its next version', async (t) => {
  const signer = await createSigner();
  const instances = await Promise.all(
    ['box1', 'box2'].map(async (name) => {
      const agent = await startAgent(t, signer);
      const port = await freePort();
      await mkdir(join(agent.root, 'etc/hello-web'), { recursive: true });
      await writeFile(join(agent.root, 'etc/hello-web/instance.env'), `PORT=${port}\nINSTANCE=${name}\n`);
      return { ...agent, name, health: () => fetch(`http://127.0.0.1:${port}/health`).then((response) => response.json()) };
    }),
  );

  try {
    for (const commit of ['1111111', '2222222']) {
      const bundle = await build(commit);
      for (const instance of instances) {
        const completions = await instance.deploy(bundle);
        assert.ok(
          completions.length === 7 && completions.every(({ status }) => status === 'Succeeded'),
          JSON.stringify(completions.at(-1)),
        );
        assert.deepEqual(await instance.health(), { status: 'ok', instance: instance.name, version: '1.0.0', commit, build: 'local' });
      }
    }
  } finally {
    for (const { root } of instances) await stopServer(root);
  }
});

/** What CodeBuild does by the sample's buildspec, without its tests. */
async function build(commit: string): Promise<Record<string, string>> {
  const directory = await mkdtemp(join(tmpdir(), 'penstock-sample-'));
  try {
    await cp(SAMPLE, directory, { recursive: true });
    execFileSync(process.execPath, ['scripts/write-version.js'], {
      cwd: directory,
      env: { ...process.env, CODEBUILD_RESOLVED_SOURCE_VERSION: commit, CODEBUILD_BUILD_ID: 'local' },
    });
    return await treeOf(directory);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

async function stopServer(root: string): Promise<void> {
  const pid = Number(await readFile(join(root, 'var/lib/hello-web/server.pid'), 'utf8').catch(() => '0'));
  if (pid > 0) process.kill(pid, 'SIGKILL');
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  return port;
}
