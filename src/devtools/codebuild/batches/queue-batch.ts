/** From a project and overrides to a batch that its reconciler drives, whoever starts it. */
import { randomUUID } from 'node:crypto';
import type { Platform, Transaction } from '../../../platform/platform.ts';
import type { Input } from '../../../platform/service.ts';
import { reportBatchStatus } from '../build-status/report.ts';
import { requireFleet } from '../fleets/find.ts';
import { mergeOverrides } from '../overrides.ts';
import type { ProjectRow, StartRequest } from '../tables.ts';
import type { WebhookOrigin } from '../webhooks/tables.ts';
import { mergeBatchConfig } from './config.ts';
import { emitBatchChange } from './events.ts';
import { BATCH_RECONCILER, DOWNLOAD_SOURCE } from './names.ts';
import { pending } from './record.ts';
import type { BatchRow, StoredGroup } from './tables.ts';

type BatchRequest = Input<'codebuild', 'StartBuildBatch'>;

const MINUTE_MS = 60_000;

interface NewBatch {
  request: BatchRequest;
  initiator: string;
  webhook?: WebhookOrigin;
}

/** In the transaction of whoever starts it, so that a batch is either there with its event or not. */
export async function queueBatch(
  tx: Transaction,
  platform: Pick<Platform, 'now'>,
  project: ProjectRow,
  { request: asked, initiator, webhook }: NewBatch,
): Promise<BatchRow> {
  const request = asStartRequest(asked);
  const definition = mergeOverrides(project, request);
  await requireFleet(tx.sql, project, definition.environment);
  const config = mergeBatchConfig(project.definition.buildBatchConfig, asked.buildBatchConfigOverride);
  const now = platform.now();
  const row = await tx.sql
    .insertInto('codebuild.build_batches')
    .values({
      id: randomUUID(),
      account: project.account,
      region: project.region,
      project: project.name,
      project_id: project.id,
      number: await nextNumber(tx, project),
      definition: JSON.stringify(definition),
      config: JSON.stringify(config),
      request: JSON.stringify(request),
      status: 'IN_PROGRESS',
      phases: JSON.stringify([{ phaseType: 'SUBMITTED', startTime: now.toISOString() }]),
      groups: JSON.stringify([downloadGroup(now)]),
      initiator,
      webhook: webhook ? JSON.stringify(webhook) : null,
      started_at: now,
      deadline: new Date(now.getTime() + config.timeoutInMins * MINUTE_MS),
    })
    .returningAll()
    .executeTakeFirstOrThrow();
  await emitBatchChange(tx, row);
  await reportBatchStatus(tx, row);
  await drive(tx, row);
  return row;
}

function downloadGroup(now: Date): StoredGroup {
  return { identifier: DOWNLOAD_SOURCE, ignoreFailure: false, overrides: { variables: [] }, build: pending(now), prior: [] };
}

/** Calls the reconciler now, and when the batch has taken too long. */
export async function drive(tx: Transaction, { id, deadline }: BatchRow): Promise<void> {
  await tx.reconcile(BATCH_RECONCILER, id);
  await tx.reconcile(BATCH_RECONCILER, id, deadline);
}

/** A project made anew under an old name goes on counting after the batches that are still listed. */
async function nextNumber(tx: Transaction, project: ProjectRow): Promise<number> {
  const { batches } = await tx.sql
    .updateTable('codebuild.projects')
    .set((eb) => ({ batches: eb('batches', '+', 1) }))
    .where('id', '=', project.id)
    .returning('batches')
    .executeTakeFirstOrThrow();
  const { highest } = await tx.sql
    .selectFrom('codebuild.build_batches')
    .select((eb) => eb.fn.max('number').as('highest'))
    .where('account', '=', project.account)
    .where('region', '=', project.region)
    .where('project', '=', project.name)
    .executeTakeFirstOrThrow();
  return Math.max(batches, (highest ?? 0) + 1);
}

/** The overrides of a batch are those of a build, but for two names and what is the batch's own. */
function asStartRequest(input: BatchRequest): StartRequest {
  const { buildTimeoutInMinutesOverride, reportBuildBatchStatusOverride, buildBatchConfigOverride: _, ...same } = input;
  return {
    ...same,
    ...(buildTimeoutInMinutesOverride === undefined ? {} : { timeoutInMinutesOverride: buildTimeoutInMinutesOverride }),
    ...(reportBuildBatchStatusOverride === undefined ? {} : { reportBuildStatusOverride: reportBuildBatchStatusOverride }),
  };
}
