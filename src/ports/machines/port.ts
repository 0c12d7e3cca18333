import type { Readable } from 'node:stream';

/**
 * Where users' code runs. A build, a function, a task, an instance, an IDE: each is one machine.
 *
 * Order: probe, create, then any number of exec/put/get, then stop, then remove. remove is idempotent and may be called at any time.
 * Concurrency: calls on different machines are independent; exec may run beside exec on one machine.
 * Cancel: aborting an exec sends TERM to its whole group, KILL after `graceMs`; the promise settles only when all of it is gone.
 * Crash: a machine outlives the process that made it. `adopt` finds it again by id; `sweep` removes those that nobody claims. An exec
 *   that was running when its caller died cannot be resumed: adopt kills what is left of it.
 */
export interface MachineDriver {
  readonly name: 'process' | 'sandbox' | 'dummy';
  /** Finds what this host really allows by trying it. Cached by the driver after the first call. */
  probe(): Promise<Capabilities>;
  create(spec: MachineSpec, signal?: AbortSignal): Promise<Machine>;
  adopt(id: string): Promise<Machine | undefined>;
  /** Removes every machine of this driver whose id is not in `claimed`, with its processes, mounts, cgroups and files. */
  sweep(claimed: ReadonlySet<string>): Promise<void>;
}

/** What was proven by trying, and what users are told about a build's isolation. */
export interface Capabilities {
  available: boolean;
  /** Why it is not available, or which protections are missing and what to install; one line each. */
  notes: string[];
  /** One line for a build record, such as "sandbox (bubblewrap; own pid, mount, ipc, uts; cgroup v1 memory cpu pids)". */
  isolation: string;
  limits: { memory: boolean; cpu: boolean; pids: boolean };
  /** The machine sees its own root: other builds and the data directory are invisible. */
  privateFilesystem: boolean;
  /** Runs as a user of its own, not as the server's. */
  ownUser: boolean;
}

export interface MachineSpec {
  /** `[A-Za-z0-9-]{1,64}`, chosen by the caller, so that a crash between create and its record can be cleaned up. */
  id: string;
  env: Record<string, string>;
  limits?: { memoryBytes?: number; cpus?: number; pids?: number };
  /** Host directories made visible inside, e.g. a cache. Everything else of the host's data is invisible where the driver can hide it. */
  mounts?: { source: string; target: string; readOnly?: boolean }[];
  /** 'host' shares the host's network (loopback reaches Penstock); 'none' has no network. */
  network: 'host' | 'none';
}

export interface Machine {
  readonly id: string;
  readonly driver: MachineDriver['name'];
  readonly isolation: string;
  /** Absolute path, as seen by commands inside, of an empty writable directory of this machine's own (also HOME's parent). */
  readonly workdir: string;
  exec(command: ExecSpec): Promise<ExecResult>;
  /** Extracts a tar stream into `path` (as seen inside; created if missing). Entries that would leave `path` fail the call. */
  put(path: string, tar: Readable): Promise<void>;
  /** A tar stream of the tree at `path` (as seen inside). */
  get(path: string): Promise<Readable>;
  /** The path on the host of a path inside, for drivers that have one; streams large trees without tar. */
  hostPath(path: string): string | undefined;
  /** Ends all its processes: TERM, grace, KILL. Idempotent. */
  stop(graceMs?: number): Promise<void>;
  /** Stops it and deletes everything it had. Idempotent. */
  remove(): Promise<void>;
}

export interface ExecSpec {
  argv: string[];
  /** Inside; default: workdir. */
  cwd?: string;
  /** Added to the machine's env. */
  env?: Record<string, string>;
  /** A user name that exists inside; default: the machine's own. */
  user?: string;
  /** Called with each chunk in order; stdout and stderr interleaved as they were written. Awaited: a slow consumer slows the command. */
  onOutput?: (chunk: Buffer, stream: 'stdout' | 'stderr') => void | Promise<void>;
  stdin?: Readable | Uint8Array;
  signal?: AbortSignal;
  /** Between TERM and KILL after abort; default 5000. */
  graceMs?: number;
}

export interface ExecResult {
  /** Exit status; null when a signal ended it. */
  exitCode: number | null;
  signal: string | null;
  /** The kernel killed something of this machine for memory while it ran. */
  oomKilled: boolean;
  /** The caller's signal ended it. */
  aborted: boolean;
}

/** The command could not be started at all (no such program, not executable, machine gone). */
export class ExecStartError extends Error {
  override readonly name = 'ExecStartError';
}
