/** What every service stands on. Narrow on purpose: rows, jobs, events, signals, blobs, machines, other services by their API. */
import type { Kysely } from 'kysely';
import type { BlobStore } from '../ports/blobs/port.ts';
import type { MachineDriver } from '../ports/machines/port.ts';
import type { CertificateAuthority } from './authority.ts';
import type { AwsClients } from './aws.ts';
import type { Config } from './config.ts';
import type { Keyring } from './keyring.ts';
import type { Logger } from './log.ts';
import type { Paging } from './paging.ts';
import type { Processes } from './processes.ts';

/**
 * All tables, by schema-qualified name. Each service adds its own:
 * `declare module '../../platform/platform.ts' { interface Tables { 'codecommit.refs': RefsTable } }`, and uses no other's.
 */
// biome-ignore lint/suspicious/noEmptyInterface: filled by declaration merging
export interface Tables {}

/** Reads only: a read path cannot write. */
export type Reader = Pick<Kysely<Tables>, 'selectFrom' | 'selectNoFrom' | 'with' | 'withRecursive' | 'fn' | 'getExecutor' | 'dynamic'>;

/** A state change, its event and its follow-up job: all in one, or none. */
export interface Transaction {
  readonly sql: Kysely<Tables>;
  /** Published to the default event bus of each event's `account`/`region` once committed. Many at once cost one round trip. */
  emit(...events: AwsEvent[]): Promise<void>;
  /** Queues a job handler of any service by name. With `key`, a waiting job of that key is replaced. Jobs of one `queue` run one by one. */
  enqueue(job: string, payload: unknown, options?: { key?: string; queue?: string; runAt?: Date; maxAttempts?: number }): Promise<void>;
  /** Calls the reconciler of that kind for this id after commit (or at `at`); calls for one id never overlap, and a call made while one runs is not lost. */
  reconcile(kind: string, id: string, at?: Date): Promise<void>;
  /** Wakes waiters of `topic` in every process, after commit. A hint, never the only carrier of a fact. */
  signal(topic: string, payload?: string): Promise<void>;
  /** Runs in this process after commit, e.g. to drop a cache entry. */
  onCommit(action: () => void): void;
}

export interface AwsEvent {
  account: string;
  region: string;
  /** `aws.codecommit` */
  source: string;
  detailType: string;
  resources: string[];
  detail: unknown;
  time?: Date;
}

export interface Signals {
  /** Resolves true when `topic` is signalled, false after `timeoutMs` or abort. Subscribe first, then look at the rows, then await. */
  wait(topic: string, timeoutMs: number, signal?: AbortSignal): Promise<boolean>;
  /** Calls back on every signal of `topic` until the returned function is called. */
  on(topic: string, listener: (payload: string) => void): () => void;
}

export interface Platform {
  readonly config: Config;
  readonly log: Logger;
  /** The only source of time: tests may set it. */
  now(): Date;
  readonly read: Reader;
  /** Serialization failures and deadlocks are retried (so `work` may run again): no side effects in it but the transaction's. */
  transaction<T>(work: (tx: Transaction) => Promise<T>): Promise<T>;
  readonly signals: Signals;
  readonly blobs: BlobStore;
  /** The driver chosen by `--machines`. */
  readonly machines: MachineDriver;
  /** For the server's own work with what strangers wrote, by the tools of this host; the same as `machines`, unless those are made of images. */
  readonly hostMachines: MachineDriver;
  readonly aws: AwsClients;
  /** Seals and opens small secrets and tokens under the master key. */
  readonly keyring: Keyring;
  readonly paging: Paging;
  /** Which Penstock processes live; for leases. */
  readonly processes: Processes;
  /** The local CA, shared by all processes of the installation. */
  readonly authority: CertificateAuthority;
}
