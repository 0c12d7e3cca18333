import assert from 'node:assert/strict';
import { test } from 'node:test';
import { agentIssue, isNoop, readDiagnostics } from './lifecycle.ts';

test('diagnostics of a failed script keep its name, its message and the end of its log', () => {
  const log = `${'x'.repeat(5000)}the end`;
  const payload = JSON.stringify({ error_code: 4, script_name: 'start.sh', message: 'exit code 1', log });
  const read = readDiagnostics(payload, false);
  assert.equal(read.errorCode, 'ScriptFailed');
  assert.equal(read.scriptName, 'start.sh');
  assert.equal(read.message, 'exit code 1');
  assert.equal(read.logTail!.length, 2048);
  assert.ok(read.logTail!.endsWith('the end'));
});

test('codes that the API has no name for become the nearest', () => {
  assert.equal(readDiagnostics('{"error_code":6}', false).errorCode, 'ScriptFailed');
  assert.equal(readDiagnostics('{"error_code":7}', false).errorCode, 'UnknownError');
  assert.equal(readDiagnostics('{"error_code":99}', false).errorCode, 'UnknownError');
});

test('broken diagnostics are shown as they came and never throw', () => {
  for (const payload of [undefined, '', '{', '[]', '7', 'null', '"x"', '{"error_code":{},"log":[1],"message":5}']) {
    assert.equal(readDiagnostics(payload, false).errorCode, 'UnknownError');
    assert.equal(readDiagnostics(payload, true).errorCode, 'Success');
  }
  assert.equal(readDiagnostics('oh', false).message, 'oh');
});

test('a noop is only what says so', () => {
  assert.equal(isNoop('{"IsCommandNoop":true}'), true);
  for (const payload of ['{"IsCommandNoop":false}', '{"IsCommandNoop":"true"}', '{}', 'true', undefined])
    assert.equal(isNoop(payload), false);
});

test('an agent that is away is named with the time it was last seen', () => {
  assert.match(agentIssue(new Date('2026-11-22T10:00:00Z')).message!, /last seen at 2026-11-22T10:00:00\.000Z/);
  assert.match(agentIssue(undefined).message!, /ever been seen/);
});
