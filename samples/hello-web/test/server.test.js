import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, test } from 'node:test';
import { escapeHtml } from '../src/page.js';
import { createApp } from '../src/server.js';

let server;
let url;

before(async () => {
  server = createApp({ release: { version: '1.2.3', commit: '0123456789abcdef' }, instance: 'box1', greeting: 'Hi & welcome' });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  url = `http://127.0.0.1:${server.address().port}`;
});
after(() => server.close());

test('the page greets and names the version, the commit and the instance', async () => {
  const response = await fetch(url);
  const text = await response.text();
  assert.equal(response.status, 200);
  for (const part of ['Hi &#38; welcome', '1.2.3', '0123456789', 'box1']) assert.ok(text.includes(part), part);
});

test('health answers with the release', async () => {
  const health = await (await fetch(`${url}/health`)).json();
  assert.deepEqual(health, { status: 'ok', instance: 'box1', version: '1.2.3', commit: '0123456789abcdef' });
});

test('other paths are not found', async () => {
  assert.equal((await fetch(`${url}/secret`)).status, 404);
});

test('text is escaped', () => {
  assert.equal(escapeHtml(`<a href="x">'&`), '&#60;a href=&#34;x&#34;&#62;&#39;&#38;');
});
