/**
 * What each process remembers of identities, so that a request costs no query. Every change of IAM drops what its account had: at once in the
 * process that made it, by a signal in the others.
 */
import type { Platform, Transaction } from '../../platform/platform.ts';

const TOPIC = 'iam.changed';
/** A net only, for a signal that was lost with its connection. */
const MAX_AGE_MS = 30_000;
const MAX_ENTRIES = 50_000;
const MAX_ACCOUNTS = 10_000;

interface Entry {
  value: Promise<unknown>;
  until: number;
}

const caches = new Set<WeakRef<IdentityCache>>();

/** To be called in every transaction that changes anything by which access is decided. */
export async function accessChanged(tx: Transaction, account: string): Promise<void> {
  await tx.signal(TOPIC, account);
  tx.onCommit(() => {
    for (const reference of caches) {
      const cache = reference.deref();
      if (cache) cache.forget(account);
      else caches.delete(reference);
    }
  });
}

export class IdentityCache {
  #accounts = new Map<string, Map<string, Entry>>();

  constructor(platform: Pick<Platform, 'signals'>) {
    caches.add(new WeakRef(this));
    platform.signals.on(TOPIC, (account) => this.forget(account));
  }

  /** All accounts when `account` is empty: after a gap, anything may have changed. */
  forget(account: string): void {
    if (account === '') this.#accounts.clear();
    else this.#accounts.delete(account);
  }

  /** What `load` gave before, unless something changed since. A load that a change overtakes answers those who wait and is not kept. */
  get<T>(account: string, key: string, load: () => Promise<T>): Promise<T> {
    let entries = this.#accounts.get(account);
    if (!entries) {
      entries = new Map();
      // Access keys name their account themselves, true or not.
      if (this.#accounts.size >= MAX_ACCOUNTS) this.#accounts.clear();
      this.#accounts.set(account, entries);
    }
    const now = performance.now();
    const kept = entries.get(key);
    if (kept && kept.until > now) return kept.value as Promise<T>;
    if (entries.size >= MAX_ENTRIES) entries.clear();
    const value = load();
    entries.set(key, { value, until: now + MAX_AGE_MS });
    const ours = entries;
    value.catch(() => ours.delete(key));
    return value;
  }
}
