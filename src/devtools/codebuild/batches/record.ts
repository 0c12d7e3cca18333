/** How a batch's row changes: phase, status, event and wake-up in one transaction, by whoever has locked the row. */
import { randomUUID } from 'node:crypto';
import type { Updateable } from 'kysely';
import type { Platform, Transaction } from '../../../platform/platform.ts';
import { reportBatchStatus } from '../build-status/report.ts';
import { storableContexts } from '../engine/record.ts';
import { mergeReports } from '../reports/merge.ts';
import type { FinalStatus, PhaseContext, PhaseOutcome } from '../runner/outcome.ts';
import { emitBatchChange } from './events.ts';
import { batchArn, batchOverTopic } from './names.ts';
import type { BatchPhaseType, BatchRow, BuildBatchesTable, StoredBatchPhase, StoredSummary } from './tables.ts';

const DONE: PhaseOutcome = { status: 'SUCCEEDED', contexts: [] };

export function lockBatch(tx: Transaction, id: string): Promise<BatchRow | undefined> {
  return tx.sql.selectFrom('codebuild.build_batches').selectAll().where('id', '=', id).forUpdate().executeTakeFirst();
}

export function updateBatch(tx: Transaction, id: string, changes: Updateable<BuildBatchesTable>): Promise<BatchRow> {
  return tx.sql.updateTable('codebuild.build_batches').set(changes).where('id', '=', id).returningAll().executeTakeFirstOrThrow();
}

/** Ends the current phase and begins the next. */
export function enterBatchPhase(
  tx: Transaction,
  batch: BatchRow,
  next: BatchPhaseType,
  now: Date,
  changes: Updateable<BuildBatchesTable> = {},
): Promise<BatchRow> {
  return updateBatch(tx, batch.id, { ...changes, phases: JSON.stringify(turn(batch.phases, next, DONE, now)) });
}

/** The batch is over. `status` is also how its current phase ended. */
export async function endBatch(
  tx: Transaction,
  platform: Pick<Platform, 'now'>,
  batch: BatchRow,
  {
    status,
    contexts = [],
    ...changes
  }: { status: FinalStatus; contexts?: PhaseContext[] } & Pick<Updateable<BuildBatchesTable>, 'groups' | 'artifacts'>,
): Promise<void> {
  const now = platform.now();
  const last = status === 'SUCCEEDED' || status === 'STOPPED' ? status : 'FAILED';
  const phases = turn(batch.phases, last, { status, contexts }, now);
  const ended = await updateBatch(tx, batch.id, { ...changes, status, ended_at: now, phases: JSON.stringify(phases) });
  const after = await withReports(tx, platform, ended);
  await emitBatchChange(tx, after);
  await reportBatchStatus(tx, after);
  await tx.signal(batchOverTopic(batch.id));
}

/** Only builds of a build-fanout have each a part of the tests. */
async function withReports(tx: Transaction, platform: Pick<Platform, 'now'>, batch: BatchRow): Promise<BatchRow> {
  const builds = batch.groups.filter(({ shard }) => shard).map(({ build }) => build.id);
  const { id, account, region } = batch;
  const arns = await mergeReports(tx, platform, { id, account, region, arn: batchArn(batch), builds });
  return arns.length === 0 ? batch : updateBatch(tx, id, { report_arns: arns });
}

export function turn(phases: StoredBatchPhase[], next: BatchPhaseType, outcome: PhaseOutcome, now: Date): StoredBatchPhase[] {
  const open = phases.at(-1);
  if (!open) throw new Error('A batch has at least the phase SUBMITTED.');
  const contexts = [...(open.contexts ?? []), ...outcome.contexts];
  const ended: StoredBatchPhase = {
    ...open,
    phaseStatus: outcome.status,
    endTime: now.toISOString(),
    durationInSeconds: Math.max(0, Math.round((now.getTime() - Date.parse(open.startTime)) / 1000)),
    ...(contexts.length > 0 ? { contexts: storableContexts(contexts) } : {}),
  };
  return [...phases.slice(0, -1), ended, { phaseType: next, startTime: now.toISOString() }];
}

/** A build that has its id and waits for its turn. */
export function pending(now: Date): StoredSummary {
  return { id: randomUUID(), requestedOn: now.toISOString(), status: 'PENDING' };
}
