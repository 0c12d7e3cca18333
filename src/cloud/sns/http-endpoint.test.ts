import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, test } from 'node:test';
import { isForbiddenHost } from '../../platform/guarded-lookup.ts';
import { EndpointError, post } from './http-endpoint.ts';

describe('HTTP endpoints', () => {
  test('link-local addresses are forbidden in every notation, others are not', () => {
    const hostOf = (url: string): string => new URL(url).hostname;
    const forbidden = ['http://169.254.169.254/', 'http://0xa9fea9fe/', 'http://2852039166/', 'http://[::ffff:169.254.169.254]/', 'http://[fe80::1]/', 'http://[fd00:ec2::254]/']; // biome-ignore format: one line
    for (const url of forbidden) assert.equal(isForbiddenHost(hostOf(url)), true, url);
    for (const url of ['http://127.0.0.1/', 'http://[::1]/', 'http://10.0.0.1/', 'http://example.com/', 'http://169.255.0.1/']) {
      assert.equal(isForbiddenHost(hostOf(url)), false, url);
    }
  });

  test('what answers is told apart: taken, to be tried again, refused', async () => {
    const statuses: Record<string, number> = { '/200': 200, '/204': 204, '/302': 302, '/403': 403, '/429': 429, '/500': 500 };
    const server = http.createServer((request, response) => {
      request.resume();
      if (request.url === '/gone') return request.socket.destroy();
      response.writeHead(statuses[request.url!]!).end('x'.repeat(100_000));
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const base = `http://localhost:${(server.address() as AddressInfo).port}`;
    const outcome = (path: string) =>
      post(`${base}${path}`, {}, 'body', '').then(
        () => 'taken',
        (error) => (error instanceof EndpointError && error.final ? 'refused' : 'again'),
      );
    try {
      assert.deepEqual(await Promise.all(['/200', '/204', '/302', '/403', '/429', '/500', '/gone'].map(outcome)), [
        'taken',
        'taken',
        'refused',
        'refused',
        'again',
        'again',
        'again',
      ]);
    } finally {
      server.close();
    }
    assert.equal(await outcome('/200'), 'again');
  });
});
