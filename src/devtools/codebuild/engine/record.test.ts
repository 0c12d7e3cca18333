import assert from 'node:assert/strict';
import { test } from 'node:test';
import { turnTo } from './record.ts';

test('a phase ends whatever its message quotes', () => {
  const now = new Date('2026-11-22T12:00:00Z');
  const message = 'Reason: a\0b \ud800 \u{1f600}';
  const phases = [{ phaseType: 'BUILD' as const, startTime: now.toISOString() }];
  const { completed } = turnTo(phases, 'COMPLETED', { status: 'FAILED', contexts: [{ statusCode: 'CLIENT_ERROR', message }] }, now);
  assert.deepEqual(completed.contexts, [{ statusCode: 'CLIENT_ERROR', message: 'Reason: a\ufffdb \ufffd \u{1f600}' }]);
});
