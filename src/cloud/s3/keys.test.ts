import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseCopySource } from './copy-object.ts';
import { parseRange } from './get-object.ts';
import { collectPage, commonPrefix, keyEncoder, startBehind, successor } from './keys.ts';

const bytes = (text: string) => Buffer.from(text);

test('the successor of a prefix comes after all that begins with it, and before all else', () => {
  assert.equal(successor('a/'), 'a0');
  assert.equal(successor('\u{d7ff}'), '\u{e000}');
  assert.equal(successor('a\u{10ffff}'), 'b');
  assert.equal(successor('\u{10ffff}'), undefined);
  assert.equal(successor(''), undefined);
  for (const prefix of ['a', 'a/', 'é', '日本', '\u{ffff}', '😀']) {
    const next = bytes(successor(prefix)!);
    assert.ok(Buffer.compare(bytes(`${prefix}\u{10ffff}\u{10ffff}`), next) < 0, prefix);
  }
});

test('keys roll up to the first delimiter behind the prefix', () => {
  assert.equal(commonPrefix('a/b/c', '', '/'), 'a/');
  assert.equal(commonPrefix('a/b/c', 'a/', '/'), 'a/b/');
  assert.equal(commonPrefix('a/b', 'a/', '/'), undefined);
  assert.equal(commonPrefix('a/b', '', undefined), undefined);
});

test('a marker that is a common prefix stands for all under it', () => {
  assert.deepEqual(startBehind('a/', '', '/'), { from: 'a0' });
  assert.deepEqual(startBehind('a/', '', undefined), { after: 'a/', tie: undefined });
  assert.deepEqual(startBehind('a', 'b', undefined), { from: 'b' });
  assert.deepEqual(startBehind(undefined, 'b', '/'), { from: 'b' });
});

test('encoded keys come back as they were', () => {
  const encode = keyEncoder('url');
  for (const key of ['a b+c/d', '%2F', 'ü\n\u0001', '']) assert.equal(decodeURIComponent(encode(key)), key);
  assert.equal(keyEncoder(undefined)('a b'), 'a b');
});

test('pages jump over what lies under a prefix', async () => {
  const rows = Array.from({ length: 3000 }, (_, n) => ({ key: `${Math.floor(n / 1000)}/${String(n).padStart(5, '0')}` }));
  let fetched = 0;
  const page = await collectPage({
    prefix: '',
    delimiter: '/',
    start: { from: '' },
    limit: 2,
    positionOf: (row) => ({ after: row.key }),
    async fetch(position, limit) {
      const found = rows.filter((row) => ('from' in position ? row.key >= position.from : row.key > position.after)).slice(0, limit);
      fetched += found.length;
      return found;
    },
  });
  assert.deepEqual([page.commonPrefixes, page.truncated, page.last], [['0/', '1/'], true, { prefix: '1/' }]);
  assert.ok(fetched < 50, `${fetched} rows`);
});

test('ranges are read, ignored or refused', () => {
  assert.deepEqual(parseRange('bytes=0-9', 100), { start: 0, end: 9 });
  assert.deepEqual(parseRange('bytes=-5', 3), { start: 0, end: 2 });
  assert.deepEqual(parseRange('bytes=2-99999999999999999999', 100), { start: 2, end: 99 });
  for (const header of ['', 'bytes', 'bytes=', 'bytes=-', 'bytes=a-b', 'bytes=9-5', 'bytes=0-1,2-3', 'bytes=1e3-']) {
    assert.equal(parseRange(header, 100), undefined, header);
  }
  for (const header of ['bytes=100-', 'bytes=-0', 'bytes=500-600']) assert.throws(() => parseRange(header, 100), { code: 'InvalidRange' });
});

test('copy sources are decoded, versions and all', () => {
  assert.deepEqual(parseCopySource('b/k'), { Bucket: 'b', Key: 'k', VersionId: undefined });
  assert.deepEqual(parseCopySource('/b/a%2Fb%20%C3%BC%3Fx'), { Bucket: 'b', Key: 'a/b ü?x', VersionId: undefined });
  assert.deepEqual(parseCopySource('b/k?versionId=v1'), { Bucket: 'b', Key: 'k', VersionId: 'v1' });
  for (const bad of ['', 'b', 'b/', '/b', 'b/%ff', 'b/%']) assert.throws(() => parseCopySource(bad), { code: 'InvalidArgument' }, bad);
});
