/** The processes of one pod of the stand-in for a cluster; see test-cluster.ts. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, closeSync, copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { Socket } from 'node:net';
import { constants } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { V1Pod } from '@kubernetes/client-node';
import WebSocket from 'ws';
import type { Pipes } from '../pipes.ts';

const BUSYBOX = '/bin/busybox';
const MOST_UNSENT = 1024 * 1024;

export interface Pod {
  resource: V1Pod;
  root: string;
  holder?: ChildProcess;
  /** On this host. */
  first?: number;
}

export function whyNoPods(): string | false {
  if (process.getuid?.() !== 0) return 'only root can make the pods of the stand-in';
  return existsSync(BUSYBOX) ? false : 'busybox-static is not installed';
}

/** Namespaces and a root of its own, and in them the container's command as process 1, which begins a session of its own as on a node. */
export async function startProcesses(pod: Pod): Promise<void> {
  const { root } = pod;
  for (const directory of ['bin', 'proc', 'work', 'tmp', 'root', 'dev', 'etc', 'home']) mkdirSync(join(root, directory));
  chmodSync(root, 0o755);
  chmodSync(join(root, 'tmp'), 0o1777);
  copyFileSync(BUSYBOX, join(root, 'bin/busybox'));
  execFileSync('chroot', [root, '/bin/busybox', '--install', '-s', '/bin']);
  writeFileSync(join(root, 'etc/passwd'), 'root:x:0:0::/root:/bin/sh\nbuilder:x:1000:1000::/home:/bin/sh\n');
  const enter = 'mount -t proc proc "$0/proc" && mount --bind /dev "$0/dev" && cd "$0" && echo && exec setsid chroot "$0" "$@"';
  const namespaces = ['--pid', '--fork', '--mount', '--uts', '--ipc', '--propagation', 'private', '--kill-child'];
  const holder = spawn('unshare', [...namespaces, 'sh', '-c', enter, root, ...pod.resource.spec!.containers[0]!.command!], {
    stdio: ['ignore', 'pipe', 'ignore'],
    env: { PATH: process.env.PATH },
  });
  pod.holder = holder;
  await once(holder.stdout!, 'data');
  const first = Number(readFileSync(`/proc/${holder.pid}/task/${holder.pid}/children`, 'utf8').trim());
  // Until it has its root; the moment cannot be awaited from outside.
  while (existsSync(`/proc/${first}/root/usr`) && holder.exitCode === null) await delay(2);
  pod.first = first;
}

export async function endProcesses({ holder, root }: Pod): Promise<void> {
  if (holder && holder.exitCode === null && holder.signalCode === null) {
    const gone = once(holder, 'exit');
    holder.kill('SIGKILL');
    await gone;
  }
  rmSync(root, { recursive: true, force: true });
}

/** One command, its streams on the channels of the protocol; k8s.io/apimachinery, pkg/util/remotecommand. It goes on when its connection is lost. */
export async function exec(pod: Pod, pipes: Pipes, query: URLSearchParams, channel: WebSocket): Promise<void> {
  // Held until everything is ready to take it.
  channel.pause();
  const outputs = [await pipes.take(), await pipes.take()];
  const place = ['-t', String(pod.first), '-p', '-m', '-i', '-u', '--root', '--wd', '--', 'setsid', 'env', '-i', 'PATH=/bin'];
  const input = query.get('stdin') === 'true' ? 'pipe' : 'ignore';
  const child = spawn('nsenter', [...place, ...query.getAll('command')], { stdio: [input, outputs[0]!.write, outputs[1]!.write] });
  child.stdin?.on('error', () => undefined);
  const readers = outputs.map(({ read, write }, index) => {
    closeSync(write);
    const reader = new Socket({ fd: read, readable: true, writable: false });
    reader.on('data', (chunk) => {
      if (channel.readyState !== WebSocket.OPEN) return;
      if (channel.bufferedAmount > MOST_UNSENT) reader.pause();
      channel.send(Buffer.concat([Buffer.of(index + 1), chunk]), () => reader.resume());
    });
    return reader;
  });
  channel.on('message', (data: Buffer) => {
    if (data[0] === 0) child.stdin?.write(data.subarray(1));
    if (data[0] === 255 && data[1] === 0) child.stdin?.end();
  });
  channel.on('close', () => {
    for (const reader of readers) reader.destroy();
  });
  channel.resume();
  // The status comes when nobody holds the output any more, as some nodes have it.
  const [[code, signal]] = await Promise.all([once(child, 'exit'), ...readers.map((reader) => once(reader, 'close'))]);
  const status = code ?? 128 + constants.signals[signal as NodeJS.Signals];
  const causes = [{ reason: 'ExitCode', message: String(status) }];
  const told = status === 0 ? { status: 'Success' } : { status: 'Failure', reason: 'NonZeroExitCode', details: { causes } };
  if (channel.readyState === WebSocket.OPEN)
    channel.send(Buffer.concat([Buffer.of(3), Buffer.from(JSON.stringify(told))]), () => channel.close());
}
