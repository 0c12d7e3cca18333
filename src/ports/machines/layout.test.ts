import assert from 'node:assert/strict';
import { test } from 'node:test';
import { layoutOf, viewOf } from './layout.ts';
import { mappingFor } from './users.ts';
import { hostPathOf } from './view.ts';

const site = {
  id: 'm',
  directory: '/data/machines/sandbox/m',
  mark: 'tag.m',
  group: undefined,
  spec: { id: 'm', env: {}, network: 'host' as const },
};

test('hides the data directory where it lies in a directory that is shown', () => {
  assert.deepEqual(layoutOf(site, '/usr/local/penstock').hidden, ['/usr/local/penstock']);
  assert.deepEqual(layoutOf(site, '/usrlocal/penstock').hidden, []);
});

test('has no path on the host for what is not the machine’s own', () => {
  const view = viewOf(layoutOf(site, '/data'), mappingFor(0));
  assert.equal(hostPathOf(view, 'src/main.c'), '/data/machines/sandbox/m/root/work/src/main.c');
  assert.equal(hostPathOf(view, '/tmp/x'), '/data/machines/sandbox/m/root/tmp/x');
  for (const path of ['/usr/bin/env', '/etc/hosts', '/proc/self/environ', '/dev/null']) assert.equal(hostPathOf(view, path), undefined);
});

test('maps root inside to nobody of the host, or to the only user there is', () => {
  assert.deepEqual(mappingFor(0), { root: 1_900_000_000, count: 65_536 });
  assert.deepEqual(mappingFor(1000), { root: 1000, count: 1 });
});
