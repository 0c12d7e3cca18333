import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { Bench, finish, sh, tarOf, underWay } from './contract-bench.ts';
import { leftovers, nothing, realSubjects, whyNot } from './test-subjects.ts';

for (const subject of realSubjects) {
  describe(`hostile commands: ${subject.name}`, { skip: await whyNot(subject) }, () => {
    test('a deep and forbidding tree is removed all the same', async () => {
      await using bench = new Bench(subject);
      const machine = await bench.machine('deep');
      const dig = `my $name = 'd' x 200; for (1..30) { mkdir $name or die; chdir $name or die } chmod 0, '.'; print 'done'`;
      const result = await finish(machine, { argv: ['perl', '-e', dig] });
      assert.match(result.stdout, /done/);
      await machine.remove();
      assert.deepEqual(await leftovers(bench.dataDir), nothing);
    });

    test('nothing is left of a removed machine', async () => {
      await using bench = new Bench(subject);
      const machine = await bench.machine('gone', { limits: { pids: 50 } });
      await finish(machine, sh('setsid sleep 1000 >/dev/null 2>&1 & echo x >file'));
      await machine.remove();
      assert.deepEqual(await leftovers(bench.dataDir), nothing);
    });

    test('links put in the place of directories do not lead what is put or got outside', async () => {
      await using bench = new Bench(subject);
      const outside = mkdtempSync(join(tmpdir(), 'penstock-outside-'));
      try {
        const machine = await bench.machine('swap');
        // Swaps a directory for a link to the outside as fast as it can, while files are put below it.
        const swap = `mkdir -p t/real; echo ready; while :; do ln -sfn '${outside}' t/x; rm -f t/x; mkdir t/x; rmdir t/x || rm -rf t/x; done 2>/dev/null`;
        const { ended } = await underWay(machine, sh(swap));
        for (let round = 0; round < 50; round++) {
          await machine.put('t', tarOf({ name: 'x/escaped', content: 'x' })).catch(() => undefined);
          await machine.get('t/x').then(
            (stream) => stream.resume().on('error', () => undefined),
            () => undefined,
          );
        }
        await machine.stop(0);
        await ended;
        assert.deepEqual(readdirSync(outside), []);
      } finally {
        rmSync(outside, { recursive: true });
      }
    });
  });
}

for (const subject of realSubjects.filter(({ name }) => name.startsWith('sandbox'))) {
  describe(`walls: ${subject.name}`, { skip: await whyNot(subject) }, () => {
    test("the server's data, other machines and the host's homes cannot be seen", async () => {
      await using bench = new Bench(subject);
      writeFileSync(join(bench.dataDir, 'master.key'), 'secret');
      const other = await bench.machine('other');
      await other.put('.', tarOf({ name: 'theirs', content: 'secret' }));
      const machine = await bench.machine('nosy');
      const paths = [
        join(bench.dataDir, 'master.key'),
        other.hostPath('theirs')!,
        bench.dataDir,
        '/root/.aws',
        '/root/.bashrc',
        '/sys/fs',
        '/var/lib/dpkg',
        '/etc/shadow',
      ];
      for (const path of paths) {
        const { exitCode, stdout } = await finish(machine, sh(`[ -d '${path}' ] && ls -A '${path}' || cat '${path}'`));
        assert.deepEqual([exitCode !== 0, stdout], [true, ''], path);
      }
      assert.equal((await finish(machine, sh('ls /home /mnt /srv /tmp; ls -A /root'))).stdout.replaceAll(/\/\w+:|\s/g, ''), '');
    });

    test("the server's files are out of reach through mounts, devices and other processes too", async () => {
      await using bench = new Bench(subject);
      const machine = await bench.machine('breakout');
      const attempts = [
        'mount -t tmpfs none /tmp',
        'umount /usr',
        'umount -l /proc',
        'mount -o remount,rw,bind /usr',
        'mknod /tmp/disk b 8 0 && head -c 1 /tmp/disk',
        `nsenter -t ${process.pid} -m true`,
        `kill -0 ${process.pid}`,
        'tr "\\0" "\\n" </proc/1/environ | grep -vE "^(PATH|PWD|OLDPWD|_MACHINE)="',
        // CAP_SYS_PTRACE and CAP_SYS_ADMIN, which could be turned against whoever enters the machine.
        '[ $((0x$(sed -n "s/^CapBnd:[[:space:]]*//p" /proc/self/status) & 0x280000)) -ne 0 ]',
        'echo x >/usr/x',
        'echo x >/etc/x',
        'echo 1 >/proc/sys/kernel/sysrq',
        'chroot /proc/1/root ls /home/* /boot',
        'grep -q "^Uid:.*65534" /proc/1/status',
        'grep -q "CapEff:.*[1-9a-f]" /proc/1/status',
        `head -c 1 /proc/1/root${bench.dataDir}/machines`,
        'hostname other',
      ];
      for (const attempt of attempts) {
        const { exitCode } = await finish(machine, sh(`(${attempt}) 2>/dev/null`));
        assert.notEqual(exitCode, 0, attempt);
      }
    });

    test('commands see only the processes of their own machine, and are root there', async () => {
      await using bench = new Bench(subject);
      const [one, two] = [await bench.machine('one'), await bench.machine('two')];
      const running = await underWay(two, sh('echo ready; exec sleep 4321'));
      const { stdout } = await finish(
        one,
        sh('id -u; hostname; echo "$HOME"; getent hosts one | cut -d" " -f1; cat /proc/[0-9]*/cmdline | tr "\\0" " "'),
      );
      assert.match(stdout, /^0\none\n\/root\n127\.0\.1\.1\n/);
      assert.ok(!stdout.includes('4321'));
      await two.stop(0);
      await running.ended;
    });

    test("shares the host's network, or has none", async () => {
      const server = createServer((_, response) => response.end('penstock'));
      server.listen(0, '127.0.0.1');
      await new Promise((resolve) => server.once('listening', resolve));
      try {
        await using bench = new Bench(subject);
        const { port } = server.address() as AddressInfo;
        const ask = {
          argv: [
            'perl',
            '-MIO::Socket::INET',
            '-e',
            `my $s = IO::Socket::INET->new("127.0.0.1:${port}") or exit 3; print $s "GET / HTTP/1.0\\r\\n\\r\\n"; print <$s>`,
          ],
        };
        assert.match((await finish(await bench.machine('host'), ask)).stdout, /penstock/);
        const alone = await bench.machine('none', { network: 'none' });
        assert.equal((await finish(alone, ask)).exitCode, 3);
        assert.match((await finish(alone, sh('tail -n +3 /proc/net/dev'))).stdout, /^\s*lo:[^\n]*\n$/);
      } finally {
        server.close();
      }
    });

    test('has the directories that were mounted, with the rights that were given', async () => {
      await using bench = new Bench(subject);
      const [cache, tools] = [join(bench.dataDir, 'cache'), join(bench.dataDir, 'tools')];
      for (const directory of [cache, tools]) mkdirSync(directory);
      writeFileSync(join(tools, 'tool'), 'tool');
      const mounts = [
        { source: cache, target: '/root/.m2' },
        { source: tools, target: 'given/tools', readOnly: true },
      ];
      const machine = await bench.machine('mounts', { mounts });
      assert.equal((await finish(machine, sh('echo jar >/root/.m2/jar && cat given/tools/tool'))).stdout, 'tool');
      assert.notEqual((await machine.exec(sh('echo x 2>/dev/null >given/tools/new'))).exitCode, 0);
      assert.equal(machine.hostPath('/root/.m2/jar'), join(cache, 'jar'));
      await machine.remove();
      assert.deepEqual(readdirSync(cache), ['jar'], 'what is mounted outlives the machine');
      const next = await bench.machine('next', { mounts });
      assert.equal((await finish(next, sh('cat /root/.m2/jar && echo more >>/root/.m2/jar'))).exitCode, 0);
    });

    test('runs as another user when asked', {
      skip: process.getuid!() === 0 ? false : 'only root can map more than one user',
    }, async () => {
      await using bench = new Bench(subject);
      const machine = await bench.machine('users');
      const { stdout } = await finish(machine, {
        ...sh('id -un; id -u; id -G; echo "$HOME"; touch /work/x 2>/dev/null || echo no'),
        user: 'nobody',
      });
      assert.match(stdout, /^nobody\n65534\n65534\n\/nonexistent\nno\n$/);
      assert.equal(
        (await finish(machine, sh('chown nobody /work && su -s /bin/sh nobody -c "touch /work/y && id -u"'))).stdout.trim(),
        '65534',
      );
    });
  });
}
