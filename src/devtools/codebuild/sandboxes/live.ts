/** The sandboxes that this process runs and that take commands. */
import type { Surroundings } from './run-command.ts';

const live = new Map<string, Surroundings>();

export function liveSandbox(id: string): Surroundings | undefined {
  return live.get(id);
}

/** Until the function that it answers is called. */
export function enliven(around: Surroundings): () => void {
  const { id } = around.sandbox;
  live.set(id, around);
  return () => {
    if (live.get(id) === around) live.delete(id);
  };
}
