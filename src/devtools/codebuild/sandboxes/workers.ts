/** The sandboxes that this process runs: claimed while there is room, told to stop, given up when the database declared us dead. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Platform } from '../../../platform/platform.ts';
import { LostBuild } from '../engine/persist.ts';
import { BuildInterrupt } from '../runner/outcome.ts';
import { type ClaimedSandbox, claimNext } from './claim.ts';
import { takeOver } from './reconcile.ts';
import { runSandbox } from './run.ts';
import { SANDBOX_QUEUE_TOPIC, SANDBOX_STOP_TOPIC, type SandboxRow } from './tables.ts';

/** The net under the notifications. */
const LOOK_MS = 2_000;
/** Sandboxes mostly wait for their users, so many fit beside the builds. */
const SLOTS = 32;
/** How long the end of the process waits for commands that it gives up. */
const GIVE_UP_MS = 10_000;
/** Longer than from a claim's commit to its first step here. */
const FORGOTTEN_MS = 10_000;

interface Running {
  claimed: ClaimedSandbox;
  abort: AbortController;
  over: Promise<void>;
}

export class SandboxWorkers {
  readonly #platform: Platform;
  readonly #running = new Map<string, Running>();
  /** Owned by this process without being run, and since when they were seen so. */
  #forgotten = new Map<string, number>();
  #closed = false;
  #filling: Promise<void> = Promise.resolve();

  constructor(platform: Platform) {
    this.#platform = platform;
  }

  /** Until `signal` is aborted; then the function that it answers lets go of the sandboxes, which the next process takes up. */
  start(signal: AbortSignal): () => Promise<void> {
    const { signals, processes } = this.#platform;
    const stops = [
      signals.on(SANDBOX_QUEUE_TOPIC, () => this.#fill()),
      signals.on(SANDBOX_STOP_TOPIC, (id) => this.#running.get(id)?.abort.abort(new BuildInterrupt('STOPPED'))),
      processes.onLost((former) => this.#lose((running) => running.claimed.owner === former)),
    ];
    const timer = setInterval(() => this.#look(), LOOK_MS);
    signal.addEventListener('abort', () => {
      this.#closed = true;
    });
    this.#fill();
    return async () => {
      clearInterval(timer);
      for (const stop of stops) stop();
      await this.#filling;
      this.#lose(() => true);
      const over = Promise.all([...this.#running.values()].map((running) => running.over));
      await Promise.race([over, delay(GIVE_UP_MS, undefined, { ref: false })]);
      // Said aloud: a process that ends in order is not looked for as a dead one is.
      for (const row of await this.#owned()) await takeOver(this.#platform, row);
    };
  }

  /** One after the other, each to the end of the queue: a claim that a signal asks for is never left out. */
  #fill(): void {
    this.#filling = this.#filling.then(async () => {
      try {
        while (!this.#closed && this.#running.size < SLOTS) {
          const claimed = await claimNext(this.#platform);
          if (!claimed) return;
          this.#run(claimed);
        }
      } catch (error) {
        this.#platform.log.warn({ error: (error as Error).message }, 'could not claim a sandbox; tried again later');
      }
    });
  }

  #run(claimed: ClaimedSandbox): void {
    const { id } = claimed.row;
    const abort = new AbortController();
    const over = runSandbox(this.#platform, claimed, abort)
      .catch((error) => this.#platform.log.error({ error, sandbox: id }, 'a sandbox could not be recorded to its end'))
      .finally(() => {
        this.#running.delete(id);
        if (!this.#closed) this.#fill();
      });
    this.#running.set(id, { claimed, abort, over });
  }

  #lose(which: (running: Running) => boolean): void {
    for (const running of this.#running.values()) {
      if (which(running)) running.abort.abort(new LostBuild('The sandbox went to another process.'));
    }
  }

  #owned(): Promise<SandboxRow[]> {
    return this.#platform.read
      .selectFrom('codebuild.sandboxes')
      .selectAll()
      .where('ended_at', 'is', null)
      .where('owner', '=', this.#platform.processes.id)
      .execute();
  }

  async #look(): Promise<void> {
    this.#fill();
    try {
      const forgotten = new Map<string, number>();
      for (const row of await this.#owned()) {
        const running = this.#running.get(row.id);
        if (running && row.stop_requested_at) running.abort.abort(new BuildInterrupt('STOPPED'));
        // A claim whose commit was answered by a broken connection, or an end that could not be recorded.
        if (!running) forgotten.set(row.id, this.#forgotten.get(row.id) ?? performance.now());
        if (!running && performance.now() - forgotten.get(row.id)! > FORGOTTEN_MS) await takeOver(this.#platform, row);
      }
      this.#forgotten = forgotten;
    } catch (error) {
      this.#platform.log.debug({ error }, 'could not look after sandboxes');
    }
  }
}
