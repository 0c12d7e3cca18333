/** Builds that take all they can get, that will not end, or that look where they should not: whole builds on a real server, as root. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { leftovers, nothing } from '../../src/ports/machines/test-subjects.ts';
import { type BuildBench, buildBench, commands, phaseLines, zipOf } from '../support/codebuild.ts';
import { noSandbox, probeSandbox } from '../support/machine.ts';
import { startServer, type TestServer } from '../support/server.ts';

const MIB = 1024 * 1024;
const DISK = 64 * MIB;
const FLOOD = 120 * MIB;
const why = process.getuid!() === 0 ? await noSandbox() : 'only root has limits and a file system of a build’s own';

const { limits } = await probeSandbox();
const without = (limit: 'memory' | 'pids') => (limits[limit] ? false : `no ${limit} limits on this host`);

describe('hostile builds', { skip: why ?? false, timeout: 120_000 }, () => {
  let server: TestServer;
  let bench: BuildBench;
  let home: string;
  let machines: string;

  before(async () => {
    home = mkdtempSync(path.join(tmpdir(), 'penstock-hostile-'));
    mkdirSync(path.join(home, '.aws'));
    writeFileSync(path.join(home, '.aws/credentials'), '[default]\naws_access_key_id = HOSTS-OWN-KEY\n');
    const dataDir = path.join(home, 'data');
    machines = path.join(dataDir, 'machines/sandbox');
    mkdirSync(machines, { recursive: true, mode: 0o700 });
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${DISK}`, 'penstock-test', machines]);
    server = await startServer({
      dataDir,
      args: ['--machines', 'sandbox'],
      env: { PENSTOCK_BUILD_PROCESSES: '150', PENSTOCK_BUILD_SLOTS: '4', HOME: home, SECRET_OF_THE_HOST: 'secret-of-the-host' },
    });
    bench = await buildBench(server);
  });
  after(async () => {
    await server?.stop();
    execFileSync('umount', [machines]);
    rmSync(home, { recursive: true, force: true });
  });

  /** What builds left of themselves on the host; the mount is the test's own. */
  async function left() {
    const found = await leftovers(server.dataDir);
    return { ...found, mounts: found.mounts.filter((line) => !line.includes('penstock-test')) };
  }

  async function outcome(name: string, buildspec: string, more: Parameters<BuildBench['project']>[2] = {}) {
    await bench.project(name, buildspec, more);
    const build = await bench.build(name);
    return { build, phases: phaseLines(build).join('\n') };
  }

  const harmless = async (name: string) => (await outcome(name, commands('echo well'))).build.buildStatus;

  test('out of memory: the command fails with 137 and the log says why, the host and the next phase go on', {
    skip: without('memory'),
  }, async () => {
    const environment = { type: 'LINUX_LAMBDA_CONTAINER', image: 'i', computeType: 'BUILD_LAMBDA_1GB' } as const;
    // Without a line break tail keeps all that it reads.
    const spec = `${commands('head -c 3000000000 /dev/zero | tail')}  post_build:\n    commands: [echo after]\n`;
    const { build, phases } = await outcome('memory', spec, { environment });
    assert.equal(build.buildStatus, 'FAILED');
    assert.match(phases, /BUILD FAILED COMMAND_EXECUTION_ERROR: Error while executing command: .* Reason: exit status 137$/m);
    assert.match(await bench.log(build), /killed, most often for want of memory[\s\S]*^after$/m);
    assert.deepEqual(await left(), nothing);
  });

  test('forks without end: others build meanwhile, and StopBuild ends it', { skip: without('pids') }, async () => {
    await bench.project('forks', commands('echo begun; bomb() { bomb | bomb & }; (bomb) & while :; do sleep 1; done'));
    const { build } = await bench.codebuild.startBuild({ projectName: 'forks' });
    await bench.wait(build!.id!, (now) => now.currentPhase === 'BUILD');
    assert.equal(await harmless('beside-forks'), 'SUCCEEDED');
    await bench.codebuild.stopBuild({ id: build!.id! });
    const over = await bench.wait(build!.id!);
    assert.equal(over.buildStatus, 'STOPPED', phaseLines(over).join('\n'));
    assert.deepEqual(await left(), nothing);
  });

  test('a full disk fails the command, or the phase, that met it, and is free again afterwards', async () => {
    const { build, phases } = await outcome('disk', commands(`head -c ${DISK * 2} /dev/zero >big`));
    assert.equal(build.buildStatus, 'FAILED', phases);
    assert.match(await bench.log(build), /No space left on device/);
    const [megabyte, zip] = ['x'.repeat(MIB), {} as Record<string, string>];
    for (let index = 0; index * MIB < DISK; index += 1) zip[`file-${index}`] = megabyte;
    await bench.s3.putObject({ Bucket: bench.bucket, Key: 'large.zip', Body: await zipOf({ ...zip, more: megabyte.repeat(4) }) });
    const source = { type: 'S3', location: `${bench.bucket}/large.zip`, buildspec: commands('echo never') } as const;
    const large = await outcome('disk-source', '', { source });
    assert.match(large.phases, /DOWNLOAD_SOURCE (FAILED|FAULT) .*(no space left|ENOSPC)/i);
    assert.equal(await harmless('after-disk'), 'SUCCEEDED');
    assert.deepEqual(await left(), nothing);
  });

  test('what daemonizes, ignores signals or fills the log in the background is gone with the build', async () => {
    const stubborn = `setsid sh -c 'trap "" TERM HUP INT; exec 9<>/dev/null; while :; do sleep 1; done' >/dev/null 2>&1 &`;
    const perl = `perl -e 'use POSIX; exit if fork; POSIX::setsid(); exit if fork; $SIG{TERM} = "IGNORE"; sleep 1 while 1' </dev/null >/dev/null 2>&1`;
    const ended = await outcome('daemons', commands(stubborn, perl, '(while :; do echo noise; sleep 0.01; done) &', 'echo done'));
    assert.equal(ended.build.buildStatus, 'SUCCEEDED', ended.phases);
    await bench.project('ignores', commands(stubborn, `trap '' TERM; echo begun; while :; do sleep 1; done`));
    const { build } = await bench.codebuild.startBuild({ projectName: 'ignores' });
    await bench.wait(build!.id!, (now) => now.currentPhase === 'BUILD');
    await bench.codebuild.stopBuild({ id: build!.id! });
    assert.equal((await bench.wait(build!.id!)).buildStatus, 'STOPPED');
    assert.deepEqual(await left(), nothing);
  });

  test('a flood of log is held back, not kept in memory', async () => {
    await bench.project('flood', commands(`yes "$(head -c 120 /dev/zero | tr '\\0' x)" | head -c ${FLOOD}; echo; echo the-end`));
    const before = residentBytes(server.pid);
    const { build } = await bench.codebuild.startBuild({ projectName: 'flood' });
    let most = 0;
    const over = await bench.wait(build!.id!, (now) => {
      most = Math.max(most, residentBytes(server.pid));
      return now.buildComplete === true;
    });
    assert.equal(over.buildStatus, 'SUCCEEDED', phaseLines(over).join('\n'));
    // With a gigabyte it is the same; a server that kept all of it would need a multiple of what was written.
    assert.ok(most - before < 300 * MIB, `grew by ${Math.round((most - before) / MIB)} MiB`);
    const { events } = await bench.logs.getLogEvents({ logGroupName: over.logs!.groupName!, logStreamName: over.logs!.streamName! });
    assert.ok(events!.some(({ message }) => message === 'the-end\n'));
  });

  test('a build cannot see the server, its data, its database, the host’s credentials or another build', async () => {
    const token = 'secret-of-the-neighbour';
    await bench.project('neighbour', commands('echo their-file >theirs; echo begun; while :; do sleep 1; done'), {
      environment: {
        type: 'LINUX_CONTAINER',
        image: 'i',
        computeType: 'BUILD_GENERAL1_SMALL',
        environmentVariables: [{ name: 'TOKEN', value: token }],
      },
    });
    const neighbour = await bench.codebuild.startBuild({ projectName: 'neighbour' });
    await bench.wait(neighbour.build!.id!, (now) => now.currentPhase === 'BUILD');
    // Each must fail, or find nothing. The words looked for are put together here, so as not to be found in these very commands.
    const attempts = [
      `cat ${server.dataDir}/master.key`,
      `cat ${server.dataDir}/server.json`,
      `ls ${server.dataDir}`,
      `ls ${server.dataDir}/blobs`,
      `ls ${machines}`,
      `ls ${server.dataDir}/postgres`,
      `cat ${home}/.aws/credentials`,
      'cat /root/.aws/credentials /root/.ssh/* /home/*/.ssh/*',
      `cat /proc/${server.pid}/environ`,
      `ls /proc/${server.pid}/root/`,
      `ls /proc/1/root${server.dataDir}`,
      `kill -0 ${server.pid}`,
      'cat /proc/[0-9]*/environ | tr "\\0" "\\n" | grep -e of-the-neighbou"r" -e of-the-hos"t"',
      'env | grep of-the-hos"t"',
      'find / -xdev -name their"s" -print 2>/dev/null | grep .',
      'find / \\( -path /proc -o -path /usr \\) -prune -o -name "*.s.PGSQL*" -print 2>/dev/null | grep .',
      `find / \\( -path /proc -o -path /usr \\) -prune -o -name server.json -print 2>/dev/null | grep .`,
      'python3 -c "import socket; socket.create_connection((\'127.0.0.1\', 5432), 1)"',
      'mount -t tmpfs none /mnt',
      `chroot /proc/1/root ls ${server.dataDir}`,
      `nsenter -t 1 -m cat ${server.dataDir}/master.key`,
      'ls /var/run/docker.sock /run/docker.sock',
      'cat /etc/shadow',
      'echo x >/etc/hosts',
      'echo x >/usr/bin/penstock-was-here',
      'dmesg',
      'ls /sys/fs/cgroup/memory',
      // The administrator's rights: those of the service role are all there is.
      'curl -sf -m 2 "$AWS_ENDPOINT_URL/v2/credentials/guess"',
    ];
    const spec = commands(
      ...attempts.map((attempt, index) => `if (${attempt}) 2>/dev/null; then echo BREACH-${index}; fi`),
      'echo all-tried',
    );
    const { build, phases } = await outcome('nosy', spec);
    assert.equal(build.buildStatus, 'SUCCEEDED', phases);
    const log = await bench.log(build);
    assert.match(log, /^all-tried$/m);
    const breaches = [...log.matchAll(/^BREACH-(\d+)$/gm)].map((match) => attempts[Number(match[1])]);
    assert.deepEqual(breaches, [], log);
    await bench.codebuild.stopBuild({ id: neighbour.build!.id! });
    await bench.wait(neighbour.build!.id!);
    assert.deepEqual(await left(), nothing);
  });
});

function residentBytes(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) * 1024;
}
