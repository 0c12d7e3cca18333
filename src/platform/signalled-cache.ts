/**
 * What a process remembers of rows that are asked for on hot paths. Each change is signalled to all processes, so that what is remembered is
 * old only for as long as a signal travels. Entries that change together share a group.
 */
import type { Platform, Transaction } from './platform.ts';

const MAX_GROUPS = 10_000;
const MAX_ENTRIES = 1_000;

interface Entry {
  value: Promise<unknown>;
  until: number;
}

export class SignalledCache {
  readonly #groups = new Map<string, Map<string, Entry>>();
  readonly #topic: string;
  readonly #maxAgeMs: number;

  /** `maxAgeMs` is a net only, for signals that were lost with their connection. */
  constructor(platform: Pick<Platform, 'signals'>, topic: string, maxAgeMs: number) {
    this.#topic = topic;
    this.#maxAgeMs = maxAgeMs;
    platform.signals.on(topic, (group) => this.forget(group));
  }

  /** To be called in every transaction that changes what was remembered of a group. */
  async changed(tx: Transaction, group: string): Promise<void> {
    await tx.signal(this.#topic, group);
    tx.onCommit(() => this.forget(group));
  }

  /** All groups when `group` is empty: after a gap in listening anything may have changed. */
  forget(group: string): void {
    if (group === '') this.#groups.clear();
    else this.#groups.delete(group);
  }

  /** What `load` gave before, unless something changed since. A load that a change overtakes answers those who wait and is not kept. */
  get<T>(group: string, key: string, load: () => Promise<T>): Promise<T> {
    const entries = this.#entriesOf(group);
    const now = performance.now();
    const kept = entries.get(key);
    if (kept && kept.until > now) return kept.value as Promise<T>;
    if (entries.size >= MAX_ENTRIES) entries.clear();
    const value = load();
    entries.set(key, { value, until: now + this.#maxAgeMs });
    value.catch(() => entries.delete(key));
    return value;
  }

  #entriesOf(group: string): Map<string, Entry> {
    const known = this.#groups.get(group);
    if (known) return known;
    if (this.#groups.size >= MAX_GROUPS) this.#groups.clear();
    const made = new Map<string, Entry>();
    this.#groups.set(group, made);
    return made;
  }
}
