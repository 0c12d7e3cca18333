import type { Readable } from 'node:stream';

/**
 * Where users' code runs. A build, a function, a task, an instance, an IDE: each is one machine.
 *
 * Order: probe, create, then any number of exec/put/get, then stop, then remove. remove is idempotent and may be called at any time.
 * Concurrency: calls on different machines are independent; exec may run beside exec on one machine.
 * Cancel: aborting an exec sends TERM to all of its processes, daemons included, KILL after `graceMs`; the promise settles only when all
 *   of them are gone. An exec that ends by itself leaves its background processes running, for later execs to use, until `stop`.
 * Crash: a machine outlives the process that made it. `adopt` finds it again by id; `sweep` removes those that nobody claims. An exec
 *   that was running when its caller died cannot be resumed: adopt kills what is left of it. Processes left in the background by
 *   finished execs go on, and if they are gone (a reboot) the machine still has its files and can run commands again.
 */
export interface MachineDriver {
  readonly name: 'process' | 'sandbox' | 'docker' | 'kubernetes' | 'dummy';
  /** Finds what this host really allows by trying it. Cached by the driver after the first call. */
  probe(): Promise<Capabilities>;
  /**
   * @throws when the id is in use, or the spec asks for what this driver cannot give (no network, a mount, an image); limits are not refused.
   *   ImagePullError when the image cannot be had.
   */
  create(spec: MachineSpec, signal?: AbortSignal): Promise<Machine>;
  /** undefined when there is no such machine, or it was not made completely. A stopped one comes back stopped, with its files. */
  adopt(id: string): Promise<Machine | undefined>;
  /** Removes what there is of the machine of that id, made completely or not. Idempotent. */
  discard(id: string): Promise<void>;
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
  /** Machines are made of images, and of nothing else: MachineSpec.image must be given. Without it, commands find the host's tools. */
  images: boolean;
}

export interface MachineSpec {
  /** `[A-Za-z0-9-]{1,64}`, chosen by the caller, so that a crash between create and its record can be cleaned up. */
  id: string;
  env: Record<string, string>;
  limits?: { memoryBytes?: number; cpus?: number; pids?: number };
  /**
   * Host directories made visible inside, e.g. a cache. Everything else of the host's data is invisible where the driver can hide it.
   * A target is absolute, or relative to the machine's workdir, which every driver can give (a plain process only below its own files).
   */
  mounts?: { source: string; target: string; readOnly?: boolean }[];
  /** 'host' shares the host's network (loopback reaches Penstock); 'none' has no network. */
  network: 'host' | 'none';
  /** What the machine's files are at first; required by drivers with `images`, refused by the others. */
  image?: MachineImage;
  /** Commands get every right of root on the engine's host, as nested engines need. Only with an image. */
  privileged?: boolean;
  /** How many GPUs it gets. Only with an image. */
  gpus?: number | 'all';
}

export interface MachineImage {
  /** As engines write it: `registry/name:tag` or `…@sha256:…`. */
  name: string;
  /** For its registry; never kept with the machine. */
  credentials?: { username: string; password: string };
  /** Default: 'missing'. */
  pull?: 'always' | 'missing' | 'never';
  /** Told what a pull is doing, one line at a time. */
  onPull?: (line: string) => void;
}

export interface Machine {
  readonly id: string;
  readonly driver: MachineDriver['name'];
  readonly isolation: string;
  /**
   * Absolute path, as seen by commands inside, of an empty writable directory of this machine's own. HOME is another one, outside of it:
   * /root in a sandbox, where commands are root.
   */
  readonly workdir: string;
  /** The image that it was made of, for drivers with `images`: its root then belongs to it alone, and its tools are the image's. */
  readonly image?: string | undefined;
  exec(command: ExecSpec): Promise<ExecResult>;
  /**
   * Extracts a tar stream into `path` (as seen inside; created if missing). Entries that would leave `path`, be it through a symbolic
   * link, and device nodes fail the call; entries before them stay. Files belong to the machine's user, whatever the archive says.
   */
  put(path: string, tar: Readable): Promise<void>;
  /** A tar stream of the tree at `path` (as seen inside), names relative to it; of a file, one entry with its name. */
  get(path: string): Promise<Readable>;
  /**
   * The path on the host of a path inside, for drivers that have one; streams large trees without tar. Found by name only: the machine's
   * commands may put symbolic links there at any moment, so whoever uses it follows none (`put` and `get` do not), and what the server
   * writes there itself belongs to the wrong user.
   */
  hostPath(path: string): string | undefined;
  /** Ends all its processes: TERM, grace (default 5000 ms), KILL. Idempotent. Its files stay until remove; it runs nothing any more. */
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
  /** A user name that exists inside; default: the machine's own. ExecStartError where the driver may not switch users. */
  user?: string;
  /**
   * Called with each chunk in order, stdout and stderr interleaved as they arrive. Awaited: a slow consumer slows the command. If it
   * throws, the command is killed and exec rejects with that error.
   */
  onOutput?: (chunk: Buffer, stream: 'stdout' | 'stderr') => void | Promise<void>;
  stdin?: Readable | Uint8Array;
  signal?: AbortSignal;
  /** Between TERM and KILL after abort; default 5000. */
  graceMs?: number;
}

export interface ExecResult {
  /** Exit status; null when a signal ended it, or it was aborted before it began. */
  exitCode: number | null;
  signal: string | null;
  /** The kernel killed something of this machine for memory while it ran. */
  oomKilled: boolean;
  /** The caller's signal ended it. */
  aborted: boolean;
}

/** The image is not there, its registry cannot be reached or refuses the credentials; the message is the engine's own. */
export class ImagePullError extends Error {
  override readonly name = 'ImagePullError';
}

/** The engine or cluster that runs the machine went away: what became of a command is not known. */
export class MachineLostError extends Error {
  override readonly name: string = 'MachineLostError';
}

/** The command could not be started at all (no such program, not executable, machine gone). */
export class ExecStartError extends Error {
  override readonly name = 'ExecStartError';
}
