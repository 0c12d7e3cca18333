/** Builds that are started again by themselves: the project's autoRetryLimit, and on-failure RETRY of the buildspec. */
import { RE2JS } from 're2js';
import type { Platform, Transaction } from '../../../platform/platform.ts';
import { buildArn } from '../names.ts';
import { queueBuild } from '../start-build.ts';
import type { BuildRow } from '../tables.ts';

/** In the transaction that ends the build, so that a retry is neither lost nor doubled. Stopped builds are not retried. */
export async function scheduleRetry(
  tx: Transaction,
  platform: Platform,
  build: BuildRow,
  asked: { count: number; pattern: string; message: string } | undefined,
): Promise<void> {
  if (build.status === 'SUCCEEDED' || build.status === 'STOPPED') return;
  const project = await tx.sql.selectFrom('codebuild.projects').selectAll().where('id', '=', build.project_id).executeTakeFirst();
  if (!project) return;
  const limit =
    asked && matches(asked.pattern, asked.message)
      ? asked.count
      : (build.request.autoRetryLimitOverride ?? project.definition.autoRetryLimit ?? 0);
  const number = build.retry?.autoRetryNumber ?? 0;
  if (number >= limit) return;
  const next = await queueBuild(tx, platform, project, {
    definition: build.definition,
    request: build.request,
    initiator: build.initiator,
    batch: build.batch,
    batch_build: build.batch_build,
    webhook: build.webhook,
    retry: { autoRetryLimit: limit, autoRetryNumber: number + 1, previousAutoRetry: buildArn(build) },
  });
  await tx.sql
    .updateTable('codebuild.builds')
    .set({ retry: JSON.stringify({ autoRetryLimit: limit, autoRetryNumber: number, ...build.retry, nextAutoRetry: buildArn(next) }) })
    .where('id', '=', build.id)
    .execute();
}

/** The pattern is the user's: a linear-time engine, and a pattern that does not compile matches nothing. */
function matches(pattern: string, message: string): boolean {
  try {
    return RE2JS.compile(pattern, RE2JS.DOTALL).matcher(message).find();
  } catch {
    return false;
  }
}
