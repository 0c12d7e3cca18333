/** Pipelines that start of their own accord: PollForSourceChanges, done by the source's event where there is one. */
import { createHash } from 'node:crypto';
import { AwsError } from '../../platform/errors.ts';
import type { Platform, Transaction } from '../../platform/platform.ts';
import type { JobHandler } from '../../platform/service.ts';
import { lockPipeline } from './engine.ts';
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

/** Replaces what the pipeline watches. What was seen of a source that stays is kept: a change in between is not lost. */
export async function keepWatches(tx: Transaction, pipelineId: string, watched: { action: string; source: string }[]): Promise<void> {
  const former = await tx.sql.deleteFrom('codepipeline.watches').where('pipeline_id', '=', pipelineId).returningAll().execute();
  if (watched.length === 0) return;
  const seenOf = ({ action, source }: { action: string; source: string }): string | null =>
    former.find((row) => row.action === action && row.source === source)?.seen ?? null;
  await tx.sql
    .insertInto('codepipeline.watches')
    .values(watched.map((watch) => ({ pipeline_id: pipelineId, ...watch, seen: seenOf(watch) })))
    .execute();
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
  detail: { bucket: { name: string }; object: { key: string; etag?: string; 'version-id'?: string } };
}

export const onObjectCreated: JobHandler = async (platform, { account, region, detail: { bucket, object } }: ObjectEvent) => {
  const source = `s3:${bucket.name}/${object.key}`;
  await startWatching(platform, { account, region }, source, revisionToken(source, object['version-id'] ?? object.etag));
};

/** The same whether an event or a look told of the revision, so that it starts one execution. No client's token holds a colon. */
function revisionToken(source: string, revision = ''): string {
  return `s3:${createHash('sha256')
    .update(`${source}\n${revision.replaceAll('"', '')}`)
    .digest('hex')}`;
}

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
  await platform.transaction(async (tx) => {
    const options = { clientToken: token };
    if (await lockPipeline(tx, pipeline.id)) await startExecution(tx, pipeline, declaration, trigger, platform.now(), options);
  });
}

const POLL_MS = 60_000;

/** S3 sends events only for buckets that ask for it: the objects of the others are looked at once a minute, as AWS does. */
export async function pollBuckets(platform: Platform, signal: AbortSignal): Promise<void> {
  const look = () => lookAtBuckets(platform).catch((error) => platform.log.warn({ error }, 'watched objects could not be looked at'));
  const timer = setInterval(look, POLL_MS);
  signal.addEventListener('abort', () => clearInterval(timer), { once: true });
}

/** One look at every watched object. */
export async function lookAtBuckets(platform: Platform): Promise<void> {
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
}

async function lookAt(platform: Platform, pipeline: PipelineRow, action: string, source: string, seen: string | null): Promise<void> {
  const before = seen ?? (await revisionRun(platform, pipeline.id, action));
  if (before === undefined) return;
  const revision = await newestRevision(platform, pipeline, source);
  if (revision === seen) return;
  const claimed = await platform.transaction(async (tx) => {
    const { numUpdatedRows } = await tx.sql
      .updateTable('codepipeline.watches')
      .set({ seen: revision })
      .where((eb) => eb.and({ pipeline_id: pipeline.id, action, source }))
      .where((eb) => (seen === null ? eb('seen', 'is', null) : eb('seen', '=', seen)))
      .executeTakeFirst();
    return numUpdatedRows > 0n;
  });
  if (claimed && revision !== NOTHING && revision !== before) {
    await startFrom(platform, pipeline, source, revisionToken(source, revision));
  }
}

/** Seen of an object that does not exist. */
const NOTHING = '';

/** Before the first look, what the newest execution has run is what counts as seen; undefined while it is still to find out. */
async function revisionRun(platform: Platform, pipelineId: string, action: string): Promise<string | undefined> {
  const run = await platform.read
    .selectFrom('codepipeline.action_runs')
    .innerJoin('codepipeline.executions', 'codepipeline.executions.id', 'codepipeline.action_runs.execution_id')
    .select(['codepipeline.action_runs.status', 'codepipeline.action_runs.revision'])
    .where('codepipeline.executions.pipeline_id', '=', pipelineId)
    .where('codepipeline.action_runs.action', '=', action)
    .orderBy('codepipeline.action_runs.sequence', 'desc')
    .limit(1)
    .executeTakeFirst();
  if (!run || run.status === 'InProgress') return undefined;
  return run.revision?.id ?? NOTHING;
}

async function newestRevision(platform: Platform, pipeline: PipelineRow, source: string): Promise<string> {
  const path = source.slice('s3:'.length);
  const cut = path.indexOf('/');
  const clients = await platform.aws.as({
    role: pipeline.role_arn,
    service: 'codepipeline',
    sessionName: pipeline.name,
    region: pipeline.region,
  });
  try {
    const { VersionId, ETag } = await clients.s3.headObject({ Bucket: path.slice(0, cut), Key: path.slice(cut + 1) });
    return VersionId ?? ETag ?? NOTHING;
  } catch (error) {
    if (error instanceof AwsError && /^(NotFound|NoSuchKey)$/.test(error.code)) return NOTHING;
    throw error;
  }
}
