import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

/** A user of the host that owns nothing. */
const nobody = 65_534;

/** Machines of an ordinary user are other machines: no control groups, no users to map. So the same tests run once more as one. */
for (const name of ['contract', 'commands', 'hostile', 'restart']) {
  const file = fileURLToPath(new URL(`./${name}.test.ts`, import.meta.url));
  test(`as an ordinary user: ${name}`, { skip: whyNot(file) }, async () => {
    const directory = mkdtempSync(join(tmpdir(), 'penstock-nobody-'));
    chownSync(directory, nobody, nobody);
    try {
      const env = { PATH: process.env.PATH, TMPDIR: directory, HOME: directory };
      const child = spawn(process.execPath, ['--test-reporter=tap', file], { uid: nobody, gid: nobody, env, cwd: '/' });
      let output = '';
      for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk));
      const [code] = await once(child, 'close');
      assert.equal(code, 0, output);
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  });
}

function whyNot(file: string): string | false {
  if (process.getuid?.() !== 0) return 'this is an ordinary user already';
  const readable = spawnSync(process.execPath, ['--eval', 'require("node:fs").accessSync(process.argv[1])', file], {
    uid: nobody,
    gid: nobody,
    cwd: '/',
  });
  return readable.status === 0 ? false : 'the checkout cannot be read by other users';
}
