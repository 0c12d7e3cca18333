import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Bench, finish, readTar, sh, tarOf, underWay } from './contract-bench.ts';
import { ExecStartError } from './port.ts';
import { realSubjects, whyNot } from './test-subjects.ts';

for (const subject of realSubjects) {
  describe(`commands: ${subject.name}`, { skip: await whyNot(subject) }, () => {
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

    test('get arguments and variables unchanged, whatever they hold', async () => {
      await using bench = new Bench(subject);
      const odd = `'"\`$HOME\\n\n\t *?[a] é 漢字 \u0081 !! \u007f; exit 9 #`;
      const machine = await bench.machine('odd', { env: { ODD: odd, 'with.dot': odd, 'with-dash': '1', IFS: 'x', UID: '7', EMPTY: '' } });
      const { stdout } = await finish(machine, { argv: ['/usr/bin/env', '-0'] });
      const variables = stdout.split('\0');
      for (const expected of [`ODD=${odd}`, `with.dot=${odd}`, 'with-dash=1', 'IFS=x', 'UID=7', 'EMPTY='])
        assert.ok(variables.includes(expected), expected);
      assert.equal((await finish(machine, { argv: ['printf', '%s|', odd, '', '-n', '--'] })).stdout, `${odd}||-n|--|`);
    });

    test('cannot turn their environment against what starts them', async () => {
      await using bench = new Bench(subject);
      const env = {
        LD_PRELOAD: '/nonexistent/evil.so',
        PATH: '/nonexistent',
        ENV: '/nonexistent',
        BASH_ENV: '/nonexistent',
        PS4: '$(exit 3)',
      };
      const machine = await bench.machine('preload', { env });
      const { exitCode, stdout } = await finish(machine, { argv: ['/bin/sh', '-c', 'echo "$LD_PRELOAD"'] });
      assert.deepEqual([exitCode, stdout.trim()], [0, '/nonexistent/evil.so']);
    });

    test('are refused when they cannot begin, with the reason', async () => {
      await using bench = new Bench(subject);
      const machine = await bench.machine('refused');
      await machine.put('.', tarOf({ name: 'plain', content: 'echo', mode: 0o644 }));
      const refused: [Parameters<typeof machine.exec>[0], RegExp][] = [
        [{ argv: ['no-such-program'] }, /no-such-program: not found/],
        [{ argv: ['./plain'] }, /not executable/],
        [{ argv: [machine.workdir] }, /not executable/],
        [{ argv: ['true'], cwd: 'no/such/place' }, /cannot enter the directory .*no\/such\/place/],
        [{ argv: ['true', 'a\0b'] }, /NUL/],
        [{ argv: ['true'], env: { 'a=b': 'c' } }, /cannot be the name/],
        [{ argv: ['true', 'x'.repeat(131_072)] }, /longer than/],
        [{ argv: ['true', ...Array.from({ length: 40 }, () => 'x'.repeat(100_000))] }, /larger than/],
        [{ argv: ['true'], user: 'no-such-user' }, /no user no-such-user/],
      ];
      for (const [command, reason] of refused) {
        await assert.rejects(
          machine.exec(command),
          (error: Error) => error instanceof ExecStartError && reason.test(error.message),
          String(reason),
        );
      }
    });

    test('report their exit status or signal, 126 and 127 included', async () => {
      await using bench = new Bench(subject);
      const machine = await bench.machine('status');
      for (const code of [0, 1, 126, 127, 255]) assert.equal((await machine.exec(sh(`exit ${code}`))).exitCode, code);
      for (const signal of ['SIGKILL', 'SIGTERM', 'SIGSEGV', 'SIGHUP']) {
        const result = await machine.exec(sh(`kill -${signal.slice(3)} $$`));
        assert.deepEqual([result.exitCode, result.signal], [null, signal]);
      }
    });

    test('read their input to its end', async () => {
      await using bench = new Bench(subject);
      const machine = await bench.machine('input');
      assert.equal((await finish(machine, { argv: ['cat'], stdin: Buffer.from('hello') })).stdout, 'hello');
      assert.equal((await finish(machine, { argv: ['cat'], stdin: tarOf({ name: 'x', content: 'y' }) })).stdout.slice(0, 1), 'x');
      assert.equal((await finish(machine, { argv: ['cat'] })).stdout, '', 'no input is an empty one');
      // Larger than a pipe, and not read at all.
      assert.equal((await finish(machine, { argv: ['true'], stdin: Buffer.alloc(1_000_000) })).exitCode, 0);
    });

    test('can open their output by name, as with tee /dev/stderr', async () => {
      await using bench = new Bench(subject);
      const machine = await bench.machine('devices');
      const result = await finish(machine, sh('echo a | tee /dev/stderr; echo b >/dev/stdout; echo c >/dev/null'));
      assert.deepEqual([result.stdout, result.stderr, result.exitCode], ['a\nb\n', 'a\n', 0]);
    });

    test('leave background processes that do not hold up the exec and are there for the next', async () => {
      await using bench = new Bench(subject);
      const machine = await bench.machine('background');
      const { stdout, exitCode } = await finish(machine, sh('setsid sleep 1000 & echo $!; echo started'));
      assert.deepEqual([exitCode, stdout.split('\n')[1]], [0, 'started']);
      const pid = stdout.split('\n')[0];
      assert.equal((await machine.exec(sh(`kill -0 ${pid}`))).exitCode, 0);
      assert.equal((await machine.exec(sh(`kill ${pid}`))).exitCode, 0);
    });

    test('may go on writing in the background without blocking or dying', async () => {
      await using bench = new Bench(subject);
      const machine = await bench.machine('chatter');
      const flood = 'exec 9>&1; { while :; do echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; done; } & echo $! >pid';
      assert.equal((await finish(machine, sh(flood))).exitCode, 0);
      assert.equal((await machine.exec(sh('kill -0 $(cat pid)'))).exitCode, 0);
      await machine.stop(0);
    });

    test('run where they are told, and see files that were put there', async () => {
      await using bench = new Bench(subject);
      const machine = await bench.machine('where');
      await machine.put('a/b', tarOf({ name: 'f', content: 'put' }));
      assert.equal((await finish(machine, sh('pwd'))).stdout.trim(), machine.workdir);
      const result = await finish(machine, { ...sh('cat f; echo more >>f; ls -ln f | cut -d" " -f3; id -u'), cwd: 'a/b' });
      const [content, owner, self] = result.stdout.replace('put', 'put\n').split('\n');
      assert.deepEqual([content, owner], ['put', self], 'a file that was put belongs to the user that runs commands');
      assert.equal((await readTar(await machine.get('a/b'))).f?.content, 'putmore\n');
      const host = machine.hostPath('a/b/f');
      assert.ok(host?.startsWith(bench.dataDir) && host.endsWith('/a/b/f'));
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

    test('can be many at once', async () => {
      await using bench = new Bench(subject);
      const machine = await bench.machine('many');
      const results = await Promise.all(Array.from({ length: 20 }, (_, index) => finish(machine, sh(`echo ${index}; echo ${index} >&2`))));
      results.forEach((result, index) => {
        assert.deepEqual([result.stdout, result.stderr], [`${index}\n`, `${index}\n`]);
      });
    });

    test('end with all that they started when aborted, daemons too, and leave others alone', async () => {
      await using bench = new Bench(subject);
      const machine = await bench.machine('daemons');
      const other = await underWay(machine, sh('echo ready; exec sleep 1000'));
      const controller = new AbortController();
      const daemon = `setsid sh -c 'trap "" TERM HUP; echo $$ >daemon; while :; do sleep 0.05; done' >/dev/null 2>&1 </dev/null &`;
      const script = `${daemon} while ! [ -s daemon ]; do sleep 0.01; done; trap 'echo cleaning; exit 7' TERM; echo ready; while :; do sleep 0.05; done`;
      let output = '';
      const { promise: ready, resolve } = Promise.withResolvers<void>();
      const ended = machine.exec({
        ...sh(script),
        signal: controller.signal,
        graceMs: 300,
        onOutput: (chunk) => {
          output += chunk;
          if (output.includes('ready')) resolve();
        },
      });
      await ready;
      controller.abort();
      const result = await ended;
      assert.equal(result.aborted, true);
      assert.match(output, /cleaning/);
      // A zombie is gone too: on a host whose process 1 is slow to take note, it can be seen for a while.
      const { stdout: state } = await finish(machine, sh('grep State /proc/$(cat daemon)/status 2>/dev/null'));
      assert.match(state, /^(State:\s+Z.*\n)?$/, 'the daemon is gone');
      await machine.stop(0);
      assert.match((await other.ended).signal ?? '', /SIG/);
    });
  });
}
