/** The builds that this process runs: claimed while slots are free, told to stop, given up when the database declared us dead. */
import { availableParallelism } from 'node:os';
import type { Platform } from '../../../platform/platform.ts';
import { BuildInterrupt } from '../runner/outcome.ts';
import { QUEUE_TOPIC, STOP_TOPIC } from '../topics.ts';
import { type ClaimedBuild, claimNext } from './claim.ts';
import { executeBuild } from './execute.ts';
import { LostBuild } from './persist.ts';
import { takeOver } from './reconcile.ts';

/** The net under the notifications. */
const LOOK_MS = 2_000;
const SLOTS_PER_CORE = 2;
/** Longer than from a claim's commit to its first step here. */
const FORGOTTEN_MS = 10_000;

interface Running {
  claimed: ClaimedBuild;
  abort: AbortController;
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

  start(signal: AbortSignal): void {
    const { signals, processes } = this.#platform;
    const stops = [
      signals.on(QUEUE_TOPIC, () => this.fill()),
      signals.on(STOP_TOPIC, (id) => this.#interrupt(id, new BuildInterrupt('STOPPED'))),
      processes.onLost((former) => this.#lose((running) => running.claimed.owner === former)),
    ];
    const timer = setInterval(() => this.#look(), LOOK_MS);
    signal.addEventListener('abort', () => {
      this.#closed = true;
      clearInterval(timer);
      for (const stop of stops) stop();
      // Whoever comes next treats them as a crash would: started over if no command had run, else ended.
      this.#lose(() => true);
    });
    this.fill();
  }

  /** Claims builds until the slots or the queue are used up. Safe to call at any time. */
  fill(): void {
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
    const running = { claimed, abort };
    this.#running.set(claimed.row.id, running);
    executeBuild(this.#platform, claimed, abort)
      .catch((error) => this.#platform.log.error({ error, build: claimed.row.id }, 'a build could not be recorded to its end'))
      .finally(() => {
        this.#running.delete(claimed.row.id);
        if (!this.#closed) this.fill();
      });
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
