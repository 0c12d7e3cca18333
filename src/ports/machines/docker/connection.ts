import { existsSync, readFileSync } from 'node:fs';
import type { RequestOptions } from 'node:https';
import { homedir } from 'node:os';
import { join } from 'node:path';

/** How to reach an engine. */
export interface Connection {
  /** As it was given, for messages. */
  address: string;
  tls: boolean;
  options: Pick<RequestOptions, 'socketPath' | 'host' | 'port' | 'ca' | 'cert' | 'key'>;
}

/** Where engines listen by default: Docker, Podman, and what each starts for an ordinary user. */
function defaultSockets(env: NodeJS.ProcessEnv): string[] {
  const own = env.XDG_RUNTIME_DIR ? [join(env.XDG_RUNTIME_DIR, 'docker.sock'), join(env.XDG_RUNTIME_DIR, 'podman/podman.sock')] : [];
  return ['/var/run/docker.sock', ...own, '/run/podman/podman.sock'];
}

/**
 * `PENSTOCK_DOCKER_HOST`, else `DOCKER_HOST`, else the first socket there is. `unix://PATH`, `tcp://HOST:PORT` and `https://HOST:PORT`; TLS by
 * `DOCKER_TLS_VERIFY` and the files `ca.pem`, `cert.pem` and `key.pem` in `DOCKER_CERT_PATH`, as for Docker's own command line.
 * @throws when the address cannot be understood or a certificate cannot be read.
 */
export function connectionOf(env: NodeJS.ProcessEnv): Connection {
  const given = env.PENSTOCK_DOCKER_HOST || env.DOCKER_HOST;
  const address = given || `unix://${defaultSockets(env).find((path) => existsSync(path)) ?? '/var/run/docker.sock'}`;
  if (address.startsWith('unix://')) return { address, tls: false, options: { socketPath: address.slice('unix://'.length) } };
  const url = URL.canParse(address) ? new URL(address) : undefined;
  if (!url || !['tcp:', 'http:', 'https:'].includes(url.protocol) || !url.hostname)
    throw new Error(`${address} is no address of a container engine: unix://PATH, tcp://HOST:PORT or https://HOST:PORT`);
  const tls = url.protocol === 'https:' || (url.protocol === 'tcp:' && Boolean(env.DOCKER_TLS_VERIFY));
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
  const options = { host, port: url.port || (tls ? '2376' : '2375') };
  return { address, tls, options: tls ? { ...options, ...certificates(env) } : options };
}

function certificates(env: NodeJS.ProcessEnv): Pick<Connection['options'], 'ca' | 'cert' | 'key'> {
  const directory = env.DOCKER_CERT_PATH || join(homedir(), '.docker');
  const read = (name: string): Buffer | undefined => {
    const path = join(directory, name);
    return existsSync(path) ? readFileSync(path) : undefined;
  };
  const [ca, cert, key] = ['ca.pem', 'cert.pem', 'key.pem'].map(read);
  return { ...(ca ? { ca } : {}), ...(cert && key ? { cert, key } : {}) };
}
