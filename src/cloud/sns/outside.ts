/**
 * Endpoints outside answer when they like. Of the workers of a process, which do all its other work too, they hold so many at most; what finds
 * no place comes again.
 */
const MAX_OUTSIDE = 6;
const AGAIN_MS = 1_000;
let busy = 0;

/** Does the work if there is a place for it, else what is to be done instead, which gets the time for another try. */
export async function withPlace(now: Date, work: () => Promise<unknown>, otherwise: (again: Date) => Promise<unknown>): Promise<void> {
  if (busy >= MAX_OUTSIDE) {
    await otherwise(new Date(now.getTime() + AGAIN_MS));
    return;
  }
  busy += 1;
  try {
    await work();
  } finally {
    busy -= 1;
  }
}
