/**
 * The event of a batch's start and end. AWS documents none for batches (EventBridge reference, "AWS CodeBuild events"); ours has the form
 * of the event of a build, and is what rules and pipelines learn of a batch by.
 */
import type { Transaction } from '../../../platform/platform.ts';
import { eventTime } from '../events.ts';
import { batchArn } from './names.ts';
import type { BatchRow } from './tables.ts';

/** Of the batch as it is after the change. */
export async function emitBatchChange(tx: Transaction, batch: BatchRow): Promise<void> {
  const { source, sourceVersion } = batch.definition;
  await tx.emit({
    account: batch.account,
    region: batch.region,
    source: 'aws.codebuild',
    detailType: 'CodeBuild Build Batch State Change',
    resources: [batchArn(batch)],
    detail: {
      'build-batch-status': batch.status,
      'project-name': batch.project,
      'build-batch-id': batchArn(batch),
      'current-phase': batch.phases.at(-1)?.phaseType,
      'additional-information': {
        'build-batch-number': batch.number,
        'build-batch-complete': batch.status !== 'IN_PROGRESS',
        'build-batch-start-time': eventTime(batch.started_at),
        initiator: batch.initiator,
        source: { buildspec: source?.buildspec, location: source?.location, type: source?.type },
        'source-version': sourceVersion,
        'build-groups': batch.groups.map(({ identifier, build }) => ({ identifier, 'build-status': build.status })),
      },
      version: '1',
    },
  });
}
