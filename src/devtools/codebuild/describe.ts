/** Rows as the API shows them. */
import type { Platform } from '../../platform/platform.ts';
import { batchArn } from './batches/names.ts';
import { buildArn, buildId, logsLink, logsOf, projectArn } from './names.ts';
import { badgeUrl } from './public/links.ts';
import type { Build, BuildRow, Project, ProjectRow, StoredPhase, Work } from './tables.ts';
import { describeWebhook } from './webhooks/rows.ts';
import type { WebhookRow } from './webhooks/tables.ts';

export function describeProject(platform: Pick<Platform, 'config' | 'keyring'>, row: ProjectRow, webhook?: WebhookRow): Project {
  const { config } = platform;
  const { badge, sourceVersion } = row.definition;
  const shown = badge?.badgeEnabled && row.badge_token !== null;
  return {
    name: row.name,
    arn: projectArn(row, row.name),
    ...row.definition,
    badge: shown ? { ...badge, badgeRequestUrl: badgeUrl(config, row.badge_token!, sourceVersion) } : badge,
    webhook: webhook && describeWebhook(platform, webhook),
    tags: Object.entries(row.tags).map(([key, value]) => ({ key, value })),
    created: row.created_at,
    lastModified: row.modified_at,
  };
}

export function describeBuild(row: BuildRow): Build {
  const { artifacts, secondaryArtifacts, logsConfig, cacheGeneration: _, publicProjectAlias: __, ...definition } = row.definition;
  return {
    id: buildId(row),
    arn: buildArn(row),
    buildNumber: row.number,
    startTime: row.started_at,
    endTime: row.ended_at ?? undefined,
    currentPhase: row.phases.at(-1)?.phaseType,
    buildStatus: row.status,
    resolvedSourceVersion: row.resolved_source_version ?? undefined,
    projectName: row.project,
    phases: row.phases.map(describePhase),
    ...definition,
    artifacts: row.artifacts ?? { location: '', ...flagsOf(artifacts) },
    secondaryArtifacts: row.secondary_artifacts ?? secondaryArtifacts.map((item) => ({ location: '', ...flagsOf(item) })),
    logs: describeLogs(row, logsConfig),
    buildComplete: row.status !== 'IN_PROGRESS',
    initiator: row.initiator,
    exportedEnvironmentVariables: row.exported_variables ?? undefined,
    reportArns: row.report_arns ?? undefined,
    autoRetryConfig: row.retry ?? undefined,
    buildBatchArn: row.batch === null ? undefined : batchArn({ ...row, id: row.batch }),
  };
}

function flagsOf(artifact: BuildRow['definition']['artifacts']) {
  const { overrideArtifactName, encryptionDisabled, artifactIdentifier, bucketOwnerAccess } = artifact;
  return { overrideArtifactName, encryptionDisabled, artifactIdentifier, bucketOwnerAccess };
}

export function describePhase<Type extends string>({ startTime, endTime, ...rest }: StoredPhase<Type>) {
  return { ...rest, startTime: new Date(startTime), endTime: endTime === undefined ? undefined : new Date(endTime) };
}

export function describeLogs(row: Work, config: BuildRow['definition']['logsConfig']): Build['logs'] {
  const watch = logsOf(row, config);
  const s3 = config?.s3Logs;
  const s3Key = s3?.status === 'ENABLED' ? s3LogLocation(row, s3.location ?? '') : undefined;
  return {
    ...watch,
    deepLink: watch && logsLink(row.region, watch),
    cloudWatchLogs: config?.cloudWatchLogs ?? { status: 'ENABLED' },
    cloudWatchLogsArn: watch && `arn:aws:logs:${row.region}:${row.account}:log-group:${watch.groupName}:log-stream:${watch.streamName}`,
    s3Logs: s3 ?? { status: 'DISABLED', encryptionDisabled: false },
    s3LogsArn: s3Key && `arn:aws:s3:::${s3Key}`,
  };
}

/** `bucket/prefix/uuid.gz` */
export function s3LogLocation(row: { id: string }, location: string): string {
  return `${location.replace(/^arn:[^:]+:s3:::/, '').replace(/\/+$/, '')}/${row.id}.gz`;
}
