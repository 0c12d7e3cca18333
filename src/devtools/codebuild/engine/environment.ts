/** The variables that every build has (CodeBuild user guide, "Environment variables in build environments"). */
import type { Platform } from '../../../platform/platform.ts';
import { publicEndpoints } from '../../../platform/public-endpoints.ts';
import { buildArn, buildId, logsOf } from '../names.ts';
import { publicBuildUrl } from '../public/links.ts';
import type { BuildDefinition, BuildRow, Work } from '../tables.ts';

/** What the variables of a build are told of. */
export type ToldOf = Work & Pick<BuildRow, 'number' | 'initiator' | 'started_at' | 'webhook' | 'batch_build'>;

export function buildVariables({ config }: Pick<Platform, 'config'>, row: ToldOf): Record<string, string> {
  const { publicProjectAlias } = row.definition;
  return {
    ...workVariables(row),
    CODEBUILD_BUILD_ARN: buildArn(row),
    CODEBUILD_BUILD_ID: buildId(row),
    CODEBUILD_BUILD_NUMBER: String(row.number),
    CODEBUILD_INITIATOR: row.initiator,
    ...(publicProjectAlias && { CODEBUILD_PUBLIC_BUILD_URL: publicBuildUrl(config, publicProjectAlias, row.id) }),
    CODEBUILD_START_TIME: String(row.started_at.getTime()),
    ...row.webhook?.variables,
    ...batchVariables(row),
  };
}

function batchVariables({ batch_build }: Pick<BuildRow, 'batch_build'>): Record<string, string> {
  if (!batch_build) return {};
  const { identifier, shard } = batch_build;
  return {
    CODEBUILD_BATCH_BUILD_IDENTIFIER: identifier,
    // Of build-fanout. AWS does not document how its codebuild-tests-run learns which part of the tests is its own; these names are ours.
    ...(shard && { CODEBUILD_CURRENT_SHARD: String(shard.index), CODEBUILD_TOTAL_SHARDS: String(shard.total) }),
  };
}

/** Those of them that a sandbox has as well. */
export function workVariables(row: Work): Record<string, string> {
  const { definition } = row;
  const variables: Record<string, string> = {
    CI: 'true',
    CODEBUILD_CI: 'true',
    CODEBUILD_BUILD_IMAGE: definition.environment?.image ?? '',
    CODEBUILD_KMS_KEY_ID: definition.encryptionKey ?? '',
    CODEBUILD_LOG_PATH: logsOf(row, definition.logsConfig)?.streamName ?? '',
    CODEBUILD_PROJECT_UUID: row.project_id,
    CODEBUILD_SOURCE_REPO_URL: definition.source?.location ?? '',
    CODEBUILD_SOURCE_VERSION: definition.sourceVersion ?? '',
  };
  for (const source of definition.secondarySources ?? []) {
    variables[`CODEBUILD_SOURCE_REPO_URL_${source.sourceIdentifier}`] = source.location ?? '';
    const version = definition.secondarySourceVersions?.find((item) => item.sourceIdentifier === source.sourceIdentifier);
    variables[`CODEBUILD_SOURCE_VERSION_${source.sourceIdentifier}`] = version?.sourceVersion ?? '';
  }
  return variables;
}

/** So that `aws` and every SDK inside the build reach this installation, as the service role. */
export function awsVariables(platform: Platform, row: Pick<Work, 'region'>, credentialToken: string): Record<string, string> {
  const { machines, config } = platform;
  // An engine or a cluster may run on other hosts, where only the public name leads here.
  const elsewhere = machines.name === 'docker' || machines.name === 'kubernetes';
  const endpoint = (elsewhere ? publicEndpoints(config) : config.endpoints).http;
  return {
    AWS_REGION: row.region,
    AWS_DEFAULT_REGION: row.region,
    AWS_ENDPOINT_URL: endpoint,
    AWS_CONTAINER_CREDENTIALS_FULL_URI: `${endpoint}/v2/credentials/${credentialToken}`,
    AWS_EC2_METADATA_DISABLED: 'true',
  };
}

const GIB = 1024 ** 3;

/** Compute types as CodeBuild describes them; a machine that is smaller gives what it has. */
const COMPUTE: Record<string, { memoryBytes: number; cpus?: number }> = {
  BUILD_GENERAL1_SMALL: { memoryBytes: 4 * GIB, cpus: 2 },
  BUILD_GENERAL1_MEDIUM: { memoryBytes: 8 * GIB, cpus: 4 },
  BUILD_GENERAL1_LARGE: { memoryBytes: 16 * GIB, cpus: 8 },
  BUILD_GENERAL1_XLARGE: { memoryBytes: 72 * GIB, cpus: 36 },
  BUILD_GENERAL1_2XLARGE: { memoryBytes: 145 * GIB, cpus: 72 },
  BUILD_LAMBDA_1GB: { memoryBytes: GIB },
  BUILD_LAMBDA_2GB: { memoryBytes: 2 * GIB },
  BUILD_LAMBDA_4GB: { memoryBytes: 4 * GIB },
  BUILD_LAMBDA_8GB: { memoryBytes: 8 * GIB },
  BUILD_LAMBDA_10GB: { memoryBytes: 10 * GIB },
};

/** `pids`: what the installation lets each build have. */
export function limitsOf(environment: BuildDefinition['environment'], pids: number): { memoryBytes?: number; cpus?: number; pids: number } {
  const { computeType = '', computeConfiguration: given } = environment ?? {};
  // The API has memory in GiB.
  const attributes = { ...(given?.memory && { memoryBytes: given.memory * GIB }), ...(given?.vCpu && { cpus: given.vCpu }) };
  return { ...(computeType === 'ATTRIBUTE_BASED_COMPUTE' ? attributes : COMPUTE[computeType]), pids };
}
