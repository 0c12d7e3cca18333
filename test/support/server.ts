/** A real Penstock of the test's own: child process, temporary data directory, free ports. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import type { RunningServer } from '../../src/commands/running.ts';

const root = path.join(import.meta.dirname, '..', '..');
const START_TIMEOUT_MS = 60_000;

export interface ServerOptions {
  /** Kept by the caller, who also removes it; default: made and removed with the server. */
  dataDir?: string;
  /** More arguments of `penstock up`; default machines: process. */
  args?: string[];
  env?: Record<string, string>;
  /** A command that runs it, such as one that enters a namespace. It must become the server (exec), not start it. */
  inside?: string[];
}

export interface TestServer extends AsyncDisposable {
  readonly endpoint: string;
  readonly tlsEndpoint: string;
  readonly sshEndpoint: string;
  /** As in `known_hosts` behind the host. */
  readonly sshHostKeys: string[];
  readonly region: string;
  readonly account: string;
  readonly credentials: { accessKeyId: string; secretAccessKey: string };
  readonly caFile: string;
  readonly dataDir: string;
  readonly pid: number;
  /** For SDK v3 clients: `new CodeCommitClient(server.client)`. */
  readonly client: {
    endpoint: string;
    region: string;
    credentials: { accessKeyId: string; secretAccessKey: string };
    forcePathStyle: true;
    maxAttempts: 1;
  };
  /** For child processes such as the AWS CLI and git: no other AWS settings of this host reach them. */
  readonly env: Record<string, string>;
  /** All that it wrote to standard error so far. */
  log(): string;
  /** SIGKILL; the database and users' processes stay, as after a crash. */
  kill(): Promise<void>;
  /** Starts it again on the same data, after `kill` or `stop`; on the same ports. */
  restart(options?: Pick<ServerOptions, 'args' | 'env'>): Promise<void>;
  /** TERM; fails when it does not end with status 0. Removes the data directory unless it was given. */
  stop(): Promise<void>;
}

export async function startServer(options: ServerOptions = {}): Promise<TestServer> {
  const dataDir = options.dataDir ?? (await mkdtemp(path.join(tmpdir(), 'penstock-test-')));
  const server = new ChildServer(dataDir, options);
  try {
    await server.start();
  } catch (error) {
    await server.stop().catch(() => {});
    throw error;
  }
  return server;
}

class ChildServer implements TestServer {
  readonly dataDir: string;
  readonly #options: ServerOptions;
  #child: ChildProcess | undefined;
  #running: RunningServer | undefined;
  #output = '';

  constructor(dataDir: string, options: ServerOptions) {
    this.dataDir = dataDir;
    this.#options = options;
  }

  async start(): Promise<void> {
    const { args = [], env = {}, inside = [] } = this.#options;
    const port = (url: string | undefined): string => (url ? new URL(url).port : '0');
    const ports = [
      '--port',
      port(this.#running?.endpoint),
      '--tls-port',
      port(this.#running?.tlsEndpoint),
      '--ssh-port',
      port(this.#running?.sshEndpoint),
    ];
    const machines = args.includes('--machines') ? [] : ['--machines', 'process'];
    const main = [process.execPath, path.join(root, 'src/main.ts'), 'up', '--data', this.dataDir];
    const [program, ...rest] = [...inside, ...main, ...ports, ...machines, ...args];
    const child = spawn(program!, rest, {
      env: { ...cleanEnvironment(), PENSTOCK_LOG_LEVEL: 'warn', ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child = child;
    child.stderr!.on('data', (chunk) => {
      this.#output += chunk;
    });
    const ready = once(createInterface(child.stdout!), 'line', { signal: AbortSignal.timeout(START_TIMEOUT_MS) });
    const ended = once(child, 'exit').then(([code, signal]) => {
      throw new Error(`Penstock ended before it was ready (${code ?? signal}):\n${this.#output}`);
    });
    const [line] = (await Promise.race([ready, ended])) as [string];
    ended.catch(() => {});
    // Of several servers on one data directory the file tells the first; what each listens on is in its ready line.
    const [endpoint, tlsEndpoint, sshEndpoint] = line.match(/(?:https?|ssh):\/\/\S+/g)!;
    const file = readFileSync(path.join(this.dataDir, 'server.json'), 'utf8');
    this.#running = { ...(JSON.parse(file) as RunningServer), pid: child.pid!, endpoint: endpoint!, tlsEndpoint, sshEndpoint };
  }

  get #server(): RunningServer {
    if (!this.#running) throw new Error('The server is not running.');
    return this.#running;
  }
  get endpoint(): string {
    return this.#server.endpoint;
  }
  get tlsEndpoint(): string {
    return this.#server.tlsEndpoint!;
  }
  get sshEndpoint(): string {
    return this.#server.sshEndpoint!;
  }
  get sshHostKeys(): string[] {
    return this.#server.sshHostKeys;
  }
  get region(): string {
    return this.#server.region;
  }
  get account(): string {
    return this.#server.account;
  }
  get caFile(): string {
    return this.#server.caFile;
  }
  get pid(): number {
    return this.#child!.pid!;
  }
  get credentials(): TestServer['credentials'] {
    return { accessKeyId: this.#server.accessKeyId, secretAccessKey: this.#server.secretAccessKey };
  }
  get client(): TestServer['client'] {
    return { endpoint: this.endpoint, region: this.region, credentials: this.credentials, forcePathStyle: true, maxAttempts: 1 };
  }
  get env(): Record<string, string> {
    return {
      ...cleanEnvironment(),
      AWS_ENDPOINT_URL: this.endpoint,
      AWS_ACCESS_KEY_ID: this.credentials.accessKeyId,
      AWS_SECRET_ACCESS_KEY: this.credentials.secretAccessKey,
      AWS_REGION: this.region,
      AWS_DEFAULT_REGION: this.region,
      GIT_TERMINAL_PROMPT: '0',
    };
  }

  log(): string {
    return this.#output;
  }

  async kill(): Promise<void> {
    if (!this.#child || this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await ended;
  }

  async restart(options: Pick<ServerOptions, 'args' | 'env'> = {}): Promise<void> {
    await this.kill();
    Object.assign(this.#options, options);
    await this.start();
  }

  async stop(): Promise<void> {
    const child = this.#child;
    let status: number | string | null = 0;
    let inOrder = false;
    if (child && child.exitCode === null && child.signalCode === null) {
      const ended = once(child, 'exit');
      child.kill('SIGTERM');
      const [code, signal] = await ended;
      status = code ?? signal;
      inOrder = status === 0;
    }
    // A server that ended in order has stopped the database, or left it to another server of the test.
    if (!inOrder) await stopDatabase(this.dataDir);
    if (!this.#options.dataDir) await rm(this.dataDir, { recursive: true, force: true, maxRetries: 5 });
    if (status !== 0) throw new Error(`Penstock ended with ${status}:\n${this.#output}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

/** The embedded database outlives a killed server on purpose; tests must not leave it behind. */
async function stopDatabase(dataDir: string): Promise<void> {
  const pidFile = path.join(dataDir, 'postgres', 'postmaster.pid');
  if (!existsSync(pidFile)) return;
  const pid = Number(readFileSync(pidFile, 'utf8').split('\n')[0]);
  try {
    process.kill(pid, 'SIGINT');
    for (;;) {
      process.kill(pid, 0);
      await delay(20);
    }
  } catch {
    // It has ended.
  }
}

/** The host's environment without anything that could lead an AWS client elsewhere. */
export function cleanEnvironment(): Record<string, string> {
  const kept = Object.entries(process.env).filter(
    ([name, value]) =>
      value !== undefined && !/^(AWS_|PENSTOCK_|GIT_)/.test(name) && name !== 'NODE_TEST_CONTEXT' && name !== 'NODE_OPTIONS',
  );
  return {
    ...(Object.fromEntries(kept) as Record<string, string>),
    AWS_EC2_METADATA_DISABLED: 'true',
    AWS_CONFIG_FILE: '/dev/null',
    AWS_SHARED_CREDENTIALS_FILE: '/dev/null',
  };
}
