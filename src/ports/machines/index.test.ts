import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { createMachines } from './index.ts';

test('makes the driver that is asked for, and for auto the best that works, warning of any other', async () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'penstock-machines-'));
  try {
    const warnings: string[] = [];
    const log = { warn: (_: object, message: string) => void warnings.push(message) };
    for (const kind of ['dummy', 'process', 'sandbox'] as const) assert.equal((await createMachines({ kind, dataDir, log })).name, kind);
    assert.deepEqual(warnings, []);
    const { available } = await (await createMachines({ kind: 'sandbox', dataDir, log })).probe();
    const chosen = await createMachines({ kind: 'auto', dataDir, log });
    assert.deepEqual([chosen.name, warnings.length], available ? ['sandbox', 0] : ['process', 1]);
  } finally {
    rmSync(dataDir, { recursive: true });
  }
});
