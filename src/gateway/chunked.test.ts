import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { describe, it } from 'node:test';
import { ChunkedDecoder, type ChunkedOptions, chunkedOptions } from './chunked.ts';
import { scopeText, signingKey } from './signing-key.ts';
import type { ChunkSeed } from './sigv4.ts';

// The two examples of AWS's own documentation: 66,560 letters "a" in chunks of 64 KiB and 1 KiB.
const scope = { date: '20130524', region: 'us-east-1', service: 's3' };
const seed = (signature: string): ChunkSeed => ({
  key: signingKey('wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY', scope),
  scope: scopeText(scope),
  timestamp: '20130524T000000Z',
  signature,
});
const SIGNED = {
  options: {
    seed: seed('4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9'),
    trailer: false,
    decodedLength: 66_560,
    trailerNames: [],
  } as ChunkedOptions,
  body: `10000;chunk-signature=ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648\r\n${'a'.repeat(65_536)}\r\n400;chunk-signature=0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497\r\n${'a'.repeat(1024)}\r\n0;chunk-signature=b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9\r\n\r\n`,
};
const TRAILER = {
  options: {
    seed: seed('106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e'),
    trailer: true,
    decodedLength: 66_560,
    trailerNames: ['x-amz-checksum-crc32c'],
  } as ChunkedOptions,
  body: `10000;chunk-signature=b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2\r\n${'a'.repeat(65_536)}\r\n400;chunk-signature=1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7\r\n${'a'.repeat(1024)}\r\n0;chunk-signature=2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992\r\nx-amz-checksum-crc32c:sOO8/Q==\r\nx-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n\r\n`,
};
const UNSIGNED = {
  options: { seed: undefined, trailer: true, decodedLength: 4, trailerNames: ['x-amz-checksum-crc32'] } as ChunkedOptions,
  body: '4\r\nabc\n\r\n0\r\nx-amz-checksum-crc32:R4iBTg==\r\n\r\n',
};

function decode({ options, body }: { options: ChunkedOptions; body: string }, pieceSize = 1 << 20): Promise<Buffer> {
  const bytes = Buffer.from(body, 'latin1');
  const pieces = Array.from({ length: Math.ceil(bytes.length / pieceSize) }, (_, index) =>
    bytes.subarray(index * pieceSize, (index + 1) * pieceSize),
  );
  return buffer(Readable.from(pieces).compose(new ChunkedDecoder(options)));
}

describe('aws-chunked bodies', () => {
  it('are decoded however they were cut on the way', async () => {
    for (const size of [1 << 20, 65_536, 1000, 87, 7, 1]) {
      assert.equal((await decode(UNSIGNED, size)).toString(), 'abc\n');
      if (size > 1) {
        assert.ok((await decode(SIGNED, size)).equals(Buffer.alloc(66_560, 'a')));
        assert.ok((await decode(TRAILER, size)).equals(Buffer.alloc(66_560, 'a')));
      }
    }
  });

  it('tell their trailers and checksums', async () => {
    const decoder = new ChunkedDecoder(UNSIGNED.options);
    await buffer(Readable.from([Buffer.from(UNSIGNED.body)]).pipe(decoder));
    assert.equal(decoder.trailers.get('x-amz-checksum-crc32'), 'R4iBTg==');
    assert.deepEqual(decoder.checksums, { crc32: 'R4iBTg==' });
  });

  it('fail when a chunk, its signature, a trailer or the trailer signature was changed', async () => {
    const change = (from: typeof SIGNED, search: string | RegExp, replacement: string) => ({
      ...from,
      body: from.body.replace(search, replacement),
    });
    const mismatch = { code: 'SignatureDoesNotMatch' };
    await assert.rejects(decode(change(SIGNED, 'aaaa', 'aaba')), mismatch);
    await assert.rejects(decode(change(SIGNED, '0055627', '1055627')), mismatch);
    await assert.rejects(decode(change(SIGNED, 'b6c6ea8', 'c6c6ea8')), mismatch);
    await assert.rejects(decode({ ...SIGNED, options: { ...SIGNED.options, seed: seed('0'.repeat(64)) } }), mismatch);
    await assert.rejects(decode(change(TRAILER, 'sOO8', 'sOO9')), mismatch);
    await assert.rejects(decode(change(TRAILER, ':d81f', ':e81f')), mismatch);
    await assert.rejects(decode(change(TRAILER, /x-amz-trailer-signature:.*\r\n/, '')), mismatch);
    await assert.rejects(decode(change(UNSIGNED, 'abc', 'abd')), { code: 'BadDigest' });
    await assert.rejects(decode(change(UNSIGNED, /x-amz-checksum-crc32:.*\r\n/, '')), { code: 'MalformedTrailerError' });
  });

  it('fail when they end early, go on too long, or are no chunks', async () => {
    for (const cut of [0, 1, 3, 6, 9, 12, 30]) {
      await assert.rejects(decode({ ...UNSIGNED, body: UNSIGNED.body.slice(0, cut) }), { code: 'IncompleteBody' }, String(cut));
    }
    await assert.rejects(decode({ ...UNSIGNED, options: { ...UNSIGNED.options, decodedLength: 3 } }), { code: 'IncompleteBody' });
    await assert.rejects(decode({ ...UNSIGNED, options: { ...UNSIGNED.options, decodedLength: 5 } }), { code: 'IncompleteBody' });
    for (const body of [
      'xyz\r\n',
      '-1\r\n',
      'fffffffffffffffff\r\n',
      `${'0'.repeat(10_000)}`,
      '4\r\nabcdefg\r\n',
      `${UNSIGNED.body}more\r\n`,
    ]) {
      await assert.rejects(decode({ ...UNSIGNED, body }), { code: 'InvalidRequest' }, body.slice(0, 20));
    }
    await assert.rejects(decode({ ...SIGNED, body: UNSIGNED.body }), { code: 'InvalidRequest' });
  });

  it('need a decoded length and only trailers that can be checked', () => {
    const payload = { trailer: true, seed: undefined };
    assert.throws(() => chunkedOptions({}, payload), { code: 'MissingContentLength' });
    assert.throws(() => chunkedOptions({ 'x-amz-decoded-content-length': 'x' }, payload), { code: 'InvalidArgument' });
    const headers = { 'x-amz-decoded-content-length': '4', 'x-amz-trailer': 'x-amz-checksum-xxhash3' };
    assert.throws(() => chunkedOptions(headers, payload), { code: 'InvalidRequest' });
    assert.throws(() => chunkedOptions({ ...headers, 'x-amz-trailer': 'x-amz-checksum-crc32' }, { ...payload, trailer: false }), {
      code: 'InvalidRequest',
    });
  });
});
