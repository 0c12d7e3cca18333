import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { promisify } from 'node:util';

/** Holds some 100 MB until they survived a collection, drops them, and says when V8 has given the memory back: by itself it never does while idle. */
const program = `
  import { getHeapStatistics } from 'node:v8';
  import { giveBackIdleMemory } from ${JSON.stringify(new URL('./idle-memory.ts', import.meta.url).href)};
  const size = () => getHeapStatistics().total_physical_size;
  let held = Array.from({ length: 1_500_000 }, (_, n) => ({ n, text: 'a' + n }));
  const full = size();
  held = undefined;
  giveBackIdleMemory(50);
  const timer = setInterval(() => {
    if (size() > full / 2) return;
    clearInterval(timer);
    console.log('given back');
  }, 20);
`;

test('an idle process gives back the memory that it no longer needs', async () => {
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', program], { timeout: 60_000 });
  assert.equal(stdout, 'given back\n');
});
