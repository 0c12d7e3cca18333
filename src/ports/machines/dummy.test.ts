import assert from 'node:assert/strict';
import { test } from 'node:test';
import { finish } from './contract-bench.ts';
import { createDummyMachines } from './dummy.ts';
import { ExecStartError } from './port.ts';

const spec = { id: 'm', env: {}, network: 'host' } as const;

test('does what the variables say, those of the command before those of the machine', async () => {
  const machine = await createDummyMachines().create({ ...spec, env: { EXIT: '3', OUTPUT: 'from the machine' } });
  const inherited = await finish(machine, { argv: ['make'] });
  assert.deepEqual([inherited.exitCode, inherited.stdout], [3, 'from the machine']);
  const own = await finish(machine, { argv: ['make'], env: { EXIT: '0', OUTPUT: 'from the command' } });
  assert.deepEqual([own.exitCode, own.stdout], [0, 'from the command']);
  const killed = await finish(machine, { argv: ['make'], env: { OOM: '1', LOST_OUTPUT: '1' } });
  assert.deepEqual(killed, { exitCode: null, signal: 'SIGKILL', oomKilled: true, aborted: false, stdout: '', stderr: '' });
  await assert.rejects(machine.exec({ argv: ['make'], env: { START_FAIL: '1' } }), ExecStartError);
});

test('does what the first matching rule says', async () => {
  const rules = [
    { match: 'npm test', exitCode: 1, output: 'not ok' },
    { match: /^npm/, output: 'npm' },
  ];
  const machine = await createDummyMachines({ rules }).create(spec);
  assert.deepEqual(
    [(await finish(machine, { argv: ['npm', 'test'] })).stdout, (await finish(machine, { argv: ['npm', 'ci'] })).stdout],
    ['not ok', 'npm'],
  );
  assert.equal((await finish(machine, { argv: ['make'] })).stdout, '');
});

test('can fail to make a machine', async () => {
  await assert.rejects(createDummyMachines().create({ ...spec, env: { START_FAIL: 'create' } }), /START_FAIL/);
});
