/** Drives a batch: the source first, then its builds as their turns come, then the combined artifacts. */
import type { Clients } from '../../../platform/aws.ts';
import { AwsError } from '../../../platform/errors.ts';
import type { Platform, Transaction } from '../../../platform/platform.ts';
import type { Reconciler } from '../../../platform/service.ts';
import { reportBatchStatus } from '../build-status/report.ts';
import { parseBatch } from '../buildspec/batch.ts';
import type { BatchBuild } from '../buildspec/batch-build.ts';
import { BuildspecError } from '../buildspec/yaml-tree.ts';
import { requestStop } from '../engine/stop.ts';
import { findFleet, fleetArn } from '../fleets/find.ts';
import { BuildFailure, type PhaseContext } from '../runner/outcome.ts';
import type { BuildRow } from '../tables.ts';
import { unmatchedOutput } from './artifacts.ts';
import { combineArtifacts } from './combine.ts';
import { checkRestrictions } from './config.ts';
import { hasFailed, type Progress, progressOf } from './progress.ts';
import { endBatch, enterBatchPhase, lockBatch, pending, updateBatch } from './record.ts';
import type { BatchRow, StoredGroup, StoredSummary } from './tables.ts';

export const batchReconciler: Reconciler = {
  async run(platform, id, signal) {
    // Each step commits what it did; the next looks at the rows anew.
    while (!signal.aborted && (await step(platform, id, signal)));
  },

  async pending(platform) {
    const rows = await platform.read.selectFrom('codebuild.build_batches').select('id').where('status', '=', 'IN_PROGRESS').execute();
    return rows.map((row) => row.id);
  },
};

/** Does the next due thing; true when there may be another. */
async function step(platform: Platform, id: string, signal: AbortSignal): Promise<boolean> {
  const batch = await platform.read.selectFrom('codebuild.build_batches').selectAll().where('id', '=', id).executeTakeFirst();
  if (batch?.status !== 'IN_PROGRESS') return false;
  if (batch.ending === null && batch.deadline <= platform.now()) {
    await change(platform, id, (tx) => updateBatch(tx, id, { ending: 'TIMED_OUT' }));
    return true;
  }
  switch (batch.phases.at(-1)?.phaseType) {
    case 'SUBMITTED':
      return begin(platform, batch);
    case 'DOWNLOAD_BATCHSPEC':
      return lookAtSource(platform, batch);
    case 'IN_PROGRESS':
      return runBuilds(platform, batch);
    case 'COMBINE_ARTIFACTS':
      return combine(platform, batch, signal);
    default:
      return false;
  }
}

/** `work` on the row as it is now, unless the batch is over or was begun anew meanwhile. */
async function change(platform: Platform, id: string, work: (tx: Transaction, batch: BatchRow) => Promise<unknown>): Promise<void> {
  await platform.transaction(async (tx) => {
    const batch = await lockBatch(tx, id);
    if (batch?.status === 'IN_PROGRESS') await work(tx, batch);
  });
}

async function begin(platform: Platform, { id }: BatchRow): Promise<boolean> {
  await change(platform, id, (tx, batch) => enterBatchPhase(tx, batch, 'DOWNLOAD_BATCHSPEC', platform.now()));
  return true;
}

async function lookAtSource(platform: Platform, { id }: BatchRow): Promise<boolean> {
  let start: StoredGroup[] = [];
  let stop: StoredGroup[] = [];
  let moved = false;
  await change(platform, id, async (tx, batch) => {
    const builds = await buildsOf(tx, id);
    const groups = batch.groups.map((group) => follow(group, builds));
    const [download] = groups;
    const { status } = download!.build;
    start = status === 'PENDING' ? [download!] : [];
    stop = status === 'IN_PROGRESS' && batch.ending !== null ? [download!] : [];
    if (status === 'IN_PROGRESS') return;
    if (batch.ending !== null) return endBatch(tx, platform, batch, { status: batch.ending, groups: JSON.stringify(stopAll(groups)) });
    if (status === 'PENDING') return;
    moved = true;
    const build = builds.get(download!.build.id);
    if (status !== 'SUCCEEDED') {
      return endBatch(tx, platform, batch, { status, groups: JSON.stringify(stopAll(groups)), contexts: failureOf(build) });
    }
    // RETRY_FAILED_BUILDS: it was downloaded before, and what the buildspec said is known.
    if (batch.groups[0]!.build.status === 'SUCCEEDED')
      return enterBatchPhase(tx, batch, 'IN_PROGRESS', platform.now(), { groups: JSON.stringify(groups) });
    await takeSpec(tx, platform, batch, download!, build);
  });
  return (await startAndStop(platform, id, { start, stop })) || moved;
}

/** The groups of the buildspec, or the end of the batch when it says what may not be. */
async function takeSpec(
  tx: Transaction,
  platform: Platform,
  batch: BatchRow,
  download: StoredGroup,
  build: BuildRow | undefined,
): Promise<void> {
  const now = platform.now();
  try {
    if (build?.batchspec == null) throw new BuildFailure('INTERNAL_SERVICE_ERROR', 'The build that downloaded the source was deleted.');
    const { fastFail, builds } = parseBatch(build.batchspec);
    checkRestrictions(builds, batch.config, batch.definition);
    const groups = await Promise.all(builds.map(async (one) => groupOf(await inFleet(tx, batch, one), batch, now)));
    const output = unmatchedOutput(
      batch,
      builds.map(({ identifier }) => identifier),
    );
    if (output !== undefined)
      throw new BuildFailure('CLIENT_ERROR', `No build of the batch has the identifier of the output artifact ${output}`);
    const after = await enterBatchPhase(tx, batch, 'IN_PROGRESS', now, {
      groups: JSON.stringify([download, ...groups]),
      fast_fail: fastFail,
      resolved_source_version: build.resolved_source_version,
    });
    // The commit is known only now.
    await reportBatchStatus(tx, after);
  } catch (error) {
    if (!(error instanceof BuildFailure) && !(error instanceof BuildspecError)) throw error;
    const statusCode = error instanceof BuildFailure ? error.statusCode : 'YAML_FILE_ERROR';
    await endBatch(tx, platform, batch, {
      status: 'FAILED',
      groups: JSON.stringify([download]),
      contexts: [{ statusCode, message: error.message }],
    });
  }
}

/** With the ARN of the fleet that it names. */
async function inFleet(tx: Transaction, batch: BatchRow, build: BatchBuild): Promise<BatchBuild> {
  const { fleet: name } = build.env;
  if (name === undefined) return build;
  const fleet = await findFleet(tx.sql, batch, name);
  if (!fleet) throw new BuildFailure('CLIENT_ERROR', `Fleet cannot be found: ${name}, of build ${build.identifier}`);
  return { ...build, env: { ...build.env, fleet: fleetArn(fleet) } };
}

function groupOf({ identifier, dependsOn, ignoreFailure, buildspec, env, shard }: BatchBuild, batch: BatchRow, now: Date): StoredGroup {
  const { variables, ...overrides } = env;
  const former = batch.groups.find((group) => group.identifier === identifier);
  return {
    identifier,
    dependsOn,
    ignoreFailure,
    overrides: { ...overrides, buildspec, variables: [...variables].map(([name, value]) => ({ name, value })) },
    shard,
    build: pending(now),
    prior: former?.prior ?? [],
  };
}

async function runBuilds(platform: Platform, { id }: BatchRow): Promise<boolean> {
  let due: Pick<Progress, 'start' | 'stop'> = { start: [], stop: [] };
  let over = false;
  await change(platform, id, async (tx, batch) => {
    const builds = await buildsOf(tx, id);
    const progress = progressOf({ ...batch, groups: batch.groups.map((group) => follow(group, builds)) });
    due = progress;
    const groups = JSON.stringify(progress.groups);
    over = progress.verdict !== undefined;
    if (progress.verdict === undefined) await updateBatch(tx, id, { groups, ending: progress.ending });
    else if (progress.verdict === 'SUCCEEDED') await enterBatchPhase(tx, batch, 'COMBINE_ARTIFACTS', platform.now(), { groups });
    else await endBatch(tx, platform, batch, { status: progress.verdict, groups, contexts: verdictContexts(progress) });
  });
  return (await startAndStop(platform, id, due)) || over;
}

function verdictContexts({ verdict, groups }: Progress): PhaseContext[] {
  const failed = groups.filter(hasFailed).map(({ identifier, build }) => `${identifier} (${build.status})`);
  if (verdict !== 'FAILED') return [];
  return [{ statusCode: 'CLIENT_ERROR', message: `Builds of the batch did not succeed: ${failed.join(', ')}` }];
}

async function buildsOf(tx: Transaction, batch: string): Promise<Map<string, BuildRow>> {
  const rows = await tx.sql.selectFrom('codebuild.builds').selectAll().where('batch', '=', batch).execute();
  return new Map(rows.map((row) => [row.id, row]));
}

/** The group with what became of its build; a build that was retried by itself gives way to the next one. */
function follow(group: StoredGroup, builds: Map<string, BuildRow>): StoredGroup {
  if (group.build.status !== 'IN_PROGRESS') return group;
  const row = builds.get(group.build.id);
  // It was over, and deleted before anybody looked.
  if (!row) return { ...group, build: { ...group.build, status: 'FAULT' } };
  const build = summaryOf(row);
  const next = builds.get(row.retry?.nextAutoRetry?.split(':').at(-1) ?? '');
  if (next) return follow({ ...group, build: { ...summaryOf(next), status: 'IN_PROGRESS' }, prior: [...group.prior, build] }, builds);
  return { ...group, build };
}

function summaryOf(row: BuildRow): StoredSummary {
  return {
    id: row.id,
    requestedOn: row.started_at.toISOString(),
    status: row.status,
    artifact: row.artifacts ?? undefined,
    secondaryArtifacts: row.secondary_artifacts ?? undefined,
  };
}

function stopAll(groups: StoredGroup[]): StoredGroup[] {
  return groups.map((group) => (group.build.status === 'PENDING' ? { ...group, build: { ...group.build, status: 'STOPPED' } } : group));
}

/** Why a build failed, as its phases tell. */
function failureOf(build: BuildRow | undefined): PhaseContext[] {
  return build?.phases.find(({ phaseStatus }) => phaseStatus !== undefined && phaseStatus !== 'SUCCEEDED')?.contexts ?? [];
}

/** True when the rows changed: a batch that may not start its builds is over. */
async function startAndStop(platform: Platform, id: string, { start, stop }: Pick<Progress, 'start' | 'stop'>): Promise<boolean> {
  await Promise.all(stop.map(({ build }) => requestStop(platform, build.id)));
  if (start.length === 0) return false;
  const batch = await platform.read.selectFrom('codebuild.build_batches').selectAll().where('id', '=', id).executeTakeFirstOrThrow();
  try {
    const { codebuild } = await clientsOf(platform, batch);
    for (const { identifier } of start) await codebuild.startBatchedBuild({ projectName: batch.project, batchId: id, identifier });
    return false;
  } catch (error) {
    if (!(error instanceof AwsError) || error.code === 'InternalFailure') throw error;
    // The end of any build of the project calls again.
    if (error.code === 'AccountLimitExceededException') return false;
    await failToStart(platform, id, error);
    return true;
  }
}

async function failToStart(platform: Platform, id: string, error: AwsError): Promise<void> {
  await change(platform, id, async (tx, batch) => {
    const contexts = [{ statusCode: 'CLIENT_ERROR', message: `The batch could not start a build: ${error.code}: ${error.message}` }];
    if (batch.groups.every(({ build }) => build.status !== 'IN_PROGRESS')) {
      return endBatch(tx, platform, batch, { status: 'FAILED', groups: JSON.stringify(stopAll(batch.groups)), contexts });
    }
    // Builds that run already are stopped first; the reason is kept until then.
    const [current, ...before] = batch.phases.toReversed();
    return updateBatch(tx, id, { ending: 'FAILED', phases: JSON.stringify([...before.toReversed(), { ...current, contexts }]) });
  });
}

function clientsOf(platform: Platform, { id, region, config }: BatchRow): Promise<Clients> {
  return platform.aws.as({ role: config.serviceRole, service: 'codebuild', sessionName: `AWSCodeBuild-${id}`, region });
}

async function combine(platform: Platform, batch: BatchRow, signal: AbortSignal): Promise<boolean> {
  try {
    const artifacts = batch.ending === null ? await combineArtifacts(platform, batch, signal) : undefined;
    await change(platform, batch.id, (tx, now) =>
      endBatch(tx, platform, now, {
        status: now.ending ?? 'SUCCEEDED',
        groups: JSON.stringify(now.groups),
        artifacts: artifacts ? JSON.stringify(artifacts) : null,
      }),
    );
  } catch (error) {
    if (!(error instanceof AwsError) || error.code === 'InternalFailure') throw error;
    const contexts = [{ statusCode: 'CLIENT_ERROR', message: `Error in COMBINE_ARTIFACTS phase: ${error.code}: ${error.message}` }];
    await change(platform, batch.id, (tx, now) =>
      endBatch(tx, platform, now, { status: 'FAILED', groups: JSON.stringify(now.groups), contexts }),
    );
  }
  return false;
}
