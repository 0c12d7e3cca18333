/** How a batch starts its builds: a call of CodeBuild's own, as the batch's service role, which needs codebuild:StartBuild for it as on AWS. */
import { operation } from '../../../platform/service.ts';
import { checkProjectLimit } from '../engine/queue.ts';
import { mergeEnvironment } from '../overrides.ts';
import { onProject } from '../projects.ts';
import { lockProject, queueBuild } from '../start-build.ts';
import type { BuildDefinition } from '../tables.ts';
import { groupArtifacts } from './artifacts.ts';
import { DOWNLOAD_SOURCE } from './names.ts';
import { lockBatch, updateBatch } from './record.ts';
import type { BatchRow, GroupOverrides, StoredGroup } from './tables.ts';

/** Sources whose resolved version is no version to ask for: an ETag perhaps, or what a pipeline's source action took. */
const UNVERSIONED = new Set(['S3', 'CODEPIPELINE', 'NO_SOURCE']);

/** Does nothing when the build has begun already, or the batch is to end: it may be called any number of times. */
export const startBatchedBuild = operation('codebuild', 'StartBatchedBuild', {
  authorize: async ({ projectName }, ctx) => ({ ...(await onProject(ctx, projectName)), action: 'codebuild:StartBuild' }),
  async handle(ctx, { projectName, batchId, identifier }) {
    await ctx.transaction(async (tx) => {
      const batch = await lockBatch(tx, batchId);
      if (batch?.account !== ctx.account || batch.region !== ctx.region || batch.project !== projectName) {
        throw ctx.error('ResourceNotFoundException', `Build batch cannot be found: ${batchId}`);
      }
      const group = batch.groups.find((one) => one.identifier === identifier);
      if (batch.status !== 'IN_PROGRESS' || batch.ending !== null || group?.build.status !== 'PENDING') return;
      const project = await lockProject(tx, batch, batch.project);
      await checkProjectLimit(tx, project);
      await queueBuild(tx, ctx, project, {
        id: group.build.id,
        definition: definitionOf(batch, group),
        request: batch.request,
        initiator: batch.initiator,
        batch: batch.id,
        batch_build: { identifier, shard: group.shard, reported: isReported(batch, group) },
        webhook: batch.webhook,
      });
      const groups = batch.groups.map((one) => (one === group ? { ...one, build: { ...one.build, status: 'IN_PROGRESS' as const } } : one));
      await updateBatch(tx, batch.id, { groups: JSON.stringify(groups) });
    });
    return {};
  },
});

function isReported({ config }: BatchRow, { identifier }: StoredGroup): boolean {
  return config.batchReportMode === 'REPORT_INDIVIDUAL_BUILDS' && identifier !== DOWNLOAD_SOURCE;
}

function definitionOf(batch: BatchRow, group: StoredGroup): BuildDefinition {
  const { definition } = batch;
  if (group.identifier === DOWNLOAD_SOURCE) return { ...definition, artifacts: { type: 'NO_ARTIFACTS' }, secondaryArtifacts: [] };
  const { buildspec, computeType, image, type, privilegedMode, variables } = group.overrides;
  const { source, environment } = definition;
  return {
    ...definition,
    ...groupArtifacts(batch, group.identifier),
    // All builds of a batch build the same commit, whatever is pushed meanwhile.
    sourceVersion: UNVERSIONED.has(source?.type ?? '')
      ? definition.sourceVersion
      : (batch.resolved_source_version ?? definition.sourceVersion),
    source: source && buildspec !== undefined ? { ...source, buildspec } : source,
    environment: mergeEnvironment(placed(environment, group.overrides), {
      projectName: batch.project,
      computeTypeOverride: computeType,
      imageOverride: image,
      environmentTypeOverride: type,
      privilegedModeOverride: privilegedMode,
      environmentVariablesOverride: variables.map((variable) => ({ ...variable, type: 'PLAINTEXT' as const })),
    }),
  };
}

/** A compute type of its own takes a build out of the project's fleet, as a fleet of its own does. */
function placed(environment: BuildDefinition['environment'], { fleet, computeType }: GroupOverrides): BuildDefinition['environment'] {
  if (!environment || (fleet === undefined && computeType === undefined)) return environment;
  return { ...environment, fleet: fleet === undefined ? undefined : { fleetArn: fleet } };
}
