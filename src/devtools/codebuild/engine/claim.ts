/** Taking the next build out of the queue, by one process only. */
import { createHash, randomBytes } from 'node:crypto';
import { placeOf } from '../../../platform/place.ts';
import type { Platform } from '../../../platform/platform.ts';
import { emitPhaseChange } from '../events.ts';
import type { BuildRow } from '../tables.ts';
import { lockNext, nextClaim } from './queue.ts';
import { turnTo } from './record.ts';

export interface ClaimedBuild {
  row: BuildRow;
  owner: string;
  /** Gets the service role's credentials from the credentials door, as long as the build runs. Only its hash is stored. */
  credentialToken: string;
}

/** bytes */
const TOKEN_BYTES = 32;
const MINUTE_MS = 60_000;

export function hashToken(token: string): string {
  return createHash('sha256').update(token).digest('hex');
}

/** The queued build whose turn it is, now in PROVISIONING and owned by this process; undefined when there is none. */
export async function claimNext(platform: Platform): Promise<ClaimedBuild | undefined> {
  const credentialToken = randomBytes(TOKEN_BYTES).toString('base64url');
  const owner = platform.processes.id;
  return platform.transaction(async (tx) => {
    const now = platform.now();
    const next = await lockNext(tx, platform);
    if (!next) return undefined;
    const queued = next.row;
    const { phases, completed } = turnTo(queued.phases, 'PROVISIONING', { status: 'SUCCEEDED', contexts: [] }, now);
    const attempts = queued.attempts + 1;
    const row = await tx.sql
      .updateTable('codebuild.builds')
      .set({
        owner,
        attempts,
        claim_order: nextClaim,
        in_fleet: next.inFleet,
        phases: JSON.stringify(phases),
        credential_hash: hashToken(credentialToken),
        // Known before the machine is made, so that whoever cleans up after a crash finds it.
        machine: `build-${queued.id}-${attempts}`,
        place: placeOf(platform.config.dataDir),
        deadline: new Date(now.getTime() + (queued.definition.timeoutInMinutes ?? 60) * MINUTE_MS),
      })
      .where('id', '=', queued.id)
      .returningAll()
      .executeTakeFirstOrThrow();
    await emitPhaseChange(tx, row, completed);
    return { row, owner, credentialToken };
  });
}
