import { homedir } from 'node:os';
import path from 'node:path';

/** Everything that can be set, in one typed object, read once at start. */
export interface Config {
  /** Absolute path of the data directory. */
  dataDir: string;
  /** Address to listen on. */
  listen: string;
  region: string;
  /** The account made at first start. */
  account: string;
  role: 'all' | 'api' | 'worker';
  machines: 'auto' | 'process' | 'sandbox' | 'docker' | 'kubernetes' | 'dummy';
  databaseUrl: string | undefined;
  blobs: BlobSettings;
  logLevel: string;
  /** The largest object that git LFS may store, in bytes. */
  lfsMaxBytes: number;
  git: {
    /** So many days objects stay that nothing in a repository needs any more. */
    graceDays: number;
  };
  cloudtrail: {
    /** Whether calls are recorded; `PENSTOCK_CLOUDTRAIL=off` says no. */
    recording: boolean;
    /** How often trails are delivered, and how often digests of what was. */
    deliverySeconds: number;
    digestSeconds: number;
  };
  /** So many seconds a process that is told to stop lets its builds go on, before it gives them up. */
  drainSeconds: number;
  /** How builds come by their images. `map`: names that stand for others; see codebuild/engine/image.ts. */
  images: { map: string; pull: 'always' | 'missing' | 'never' };
  /** Builds of one account that may run at once, over all processes; five times as many may wait. 0: as many as there are slots. */
  concurrentBuilds: number;
  /** Processes and threads of one build at once. */
  buildProcesses: number;
  /** Local caches of builds on this worker may take so much, in bytes; 0: none are kept. */
  buildCacheBytes: number;
  /** Repositories of one account in one region; 0: as many as it likes. */
  repositoryLimit: number;
  /** Requests of git in a second that one user or role may make of this process, over ten seconds; 0: as many as it likes. */
  gitRate: number;
  /** Where mail goes out (`smtp://user:password@host:port`), and the address that it comes from; undefined when there is no mail. */
  smtp: { url: string; from: string } | undefined;
  /** Where others reach Penstock, without a slash at the end: for links in notifications. Undefined: as it is listened to. */
  publicUrl: string | undefined;
  /** Where sources of type GITHUB, GITLAB and BITBUCKET are, and their REST APIs, without a slash at the end. */
  gitProviders: Record<'github' | 'gitlab' | 'bitbucket', GitProvider>;
  /** Filled in once the ports are bound. */
  endpoints: {
    /** `http://127.0.0.1:4600`: what clients and builds are told to use. */
    http: string;
    https: string | undefined;
    ssh: string | undefined;
  };
  /** Service name → endpoint of another AWS (real or not), from `PENSTOCK_ENDPOINT_<SERVICE>`. */
  serviceEndpoints: Record<string, string>;
}

/** Where blobs are kept: in a directory, or in a bucket of an S3-compatible store. */
export type BlobSettings =
  | { directory: string }
  | { bucket: string; prefix: string; region: string; endpoint: string | undefined; pathStyle: boolean };

export interface GitProvider {
  url: string;
  api: string;
}

/** What the command line gave; the rest comes from `PENSTOCK_*`, then from defaults. Ports of 0 take a free one. */
export interface Settings {
  data?: string | undefined;
  listen?: string | undefined;
  port?: string | undefined;
  tlsPort?: string | undefined;
  sshPort?: string | undefined;
  role?: string | undefined;
  machines?: string | undefined;
  account?: string | undefined;
}

export interface Ports {
  http: number;
  https: number;
  ssh: number;
}

export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

const DEFAULTS = {
  listen: '127.0.0.1',
  port: '4600',
  tlsPort: '4601',
  sshPort: '4602',
  role: 'all',
  machines: 'auto',
  account: '123456789012',
};
const LFS_MAX_BYTES = String(10 * 1024 ** 3);
const BUILD_CACHE_BYTES = String(20 * 1024 ** 3);
const ROLES = ['all', 'api', 'worker'] as const;
const MACHINES = ['auto', 'process', 'sandbox', 'docker', 'kubernetes', 'dummy'] as const;

export function readConfig(settings: Settings, env: NodeJS.ProcessEnv): { config: Config; ports: Ports } {
  const setting = (name: keyof typeof DEFAULTS, variable: string): string => settings[name] ?? (env[variable] || DEFAULTS[name]);
  const dataDir = path.resolve(settings.data ?? (env.PENSTOCK_DATA || defaultDataDir(env)));
  const account = setting('account', 'PENSTOCK_ACCOUNT');
  const region = env.PENSTOCK_REGION || env.AWS_REGION || env.AWS_DEFAULT_REGION || 'us-east-1';
  if (!/^\d{12}$/.test(account)) throw new ConfigError(`--account must be 12 digits, not "${account}".`);
  return {
    config: {
      dataDir,
      listen: setting('listen', 'PENSTOCK_LISTEN'),
      region,
      account,
      role: oneOf('--role', setting('role', 'PENSTOCK_ROLE'), ROLES),
      machines: oneOf('--machines', setting('machines', 'PENSTOCK_MACHINES'), MACHINES),
      databaseUrl: env.PENSTOCK_DATABASE_URL || undefined,
      blobs: blobSettings(env, dataDir, region),
      logLevel: env.PENSTOCK_LOG_LEVEL || 'info',
      lfsMaxBytes: wholeNumber('PENSTOCK_LFS_MAX_BYTES', env.PENSTOCK_LFS_MAX_BYTES || LFS_MAX_BYTES),
      git: { graceDays: within('PENSTOCK_GIT_GRACE_DAYS', env, 14, [1, 3650]) },
      cloudtrail: {
        recording: oneOf('PENSTOCK_CLOUDTRAIL', env.PENSTOCK_CLOUDTRAIL || 'on', ['on', 'off']) === 'on',
        deliverySeconds: seconds('PENSTOCK_CLOUDTRAIL_DELIVERY_SECONDS', env, 300),
        digestSeconds: seconds('PENSTOCK_CLOUDTRAIL_DIGEST_SECONDS', env, 3_600),
      },
      smtp: smtp(env),
      publicUrl: baseUrl('PENSTOCK_PUBLIC_URL', env),
      gitProviders: {
        github: gitProvider('GITHUB', env, 'https://github.com', () => 'https://api.github.com'),
        gitlab: gitProvider('GITLAB', env, 'https://gitlab.com', (url) => `${url}/api/v4`),
        bitbucket: gitProvider('BITBUCKET', env, 'https://bitbucket.org', () => 'https://api.bitbucket.org/2.0'),
      },
      endpoints: { http: '', https: undefined, ssh: undefined },
      drainSeconds: count('PENSTOCK_DRAIN_SECONDS', env, 0),
      images: {
        map: env.PENSTOCK_IMAGE_MAP || '',
        pull: oneOf('PENSTOCK_IMAGE_PULL', env.PENSTOCK_IMAGE_PULL || 'missing', ['always', 'missing', 'never']),
      },
      concurrentBuilds: count('PENSTOCK_CONCURRENT_BUILDS', env, 0),
      buildProcesses: within('PENSTOCK_BUILD_PROCESSES', env, 8192, [32, 4_194_304]),
      buildCacheBytes: wholeNumber('PENSTOCK_BUILD_CACHE_BYTES', env.PENSTOCK_BUILD_CACHE_BYTES || BUILD_CACHE_BYTES),
      repositoryLimit: count('PENSTOCK_REPOSITORY_LIMIT', env, 1000),
      gitRate: count('PENSTOCK_GIT_RATE', env, 100),
      serviceEndpoints: serviceEndpoints(env),
    },
    ports: {
      http: portNumber('--port', setting('port', 'PENSTOCK_PORT')),
      https: portNumber('--tls-port', setting('tlsPort', 'PENSTOCK_TLS_PORT')),
      ssh: portNumber('--ssh-port', setting('sshPort', 'PENSTOCK_SSH_PORT')),
    },
  };
}

/** `PENSTOCK_DATA`, else `penstock` in the place where this system keeps users' data. */
export function defaultDataDir(env: NodeJS.ProcessEnv): string {
  return path.join(env.XDG_DATA_HOME || path.join(homedir(), '.local', 'share'), 'penstock');
}

function wholeNumber(variable: string, value: string): number {
  const number = Number(value);
  if (Number.isSafeInteger(number) && number >= 0) return number;
  throw new ConfigError(`${variable} must be a whole number, not "${value}".`);
}

function serviceEndpoints(env: NodeJS.ProcessEnv): Record<string, string> {
  const prefix = 'PENSTOCK_ENDPOINT_';
  return Object.fromEntries(
    Object.entries(env)
      .filter(([name, value]) => name.startsWith(prefix) && value)
      .map(([name, value]) => [name.slice(prefix.length).toLowerCase().replaceAll('_', '-'), value!]),
  );
}

function baseUrl(variable: string, env: NodeJS.ProcessEnv): string | undefined {
  const text = env[variable];
  if (!text) return undefined;
  const url = URL.parse(text);
  if (url && /^https?:$/.test(url.protocol) && url.search === '' && url.hash === '') return text.replace(/\/+$/, '');
  throw new ConfigError(`${variable} must be an http or https URL without a query, not "${text}".`);
}

function gitProvider(name: string, env: NodeJS.ProcessEnv, usual: string, apiOf: (url: string) => string): GitProvider {
  const url = baseUrl(`PENSTOCK_${name}_URL`, env) ?? usual;
  return { url, api: baseUrl(`PENSTOCK_${name}_API_URL`, env) ?? apiOf(url) };
}

/** `PENSTOCK_BLOBS`: a directory, or `s3://bucket/prefix` with what else is to be said of it. */
function blobSettings(env: NodeJS.ProcessEnv, dataDir: string, region: string): BlobSettings {
  const place = env.PENSTOCK_BLOBS;
  if (!place?.startsWith('s3:')) return { directory: path.resolve(place || path.join(dataDir, 'blobs')) };
  const [, bucket, prefix = ''] = /^s3:\/\/([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:\/([A-Za-z0-9._/-]*))?$/.exec(place) ?? [];
  if (!bucket) throw new ConfigError(`PENSTOCK_BLOBS must be a directory or s3://bucket/prefix, not "${place}".`);
  const endpoint = baseUrl('PENSTOCK_BLOBS_ENDPOINT', env);
  const pathStyle = oneOf('PENSTOCK_BLOBS_PATH_STYLE', env.PENSTOCK_BLOBS_PATH_STYLE || (endpoint ? 'on' : 'off'), ['on', 'off']);
  return {
    bucket,
    prefix: prefix.replace(/\/+$/, ''),
    region: env.PENSTOCK_BLOBS_REGION || region,
    endpoint,
    pathStyle: pathStyle === 'on',
  };
}

function smtp(env: NodeJS.ProcessEnv): Config['smtp'] {
  const { PENSTOCK_SMTP_URL: url, PENSTOCK_SMTP_FROM: from } = env;
  if (!url) return undefined;
  if (!/^smtps?:\/\/./.test(url)) throw new ConfigError('PENSTOCK_SMTP_URL must be smtp://… or smtps://…');
  if (!from || !/^[^\r\n]+@[^\r\n]+$/.test(from)) throw new ConfigError('PENSTOCK_SMTP_FROM must be the address that mail comes from.');
  return { url, from };
}

function oneOf<T extends string>(option: string, value: string, allowed: readonly T[]): T {
  if ((allowed as readonly string[]).includes(value)) return value as T;
  throw new ConfigError(`${option} must be one of ${allowed.join(', ')}, not "${value}".`);
}

function seconds(variable: string, env: NodeJS.ProcessEnv, usual: number): number {
  const value = Number(env[variable] || usual);
  if (Number.isInteger(value) && value >= 1 && value <= 86_400) return value;
  throw new ConfigError(`${variable} must be a whole number of seconds from 1 to 86400, not "${env[variable]}".`);
}

function count(variable: string, env: NodeJS.ProcessEnv, usual: number): number {
  const value = Number(env[variable] || usual);
  if (Number.isSafeInteger(value) && value >= 0) return value;
  throw new ConfigError(`${variable} must be a whole number, not "${env[variable]}".`);
}

function within(variable: string, env: NodeJS.ProcessEnv, usual: number, [least, most]: [number, number]): number {
  const value = Number(env[variable] || usual);
  if (Number.isInteger(value) && value >= least && value <= most) return value;
  throw new ConfigError(`${variable} must be a whole number from ${least} to ${most}, not "${env[variable]}".`);
}

function portNumber(option: string, value: string): number {
  const port = Number(value);
  if (Number.isInteger(port) && port >= 0 && port <= 65_535) return port;
  throw new ConfigError(`${option} must be a port number from 0 to 65535, not "${value}".`);
}
