/** Writing what must not be lost while the database is away for a moment: killed, restarted, failing over. */
import { setTimeout as delay } from 'node:timers/promises';
import { isUnstorable } from '../../../platform/database/unstorable.ts';
import { AwsError } from '../../../platform/errors.ts';
import type { Platform, Transaction } from '../../../platform/platform.ts';

/** The build is not this process's any more: it was declared dead, or somebody ended the build. Nothing may be written for it. */
export class LostBuild extends Error {
  override readonly name = 'LostBuild';
}

const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 2_000;
/** Longer than a database takes to come back; a mistake of ours ends here too. */
const GIVE_UP_MS = 5 * 60_000;

/**
 * Tries again until the transaction commits. Its work is guarded by the owner of the build, so a commit whose answer was lost shows as
 * LostBuild at worst, never as a second write of another kind.
 */
export async function persist<T>(platform: Platform, work: (tx: Transaction) => Promise<T>): Promise<T> {
  const giveUp = Date.now() + GIVE_UP_MS;
  for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(pause * 2, LONGEST_PAUSE_MS)) {
    try {
      return await platform.transaction(work);
    } catch (error) {
      if (error instanceof LostBuild || error instanceof AwsError || isUnstorable(error) || Date.now() > giveUp) throw error;
      platform.log.warn({ error: (error as Error).message }, 'a step of a build could not be recorded yet; tried again');
      await delay(pause);
    }
  }
}
