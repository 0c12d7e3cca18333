/** How many requests of git one user (or role) may make in a time, as CodeCommit throttles: a bucket that fills steadily. */
import { AwsError } from '../../platform/errors.ts';

/** A bucket holds the requests of so many seconds, for those who come all at once. */
const BURST_SECONDS = 10;
const MAX_REMEMBERED = 10_000;

export class GitRate {
  readonly #perSecond: number;
  readonly #buckets = new Map<string, { left: number; at: number }>();

  /** `perSecond` of 0: without limit. */
  constructor(perSecond: number) {
    this.#perSecond = perSecond;
  }

  /** Throws `Rate Exceeded` when `who` has made too many. `now` in milliseconds of any steady clock. */
  take(who: string, now: number = performance.now()): void {
    if (this.#perSecond === 0) return;
    const full = this.#perSecond * BURST_SECONDS;
    const bucket = this.#buckets.get(who);
    const left = bucket ? Math.min(full, bucket.left + ((now - bucket.at) / 1000) * this.#perSecond) : full;
    if (left < 1) throw new AwsError('ThrottlingException', 'Rate Exceeded', { status: 429 });
    if (!bucket && this.#buckets.size >= MAX_REMEMBERED) this.#buckets.clear();
    this.#buckets.set(who, { left: left - 1, at: now });
  }
}
