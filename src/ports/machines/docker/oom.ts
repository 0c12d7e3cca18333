import { oomKills } from '../oom-kills.ts';
import type { Engine } from './engine.ts';
import { runInside } from './run-inside.ts';

/**
 * How many processes of a container the kernel has killed for memory. The engine's own word for it, State.OOMKilled, stays false for a command that
 * was run by exec, and on Podman for all.
 */
export class OomCounter {
  readonly #engine: Engine;
  readonly #container: string;
  #known = 0;

  constructor(engine: Engine, container: string) {
    this.#engine = engine;
    this.#container = container;
  }

  /** Whether there were more since it was last asked. False too when that cannot be found out. */
  async more(): Promise<boolean> {
    const before = this.#known;
    const text = await runInside(this.#engine, this.#container, oomKills);
    const count = Number(text?.trim() || before);
    this.#known = count;
    return count > before;
  }
}
