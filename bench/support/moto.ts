/** moto_server, the usual stand-in for AWS in tests, from PyPI into a virtual environment that is kept between runs. */
import { execFile, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);
const environment = path.join(import.meta.dirname, '..', '..', 'node_modules', '.cache', 'bench-moto');
const program = path.join(environment, 'bin', 'moto_server');
const START_TIMEOUT_MS = 30_000;

export interface Moto extends AsyncDisposable {
  version: string;
  endpoint: string;
  pid: number;
  /** From the start of the program to its first answer, in milliseconds. */
  startMs: number;
}

/** A word when it cannot be had, which the results then say. */
export async function startMoto(): Promise<Moto | string> {
  try {
    await install();
  } catch (error) {
    return `moto_server could not be installed: ${(error as Error).message.split('\n')[0]}`;
  }
  const { stdout } = await run(path.join(environment, 'bin', 'pip'), ['show', 'moto']);
  const port = await freePort();
  const begin = performance.now();
  const child = spawn(program, ['-p', String(port)], { stdio: 'ignore' });
  const endpoint = `http://127.0.0.1:${port}`;
  while (!(await answers(endpoint))) {
    if (performance.now() - begin > START_TIMEOUT_MS || child.exitCode !== null) {
      child.kill('SIGKILL');
      return 'moto_server did not start';
    }
    await delay(10);
  }
  return {
    version: /^Version: (.+)$/m.exec(stdout)?.[1] ?? '',
    endpoint,
    pid: child.pid!,
    startMs: performance.now() - begin,
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL');
    },
  };
}

async function install(): Promise<void> {
  if (existsSync(program)) return;
  await run('python3', ['-m', 'venv', environment]);
  await run(path.join(environment, 'bin', 'pip'), ['install', '--quiet', '--disable-pip-version-check', 'moto[server]']);
}

async function answers(endpoint: string): Promise<boolean> {
  return fetch(`${endpoint}/moto-api/`).then(
    (response) => response.ok,
    () => false,
  );
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === 'object' && address ? address.port : 0;
}
