/** What `penstock env` needs to know of the server that runs on a data directory. */
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Penstock } from '../compose.ts';

export interface RunningServer {
  pid: number;
  /** When the process began, as the kernel counts: after a crash its number may be another program's. Only where there is /proc. */
  began: string | undefined;
  endpoint: string;
  tlsEndpoint: string | undefined;
  sshEndpoint: string | undefined;
  /** As in `known_hosts` behind the host. */
  sshHostKeys: string[];
  region: string;
  account: string;
  accessKeyId: string;
  secretAccessKey: string;
  caFile: string;
}

const FILE = 'server.json';

/** Of several servers on one data directory the first is told to users, as long as it lives. */
export function recordRunning({ config, administrator, caFile, sshHostKeys }: Penstock): void {
  if (findRunning(config.dataDir)) return;
  const running: RunningServer = {
    pid: process.pid,
    began: beginOf(process.pid),
    endpoint: config.endpoints.http,
    tlsEndpoint: config.endpoints.https,
    sshEndpoint: config.endpoints.ssh,
    sshHostKeys,
    region: config.region,
    account: config.account,
    ...administrator,
    caFile,
  };
  const file = path.join(config.dataDir, FILE);
  const aside = `${file}.${process.pid}`;
  writeFileSync(aside, `${JSON.stringify(running, null, 2)}\n`, { mode: 0o600 });
  renameSync(aside, file);
}

export function forgetRunning(dataDir: string): void {
  if (findRunning(dataDir)?.pid === process.pid) rmSync(path.join(dataDir, FILE), { force: true });
}

export function findRunning(dataDir: string): RunningServer | undefined {
  try {
    const running = JSON.parse(readFileSync(path.join(dataDir, FILE), 'utf8')) as RunningServer;
    process.kill(running.pid, 0);
    return running.began === beginOf(running.pid) ? running : undefined;
  } catch {
    return undefined;
  }
}

function beginOf(pid: number): string | undefined {
  try {
    // The 22nd field; the second one, the name, may hold spaces.
    return readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)!.split(' ')[19];
  } catch {
    return undefined;
  }
}
