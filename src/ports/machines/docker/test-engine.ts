import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { removeGroup } from '../cgroup-files.ts';
import { findControlGroups } from '../cgroups.ts';
import { connectionOf } from './connection.ts';
import { Engine } from './engine.ts';

/** Why no Docker engine can be started here for tests, or false. */
export async function whyNoEngine(): Promise<string | false> {
  if (process.getuid?.() !== 0) return 'only root can start a Docker engine of its own';
  const missing = ['dockerd', 'containerd', 'busybox'].filter((name) => spawnSync('which', [name]).status !== 0);
  if (missing.length > 0) return `${missing.join(', ')} not installed`;
  // Root of a container, for one, may do neither, and no engine can run there.
  const mounts = spawnSync('unshare', ['--mount', 'mount', '-t', 'tmpfs', 'none', tmpdir()]).status === 0;
  const groups = await findControlGroups(`penstock-test-${process.pid}`);
  return mounts && groups ? false : 'this root may not mount, or make control groups';
}

/** The image that every test engine has: busybox, and the users root and builder. */
export const testImage = 'penstock-test/busybox:1';

/**
 * A Docker engine of a test's own, in a temporary directory, without a bridge or rules of a firewall, so that nothing outside of it is changed.
 * Disposing ends it with all of its containers, also those that it lost by being killed.
 */
export class TestEngine implements AsyncDisposable {
  readonly directory = mkdtempSync(join(tmpdir(), 'pen-dock-'));
  readonly host = `unix://${join(this.directory, 'docker.sock')}`;
  readonly env = { DOCKER_HOST: this.host };
  /** The files of the image. */
  readonly root = join(this.directory, 'busybox');
  #child: ChildProcess | undefined;

  static async start(): Promise<TestEngine> {
    const engine = new TestEngine();
    await engine.start();
    makeBusyboxRoot(engine.root);
    await engine.importImage(testImage, engine.root);
    return engine;
  }

  get api(): Engine {
    return new Engine(connectionOf(this.env));
  }

  /** Resolves when it answers. */
  async start(): Promise<void> {
    const of = (name: string): string => join(this.directory, name);
    const plain = ['--bridge=none', '--iptables=false', '--ip6tables=false', '--ip-forward=false', '--ip-masq=false'];
    const places = ['--data-root', of('data'), '--exec-root', of('exec'), '--pidfile', of('pid'), '--host', this.host];
    const own = ['--cgroup-parent', `/${basename(this.directory)}`, '--log-level', 'warn'];
    this.#child = spawn('dockerd', [...places, ...plain, ...own], { stdio: ['ignore', 'ignore', 'pipe'] });
    let said = '';
    this.#child.stderr!.on('data', (chunk) => {
      said = (said + chunk).slice(-8192);
    });
    for (let tries = 0; tries < 600; tries++) {
      if (this.#child.exitCode !== null) throw new Error(`dockerd ended: ${said}`);
      if (await this.#answers()) return;
      await delay(50);
    }
    throw new Error(`dockerd does not answer: ${said}`);
  }

  /** As if the machine had lost it: its containers go on running. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL');
    // Its containerd went with it; as a zombie, which nobody may take note of for a while, the next engine would take it for alive.
    rmSync(join(this.directory, 'exec/containerd/containerd.pid'), { force: true });
  }

  /** An image of the files in a directory. */
  async importImage(name: string, directory: string): Promise<void> {
    const [repo, tag] = name.split(':');
    const content = { type: 'application/x-tar', body: Readable.from([tarOfDirectory(directory)]) };
    const answer = await this.api.stream('POST', '/images/create', { query: { fromSrc: '-', repo: repo!, tag: tag! } }, content);
    answer.resume();
    await once(answer, 'end');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const containers = await this.#containers();
    await this.#end('SIGTERM');
    // What a killed engine left: the shims of its containers, its containerd, its mounts.
    for (let round = 0; round < 100 && this.#processes().length > 0; round++) {
      for (const pid of this.#processes()) kill(pid);
      await delay(20);
    }
    for (const path of this.#mounts()) spawnSync('umount', ['--lazy', path]);
    for (const tree of readdirSync('/sys/fs/cgroup')) await removeGroup(join('/sys/fs/cgroup', tree, basename(this.directory)));
    await removeGroup(join('/sys/fs/cgroup', basename(this.directory)));
    for (const socket of this.#shimSockets()) rmSync(socket, { force: true });
    rmSync(this.directory, { recursive: true, force: true, maxRetries: 10 });
    if (containers.length > 0) throw new Error(`containers were left behind: ${containers.join(', ')}`);
  }

  async #answers(): Promise<boolean> {
    return this.api.call('GET', '/version').then(
      () => true,
      () => false,
    );
  }

  /** Names of those that there still are; none when it does not run. */
  async #containers(): Promise<string[]> {
    if (!(await this.#answers())) return [];
    const all = await this.api.call<{ Names: string[] }[]>('GET', '/containers/json', { query: { all: 'true' } });
    return all.flatMap(({ Names }) => Names);
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    child.kill(signal);
    await once(child, 'exit');
    rmSync(join(this.directory, 'pid'), { force: true });
  }

  /** Of this engine: they name its directory in their arguments, or run in the container of one that does. */
  #processes(): number[] {
    const { stdout } = spawnSync('ps', ['-eo', 'pid=,ppid=,args='], { encoding: 'utf8' });
    const all = stdout.split('\n').map((line) => /^\s*(\d+)\s+(\d+)\s+(.*)$/.exec(line) ?? []);
    const own = new Set(all.filter(([, , , args]) => args?.includes(this.directory)).map(([, pid]) => pid));
    return all
      .filter(([, pid, parent]) => own.has(pid!) || own.has(parent!))
      .map(([, pid]) => Number(pid))
      .filter((pid) => pid > 1);
  }

  /** Of shims that were killed; containerd names them by where it listens itself. */
  #shimSockets(): string[] {
    const containerd = join(this.directory, 'exec/containerd');
    const bundles = join(containerd, 'daemon/io.containerd.runtime.v2.task/moby');
    const names = existsSync(bundles) ? readdirSync(bundles) : [];
    return names.map((id) => {
      const path = join(containerd, 'containerd.sock', 'moby', id);
      return `/run/containerd/s/${createHash('sha256').update(path).digest('hex')}`;
    });
  }

  #mounts(): string[] {
    const lines = readFileSync('/proc/self/mountinfo', 'utf8').split('\n');
    return lines.flatMap((line) => (line.includes(this.directory) ? [line.split(' ')[4]!] : [])).reverse();
  }
}

function makeBusyboxRoot(root: string): void {
  for (const directory of ['bin', 'etc', 'tmp', 'usr/bin']) mkdirSync(join(root, directory), { recursive: true });
  chmodSync(join(root, 'tmp'), 0o1777);
  writeFileSync(join(root, 'etc/passwd'), 'root:x:0:0:root:/root:/bin/sh\nbuilder:x:1000:1000:builder:/tmp:/bin/sh\n');
  const busybox = ['/bin/busybox', '/usr/bin/busybox'].find((path) => existsSync(path))!;
  copyFileSync(busybox, join(root, 'bin/busybox'));
  spawnSync('chroot', [root, '/bin/busybox', '--install', '-s', '/bin']);
}

/** The whole tar of a directory. */
export function tarOfDirectory(directory: string): Buffer {
  return spawnSync('tar', ['--create', '--directory', directory, '.'], { maxBuffer: 2 ** 28 }).stdout;
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It ended by itself.
  }
}
