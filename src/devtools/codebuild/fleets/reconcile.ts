/** What follows a change of a fleet: it becomes active, or its builds are seen off and it goes. */
import type { Platform, Transaction } from '../../../platform/platform.ts';
import type { Reconciler } from '../../../platform/service.ts';
import { endLocked } from '../engine/record.ts';
import { QUEUE_TOPIC } from '../topics.ts';
import type { FleetRow } from './tables.ts';

const ENDED_AT_ONCE = 50;

export const fleetReconciler: Reconciler = {
  async run(platform, id) {
    const fleet = await platform.read.selectFrom('codebuild.fleets').selectAll().where('id', '=', id).executeTakeFirst();
    if (fleet?.status === 'CREATING' || fleet?.status === 'UPDATING') await activate(platform, fleet);
    if (!fleet || fleet.status === 'PENDING_DELETION') await dissolve(platform, id);
  },

  async pending(platform) {
    const rows = await platform.read.selectFrom('codebuild.fleets').select('id').where('status', '!=', 'ACTIVE').execute();
    return rows.map((row) => row.id);
  },
};

async function activate(platform: Platform, { id, status }: FleetRow): Promise<void> {
  await platform.transaction(async (tx) => {
    await tx.sql.updateTable('codebuild.fleets').set({ status: 'ACTIVE' }).where('id', '=', id).where('status', '=', status).execute();
    await tx.signal(QUEUE_TOPIC);
  });
}

/** Builds that wait for the fleet fail, since nothing would ever run them; it stays until those that run in it are over. */
async function dissolve(platform: Platform, id: string): Promise<void> {
  while (await platform.transaction((tx) => failWaiting(tx, platform, id))) {}
  await platform.transaction(async (tx) => {
    const unfinished = await tx.sql
      .selectFrom('codebuild.builds')
      .select('id')
      .where('fleet', '=', id)
      .where('status', '=', 'IN_PROGRESS')
      .limit(1)
      .executeTakeFirst();
    if (!unfinished) await tx.sql.deleteFrom('codebuild.fleets').where('id', '=', id).where('status', '=', 'PENDING_DELETION').execute();
  });
}

/** Whether there may be more. */
async function failWaiting(tx: Transaction, platform: Platform, id: string): Promise<boolean> {
  const waiting = await tx.sql
    .selectFrom('codebuild.builds')
    .selectAll()
    .where('fleet', '=', id)
    .where('status', '=', 'IN_PROGRESS')
    .where('owner', 'is', null)
    .orderBy('build_order')
    .limit(ENDED_AT_ONCE)
    .forUpdate()
    .execute();
  for (const row of waiting) {
    const contexts = [{ statusCode: 'CLIENT_ERROR', message: `The fleet ${row.definition.environment?.fleet?.fleetArn} was deleted.` }];
    await endLocked(tx, platform, row, { status: 'FAILED', outcome: { status: 'FAILED', contexts } });
  }
  return waiting.length === ENDED_AT_ONCE;
}
