import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { after, before, describe, test } from 'node:test';
import { finish, sh, underWay } from '../contract-bench.ts';
import { ExecStartError, ImagePullError, type Machine, type MachineDriver, type MachineSpec } from '../port.ts';
import { createKubernetesMachines } from './index.ts';
import { settingsOf } from './settings.ts';
import { privateImage, TestCluster, whyNoCluster } from './test-cluster.ts';

describe('pods of a cluster', { skip: whyNoCluster() }, () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'penstock-machines-'));
  let cluster: TestCluster;
  let env: NodeJS.ProcessEnv;
  let driver: MachineDriver;
  const spec: MachineSpec = { id: 'one', env: {}, network: 'host', image: { name: 'busybox:1' } };

  before(async () => {
    cluster = new TestCluster();
    env = await cluster.start();
    driver = createKubernetesMachines({ dataDir, env });
  });
  after(async () => {
    await cluster[Symbol.asyncDispose]();
    rmSync(dataDir, { recursive: true });
  });

  async function withMachine(work: (machine: Machine) => Promise<void>, more: Partial<MachineSpec> = {}): Promise<void> {
    const machine = await driver.create({ ...spec, ...more });
    try {
      await work(machine);
    } finally {
      await machine.remove();
    }
    assert.deepEqual(cluster.pods, []);
    assert.deepEqual(cluster.secrets, []);
  }

  test('are made as the machine asks, and can do nothing at the API', async () => {
    const settings = { ...env, PENSTOCK_KUBERNETES_NODE_SELECTOR: 'disk=fast, zone=a', PENSTOCK_KUBERNETES_SERVICE_ACCOUNT: 'builder' };
    const machine = await createKubernetesMachines({ dataDir, env: settings }).create({
      ...spec,
      limits: { memoryBytes: 2 ** 30, cpus: 1.5, pids: 100 },
      gpus: 2,
      privileged: true,
    });
    const pod = cluster.pods[0]!.spec!;
    assert.equal(pod.automountServiceAccountToken, false);
    assert.equal(pod.restartPolicy, 'Never');
    assert.equal(pod.serviceAccountName, 'builder');
    assert.deepEqual(pod.nodeSelector, { disk: 'fast', zone: 'a' });
    assert.deepEqual(pod.containers[0]!.resources, { limits: { memory: '1073741824', cpu: '1500m', 'nvidia.com/gpu': '2' } });
    assert.equal(pod.containers[0]!.securityContext!.privileged, true);
    await machine.remove();
    assert.deepEqual(cluster.pods, []);
  });

  test('are refused what a cluster cannot give', async () => {
    await assert.rejects(driver.create({ ...spec, network: 'none' }), /cannot be without a network/);
    await assert.rejects(driver.create({ ...spec, mounts: [{ source: '/etc', target: 'etc' }] }), /cannot see directories/);
    const { image: _, ...without } = spec;
    await assert.rejects(driver.create(without), /needs an image/);
    assert.deepEqual(cluster.pods, []);
  });

  test('whose image cannot be had or run fail with the words of the node, and are removed', async () => {
    await assert.rejects(driver.create({ ...spec, image: { name: 'missing:1' } }), (error: Error) => {
      assert.ok(error instanceof ImagePullError);
      assert.match(error.message, /missing:1: pull access denied/);
      return true;
    });
    await assert.rejects(driver.create({ ...spec, image: { name: 'empty:1' } }), /has no \/bin\/sh/);
    await assert.rejects(driver.create({ ...spec, image: { name: privateImage.name } }), ImagePullError);
    const wrong = { username: 'ada', password: 'wrong' };
    await assert.rejects(driver.create({ ...spec, image: { name: privateImage.name, credentials: wrong } }), ImagePullError);
    assert.deepEqual(cluster.pods, []);
    assert.deepEqual(cluster.secrets, []);
  });

  test('get the credentials of their registry for as long as they live', async () => {
    await withMachine(
      async (machine) => {
        assert.equal(cluster.secrets.length, 1);
        assert.ok(!JSON.stringify(cluster.pods).includes(privateImage.credentials.password));
        assert.equal((await finish(machine, sh('echo in'))).stdout, 'in\n');
      },
      { image: privateImage },
    );
  });

  test('that no node takes are waited for, then given up with the reason', async () => {
    const settings = { ...env, PENSTOCK_KUBERNETES_NODE_SELECTOR: 'disk=none', PENSTOCK_KUBERNETES_START_SECONDS: '1' };
    const told: string[] = [];
    const image = { name: 'busybox:1', onPull: (line: string) => void told.push(line) };
    const picky = createKubernetesMachines({ dataDir, env: settings });
    await assert.rejects(picky.create({ ...spec, image }), /did not start within 1 s: no node takes it: 0\/1 nodes are available/);
    assert.deepEqual(told, ["no node takes it: 0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector."]);
    assert.deepEqual(cluster.pods, []);
  });

  test('run commands as another user by su', async () => {
    await withMachine(async (machine) => {
      assert.equal((await finish(machine, { ...sh('id -u; echo "$WHAT"'), user: 'builder', env: { WHAT: 'a b' } })).stdout, '1000\na b\n');
      await assert.rejects(machine.exec({ ...sh('true'), user: 'nobody-here' }), (error: Error) => {
        assert.ok(error instanceof ExecStartError);
        assert.equal(error.message, 'there is no user nobody-here');
        return true;
      });
      const controller = new AbortController();
      const { ended } = await underWay(machine, {
        ...sh('sleep 1000 & echo ready; wait'),
        user: 'builder',
        signal: controller.signal,
        graceMs: 100,
      });
      controller.abort();
      assert.equal((await ended).aborted, true);
      assert.equal((await finish(machine, sh('ps | grep -c "[s]leep 1000"'))).stdout, '0\n');
    });
  });

  test('give a command its input and its end, and take output of any size at the pace of the reader', async () => {
    await withMachine(async (machine) => {
      const input = Buffer.alloc(3 * 1024 * 1024, 'x');
      assert.equal((await finish(machine, { ...sh('wc -c'), stdin: input })).stdout.trim(), String(input.length));
      let taken = 0;
      const result = await machine.exec({
        ...sh('head -c 20000000 /dev/zero'),
        onOutput: async (chunk) => {
          taken += chunk.length;
          await new Promise(setImmediate);
        },
      });
      assert.deepEqual([result.exitCode, taken], [0, 20_000_000]);
    });
  });

  test('end a command whose input breaks off', async () => {
    await withMachine(async (machine) => {
      const stdin = Readable.from(
        (async function* () {
          yield Buffer.from('a part');
          throw new Error('no more of it');
        })(),
      );
      await assert.rejects(machine.exec({ ...sh('cat'), stdin }), /no more of it/);
      assert.equal((await finish(machine, sh('ps | grep -c "[c]at$"'))).stdout, '0\n');
    });
  });

  test('end a command though what it left in the background holds its output', async () => {
    await withMachine(async (machine) => {
      const { stdout, stderr, exitCode } = await finish(machine, sh('sleep 1000 & echo out; echo err >&2; exit 7'));
      assert.deepEqual([stdout, stderr, exitCode], ['out\n', 'err\n', 7]);
      assert.equal((await finish(machine, sh('ps | grep -c "[s]leep 1000"'))).stdout, '1\n');
      const next = await createKubernetesMachines({ dataDir, env }).adopt('one');
      assert.equal((await finish(next!, sh('ps | grep -c "[s]leep 1000"'))).stdout, '1\n', 'adopting does not end it');
    });
  });

  test('end a command whose connection breaks, and tell that its end is not known', async () => {
    await withMachine(async (machine) => {
      const { ended } = await underWay(machine, sh('echo ready; exec sleep 1000'));
      cluster.breakConnections();
      await assert.rejects(ended, { name: 'ClusterLost' });
      assert.equal((await finish(machine, sh('ps | grep -c "[s]leep 1000"'))).stdout, '0\n');
    });
  });

  test('of a cluster that cannot end an input run commands without one', async () => {
    await using older = new TestCluster(4);
    const machine = await createKubernetesMachines({ dataDir, env: await older.start() }).create(spec);
    assert.equal((await finish(machine, sh('echo fine'))).stdout, 'fine\n');
    await assert.rejects(machine.exec({ ...sh('cat'), stdin: Buffer.from('x') }), /Kubernetes 1.30 or newer is needed/);
    await machine.remove();
  });

  test('cannot be had where the cluster does not answer', async () => {
    const gone = new TestCluster();
    const there = await gone.start();
    const late = createKubernetesMachines({ dataDir, env: there });
    await gone[Symbol.asyncDispose]();
    // Its file went with it; the next one is of a cluster that has stopped.
    const { available, notes } = await late.probe();
    assert.equal(available, false);
    assert.match(notes[0]!, /cannot be used/);
    await assert.rejects(late.create(spec), { name: 'ClusterLost' });
  });
});

test('settings that cannot be read are named', () => {
  assert.throws(() => settingsOf({ PENSTOCK_KUBERNETES_NODE_SELECTOR: 'disk' }), /written name=value/);
  assert.throws(() => settingsOf({ PENSTOCK_KUBERNETES_START_SECONDS: '-1' }), /whole number/);
});
