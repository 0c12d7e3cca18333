import type { Platform } from '../../../platform/platform.ts';
import { STOP_TOPIC } from '../topics.ts';
import { endLocked } from './record.ts';

/** A queued build is over at once; a running one is told, and its process also looks every two seconds. Idempotent. */
export async function requestStop(platform: Platform, id: string): Promise<void> {
  await platform.transaction(async (tx) => {
    const row = await tx.sql.selectFrom('codebuild.builds').selectAll().where('id', '=', id).forUpdate().executeTakeFirst();
    if (row?.status !== 'IN_PROGRESS') return;
    if (row.owner === null) {
      await endLocked(tx, platform, row, { status: 'STOPPED', outcome: { status: 'STOPPED', contexts: [] } });
      return;
    }
    await tx.sql.updateTable('codebuild.builds').set({ stop_requested_at: platform.now() }).where('id', '=', id).execute();
    await tx.signal(STOP_TOPIC, id);
  });
}
