import assert from 'node:assert/strict';
import type { Check } from './contract.ts';
import { finish, readTar, sh, tarOf, underWay } from './contract-bench.ts';
import { ExecStartError } from './port.ts';

const mib = 1024 * 1024;

/** What port.ts promises of every driver that really runs commands, with nothing but a POSIX shell's usual tools; names complete "commands …". */
export const commandContract: Check[] = [
  {
    name: 'get arguments and variables unchanged, whatever they hold',
    run: async (bench) => {
      const odd = `'"\`$HOME\\n\n\t *?[a] é 漢字 \u0081 !! \u007f; exit 9 #`;
      const machine = await bench.machine('odd', { env: { ODD: odd, 'with.dot': odd, 'with-dash': '1', IFS: 'x', UID: '7', EMPTY: '' } });
      const { stdout } = await finish(machine, { argv: ['env', '-0'] });
      const variables = stdout.split('\0');
      for (const expected of [`ODD=${odd}`, `with.dot=${odd}`, 'with-dash=1', 'IFS=x', 'UID=7', 'EMPTY='])
        assert.ok(variables.includes(expected), expected);
      assert.equal((await finish(machine, { argv: ['printf', '%s|', odd, '', '-n', '--'] })).stdout, `${odd}||-n|--|`);
    },
  },
  {
    name: 'cannot turn their environment against what starts them',
    run: async (bench) => {
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
    },
  },
  {
    name: 'are refused when they cannot begin, with the reason',
    run: async (bench) => {
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
    },
  },
  {
    name: 'report their exit status or signal, 126 and 127 included',
    run: async (bench) => {
      const machine = await bench.machine('status');
      for (const code of [0, 1, 126, 127, 255]) assert.equal((await machine.exec(sh(`exit ${code}`))).exitCode, code);
      for (const signal of ['SIGKILL', 'SIGTERM', 'SIGSEGV', 'SIGHUP']) {
        const result = await machine.exec(sh(`kill -${signal.slice(3)} $$`));
        assert.deepEqual([result.exitCode, result.signal], [null, signal]);
      }
    },
  },
  {
    name: 'read their input to its end',
    run: async (bench) => {
      const machine = await bench.machine('input');
      assert.equal((await finish(machine, { argv: ['cat'], stdin: Buffer.from('hello') })).stdout, 'hello');
      assert.equal((await finish(machine, { argv: ['cat'], stdin: tarOf({ name: 'x', content: 'y' }) })).stdout.slice(0, 1), 'x');
      assert.equal((await finish(machine, { argv: ['cat'] })).stdout, '', 'no input is an empty one');
      // Larger than a pipe, and not read at all.
      assert.equal((await finish(machine, { argv: ['true'], stdin: Buffer.alloc(1_000_000) })).exitCode, 0);
    },
  },
  {
    name: 'can open their output by name, as with tee /dev/stderr',
    run: async (bench) => {
      const machine = await bench.machine('devices');
      const result = await finish(machine, sh('echo a | tee /dev/stderr; echo b >/dev/stdout; echo c >/dev/null'));
      assert.deepEqual([result.stdout, result.stderr, result.exitCode], ['a\nb\n', 'a\n', 0]);
    },
  },
  {
    name: 'leave background processes that do not hold up the exec and are there for the next',
    run: async (bench) => {
      const machine = await bench.machine('background');
      const { stdout, exitCode } = await finish(machine, sh('setsid sleep 1000 & echo $!; echo started'));
      assert.deepEqual([exitCode, stdout.split('\n')[1]], [0, 'started']);
      const pid = stdout.split('\n')[0];
      assert.equal((await machine.exec(sh(`kill -0 ${pid}`))).exitCode, 0);
      assert.equal((await machine.exec(sh(`kill ${pid}`))).exitCode, 0);
    },
  },
  {
    name: 'run where they are told, and see files that were put there',
    run: async (bench) => {
      const machine = await bench.machine('where');
      await machine.put('a/b', tarOf({ name: 'f', content: 'put' }));
      assert.equal((await finish(machine, sh('pwd'))).stdout.trim(), machine.workdir);
      const result = await finish(machine, { ...sh('cat f; echo more >>f; stat -c %u f; id -u'), cwd: 'a/b' });
      const [content, owner, self] = result.stdout.replace('put', 'put\n').split('\n');
      assert.deepEqual([content, owner], ['put', self], 'a file that was put belongs to the user that runs commands');
      assert.equal((await readTar(await machine.get('a/b'))).f?.content, 'putmore\n');
    },
  },
  {
    name: 'can be many at once',
    run: async (bench) => {
      const machine = await bench.machine('many');
      const results = await Promise.all(Array.from({ length: 20 }, (_, index) => finish(machine, sh(`echo ${index}; echo ${index} >&2`))));
      results.forEach((result, index) => {
        assert.deepEqual([result.stdout, result.stderr], [`${index}\n`, `${index}\n`]);
      });
    },
  },
  {
    name: 'end with all that they started when aborted, daemons too, and leave others alone',
    run: async (bench) => {
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
    },
  },
  {
    name: 'that fork without end stay within their limit, and end',
    needs: 'pids',
    run: async (bench) => {
      const machine = await bench.machine('bomb', { limits: { pids: 40 } });
      // The shell itself forks only once, before there is anything to be short of: a fork that fails would end it.
      const bomb = 'echo ready; bomb() { bomb | bomb & }; (bomb) & exec sleep 1000';
      const controller = new AbortController();
      const { ended } = await underWay(machine, { ...sh(bomb), signal: controller.signal, graceMs: 100 });
      const neighbour = await bench.machine('neighbour');
      assert.equal((await neighbour.exec(sh('exit 0'))).exitCode, 0);
      controller.abort();
      assert.equal((await ended).aborted, true);
      assert.equal((await machine.exec(sh('exit 0'))).exitCode, 0, 'the machine can be used again');
      const again = await underWay(machine, sh(bomb));
      await machine.stop(0);
      await again.ended;
    },
  },
  {
    name: 'that take too much memory are killed, and that is told',
    needs: 'memory',
    run: async (bench) => {
      const machine = await bench.machine('hog', { limits: { memoryBytes: 64 * mib } });
      const hog = await finish(machine, sh(`head -c ${256 * mib} /dev/zero | tail`));
      assert.equal(hog.oomKilled, true);
      const after = await machine.exec(sh('exit 0'));
      assert.deepEqual([after.oomKilled, after.exitCode], [false, 0]);
    },
  },
  {
    name: 'that flood their output are held, not the server',
    run: async (bench) => {
      const machine = await bench.machine('flood');
      const total = 200 * mib;
      let seen = 0;
      let most = 0;
      const before = process.memoryUsage().rss;
      const result = await machine.exec({
        ...sh(`head -c ${total} /dev/zero`),
        onOutput: async (chunk) => {
          seen += chunk.length;
          await new Promise(setImmediate);
          most = Math.max(most, process.memoryUsage().rss - before);
        },
      });
      assert.deepEqual([result.exitCode, seen], [0, total]);
      assert.ok(most < 100 * mib, `grew by ${most} bytes`);
    },
  },
];
