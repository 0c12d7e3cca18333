/** What must happen to a build that nobody runs: it waits too long, or its process died. */
import type { Platform, Transaction } from '../../../platform/platform.ts';
import type { Reconciler } from '../../../platform/service.ts';
import type { BuildRow } from '../tables.ts';
import { QUEUE_TOPIC } from '../topics.ts';
import { leaveRest, removeHere } from './leftovers.ts';
import { endLocked } from './record.ts';

/** A build that takes its process down before the first command would otherwise do so for ever. */
const MAX_ATTEMPTS = 3;

export const buildReconciler: Reconciler = {
  async run(platform, id) {
    const row = await platform.read.selectFrom('codebuild.builds').selectAll().where('id', '=', id).executeTakeFirst();
    if (row?.status !== 'IN_PROGRESS') return;
    if (row.owner === null) await lookAtQueued(platform, id);
    else if (!(await platform.processes.isAlive(row.owner))) await takeOver(platform, row);
  },

  /** Not those that wait, be they ever so many: workers look into the queue by themselves. */
  async pending(platform) {
    const rows = await platform.read
      .selectFrom('codebuild.builds')
      .select('id')
      .where('status', '=', 'IN_PROGRESS')
      .where((eb) => eb.or([eb('owner', 'is not', null), eb('queue_deadline', '<=', platform.now())]))
      .execute();
    return rows.map((row) => row.id);
  },
};

async function lookAtQueued(platform: Platform, id: string): Promise<void> {
  await platform.transaction(async (tx) => {
    const row = await lock(tx, id, null);
    if (!row) return;
    if (row.queue_deadline > platform.now()) return tx.signal(QUEUE_TOPIC);
    const message = `Build was in the queue for more than ${row.definition.queuedTimeoutInMinutes} minutes. `;
    await endLocked(tx, platform, row, {
      status: 'TIMED_OUT',
      outcome: { status: 'TIMED_OUT', contexts: [{ statusCode: 'BUILD_TIMED_OUT', message }] },
    });
  });
}

/**
 * For a build whose owner does not run it. The machine goes first: nothing of the old attempt may still run on this host when the record says
 * that it is over or begun anew. On a host that is cut off it runs until that one is back.
 */
export async function takeOver(platform: Platform, dead: BuildRow): Promise<void> {
  if (dead.machine) await removeHere(platform, dead.machine);
  await platform.transaction(async (tx) => {
    const row = await lock(tx, dead.id, dead.owner);
    if (!row) return;
    await leaveRest(tx, platform, row);
    if (row.stop_requested_at) return endLocked(tx, platform, row, { status: 'STOPPED', outcome: { status: 'STOPPED', contexts: [] } });
    if (row.first_command_at === null && row.attempts < MAX_ATTEMPTS) return requeue(tx, platform, row);
    await endLocked(tx, platform, row, {
      status: 'FAULT',
      outcome: { status: 'FAULT', contexts: [{ statusCode: 'INTERNAL_SERVICE_ERROR', message: explain(row) }] },
    });
  });
}

function explain(row: BuildRow): string {
  if (row.first_command_at === null) return `The process that ran this build ended before the build did, ${row.attempts} times in a row.`;
  return 'The process that ran this build ended before the build did. Its commands had begun to run, so the build was not started over.';
}

async function requeue(tx: Transaction, platform: Platform, row: BuildRow): Promise<void> {
  const submitted = row.phases.filter((phase) => phase.phaseType === 'SUBMITTED');
  const queued = { phaseType: 'QUEUED' as const, startTime: platform.now().toISOString() };
  await tx.sql
    .updateTable('codebuild.builds')
    .set({
      owner: null,
      machine: null,
      in_fleet: false,
      credential_hash: null,
      deadline: null,
      resolved_source_version: null,
      phases: JSON.stringify([...submitted, queued]),
    })
    .where('id', '=', row.id)
    .execute();
  await tx.signal(QUEUE_TOPIC);
}

async function lock(tx: Transaction, id: string, owner: string | null): Promise<BuildRow | undefined> {
  const query = tx.sql.selectFrom('codebuild.builds').selectAll().where('id', '=', id).where('status', '=', 'IN_PROGRESS').forUpdate();
  return (owner === null ? query.where('owner', 'is', null) : query.where('owner', '=', owner)).executeTakeFirst();
}
