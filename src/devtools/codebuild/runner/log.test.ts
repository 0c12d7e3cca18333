import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BuildLog, type LogEvent } from './log.ts';
import { Masker } from './masker.ts';

function capture(now = () => new Date('2026-11-22T19:00:00.123Z')) {
  const batches: LogEvent[][] = [];
  const losses: string[] = [];
  const log = new BuildLog(now, (error) => losses.push(error.message));
  log.addSink(async (events) => {
    batches.push(events);
  });
  return { log, losses, batches, lines: () => batches.flat().map((event) => event.message) };
}

test('secrets are hidden however they are cut', () => {
  for (let cut = 0; cut <= 'pass hunter22 word'.length; cut += 1) {
    const masker = new Masker();
    masker.add('hunter2');
    masker.add('hunter22');
    const text = 'pass hunter22 word';
    assert.equal(masker.write(text.slice(0, cut)) + masker.write(text.slice(cut)) + masker.flush(), 'pass *** word', `cut at ${cut}`);
  }
});

test('a beginning of a secret that stays one is shown', () => {
  const masker = new Masker();
  masker.add('secret\nof two lines');
  assert.equal(masker.write('sec'), '');
  assert.equal(masker.write('ond'), 'second');
  assert.equal(masker.write('secret\nof two lines!'), '***!');
  masker.add('secret');
  assert.equal(masker.write('a secret'), 'a ');
  assert.equal(masker.flush(), '***', 'the beginning of one is all of another');
});

test('agent lines, output in pieces, a missing last newline, and the blank line after a command', async () => {
  const { log, lines } = capture();
  log.agent('Running command echo hi');
  await log.output(Buffer.from('h'));
  await log.output(Buffer.from('i\nthe'));
  await log.output(Buffer.from([0xc3]));
  await log.output(Buffer.from([0xa4]));
  log.endCommand();
  log.agent('Phase complete: BUILD State: SUCCEEDED');
  await log.end();
  const [first, ...rest] = lines();
  assert.match(first ?? '', /^\[Container\] 2026\/11\/22 19:00:00\.123\d{3} Running command echo hi\n$/);
  assert.deepEqual(rest.slice(0, 3), ['hi\n', 'theä\n', '\n']);
});

test('access key ids are hidden', async () => {
  const { log, lines } = capture();
  await log.output(Buffer.from('export AWS_ACCESS_KEY_ID=ASIAABCDEFGHIJKLMNOP\n'));
  await log.end();
  assert.deepEqual(lines(), ['export AWS_ACCESS_KEY_ID=***\n']);
});

test('batches stay within what PutLogEvents takes, in order, and a long line is cut', async () => {
  const { log, batches, lines } = capture();
  for (let index = 0; index < 25_000; index += 1) await log.output(Buffer.from(`line ${index}\n`));
  await log.output(Buffer.from(`${'x'.repeat(450_000)}\n`));
  await log.end();
  for (const batch of batches) {
    assert.ok(batch.length <= 10_000);
    assert.ok(batch.reduce((sum, event) => sum + Buffer.byteLength(event.message) + 26, 0) <= 1_048_576);
  }
  assert.deepEqual(
    lines().slice(0, 25_000),
    Array.from({ length: 25_000 }, (_, index) => `line ${index}\n`),
  );
  assert.equal(lines().slice(25_000).join('').length, 450_001);
});

test('lines written before the sink was there reach it; a failing sink is reported', async () => {
  const losses: string[] = [];
  const log = new BuildLog(
    () => new Date(),
    (error) => losses.push(error.message),
  );
  log.agent('early');
  const seen: string[] = [];
  log.addSink(async (events) => {
    seen.push(...events.map((event) => event.message));
  });
  log.addSink(async () => {
    throw new Error('no permission');
  });
  await log.end();
  assert.match(seen[0] ?? '', /early/);
  assert.deepEqual(losses, ['no permission']);
});

test('however a text is cut, it is masked as it is in one piece', () => {
  const secrets = ['aba', 'ababac', 'cab\nb', 'bbb'];
  const text = 'xabababac cab\nbbb aba\nbabab cab\nababa';
  const whole = 'x***b***c ***bb ***\nb***b cab\n***ba';
  for (let first = 0; first <= text.length; first += 1) {
    for (let second = first; second <= text.length; second += 1) {
      const masker = new Masker();
      for (const secret of secrets) masker.add(secret);
      const shown = [text.slice(0, first), text.slice(first, second), text.slice(second)].map((piece) => masker.write(piece));
      assert.equal(shown.join('') + masker.flush(), whole, `cut at ${first} and ${second}`);
    }
  }
});
