import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { connectionOf } from './connection.ts';

test('finds the engine as its own command line does, Penstock’s setting first', () => {
  const unix = { address: 'unix:///a.sock', tls: false, options: { socketPath: '/a.sock' } };
  assert.deepEqual(connectionOf({ DOCKER_HOST: 'unix:///a.sock' }), unix);
  assert.deepEqual(connectionOf({ DOCKER_HOST: 'tcp://other:1', PENSTOCK_DOCKER_HOST: 'unix:///a.sock' }), unix);
  assert.deepEqual(connectionOf({ DOCKER_HOST: 'tcp://[::1]:99' }).options, { host: '::1', port: '99' });
  assert.deepEqual(connectionOf({ DOCKER_HOST: 'tcp://host' }).options, { host: 'host', port: '2375' });
  assert.match(connectionOf({}).address, /^unix:\/\/.*\.sock$/);
  for (const odd of ['ssh://user@host', 'tcp://', '/var/run/docker.sock', 'npipe:////./pipe/docker_engine'])
    assert.throws(() => connectionOf({ DOCKER_HOST: odd }), /is no address of a container engine/, odd);
});

test('takes certificates from the folder of the command line', () => {
  const directory = mkdtempSync(join(tmpdir(), 'pen-certs-'));
  try {
    for (const name of ['ca', 'cert', 'key']) writeFileSync(join(directory, `${name}.pem`), name);
    const { tls, options } = connectionOf({ DOCKER_HOST: 'tcp://host', DOCKER_TLS_VERIFY: '1', DOCKER_CERT_PATH: directory });
    assert.deepEqual(
      [tls, options.port, String(options.ca), String(options.cert), String(options.key)],
      [true, '2376', 'ca', 'cert', 'key'],
    );
  } finally {
    rmSync(directory, { recursive: true });
  }
});
