import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { connectionOf } from './connection.ts';
import { Engine, EngineError, EngineLost } from './engine.ts';

/** Answers as an engine of these versions of the API does; `asked` are the paths of all calls. */
async function withEngine(versions: object, use: (engine: Engine, asked: string[]) => Promise<void>): Promise<void> {
  const asked: string[] = [];
  const server = createServer(({ url = '' }, response) => {
    asked.push(url);
    if (url === '/version') return void response.end(JSON.stringify(versions));
    response.writeHead(url.endsWith('/odd') ? 500 : 200, { 'Content-Type': 'application/json' });
    response.end(url.endsWith('/odd') ? '{"message":"no such thing"}' : '{"fine":true}');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    const host = `tcp://127.0.0.1:${(server.address() as AddressInfo).port}`;
    await use(new Engine(connectionOf({ DOCKER_HOST: host })), asked);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

test('speaks a version of the API that the engine takes, and asks for it once', async () => {
  const engines: [object, string][] = [
    [{ ApiVersion: '1.41', MinAPIVersion: '1.12' }, '/v1.41/info'],
    [{ ApiVersion: '1.52', MinAPIVersion: '1.44' }, '/v1.44/info'],
    [{ ApiVersion: '1.39', MinAPIVersion: '1.12' }, '/v1.39/info'],
    [{}, '/v1.41/info'],
  ];
  for (const [versions, path] of engines) {
    await withEngine(versions, async (engine, asked) => {
      await Promise.all([engine.call('GET', '/info'), engine.call('GET', '/info')]);
      assert.deepEqual(asked, ['/version', path, path]);
    });
  }
});

test("tells the engine's own words from an engine that is away", async () => {
  await withEngine({ ApiVersion: '1.41' }, async (engine) => {
    await assert.rejects(engine.call('GET', '/odd'), (error) => error instanceof EngineError && error.message === 'no such thing');
    await assert.rejects(engine.call('GET', '/info', { signal: AbortSignal.abort(new Error('enough')) }), /enough/);
  });
  const away = new Engine(connectionOf({ DOCKER_HOST: 'unix:///nonexistent/docker.sock' }));
  for (const attempt of [away.call('GET', '/info'), away.head('/x'), away.hijack('/x', {})]) await assert.rejects(attempt, EngineLost);
});
