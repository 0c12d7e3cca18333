/** What `penstock env` needs to know of the server that runs on a data directory. */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Penstock } from '../compose.ts';

export interface RunningServer {
  pid: number;
  endpoint: string;
  tlsEndpoint: string | undefined;
  region: string;
  account: string;
  accessKeyId: string;
  secretAccessKey: string;
  caFile: string;
}

const FILE = 'server.json';

export function recordRunning({ config, administrator, caFile }: Penstock): void {
  const running: RunningServer = {
    pid: process.pid,
    endpoint: config.endpoints.http,
    tlsEndpoint: config.endpoints.https,
    region: config.region,
    account: config.account,
    ...administrator,
    caFile,
  };
  // A worker beside a server must not take the server's place in what users are told.
  if (config.role === 'worker' && findRunning(config.dataDir)) return;
  writeFileSync(path.join(config.dataDir, FILE), `${JSON.stringify(running, null, 2)}\n`, { mode: 0o600 });
}

export function forgetRunning(dataDir: string): void {
  if (findRunning(dataDir)?.pid === process.pid) rmSync(path.join(dataDir, FILE), { force: true });
}

export function findRunning(dataDir: string): RunningServer | undefined {
  try {
    const running = JSON.parse(readFileSync(path.join(dataDir, FILE), 'utf8')) as RunningServer;
    process.kill(running.pid, 0);
    return running;
  } catch {
    return undefined;
  }
}
