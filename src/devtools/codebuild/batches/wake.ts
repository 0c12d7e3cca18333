import type { Transaction } from '../../../platform/platform.ts';
import type { BuildRow } from '../tables.ts';
import { BATCH_RECONCILER } from './names.ts';
import './tables.ts';

/** When a build is over: its batch goes on, and so may others of the project, which wait for their turn under its concurrentBuildLimit. */
export async function wakeBatches(tx: Transaction, { project_id }: Pick<BuildRow, 'project_id'>): Promise<void> {
  const waiting = await tx.sql
    .selectFrom('codebuild.build_batches')
    .select('id')
    .where('project_id', '=', project_id)
    .where('status', '=', 'IN_PROGRESS')
    .execute();
  for (const { id } of waiting) await tx.reconcile(BATCH_RECONCILER, id);
}
