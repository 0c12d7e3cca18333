/** What actions wait for tells of itself by events: they are looked at again at once. The sweep finds what an event missed. */

import type { Platform } from '../../platform/platform.ts';
import type { JobHandler } from '../../platform/service.ts';
import { ACTION } from './kinds.ts';
import './tables.ts';

async function lookAgain(platform: Platform, externalId: string): Promise<void> {
  const runs = await platform.read
    .selectFrom('codepipeline.action_runs')
    .select('id')
    .where((eb) => eb.and({ external_id: externalId, status: 'InProgress' }))
    .execute();
  if (runs.length === 0) return;
  await platform.transaction(async (tx) => {
    for (const { id } of runs) await tx.reconcile(ACTION, id);
  });
}

export const onBuildChange: JobHandler = async (platform, event: { detail: { 'build-id': string } }) => {
  await lookAgain(platform, event.detail['build-id'].slice(event.detail['build-id'].lastIndexOf('build/') + 'build/'.length));
};

export const onBatchChange: JobHandler = async (platform, event: { detail: { 'build-batch-id': string } }) => {
  await lookAgain(
    platform,
    event.detail['build-batch-id'].slice(event.detail['build-batch-id'].lastIndexOf('build-batch/') + 'build-batch/'.length),
  );
};

export const onDeploymentChange: JobHandler = async (platform, event: { detail: { deploymentId: string } }) => {
  await lookAgain(platform, event.detail.deploymentId);
};
