/** Reports that are to go: deleted ones, expired ones, and all of a group that is deleted. Rows go in small transactions, so that nobody waits. */
import type { Platform } from '../../../platform/platform.ts';
import type { Reconciler } from '../../../platform/service.ts';
import { forgetResourcePolicy } from '../sharing/shared.ts';
import { groupArn } from './report-rows.ts';

export const REPORT_RECONCILER = 'codebuild.report';
export const REPORT_GROUP_RECONCILER = 'codebuild.report-group';

/** Rows of one report in one transaction. */
const BATCH = 5000;
/** What one sweep takes on; the next one goes on. */
const SWEPT = 1000;

export const reportReconciler: Reconciler = {
  async run(platform, id) {
    const row = await platform.read
      .selectFrom('codebuild.reports')
      .select(['status', 'expires_at'])
      .where('id', '=', id)
      .executeTakeFirst();
    if (row && (row.status === 'DELETING' || row.expires_at <= platform.now())) await removeReport(platform, id);
  },

  async pending(platform) {
    const rows = await platform.read
      .selectFrom('codebuild.reports')
      .select('id')
      .where((eb) => eb.or([eb('status', '=', 'DELETING'), eb('expires_at', '<=', platform.now())]))
      .limit(SWEPT)
      .execute();
    return rows.map((row) => row.id);
  },
};

export const reportGroupReconciler: Reconciler = {
  async run(platform, id, signal) {
    const group = await platform.read.selectFrom('codebuild.report_groups').selectAll().where('id', '=', id).executeTakeFirst();
    if (group?.status !== 'DELETING') return;
    for (;;) {
      signal.throwIfAborted();
      const reports = await platform.read.selectFrom('codebuild.reports').select('id').where('group_id', '=', id).limit(SWEPT).execute();
      if (reports.length === 0) break;
      for (const report of reports) await removeReport(platform, report.id);
    }
    await platform.transaction(async (tx) => {
      await tx.sql.deleteFrom('codebuild.report_groups').where('id', '=', id).execute();
      await forgetResourcePolicy(tx, group, groupArn(group, group.name));
    });
  },

  async pending(platform) {
    const rows = await platform.read.selectFrom('codebuild.report_groups').select('id').where('status', '=', 'DELETING').execute();
    return rows.map((row) => row.id);
  },
};

async function removeReport(platform: Platform, id: string): Promise<void> {
  for (const table of ['codebuild.test_cases', 'codebuild.code_coverages'] as const) {
    for (let removed = BATCH; removed === BATCH; ) {
      removed = await platform.transaction(async (tx) => {
        const some = tx.sql.selectFrom(table).select('ordinal').where('report', '=', id).limit(BATCH);
        const { numDeletedRows } = await tx.sql
          .deleteFrom(table)
          .where('report', '=', id)
          .where('ordinal', 'in', some)
          .executeTakeFirstOrThrow();
        return Number(numDeletedRows);
      });
    }
  }
  await platform.transaction((tx) => tx.sql.deleteFrom('codebuild.reports').where('id', '=', id).execute());
}
