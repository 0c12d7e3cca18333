/** Taking the next sandbox, by one process only: a queued one, or one whose process died and left the machine where this process is. */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { placeOf } from '../../../platform/place.ts';
import type { Platform } from '../../../platform/platform.ts';
import { turnTo } from '../engine/record.ts';
import type { SandboxPhase, SandboxRow } from './tables.ts';

const MINUTE_MS = 60_000;

export interface ClaimedSandbox {
  row: SandboxRow;
  owner: string;
  /** Its machine is there already. */
  adopted: boolean;
}

export async function claimNext(platform: Platform): Promise<ClaimedSandbox | undefined> {
  const owner = platform.processes.id;
  const place = placeOf(platform.config.dataDir);
  const endpoint = platform.config.endpoints.http;
  return platform.transaction(async (tx) => {
    const now = platform.now();
    const found = await tx.sql
      .selectFrom('codebuild.sandboxes')
      .selectAll()
      .where('ended_at', 'is', null)
      .where('owner', 'is', null)
      .where((eb) => eb.or([eb.and([eb('machine', 'is', null), eb('queue_deadline', '>', now)]), eb('place', '=', place)]))
      .orderBy('sandbox_order')
      .limit(1)
      .forUpdate()
      .skipLocked()
      .executeTakeFirst();
    if (!found) return undefined;
    const adopted = found.machine !== null;
    const attempts = found.attempts + 1;
    const row = await tx.sql
      .updateTable('codebuild.sandboxes')
      .set(
        adopted
          ? { owner, endpoint, left_at: null }
          : {
              owner,
              endpoint,
              attempts,
              place,
              // Known before the machine is made, so that whoever cleans up after a crash finds it.
              machine: `sandbox-${found.id}-${attempts}`,
              phases: JSON.stringify(turnTo<SandboxPhase>(found.phases, 'PROVISIONING', { status: 'SUCCEEDED', contexts: [] }, now).phases),
              started_at: now,
              deadline: new Date(now.getTime() + (found.definition.timeoutInMinutes ?? 60) * MINUTE_MS),
            },
      )
      .where('id', '=', found.id)
      .returningAll()
      .executeTakeFirstOrThrow();
    return { row, owner, adopted };
  });
}

/**
 * Gets the service role's credentials from the credentials door as long as the sandbox lives. Derived, since processes that the sandbox left in
 * the background go on using it when another process takes over.
 */
export function credentialToken({ keyring }: Pick<Platform, 'keyring'>, { id }: Pick<SandboxRow, 'id'>): string {
  const mac = createHmac('sha256', keyring.derive('codebuild.sandbox')).update(id).digest('base64url');
  return `sandbox.${id}.${mac}`;
}

/** The live sandbox whose token this is. */
export async function findByToken(platform: Pick<Platform, 'keyring' | 'read'>, token: string): Promise<SandboxRow | undefined> {
  const id = /^sandbox\.([0-9a-f-]{36})\.[\w-]{43}$/.exec(token)?.[1];
  if (id === undefined) return undefined;
  // Of the same length, by the pattern.
  if (!timingSafeEqual(Buffer.from(token), Buffer.from(credentialToken(platform, { id })))) return undefined;
  return platform.read
    .selectFrom('codebuild.sandboxes')
    .selectAll()
    .where('id', '=', id)
    .where('ended_at', 'is', null)
    .where('machine', 'is not', null)
    .executeTakeFirst();
}
