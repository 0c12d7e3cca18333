/** A machine for tests that is a plain directory and plain processes: the least that the runner needs. */
import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ExecResult, ExecSpec, Machine } from '../../../ports/machines/port.ts';

export async function fakeMachine(): Promise<Machine> {
  const workdir = await mkdtemp(path.join(tmpdir(), 'machine-'));
  const groups = new Set<number>();
  const killAll = () => {
    for (const pid of groups) tryKill(pid);
  };
  return {
    id: 'fake',
    driver: 'process',
    isolation: 'none',
    workdir,
    exec: (command) => run(command, workdir, groups),
    put: async (target, tar) => {
      await mkdir(target, { recursive: true });
      const child = spawn('tar', ['-x', '-p', '-C', target], { stdio: ['pipe', 'ignore', 'inherit'] });
      const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
      await pipeline(tar, child.stdin);
      if ((await ended) !== 0) throw new Error('tar failed');
    },
    get: async (source) => spawn('tar', ['-c', '-C', source, '.'], { stdio: ['ignore', 'pipe', 'inherit'] }).stdout,
    hostPath: (inside) => inside,
    stop: async () => killAll(),
    remove: async () => {
      killAll();
      await rm(workdir, { recursive: true, force: true });
    },
  };
}

function run(command: ExecSpec, workdir: string, groups: Set<number>): Promise<ExecResult> {
  return new Promise((resolve, reject) => {
    const [program, ...argv] = command.argv;
    const env = { PATH: process.env.PATH ?? '', HOME: workdir, ...command.env };
    const child = spawn(program ?? '', argv, { cwd: command.cwd ?? workdir, env, detached: true, stdio: ['pipe', 'pipe', 'pipe'] });
    child.once('error', reject);
    const pid = child.pid ?? 0;
    groups.add(pid);
    let aborted = false;
    const abort = () => {
      aborted = true;
      tryKill(pid);
    };
    command.signal?.addEventListener('abort', abort);
    child.stdin.on('error', () => {});
    if (command.stdin instanceof Uint8Array) child.stdin.end(command.stdin);
    else if (command.stdin) (command.stdin as Readable).pipe(child.stdin);
    else child.stdin.end();
    const outputs = [consume(child.stdout, 'stdout', command), consume(child.stderr, 'stderr', command)];
    child.once('close', async (exitCode, signal) => {
      await Promise.all(outputs);
      command.signal?.removeEventListener('abort', abort);
      resolve({ exitCode, signal, oomKilled: false, aborted });
    });
  });
}

async function consume(stream: Readable, name: 'stdout' | 'stderr', command: ExecSpec): Promise<void> {
  for await (const chunk of stream) await command.onOutput?.(chunk, name);
}

function tryKill(pid: number): void {
  try {
    if (pid > 1) process.kill(-pid, 'SIGKILL');
  } catch {
    // Already gone.
  }
}
