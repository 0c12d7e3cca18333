/** The builds that this process runs: claimed while slots are free, told to stop, given up when the database declared us dead. */
import { availableParallelism } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import type { Platform } from '../../../platform/platform.ts';
import { BuildInterrupt } from '../runner/outcome.ts';
import { QUEUE_TOPIC, STOP_TOPIC } from '../topics.ts';
import { type ClaimedBuild, claimNext } from './claim.ts';
import { executeBuild } from './execute.ts';
import { clearLeftovers } from './leftovers.ts';
import { LostBuild } from './persist.ts';
import { takeOver } from './reconcile.ts';

/** The net under the notifications. */
const LOOK_MS = 2_000;
const CLEAR_MS = 60_000;
/** How long a stop waits for the machines of builds that it gave up. */
const GIVE_UP_MS = 10_000;
const SLOTS_PER_CORE = 2;
/** Longer than from a claim's commit to its first step here. */
const FORGOTTEN_MS = 10_000;

interface Running {
  claimed: ClaimedBuild;
  abort: AbortController;
  /** Its machine is gone too. Never fails. */
  over: Promise<void>;
}

export class BuildWorkers {
  readonly #platform: Platform;
  readonly #slots: number;
  readonly #running = new Map<string, Running>();
  #closed = false;
  #filling: Promise<void> | undefined;
  #again = false;

  constructor(platform: Platform, slots = buildSlots()) {
    this.#platform = platform;
    this.#slots = slots;
  }

  /** Until `signal` is aborted. The function that it answers waits for the end of what runs then, which is given up after a time. */
  start(signal: AbortSignal): () => Promise<void> {
    const { signals, processes } = this.#platform;
    const stops = [
      signals.on(QUEUE_TOPIC, () => this.fill()),
      signals.on(STOP_TOPIC, (id) => this.#interrupt(id, new BuildInterrupt('STOPPED'))),
      processes.onLost((former) => this.#lose((running) => running.claimed.owner === former)),
    ];
    const timers = [setInterval(() => this.#look(), LOOK_MS), setInterval(() => this.#clearLeftovers(), CLEAR_MS)];
    signal.addEventListener('abort', () => {
      this.#closed = true;
    });
    this.fill();
    this.#clearLeftovers();
    return async () => {
      await this.#drain();
      for (const timer of timers) clearInterval(timer);
      for (const stop of stops) stop();
    };
  }

  /** `PENSTOCK_DRAIN_SECONDS` for builds to end by themselves. */
  async #drain(): Promise<void> {
    await Promise.race([this.#filling, delay(GIVE_UP_MS, undefined, { ref: false })]);
    const ended = () => Promise.all([...this.#running.values()].map((running) => running.over));
    await Promise.race([ended(), delay(this.#platform.config.drainSeconds * 1000, undefined, { ref: false })]);
    // Whoever comes next treats them as a crash would: started over if no command had run, else ended.
    this.#lose(() => true);
    await Promise.race([ended(), delay(GIVE_UP_MS, undefined, { ref: false })]);
  }

  /** Claims builds until the slots or the queue are used up. Safe to call at any time. */
  fill(): void {
    if (this.#closed) return;
    this.#again = true;
    this.#filling ??= this.#fill().finally(() => {
      this.#filling = undefined;
      if (this.#again) this.fill();
    });
  }

  async #fill(): Promise<void> {
    while (this.#again && !this.#closed) {
      this.#again = false;
      try {
        while (!this.#closed && this.#running.size < this.#slots) {
          const claimed = await claimNext(this.#platform);
          if (!claimed) break;
          this.#run(claimed);
        }
      } catch (error) {
        this.#platform.log.warn({ error: (error as Error).message }, 'could not claim a build; tried again later');
      }
    }
  }

  #run(claimed: ClaimedBuild): void {
    const abort = new AbortController();
    const over = executeBuild(this.#platform, claimed, abort)
      .catch((error) => this.#platform.log.error({ error, build: claimed.row.id }, 'a build could not be recorded to its end'))
      .finally(() => {
        this.#running.delete(claimed.row.id);
        if (!this.#closed) this.fill();
      });
    this.#running.set(claimed.row.id, { claimed, abort, over });
  }

  #interrupt(id: string, reason: Error): void {
    this.#running.get(id)?.abort.abort(reason);
  }

  #lose(which: (running: Running) => boolean): void {
    for (const running of this.#running.values()) {
      if (which(running)) running.abort.abort(new LostBuild('The build went to another process.'));
    }
  }

  /** A claim whose commit was answered by a broken connection: the row says that we run it, and we do not know of it. */
  async #takeOverForgotten(running: string[]): Promise<void> {
    const { read, processes, now } = this.#platform;
    const owned = await read
      .selectFrom('codebuild.builds')
      .selectAll()
      .where('status', '=', 'IN_PROGRESS')
      .where('owner', '=', processes.id)
      .execute();
    for (const row of owned) {
      const age = now().getTime() - Date.parse(row.phases.at(-1)?.startTime ?? '');
      if (!running.includes(row.id) && !this.#running.has(row.id) && age > FORGOTTEN_MS) await takeOver(this.#platform, row);
    }
  }

  #clearLeftovers(): void {
    const running = new Set([...this.#running.values()].map(({ claimed }) => claimed.row.machine ?? ''));
    clearLeftovers(this.#platform, running).catch((error) =>
      this.#platform.log.warn({ error: (error as Error).message }, 'machines of dead processes could not be removed; tried again later'),
    );
  }

  async #look(): Promise<void> {
    this.fill();
    const ids = [...this.#running.keys()];
    try {
      await this.#takeOverForgotten(ids);
      if (ids.length === 0) return;
      const stopped = await this.#platform.read
        .selectFrom('codebuild.builds')
        .select('id')
        .where('id', 'in', ids)
        .where('stop_requested_at', 'is not', null)
        .execute();
      for (const { id } of stopped) this.#interrupt(id, new BuildInterrupt('STOPPED'));
    } catch (error) {
      this.#platform.log.debug({ error }, 'could not look for stopped builds');
    }
  }
}

/** `PENSTOCK_BUILD_SLOTS`, else twice the cores: builds wait for disk and network about half of their time. */
function buildSlots(): number {
  const given = Number(process.env.PENSTOCK_BUILD_SLOTS);
  return Number.isInteger(given) && given > 0 ? given : availableParallelism() * SLOTS_PER_CORE;
}
