import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';

const LOOK_MS = 50;
const module = JSON.stringify(new URL('./idle-memory.ts', import.meta.url).href);

test('memory is collected when there is nothing to do, and not again before there is more of it', async () => {
  assert.deepEqual(await tell('setTimeout(() => {}, 10 * lookMs);'), ['collected', 'over']);
});

test('nothing is collected while there is work', async () => {
  assert.deepEqual(
    await tell(
      'const until = performance.now() + 10 * lookMs; (function turn() { if (performance.now() < until) setImmediate(turn); })();',
    ),
    ['over'],
  );
});

/** What happens in a thread with a heap worth collecting while it does `work`: a thread, since this one is busy with its tests. */
async function tell(work: string): Promise<string[]> {
  const program = `
    import { parentPort } from 'node:worker_threads';
    import { giveBackIdleMemory } from ${module};
    const lookMs = ${LOOK_MS};
    const held = Array.from({ length: 1_000_000 }, (_, n) => ({ n }));
    giveBackIdleMemory(() => parentPort.postMessage('collected'), lookMs);
    ${work}
    process.on('exit', () => parentPort.postMessage(held.length > 0 ? 'over' : ''));
  `;
  const thread = new Worker(new URL(`data:text/javascript,${encodeURIComponent(program)}`));
  const told: string[] = [];
  thread.on('message', (message) => told.push(message));
  await once(thread, 'exit');
  return told;
}
