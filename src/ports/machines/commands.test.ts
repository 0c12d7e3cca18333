import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Bench, finish, readTar, sh, tarOf } from './contract-bench.ts';
import { commandContract } from './contract-commands.ts';
import { limitsOf, realSubjects, whyNot } from './test-subjects.ts';

for (const subject of realSubjects) {
  const unavailable = await whyNot(subject);
  const limits = unavailable ? undefined : await limitsOf(subject);
  describe(`commands: ${subject.name}`, { skip: unavailable }, () => {
    for (const { name, needs, run } of commandContract) {
      test(name, { skip: needs !== undefined && !limits?.[needs] && `no ${needs} limits on this host for this user` }, async () => {
        await using bench = new Bench(subject);
        await run(bench);
      });
    }

    test('may go on writing in the background without blocking or dying', async () => {
      await using bench = new Bench(subject);
      const machine = await bench.machine('chatter');
      const flood = 'exec 9>&1; { while :; do echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; done; } & echo $! >pid';
      assert.equal((await finish(machine, sh(flood))).exitCode, 0);
      assert.equal((await machine.exec(sh('kill -0 $(cat pid)'))).exitCode, 0);
      await machine.stop(0);
    });

    test('are shown on the host where they write', async () => {
      await using bench = new Bench(subject);
      const host = (await bench.machine('where')).hostPath('a/b/f');
      assert.ok(host?.startsWith(bench.dataDir) && host.endsWith('/a/b/f'));
    });

    test('get the environment they were given and nothing of the server', async () => {
      process.env.PENSTOCK_TEST_SECRET = 'must not be seen';
      process.env.AWS_SECRET_ACCESS_KEY = 'must not be seen';
      try {
        await using bench = new Bench(subject);
        const machine = await bench.machine('env', { env: { ONE: 'machine', TWO: 'machine' } });
        const { stdout } = await finish(machine, { argv: ['/usr/bin/env', '-0'], env: { TWO: 'command' } });
        const env = Object.fromEntries(
          stdout
            .split('\0')
            .filter(Boolean)
            .map((line) => line.split(/=(.*)/s).slice(0, 2)),
        );
        // A shell on the way may add what shells add.
        for (const name of ['PWD', 'OLDPWD', 'SHLVL', '_', '_MACHINE']) delete env[name];
        const { HOME, ...others } = env;
        assert.deepEqual(others, { ONE: 'machine', TWO: 'command', LANG: 'C.UTF-8', PATH: others.PATH });
        assert.match(others.PATH!, /^\/usr\/local\/sbin:/);
        const { stdout: written } = await finish(machine, sh('cd && echo x >there && pwd'));
        assert.equal(written.trim(), HOME);
      } finally {
        delete process.env.PENSTOCK_TEST_SECRET;
        delete process.env.AWS_SECRET_ACCESS_KEY;
      }
    });

    test('get out no more than what is inside, even through links', async () => {
      await using bench = new Bench(subject);
      const machine = await bench.machine('links');
      await machine.exec(sh('mkdir real && echo r >real/f && ln -s real link && ln -s loop loop && mkfifo pipe && ln -s pipe topipe'));
      assert.equal((await readTar(await machine.get('link'))).f?.content, 'r\n');
      assert.deepEqual(Object.keys(await readTar(await machine.get('.'))).sort(), ['link', 'loop', 'real', 'real/f', 'topipe']);
      await assert.rejects(machine.get('loop'), /too many symbolic links|ELOOP/);
      await assert.rejects(machine.get('pipe'));
      await machine.exec(sh('ln -s /etc etc; ln -s ../../../../../../../../../../../../etc up'));
      for (const name of ['etc', 'up', '/etc', '/proc/self']) await assert.rejects(machine.get(name), /not in the machine's own files/);
      for (const name of ['etc', 'up'])
        await assert.rejects(machine.put(name, tarOf({ name: 'x', content: 'x' })), /not in the machine's own files/);
    });
  });
}
