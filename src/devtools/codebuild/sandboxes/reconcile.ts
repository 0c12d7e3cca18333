/** What must happen to a sandbox that nobody runs: it waits too long, or its process died. */
import type { Platform } from '../../../platform/platform.ts';
import type { Reconciler } from '../../../platform/service.ts';
import { leaveRest, removeHere } from '../engine/leftovers.ts';
import type { PhaseOutcome } from '../runner/outcome.ts';
import { type Ending, endLocked, lock } from './record.ts';
import { SANDBOX_QUEUE_TOPIC, SANDBOX_RECONCILER, type SandboxPhase, type SandboxRow } from './tables.ts';

/** A sandbox that takes its process down while it is made would otherwise do so for ever. */
const MAX_ATTEMPTS = 3;
/** So long a process of the machine's data directory may take to come back. */
const ADOPTION_MS = 60_000;

export const sandboxReconciler: Reconciler = {
  async run(platform, id) {
    const row = await platform.read.selectFrom('codebuild.sandboxes').selectAll().where('id', '=', id).executeTakeFirst();
    if (!row || row.ended_at) return;
    if (row.owner !== null) {
      if (!(await platform.processes.isAlive(row.owner))) await takeOver(platform, row);
    } else if (row.machine === null) await lookAtQueued(platform, id);
    else await lookAtLeft(platform, row);
  },

  async pending(platform) {
    const rows = await platform.read.selectFrom('codebuild.sandboxes').select('id').where('ended_at', 'is', null).execute();
    return rows.map((row) => row.id);
  },
};

async function lookAtQueued(platform: Platform, id: string): Promise<void> {
  await platform.transaction(async (tx) => {
    const row = await lock(tx, id);
    if (!row || row.owner !== null || row.machine !== null) return;
    if (row.queue_deadline > platform.now()) return tx.signal(SANDBOX_QUEUE_TOPIC);
    const message = `Sandbox was in the queue for more than ${row.definition.queuedTimeoutInMinutes} minutes. `;
    const outcome: PhaseOutcome = { status: 'TIMED_OUT', contexts: [{ statusCode: 'BUILD_TIMED_OUT', message }] };
    await endLocked(tx, platform, row, { status: 'STOPPED', outcome });
  });
}

/**
 * For a sandbox whose owner does not run it. With its sources there it waits, machine and all, for a process that can reach it; before, it is made
 * anew.
 */
export async function takeOver(platform: Platform, dead: SandboxRow): Promise<void> {
  const waits = dead.workspace !== null && !dead.stop_requested_at;
  // Nothing of the old attempt may still run when the record says that it is over or begun anew.
  if (!waits && dead.machine) await removeHere(platform, dead.machine);
  await platform.transaction(async (tx) => {
    const row = await lock(tx, dead.id);
    if (!row || row.owner !== dead.owner) return;
    if (waits) {
      const left_at = platform.now();
      await tx.sql.updateTable('codebuild.sandboxes').set({ owner: null, left_at }).where('id', '=', row.id).execute();
      await tx.signal(SANDBOX_QUEUE_TOPIC);
      return tx.reconcile(SANDBOX_RECONCILER, row.id, new Date(left_at.getTime() + ADOPTION_MS));
    }
    await leaveRest(tx, platform, row);
    if (row.stop_requested_at) return endLocked(tx, platform, row, { status: 'STOPPED', outcome: { status: 'STOPPED', contexts: [] } });
    if (row.attempts >= MAX_ATTEMPTS)
      return endLocked(tx, platform, row, fault('The process that made this sandbox ended before it was ready, again and again.'));
    const queued = { phaseType: 'QUEUED' as SandboxPhase, startTime: platform.now().toISOString() };
    await tx.sql
      .updateTable('codebuild.sandboxes')
      .set({
        owner: null,
        machine: null,
        place: null,
        started_at: null,
        deadline: null,
        phases: JSON.stringify([...row.phases.slice(0, 1), queued]),
      })
      .where('id', '=', row.id)
      .execute();
    await tx.signal(SANDBOX_QUEUE_TOPIC);
  });
}

/** Its machine is there, or was; who could reach it did not come. Called again some time after `takeOver`, and by the sweep. */
async function lookAtLeft(platform: Platform, left: SandboxRow): Promise<void> {
  const due = await platform.transaction(async (tx) => {
    const row = await lock(tx, left.id);
    if (!row || row.owner !== null || row.machine === null) return false;
    const waited = platform.now().getTime() - (row.left_at?.getTime() ?? 0);
    if (!row.stop_requested_at && waited < ADOPTION_MS) {
      await tx.signal(SANDBOX_QUEUE_TOPIC);
      return false;
    }
    // Without a place nobody can adopt it from here on.
    await tx.sql.updateTable('codebuild.sandboxes').set({ place: null }).where('id', '=', row.id).execute();
    return true;
  });
  if (!due) return;
  await removeHere(platform, left.machine!);
  await platform.transaction(async (tx) => {
    const row = await lock(tx, left.id);
    if (!row || row.owner !== null || row.machine === null) return;
    await leaveRest(tx, platform, left);
    const stopped: Ending = { status: 'STOPPED', outcome: { status: 'STOPPED', contexts: [] } };
    const lost = 'The process that ran this sandbox ended, and no other one could reach its machine.';
    await endLocked(tx, platform, row, row.stop_requested_at ? stopped : fault(lost));
  });
}

function fault(message: string): Ending {
  return { status: 'FAULT', outcome: { status: 'FAULT', contexts: [{ statusCode: 'INTERNAL_SERVICE_ERROR', message }] } };
}
