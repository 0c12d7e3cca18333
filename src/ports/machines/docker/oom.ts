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

  /** As it was last asked. */
  get known(): number {
    return this.#known;
  }

  /** As it is now; where that cannot be found out, as it was. */
  async count(): Promise<number> {
    const text = await runInside(this.#engine, this.#container, oomKills);
    this.#known = Number(text?.trim() || this.#known);
    return this.#known;
  }
}
