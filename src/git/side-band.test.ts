import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { FLUSH, MAX_PACKET, packet } from './pkt-line.ts';
import { mergePackets } from './side-band.ts';

let home: string;
before(async () => {
  home = await mkdtemp(path.join(tmpdir(), 'penstock-side-band-'));
});
after(() => rm(home, { recursive: true, force: true }));

async function merge(answer: Buffer): Promise<Buffer | undefined> {
  const [from, to] = [path.join(home, 'from'), path.join(home, 'to')];
  await writeFile(from, answer);
  await using input = await open(from, 'r');
  await using output = await open(to, 'w');
  return (await mergePackets(input, output)) ? readFile(to) : undefined;
}

const band = (number: number, data: Buffer) => packet(Buffer.concat([Buffer.from([number]), data]));

function read(answer: Buffer): { sizes: number[]; pack: Buffer; rest: string[] } {
  const result = { sizes: [] as number[], pack: [] as Buffer[], rest: [] as string[] };
  for (let at = 0; at < answer.length; ) {
    const length = Math.max(4, Number.parseInt(answer.toString('latin1', at, at + 4), 16));
    const body = answer.subarray(at + 4, at + length);
    result.sizes.push(length);
    if (body[0] === 1) result.pack.push(body.subarray(1));
    else result.rest.push(body.toString('latin1'));
    at += length;
  }
  return { ...result, pack: Buffer.concat(result.pack) };
}

test('makes few packets of many, with the same bytes and words in the same order', async () => {
  const pack = randomBytes(3_000_000);
  const pieces: Buffer[] = [packet('shallow-info\n'), packet(`shallow ${'1'.repeat(40)}`), Buffer.from('0001'), packet('packfile\n')];
  pieces.push(band(2, Buffer.from('Counting\r')));
  for (let at = 0, size = 1; at < pack.length; at += size, size = ((size * 7) % 8191) + 1) {
    pieces.push(band(1, pack.subarray(at, at + size)));
  }
  pieces.push(band(2, Buffer.from('Total 5\n')), FLUSH);
  const answer = Buffer.concat(pieces);
  const [before, merged] = [read(answer), read((await merge(answer))!)];
  assert.ok(merged.pack.equals(pack) && before.pack.equals(pack));
  assert.deepEqual(merged.rest, before.rest);
  assert.equal(merged.sizes.filter((size) => size === MAX_PACKET).length, Math.floor(pack.length / (MAX_PACKET - 5)));
  assert.ok(merged.sizes.length < before.sizes.length / 4);
});

test('leaves alone what it does not understand', async () => {
  const whole = Buffer.concat([packet('packfile\n'), band(1, Buffer.from('PACK')), FLUSH]);
  assert.ok((await merge(whole))!.equals(whole));
  assert.equal(await merge(Buffer.concat([whole, Buffer.from('zzzz')])), undefined);
  assert.equal(await merge(whole.subarray(0, whole.length - 6)), undefined);
});
