/** Rows of batches as the API shows them. */
import { buildArn, buildId } from '../names.ts';
import type { StoredArtifact } from '../tables.ts';
import { batchArn } from './names.ts';
import type { BatchRow, BuildBatch, StoredGroup, StoredSummary } from './tables.ts';

type BuildGroup = NonNullable<BuildBatch['buildGroups']>[number];
type BuildSummary = NonNullable<BuildGroup['currentBuildSummary']>;

export function describeBatch(row: BatchRow): BuildBatch {
  const { artifacts, secondaryArtifacts, logsConfig, timeoutInMinutes, ...settings } = row.definition;
  const { sourceVersion, source, secondarySources, secondarySourceVersions, cache, environment, serviceRole } = settings;
  const { queuedTimeoutInMinutes, encryptionKey, vpcConfig, fileSystemLocations } = settings;
  return {
    id: buildId(row),
    arn: batchArn(row),
    startTime: row.started_at,
    endTime: row.ended_at ?? undefined,
    currentPhase: row.phases.at(-1)?.phaseType,
    buildBatchStatus: row.status,
    sourceVersion,
    resolvedSourceVersion: row.resolved_source_version ?? undefined,
    projectName: row.project,
    phases: row.phases.map(({ startTime, endTime, ...rest }) => ({
      ...rest,
      startTime: new Date(startTime),
      endTime: endTime === undefined ? undefined : new Date(endTime),
    })),
    source,
    secondarySources,
    secondarySourceVersions,
    artifacts: row.artifacts ?? { location: '', encryptionDisabled: artifacts.encryptionDisabled },
    secondaryArtifacts: secondaryArtifacts.map(({ artifactIdentifier }) => ({ location: '', artifactIdentifier })),
    cache,
    environment,
    serviceRole,
    logConfig: logsConfig ?? { cloudWatchLogs: { status: 'ENABLED' }, s3Logs: { status: 'DISABLED', encryptionDisabled: false } },
    buildTimeoutInMinutes: timeoutInMinutes,
    queuedTimeoutInMinutes,
    complete: row.status !== 'IN_PROGRESS',
    initiator: row.initiator,
    vpcConfig,
    encryptionKey,
    buildBatchNumber: row.number,
    fileSystemLocations,
    buildBatchConfig: row.config,
    buildGroups: row.groups.map((group) => describeGroup(row, group)),
    debugSessionEnabled: false,
    reportArns: row.report_arns ?? undefined,
  };
}

function describeGroup(row: BatchRow, { identifier, dependsOn, ignoreFailure, build, prior }: StoredGroup): BuildGroup {
  return {
    identifier,
    dependsOn,
    ignoreFailure,
    currentBuildSummary: describeSummary(row, identifier, build),
    ...(prior.length > 0 ? { priorBuildSummaryList: prior.map((summary) => describeSummary(row, identifier, summary)) } : {}),
  };
}

/** A build that waits for others is PENDING: CodeBuild's examples show it so, though its model has no such status. */
function describeSummary(row: BatchRow, identifier: string, { id, requestedOn, status, ...stored }: StoredSummary): BuildSummary {
  return {
    arn: buildArn({ account: row.account, region: row.region, project: row.project, id }),
    requestedOn: new Date(requestedOn),
    buildStatus: status as BuildSummary['buildStatus'],
    ...(status === 'PENDING' || status === 'IN_PROGRESS' ? {} : describeArtifacts(row, identifier, stored)),
  };
}

function describeArtifacts(
  row: BatchRow,
  identifier: string,
  { artifact, secondaryArtifacts = [] }: Pick<StoredSummary, 'artifact' | 'secondaryArtifacts'>,
) {
  const { type } = row.definition.artifacts;
  const secondaryType = row.definition.secondaryArtifacts[0]?.type;
  return {
    primaryArtifact: artifact ? { type, location: artifact.location, identifier } : { type: 'NO_ARTIFACTS' as const, identifier },
    secondaryArtifacts: secondaryArtifacts.map((item: StoredArtifact) => ({
      type: secondaryType,
      location: item.location,
      identifier: item.artifactIdentifier,
    })),
  };
}
