import assert from 'node:assert/strict';
import { type Bench, type Entry, finish, readTar, tarOf, underWay } from './contract-bench.ts';
import { ExecStartError } from './port.ts';

/** One promise of the port, and how it is put to the test. Throws when the promise is not kept. */
export interface Check {
  /** Completes "a machine …". */
  name: string;
  /** A limit without which there is nothing to check. */
  needs?: 'memory' | 'cpu' | 'pids';
  run(bench: Bench): Promise<void>;
}

const hostile: Record<string, Entry[]> = {
  'an absolute name': [{ name: '/escaped', content: 'x' }],
  'a name that climbs out': [{ name: 'a/../../escaped', content: 'x' }],
  'writing through a symbolic link of its own': [
    { name: 'out', type: 'symlink', linkname: '/tmp' },
    { name: 'out/escaped', content: 'x' },
  ],
  'making a directory through a symbolic link of its own': [
    { name: 'out', type: 'symlink', linkname: '..' },
    { name: 'out/escaped/file', content: 'x' },
  ],
  'a hard link to a file outside': [{ name: 'passwd', type: 'link', linkname: '../../../../../../../etc/passwd' }],
  'a hard link to an absolute name': [{ name: 'passwd', type: 'link', linkname: '/etc/passwd' }],
  'a device': [{ name: 'null', type: 'character-device', devmajor: 1, devminor: 3 }],
  'a named pipe': [{ name: 'pipe', type: 'fifo' }],
};

function refusal([what, entries]: [string, Entry[]]): Check {
  return {
    name: `refuses an archive with ${what}`,
    run: async (bench) => {
      const machine = await bench.machine('hostile');
      await assert.rejects(machine.put('safe', tarOf(...entries)), /the archive|the hard link/);
      assert.ok(!Object.keys(await readTar(await machine.get(machine.workdir))).some((name) => name.includes('escaped')));
    },
  };
}

/**
 * What port.ts promises of every driver, the dummy too. The tests run it on each driver, and `penstock machines check` on a user's own engine.
 */
export const contract: Check[] = [
  {
    name: 'says what it can do',
    run: async (bench) => {
      const capabilities = await bench.driver.probe();
      assert.ok(capabilities.isolation.startsWith(bench.driver.name));
      assert.equal(await bench.driver.probe(), capabilities);
    },
  },

  {
    name: 'refuses ids that are malformed or in use',
    run: async (bench) => {
      for (const id of ['', 'a/b', '..', 'a'.repeat(65)]) await assert.rejects(bench.machine(id), /is not a machine id/);
      await bench.machine('one');
      await assert.rejects(bench.machine('one'));
      const first = await bench.driver.adopt('one');
      assert.ok(first, 'the failed attempt has not removed the first');
    },
  },

  {
    name: 'runs commands, one after the other and beside each other',
    run: async (bench) => {
      const machine = await bench.machine('runs');
      assert.equal((await bench.driver.probe()).isolation, machine.isolation);
      assert.deepEqual(await finish(machine, bench.subject.say('hello')), {
        exitCode: 0,
        signal: null,
        oomKilled: false,
        aborted: false,
        stdout: 'hello',
        stderr: '',
      });
      const results = await Promise.all([1, 2, 3, 4].map((code) => finish(machine, bench.subject.exit(code))));
      assert.deepEqual(
        results.map(({ exitCode }) => exitCode),
        [1, 2, 3, 4],
      );
    },
  },

  {
    name: 'tells a command that could not be started',
    run: async (bench) => {
      const machine = await bench.machine('missing');
      await assert.rejects(machine.exec(bench.subject.missing()), ExecStartError);
      await assert.rejects(machine.exec({ argv: [] }), ExecStartError);
    },
  },

  {
    name: 'ends a command when its signal is aborted',
    run: async (bench) => {
      const machine = await bench.machine('aborts');
      const controller = new AbortController();
      const { ended } = await underWay(machine, { ...bench.subject.sleep(), signal: controller.signal });
      controller.abort();
      const result = await ended;
      assert.equal(result.aborted, true);
      assert.equal(result.signal, 'SIGTERM');
    },
  },

  {
    name: 'does not begin a command whose signal is aborted already',
    run: async (bench) => {
      const machine = await bench.machine('aborted');
      const result = await finish(machine, { ...bench.subject.say('never'), signal: AbortSignal.abort() });
      assert.deepEqual(result, { exitCode: null, signal: null, oomKilled: false, aborted: true, stdout: '', stderr: '' });
    },
  },

  {
    name: 'kills a command that ignores TERM when the grace is over',
    run: async (bench) => {
      const machine = await bench.machine('stubborn');
      const controller = new AbortController();
      const { ended } = await underWay(machine, { ...bench.subject.stubborn(), signal: controller.signal, graceMs: 100 });
      controller.abort();
      const result = await ended;
      assert.deepEqual([result.aborted, result.signal, result.exitCode], [true, 'SIGKILL', null]);
    },
  },

  {
    name: 'fails an exec whose output cannot be received',
    run: async (bench) => {
      const machine = await bench.machine('receiver');
      const onOutput = () => {
        throw new Error('full');
      };
      await assert.rejects(machine.exec({ ...bench.subject.say('x'), onOutput }), /full/);
    },
  },

  {
    name: 'puts trees in and gets them out',
    run: async (bench) => {
      const machine = await bench.machine('files');
      const long = `${'d'.repeat(90)}/${'f'.repeat(120)}`;
      await machine.put(
        'tree/deep',
        tarOf(
          { name: './a.txt', content: 'A', mode: 0o640 },
          { name: 'bin/', type: 'directory', mode: 0o755 },
          { name: 'bin/run', content: '#!/bin/sh\n', mode: 0o755 },
          { name: 'link', type: 'symlink', linkname: '/etc/passwd' },
          { name: long, content: 'long' },
          { name: 'empty', content: '' },
        ),
      );
      const tree = await readTar(await machine.get('tree/deep'));
      assert.equal(tree['a.txt']?.content, 'A');
      assert.equal(tree['a.txt']?.mode, 0o640);
      assert.equal(tree['bin/run']?.mode, 0o755);
      assert.deepEqual([tree.link?.type, tree.link?.linkname], ['symlink', '/etc/passwd']);
      assert.equal(tree[long]?.content, 'long');
      assert.equal(tree.empty?.content, '');
      assert.deepEqual(Object.keys(await readTar(await machine.get(`${machine.workdir}/tree/deep/a.txt`))), ['a.txt']);
    },
  },

  ...Object.entries(hostile).map(refusal),

  {
    name: 'stops, and then only its files are left',
    run: async (bench) => {
      const machine = await bench.machine('stops');
      await machine.put('.', tarOf({ name: 'kept', content: 'yes' }));
      const { ended } = await underWay(machine, bench.subject.sleep());
      await Promise.all([machine.stop(100), machine.stop(100)]);
      const result = await ended;
      assert.equal(result.aborted, false);
      assert.match(result.signal ?? '', /^SIG(TERM|KILL)$/);
      await assert.rejects(machine.exec(bench.subject.say('x')), ExecStartError);
      assert.equal((await readTar(await machine.get('.'))).kept?.content, 'yes');
    },
  },

  {
    name: 'is removed completely, more than once, and its id is free again',
    run: async (bench) => {
      const machine = await bench.machine('removed');
      const { ended } = await underWay(machine, bench.subject.stubborn());
      await machine.remove();
      await machine.remove();
      assert.equal((await ended).signal, 'SIGKILL');
      assert.equal(await bench.driver.adopt('removed'), undefined);
      assert.equal((await finish(await bench.machine('removed'), bench.subject.say('again'))).stdout, 'again');
    },
  },

  {
    name: 'is adopted by a new driver, which ends what was running and goes on',
    run: async (bench) => {
      const old = await bench.machine('adopted', { env: { KEPT: 'yes' } });
      await old.put('.', tarOf({ name: 'kept', content: 'yes' }));
      const { ended } = await underWay(old, bench.subject.stubborn());
      const machine = await bench.reopen().adopt('adopted');
      assert.ok(machine);
      assert.equal((await ended).signal, 'SIGKILL');
      assert.equal((await finish(machine, bench.subject.say('hello'))).stdout, 'hello');
      assert.equal((await readTar(await machine.get('kept'))).kept?.content, 'yes');
      assert.equal(machine.isolation, old.isolation);
      assert.equal(await bench.driver.adopt('unknown'), undefined);
      assert.equal(await bench.driver.adopt('../adopted'), undefined);
    },
  },

  {
    name: 'discards by its id whatever there is of a machine',
    run: async (bench) => {
      const machine = await bench.machine('discarded');
      const { ended } = await underWay(machine, bench.subject.stubborn());
      await bench.reopen().discard('discarded');
      assert.equal((await ended).signal, 'SIGKILL');
      assert.equal(await bench.driver.adopt('discarded'), undefined);
      for (const id of ['discarded', 'never-made', '../elsewhere']) await bench.driver.discard(id);
    },
  },

  {
    name: 'sweeps away the machines that nobody claims',
    run: async (bench) => {
      const kept = await bench.machine('kept');
      const lost = await bench.machine('lost');
      const { ended } = await underWay(lost, bench.subject.stubborn());
      await bench.reopen().sweep(new Set(['kept']));
      assert.equal((await ended).signal, 'SIGKILL');
      assert.equal(await bench.driver.adopt('lost'), undefined);
      assert.equal((await finish(kept, bench.subject.say('still here'))).stdout, 'still here');
    },
  },

  {
    name: 'is not made when the signal is aborted',
    run: async (bench) => {
      await assert.rejects(
        bench.driver.create({ id: 'never', env: {}, network: 'host' }, AbortSignal.abort(new Error('enough'))),
        /enough/,
      );
      assert.equal(await bench.driver.adopt('never'), undefined);
    },
  },
];
