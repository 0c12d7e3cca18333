import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Gateway } from './exchange.ts';
import { listen } from './server.ts';

test('a door that breaks tells the log why, and strangers nothing', async () => {
  const logged: { error: Error; requestId: string; path: string }[] = [];
  const read = {
    selectFrom() {
      throw new Error('column "secret" of 10.0.0.7 is gone');
    },
  };
  const gateway = { platform: { read, log: { error: (entry: (typeof logged)[0]) => logged.push(entry) } } } as unknown as Gateway;
  const server = await listen(gateway, { host: '127.0.0.1', port: 0 });
  try {
    const answer = await fetch(`http://127.0.0.1:${server.port}/cb/badges?uuid=${'a'.repeat(43)}`);
    assert.equal(answer.status, 500);
    const { message } = (await answer.json()) as { message: string };
    assert.match(message, /^An internal error occurred/);
    assert.doesNotMatch(message, /secret/);
    const [entry] = logged;
    assert.match(entry!.error.message, /secret/);
    assert.equal(entry!.path, '/cb/badges');
    assert.ok(message.includes(entry!.requestId));
  } finally {
    await server.close();
  }
});
