/** Pipelines that start of their own accord: PollForSourceChanges, done by the source's event where there is one. */

import type { Platform } from '../../platform/platform.ts';
import type { JobHandler } from '../../platform/service.ts';
import { declarationOf } from './find-pipeline.ts';
import { startExecution } from './start.ts';
import type { Declaration, PipelineRow } from './tables.ts';
import './tables.ts';

/** The sources whose changes start this pipeline; AWS watches unless the configuration says "false". */
export function watchedSources({ stages }: Declaration): { action: string; source: string }[] {
  return stages[0]!.actions.flatMap(({ name, actionTypeId, configuration = {} }) => {
    if (configuration.PollForSourceChanges === 'false') return [];
    if (actionTypeId.provider === 'CodeCommit')
      return { action: name, source: `codecommit:${configuration.RepositoryName}/${configuration.BranchName}` };
    return { action: name, source: `s3:${configuration.S3Bucket}/${configuration.S3ObjectKey}` };
  });
}

interface RepositoryEvent {
  id: string;
  account: string;
  region: string;
  detail: { event: string; repositoryName: string; referenceType: string; referenceName: string };
}

/** A branch was pushed: every pipeline that watches it starts, at once. The event's id makes a second delivery harmless. */
export const onRepositoryChange: JobHandler = async (platform, { id, account, region, detail }: RepositoryEvent) => {
  if (detail.referenceType !== 'branch' || detail.event === 'referenceDeleted') return;
  await startWatching(platform, { account, region }, `codecommit:${detail.repositoryName}/${detail.referenceName}`, id);
};

interface ObjectEvent {
  id: string;
  account: string;
  region: string;
  detail: { bucket: { name: string }; object: { key: string } };
}

export const onObjectCreated: JobHandler = async (platform, { id, account, region, detail }: ObjectEvent) => {
  await startWatching(platform, { account, region }, `s3:${detail.bucket.name}/${detail.object.key}`, id);
};

async function startWatching(platform: Platform, place: { account: string; region: string }, source: string, token: string): Promise<void> {
  const pipelines = await platform.read
    .selectFrom('codepipeline.watches')
    .innerJoin('codepipeline.pipelines', 'codepipeline.pipelines.id', 'codepipeline.watches.pipeline_id')
    .selectAll('codepipeline.pipelines')
    .where((eb) => eb.and({ account: place.account, region: place.region, source }))
    .execute();
  for (const pipeline of pipelines) await startFrom(platform, pipeline, source, token);
}

async function startFrom(platform: Platform, pipeline: PipelineRow, source: string, token: string): Promise<void> {
  const declaration = await declarationOf(platform.read, pipeline.id, pipeline.version);
  if (!declaration) return;
  const trigger = { type: 'PollForSourceChanges' as const, detail: source.slice(source.indexOf(':') + 1) };
  await platform.transaction((tx) => startExecution(tx, pipeline, declaration, trigger, platform.now(), { clientToken: token }));
}

const POLL_MS = 60_000;

/** S3 sends events only for buckets that ask for it: the objects of the others are looked at once a minute, as AWS does. */
export async function pollBuckets(platform: Platform, signal: AbortSignal): Promise<void> {
  const look = async (): Promise<void> => {
    const watched = await platform.read
      .selectFrom('codepipeline.watches')
      .innerJoin('codepipeline.pipelines', 'codepipeline.pipelines.id', 'codepipeline.watches.pipeline_id')
      .selectAll('codepipeline.pipelines')
      .select(['codepipeline.watches.action', 'codepipeline.watches.source', 'codepipeline.watches.seen'])
      .where('source', 'like', 's3:%')
      .execute();
    for (const { action, source, seen, ...pipeline } of watched) {
      await lookAt(platform, pipeline, action, source, seen).catch((error) =>
        platform.log.debug({ error: error.message, pipeline: pipeline.name }, 'a watched object could not be looked at'),
      );
    }
  };
  const timer = setInterval(() => look().catch((error) => platform.log.warn({ error }, 'watched objects could not be looked at')), POLL_MS);
  signal.addEventListener('abort', () => clearInterval(timer), { once: true });
}

async function lookAt(platform: Platform, pipeline: PipelineRow, action: string, source: string, seen: string | null): Promise<void> {
  const path = source.slice('s3:'.length);
  const cut = path.indexOf('/');
  const clients = await platform.aws.as({
    role: pipeline.role_arn,
    service: 'codepipeline',
    sessionName: pipeline.name,
    region: pipeline.region,
  });
  const { VersionId, ETag } = await clients.s3.headObject({ Bucket: path.slice(0, cut), Key: path.slice(cut + 1) });
  const revision = VersionId ?? ETag ?? '';
  if (revision === seen) return;
  const claimed = await platform.transaction(async (tx) => {
    const { numUpdatedRows } = await tx.sql
      .updateTable('codepipeline.watches')
      .set({ seen: revision })
      .where((eb) => eb.and({ pipeline_id: pipeline.id, action }))
      .where((eb) => (seen === null ? eb('seen', 'is', null) : eb('seen', '=', seen)))
      .executeTakeFirst();
    return numUpdatedRows > 0n;
  });
  // The first look only learns what is there: making the pipeline has started it already.
  if (claimed && seen !== null) await startFrom(platform, pipeline, source, `${source}@${revision}`.slice(0, 128));
}
