import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { counter } from './cgroup-files.ts';
import { parseCgroupMounts } from './cgroups.ts';
import { ControlGroupsV1 } from './cgroups-v1.ts';
import { ControlGroupsV2 } from './cgroups-v2.ts';
import { groupSet, terminate } from './process-set.ts';

/** A directory that stands for a mounted cgroup tree; the kernel's part, making files in new groups, is done by {@link fill}. */
function fakeTree(files: Record<string, string>): Disposable & { root: string; fill(group: string, files: Record<string, string>): void } {
  const root = mkdtempSync(join(tmpdir(), 'penstock-cgroup-'));
  const fill = (group: string, contents: Record<string, string>) => {
    mkdirSync(join(root, group), { recursive: true });
    for (const [name, content] of Object.entries(contents)) writeFileSync(join(root, group, name), content);
  };
  fill('.', files);
  return { root, fill, [Symbol.dispose]: () => rmSync(root, { recursive: true }) };
}

const v2Files = {
  'cgroup.procs': '',
  'cgroup.freeze': '0',
  'memory.max': 'max',
  'memory.swap.max': 'max',
  'memory.events': 'oom 0\noom_kill 0\n',
  'cpu.max': 'max 100000',
  'pids.max': 'max',
};

test('version 2: uses only the controllers that the top of the tree hands down', () => {
  using tree = fakeTree({ 'cgroup.subtree_control': 'cpu memory pids io\n' });
  assert.equal(ControlGroupsV2.at(tree.root).label, 'cgroup v2 memory cpu pids');
  using bare = fakeTree({ 'cgroup.subtree_control': '\n' });
  assert.deepEqual(ControlGroupsV2.at(bare.root).limits, { memory: false, cpu: false, pids: false });
});

test('version 2: writes limits into the machine group, and reads what happened from there', () => {
  using tree = fakeTree({ 'cgroup.subtree_control': 'cpu memory pids' });
  tree.fill('penstock-x-m', v2Files);
  const groups = ControlGroupsV2.at(tree.root);
  const group = groups.create('penstock-x-m', { memoryBytes: 64 * 2 ** 20, cpus: 1.5, pids: 20 });
  const read = (name: string) => readFileSync(join(tree.root, 'penstock-x-m', name), 'utf8');
  assert.equal(read('memory.max'), '67108864');
  assert.equal(read('memory.swap.max').slice(0, 1), '0');
  assert.equal(read('cpu.max').trim(), '150000 100000');
  assert.equal(read('pids.max').slice(0, 2), '20');
  assert.equal(group.oomKills(), 0);
  tree.fill('penstock-x-m', { 'memory.events': 'low 0\noom 3\noom_kill 2\noom_group_kill 0\n' });
  assert.equal(group.oomKills(), 2);
  assert.deepEqual(groups.list('penstock-x-'), ['penstock-x-m']);
  assert.deepEqual(groups.list('penstock-y-'), []);
});

test('version 2: knows the processes of an exec, and of the machine with all its execs', () => {
  using tree = fakeTree({ 'cgroup.subtree_control': '' });
  const group = ControlGroupsV2.at(tree.root).create('penstock-x-m', {});
  group.addExec('x1');
  tree.fill('penstock-x-m', { 'cgroup.procs': '10\n11\n' });
  tree.fill('penstock-x-m/x1', { 'cgroup.procs': '12\n' });
  assert.deepEqual(group.joinFiles(), [join(tree.root, 'penstock-x-m/cgroup.procs')]);
  assert.deepEqual(group.joinFiles('x1'), [join(tree.root, 'penstock-x-m/x1/cgroup.procs')]);
  assert.deepEqual(group.pids('x1'), [12]);
  assert.deepEqual(group.pids(), [10, 11, 12]);
});

test('version 2: freezes a group while there is somebody to kill in it, and thaws it then', async () => {
  using tree = fakeTree({ 'cgroup.subtree_control': '' });
  const group = ControlGroupsV2.at(tree.root).create('penstock-x-m', {});
  const child = spawn('sleep', ['1000'], { stdio: 'ignore' });
  const exited = once(child, 'exit');
  tree.fill('penstock-x-m', { 'cgroup.procs': `${child.pid}\n${process.pid}\n`, 'cgroup.freeze': '0' });
  const freeze = () => readFileSync(join(tree.root, 'penstock-x-m/cgroup.freeze'), 'utf8');
  const spare = (pid: number) => pid === process.pid;
  assert.equal(group.kill(spare), false);
  assert.equal(freeze(), '1');
  assert.equal((await exited)[1], 'SIGKILL');
  tree.fill('penstock-x-m', { 'cgroup.procs': `${process.pid}\n` });
  assert.equal(group.kill(spare), true);
  assert.equal(freeze(), '0');
});

test('version 1: writes each limit into its own tree, swap with memory', () => {
  using memory = fakeTree({});
  using cpu = fakeTree({});
  using pids = fakeTree({});
  memory.fill('penstock-x-m', {
    'memory.limit_in_bytes': '9223372036854771712',
    'memory.memsw.limit_in_bytes': '9223372036854771712',
    'memory.oom_control': 'oom_kill_disable 0\nunder_oom 0\noom_kill 1\n',
  });
  cpu.fill('penstock-x-m', { 'cpu.cfs_period_us': '', 'cpu.cfs_quota_us': '' });
  pids.fill('penstock-x-m', { 'pids.max': 'max' });
  const groups = new ControlGroupsV1({ memory: memory.root, cpu: cpu.root, pids: pids.root });
  assert.equal(groups.label, 'cgroup v1 memory cpu pids');
  const group = groups.create('penstock-x-m', { memoryBytes: 2 ** 30, cpus: 0.25, pids: 7 });
  assert.match(readFileSync(join(memory.root, 'penstock-x-m/memory.limit_in_bytes'), 'utf8'), /^1073741824/);
  assert.match(readFileSync(join(memory.root, 'penstock-x-m/memory.memsw.limit_in_bytes'), 'utf8'), /^1073741824/);
  assert.equal(readFileSync(join(cpu.root, 'penstock-x-m/cpu.cfs_quota_us'), 'utf8'), '25000');
  assert.equal(group.oomKills(), 1);
  group.addExec('x1');
  assert.ok(existsSync(join(pids.root, 'penstock-x-m/x1')), 'execs have groups in one tree only');
  assert.ok(!existsSync(join(memory.root, 'penstock-x-m/x1')));
  assert.deepEqual(group.joinFiles('x1'), [
    join(memory.root, 'penstock-x-m/cgroup.procs'),
    join(cpu.root, 'penstock-x-m/cgroup.procs'),
    join(pids.root, 'penstock-x-m/x1/cgroup.procs'),
  ]);
});

test('finds the mounts of both versions, shared trees too', () => {
  const mountinfo = [
    '30 25 0:26 / /sys/fs/cgroup ro,nosuid - tmpfs tmpfs ro,mode=755',
    '31 30 0:27 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:9 - cgroup cgroup rw,cpu,cpuacct',
    '32 30 0:28 / /sys/fs/cgroup/with\\040space rw - cgroup cgroup rw,memory',
    '33 30 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate',
    '',
  ].join('\n');
  const { v1, v2 } = parseCgroupMounts(mountinfo);
  assert.deepEqual(
    [v1.get('cpu'), v1.get('memory'), v1.get('pids')],
    ['/sys/fs/cgroup/cpu,cpuacct', '/sys/fs/cgroup/with space', undefined],
  );
  assert.equal(v2, '/sys/fs/cgroup/unified');
});

test('takes a missing counter for none', () => {
  assert.equal(counter('/nonexistent/memory.events', 'oom_kill'), 0);
});

const { v2: unified } = parseCgroupMounts(existsSync('/proc/self/mountinfo') ? readFileSync('/proc/self/mountinfo', 'utf8') : '');
const real = unified ? await ControlGroupsV2.at(unified).tried(`penstock-test-${process.pid}`) : undefined;

test('version 2, real: ends a group of processes that fork all the time', {
  skip: real ? false : 'no cgroup v2 that this user may change',
}, async () => {
  const name = `penstock-test-${process.pid}-forks`;
  const group = real!.create(name, {});
  group.addExec('x1');
  try {
    const script = `echo 0 >"$1" || exit; fork() { while :; do sh -c 'sleep 0.01' & sleep 0.02; done; }; fork & fork & fork & wait`;
    const child = spawn('/bin/sh', ['-c', script, 'sh', group.joinFiles('x1')[0]!], { stdio: 'ignore' });
    while (group.pids('x1').length < 3) await new Promise(setImmediate);
    await terminate(groupSet(group, 'x1'), 0);
    assert.deepEqual(group.pids(), []);
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    assert.equal(child.signalCode, 'SIGKILL');
  } finally {
    await group.remove();
  }
  assert.ok(!existsSync(join(unified!, name)));
});
