/**
 * Bytes that streamed through are garbage outside of the engine's heap, and it learns of them late: by then they are a hundred megabytes. They are
 * all young, so that the collection of young objects alone, a millisecond or two, gives them back.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** Bytes between two collections. */
const INTERVAL = 16 * 1024 * 1024;

let passed = 0;
let collect: ((options: { type: 'minor' }) => void) | undefined;

/** To be told of every chunk of a large stream. */
export function streamed(bytes: number): void {
  passed += bytes;
  if (passed < INTERVAL) return;
  passed = 0;
  collect ??= collector();
  collect({ type: 'minor' });
}

function collector(): (options: { type: 'minor' }) => void {
  setFlagsFromString('--expose-gc');
  const gc = runInNewContext('gc') as (options: { type: 'minor' }) => void;
  setFlagsFromString('--no-expose-gc');
  return gc;
}
