import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { createServer } from 'node:tls';
import { Bench, finish, readTar, type Subject, sh, shell, tarOf, underWay } from '../contract-bench.ts';
import { ImagePullError } from '../port.ts';
import { createDockerMachines } from './index.ts';
import { TestEngine, testImage, whyNoEngine } from './test-engine.ts';

function subjectOf(env: NodeJS.ProcessEnv): Subject {
  return { name: 'docker', open: (dataDir) => createDockerMachines({ dataDir, env }), spec: { image: { name: testImage } }, ...shell };
}

/** What the contract does not say: how containers are made, found again and told from those of others. */
describe('containers', { skip: await whyNoEngine() }, () => {
  let engine: TestEngine;
  let subject: Subject;
  before(async () => {
    engine = await TestEngine.start();
    subject = subjectOf(engine.env);
  });
  after(async () => {
    await engine[Symbol.asyncDispose]();
  });

  async function containers(): Promise<{ Id: string; State: string }[]> {
    return await engine.api.call('GET', '/containers/json', { query: { all: 'true' } });
  }

  test("a command runs as a user of the image, and what that user's daemons are ends with it", async () => {
    await using bench = new Bench(subject);
    const machine = await bench.machine('user');
    assert.equal((await finish(machine, sh('cd && pwd && echo x >file'))).stdout, '/root\n', 'root has a home even if the image has none');
    const told = await finish(machine, { ...sh('id -u; echo $HOME; touch /etc/x 2>&1 || echo denied'), user: 'builder' });
    assert.match(told.stdout, /^1000\n\/tmp\n.*denied\n$/s);
    const stop = new AbortController();
    const daemon = `setsid sh -c 'trap "" TERM HUP; echo $$ >/tmp/daemon; while :; do sleep 0.1; done' >/dev/null 2>&1 &`;
    const script = `${daemon} while ! [ -s /tmp/daemon ]; do sleep 0.01; done; echo ready; sleep 1000`;
    const { ended } = await underWay(machine, { ...sh(script), user: 'builder', signal: stop.signal, graceMs: 100 });
    stop.abort();
    assert.equal((await ended).aborted, true);
    assert.equal((await machine.exec(sh('kill -0 $(cat /tmp/daemon)'))).exitCode, 1, 'the daemon is gone');
  });

  test('limits, networks, mounts and variables are as the spec says, and secrets are in no arguments', async () => {
    await using bench = new Bench(subject);
    const shared = join(bench.dataDir, 'shared');
    mkdirSync(shared);
    writeFileSync(join(shared, 'file'), 'from the host');
    const machine = await bench.machine('spec', {
      env: { SECRET: 'must-not-be-seen' },
      limits: { memoryBytes: 2 ** 28, cpus: 0.5, pids: 50 },
      mounts: [
        { source: shared, target: 'cache' },
        { source: shared, target: '/fixed', readOnly: true },
      ],
      network: 'none',
    });
    const script = 'echo $SECRET; cat cache/file /fixed/file; echo new >cache/new; ls /sys/class/net; ! touch /fixed/x 2>/dev/null';
    const { stdout, exitCode } = await finish(machine, sh(script));
    assert.deepEqual([stdout, exitCode], ['must-not-be-seen\nfrom the hostfrom the hostlo\n', 0]);
    const [container] = await containers();
    const { HostConfig } = await engine.api.call<{ HostConfig: Record<string, unknown> }>('GET', `/containers/${container!.Id}/json`);
    assert.deepEqual(
      [HostConfig.Memory, HostConfig.MemorySwap, HostConfig.CpuQuota, HostConfig.Privileged],
      [2 ** 28, 2 ** 28, 50_000, false],
    );
    const { ended } = await underWay(machine, { ...sh('echo ready; sleep 1000'), env: { OTHER: 'must-not-be-seen' } });
    assert.ok(!execFileSync('ps', ['-eo', 'args']).toString().includes('must-not-be-seen'));
    await machine.stop(0);
    await ended;
    const limits = { memoryBytes: 2 ** 50, cpus: 500, pids: 10 ** 6 };
    assert.equal((await (await bench.machine('large', { limits })).exec(sh('true'))).exitCode, 0, 'more than the host has is no error');
  });

  test('what lies behind a link is not written to by put; links themselves may lead anywhere', async () => {
    await using bench = new Bench(subject);
    const machine = await bench.machine('links');
    await machine.exec(sh('mkdir t elsewhere && ln -s ../elsewhere t/link && ln -s t alias'));
    await assert.rejects(machine.put('t', tarOf({ name: 'link/escaped', content: 'x' })), /the archive's "link" is not a directory/);
    const entries = [
      { name: 'up', type: 'symlink' as const, linkname: '../../../etc/passwd' },
      { name: 'deep/er/file', content: 'put' },
    ];
    await machine.put('alias/new', tarOf(...entries));
    const tree = await readTar(await machine.get('t'));
    assert.deepEqual([tree['new/up']?.linkname, tree['new/deep/er/file']?.content], ['../../../etc/passwd', 'put']);
    assert.deepEqual(Object.keys(await readTar(await machine.get('elsewhere'))), []);
    await machine.exec(sh('ln -s loop loop; mkfifo t/pipe'));
    await assert.rejects(machine.get('loop'));
    await assert.rejects(machine.get('nothing-here'), /there is no \/work\/nothing-here/);
    assert.ok(!('pipe' in (await readTar(await machine.get('alias')))), 'neither files nor links are left out');
  });

  test('a container that died is started again with its files, one that was stopped is not', async () => {
    await using bench = new Bench(subject);
    const died = await bench.machine('died');
    await finish(died, sh('echo kept >file'));
    const [container] = await containers();
    await engine.api.call('POST', `/containers/${container!.Id}/kill`);
    await assert.rejects(died.exec(sh('true')), /is not running/);
    const again = await bench.reopen().adopt('died');
    assert.equal((await finish(again!, sh('cat file'))).stdout, 'kept\n');
    await again!.stop(0);
    const stopped = await bench.reopen().adopt('died');
    await assert.rejects(stopped!.exec(sh('true')), /is stopped/);
    assert.equal((await readTar(await stopped!.get('file'))).file?.content, 'kept\n');
  });

  test('a machine that holds up what keeps it is stopped all the same', async () => {
    await using bench = new Bench(subject);
    const machine = await bench.machine('held');
    await machine.exec(sh('kill -STOP -1'));
    await machine.stop(0);
    await assert.rejects(machine.exec(sh('true')), /is stopped/);
    assert.deepEqual(
      (await containers()).map(({ State }) => State),
      ['exited'],
    );
  });

  test('a container that was not made completely is none, and goes', async () => {
    await using bench = new Bench(subject);
    await bench.machine('whole');
    const [whole] = await containers();
    const { Name, Config } = await engine.api.call<{ Name: string; Config: object }>('GET', `/containers/${whole!.Id}/json`);
    await bench.driver.sweep(new Set());
    await engine.api.call('POST', '/containers/create', { query: { name: Name.slice(1) }, body: Config });
    assert.equal(await bench.reopen().adopt('whole'), undefined);
    assert.deepEqual(await containers(), []);
  });

  test('containers of others are left alone, and nothing of ours stays', async () => {
    await using bench = new Bench(subject);
    await using other = new Bench(subject);
    const theirs = await other.machine('same-id');
    await bench.machine('same-id');
    await bench.driver.sweep(new Set());
    assert.equal(await bench.driver.adopt('same-id'), undefined);
    assert.equal((await finish(theirs, sh('echo still here'))).stdout, 'still here\n');
    await theirs.remove();
    assert.deepEqual(await containers(), []);
    const { Volumes } = await engine.api.call<{ Volumes: unknown[] | null }>('GET', '/volumes');
    assert.deepEqual(Volumes ?? [], []);
  });

  test('the engine may be behind TLS, which must be its own', async () => {
    const certs = join(engine.directory, 'certs');
    mkdirSync(certs);
    const [key, cert] = [join(certs, 'key.pem'), join(certs, 'cert.pem')];
    const name = ['-subj', '/CN=engine', '-addext', 'subjectAltName=IP:127.0.0.1'];
    const pair = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-noenc', '-keyout', key, '-out', cert];
    execFileSync('openssl', ['req', '-x509', '-days', '1', ...pair, ...name], { stdio: 'ignore' });
    copyFileSync(cert, join(certs, 'ca.pem'));
    const options = { key: readFileSync(key), cert: readFileSync(cert), ca: readFileSync(cert), requestCert: true, allowHalfOpen: true };
    const front = createServer(options, (socket) => {
      const inner = connect({ path: engine.host.slice('unix://'.length), allowHalfOpen: true });
      for (const [from, to] of [
        [socket, inner],
        [inner, socket],
      ] as const)
        from.on('error', () => to.destroy()).pipe(to);
    });
    front.on('tlsClientError', () => undefined).listen(0, '127.0.0.1');
    await once(front, 'listening');
    try {
      const env = {
        DOCKER_HOST: `tcp://127.0.0.1:${(front.address() as AddressInfo).port}`,
        DOCKER_TLS_VERIFY: '1',
        DOCKER_CERT_PATH: certs,
      };
      await using bench = new Bench(subjectOf(env));
      const machine = await bench.machine('tls');
      assert.equal((await finish(machine, { argv: ['cat'], stdin: Buffer.alloc(300_000, 'x') })).stdout.length, 300_000);
      await machine.put('t', tarOf({ name: 'file', content: 'by TLS' }));
      assert.equal((await readTar(await machine.get('t'))).file?.content, 'by TLS');
      rmSync(join(certs, 'ca.pem'));
      const { available, notes } = await createDockerMachines({ dataDir: bench.dataDir, env }).probe();
      assert.equal(available, false);
      assert.match(notes.join(), /self-signed certificate/);
    } finally {
      front.close();
    }
  });

  test('an image is pulled as its policy says', async () => {
    await using bench = new Bench(subject);
    const unknown = { name: 'penstock-test/unknown:1' };
    await assert.rejects(bench.machine('never', { image: { ...unknown, pull: 'never' } }), ImagePullError);
    await assert.rejects(bench.machine('always', { image: { name: '127.0.0.1:1/none', pull: 'always' } }), /connection refused/);
    await assert.rejects(bench.machine('odd', { image: { name: 'No Such:Name:' } }), ImagePullError);
    await assert.rejects(bench.driver.create({ id: 'none', env: {}, network: 'host' }), /needs an image/);
    assert.deepEqual(await containers(), []);
  });
});
