/** What the model cannot say of projects and builds. Each broken rule is an InvalidInputException, as all of CodeBuild's are. */
import { AwsError } from '../../platform/errors.ts';
import type { ShapeOf } from '../../platform/service.ts';
import { isConnectionArn, isSecretArn } from './providers/credential.ts';
import { ANY_REPOSITORY, isServerType, parseCloneUrl } from './providers/provider.ts';

type Source = ShapeOf<'codebuild', 'ProjectSource'>;
type Artifacts = ShapeOf<'codebuild', 'ProjectArtifacts'>;
type Environment = ShapeOf<'codebuild', 'ProjectEnvironment'>;

export interface CheckedDefinition {
  source?: Source;
  secondarySources?: Source[];
  secondarySourceVersions?: ShapeOf<'codebuild', 'ProjectSourceVersion'>[];
  artifacts?: Artifacts;
  secondaryArtifacts?: Artifacts[];
  environment?: Environment;
  cache?: ShapeOf<'codebuild', 'ProjectCache'>;
  logsConfig?: ShapeOf<'codebuild', 'LogsConfig'>;
}

interface Limits {
  concurrentBuildLimit?: number;
  autoRetryLimit?: number;
}

const MAX_SECONDARIES = 12;
/** vCPUs, GiB; far above what any machine has, and nothing that a limit could not be set to */
const MAX_COMPUTE = 65_536;
const IDENTIFIER = /^[A-Za-z0-9_]{1,127}$/;
/** A pipeline's artifacts are identified by their names, which may have dashes. */
const ARTIFACT_NAME = /^[A-Za-z0-9_-]{1,127}$/;
/** Sources that are a repository or a file somewhere: they have a location. */
const LOCATED = new Set(['CODECOMMIT', 'S3', 'GITHUB', 'GITHUB_ENTERPRISE', 'BITBUCKET', 'GITLAB', 'GITLAB_SELF_MANAGED']);

export function invalid(message: string): AwsError {
  return new AwsError('InvalidInputException', message);
}

/** `pipeline`: CodePipeline's own call, which alone may have secondary sources and artifacts of type CODEPIPELINE. */
export function checkDefinition(definition: CheckedDefinition, pipeline = false): void {
  const { source, artifacts, environment, cache, logsConfig } = definition;
  if (source) checkSource(source, 'source');
  checkSecondarySources(definition.secondarySources ?? [], pipeline);
  checkSecondaryVersions(definition);
  if (artifacts) checkArtifacts(artifacts, 'artifacts', pipeline);
  checkSecondaryArtifacts(definition.secondaryArtifacts ?? [], pipeline);
  if (source && artifacts && !pipeline && (source.type === 'CODEPIPELINE') !== (artifacts.type === 'CODEPIPELINE')) {
    throw invalid('Invalid project: when source type or artifacts type is CODEPIPELINE, both must be CODEPIPELINE');
  }
  if (environment) checkEnvironment(environment);
  if (cache?.type === 'S3' && !cache.location) throw invalid('Invalid cache: location is a required field for cache type S3');
  if (cache?.type === 'LOCAL' && !cache.modes?.length) throw invalid('Invalid cache: modes is a required field for cache type LOCAL');
  if (logsConfig?.s3Logs?.status === 'ENABLED' && !logsConfig.s3Logs.location) {
    throw invalid('Invalid logs config: location is a required field for S3 logs');
  }
}

export function checkLimits({ concurrentBuildLimit = 1, autoRetryLimit = 0 }: Limits): void {
  if (concurrentBuildLimit < 1) throw invalid('Invalid project: concurrentBuildLimit must be at least 1');
  if (autoRetryLimit < 0) throw invalid('Invalid project: autoRetryLimit must not be negative');
}

export function checkBadge(enabled: boolean | undefined, source: Source | undefined): void {
  if (enabled && source?.type === 'CODEPIPELINE') throw invalid('Invalid project: badges are not supported for source type CODEPIPELINE');
}

function checkSource(source: Source, label: string): void {
  if (LOCATED.has(source.type) && !source.location) {
    throw invalid(`Invalid project ${label}: location is a required field for source type ${source.type}`);
  }
  if (source.type === 'NO_SOURCE' && label === 'source') {
    if (source.location) throw invalid('Invalid project source: location must not be specified for source type NO_SOURCE');
    if (!source.buildspec) throw invalid('Invalid project source: buildspec is required when source type is NO_SOURCE');
    if (!isInline(source.buildspec) && !source.buildspec.startsWith('arn:')) {
      throw invalid('Invalid project source: buildspec must be inline or in S3 when source type is NO_SOURCE');
    }
  }
  if (source.type === 'CODECOMMIT' && repositoryOf(source.location ?? '') === undefined) {
    throw invalid(`Invalid project ${label}: location must be a valid CodeCommit repository URL`);
  }
  checkProviderSource(source, label);
  if (source.type === 'S3' && !/^(arn:[^:]+:s3:::)?[^/]+\/.+/.test(source.location ?? '')) {
    throw invalid(`Invalid project ${label}: location must be a valid S3 source, of the form bucket/path/to/object.zip or bucket/folder/`);
  }
  if (source.type === 'CODEPIPELINE' && source.location && label === 'source') {
    throw invalid('Invalid project source: location must not be specified for source type CODEPIPELINE');
  }
}

function checkProviderSource({ type, location = '', auth, reportBuildStatus }: Source, label: string): void {
  const provider = isServerType(type);
  if (provider && location !== ANY_REPOSITORY && !parseCloneUrl(location)) {
    throw invalid(`Invalid project ${label}: location must be the HTTPS clone URL of a repository for source type ${type}`);
  }
  if (reportBuildStatus && !provider) throw invalid(`Invalid project ${label}: reportBuildStatus is not supported for source type ${type}`);
  if (!auth) return;
  if (!provider && !(type === 'NO_SOURCE' && label === 'source')) {
    throw invalid(`Invalid project ${label}: auth is not supported for source type ${type}`);
  }
  const { type: authType, resource = '' } = auth;
  if (authType === 'CODECONNECTIONS' && !isConnectionArn(resource)) {
    throw invalid(`Invalid project ${label}: auth resource must be the ARN of a connection for auth type CODECONNECTIONS`);
  }
  if (authType === 'SECRETS_MANAGER' && !isSecretArn(resource)) {
    throw invalid(`Invalid project ${label}: auth resource must be the ARN of a secret for auth type SECRETS_MANAGER`);
  }
}

function checkSecondarySources(sources: Source[], pipeline: boolean): void {
  if (sources.length > MAX_SECONDARIES)
    throw invalid(`Invalid secondary sources: a project cannot have more than ${MAX_SECONDARIES} secondary sources`);
  checkIdentifiers(
    'source',
    sources.map((source) => source.sourceIdentifier),
    pipeline,
  );
  for (const source of sources) {
    if (source.type === 'NO_SOURCE' || (source.type === 'CODEPIPELINE' && !pipeline)) {
      throw invalid(`Invalid secondary source ${source.sourceIdentifier}: type ${source.type} is not supported for secondary sources`);
    }
    checkSource(source, `secondary source ${source.sourceIdentifier}`);
  }
}

function checkSecondaryVersions({ secondarySources = [], secondarySourceVersions = [] }: CheckedDefinition): void {
  for (const { sourceIdentifier } of secondarySourceVersions) {
    if (secondarySources.some((source) => source.sourceIdentifier === sourceIdentifier)) continue;
    throw invalid(`Invalid secondary source version: there is no secondary source with the identifier ${sourceIdentifier}`);
  }
}

function checkArtifacts(artifacts: Artifacts, label: string, pipeline: boolean): void {
  if (artifacts.type === 'S3' && !artifacts.location) throw invalid(`Invalid ${label}: location is a required field for artifacts type S3`);
  if (artifacts.type !== 'S3' && artifacts.encryptionDisabled && !pipeline) {
    throw invalid(`Invalid ${label}: encryptionDisabled can be set only for artifacts type S3`);
  }
  if (artifacts.type === 'NO_ARTIFACTS' && artifacts.packaging === 'ZIP')
    throw invalid(`Invalid ${label}: packaging must not be set for artifacts type NO_ARTIFACTS`);
}

function checkSecondaryArtifacts(artifacts: Artifacts[], pipeline: boolean): void {
  if (artifacts.length > MAX_SECONDARIES) {
    throw invalid(`Invalid secondary artifacts: a project cannot have more than ${MAX_SECONDARIES} secondary artifacts`);
  }
  checkIdentifiers(
    'artifact',
    artifacts.map((artifact) => artifact.artifactIdentifier),
    pipeline,
  );
  for (const artifact of artifacts) {
    if (artifact.type !== 'S3' && !pipeline) {
      throw invalid(
        `Invalid secondary artifact ${artifact.artifactIdentifier}: type ${artifact.type} is not supported for secondary artifacts`,
      );
    }
    checkArtifacts(artifact, `secondary artifact ${artifact.artifactIdentifier}`, pipeline);
  }
}

function checkIdentifiers(what: 'source' | 'artifact', identifiers: (string | undefined)[], pipeline: boolean): void {
  const seen = new Set<string>();
  for (const identifier of identifiers) {
    if (!identifier) throw invalid(`Invalid secondary ${what}: ${what}Identifier is a required field for secondary ${what}s`);
    if (!(pipeline ? ARTIFACT_NAME : IDENTIFIER).test(identifier)) {
      throw invalid(
        `Invalid ${what}Identifier ${identifier}: it can contain only alphanumeric characters and underscores, and must be less than 128 characters`,
      );
    }
    if (seen.has(identifier)) throw invalid(`Invalid secondary ${what}: duplicate ${what}Identifier ${identifier}`);
    seen.add(identifier);
  }
}

function checkEnvironment(environment: Environment): void {
  checkVariables(environment.environmentVariables ?? []);
  checkCompute(environment.computeConfiguration);
  if (environment.registryCredential && environment.imagePullCredentialsType !== 'SERVICE_ROLE') {
    throw invalid('Invalid environment: imagePullCredentialsType must be SERVICE_ROLE when registryCredential is set');
  }
}

/** Of a build or of a fleet: machines of these sizes can at least be asked for. */
export function checkCompute({ vCpu = 0, memory = 0, disk = 0 }: NonNullable<Environment['computeConfiguration']> = {}): void {
  for (const [name, value] of Object.entries({ vCpu, memory, disk })) {
    // 0 is what some tools send for what nobody gave.
    if (value < 0 || value > MAX_COMPUTE) throw invalid(`Invalid compute configuration: ${name} must be between 0 and ${MAX_COMPUTE}`);
  }
}

export function checkVariables(variables: { name: string; value: string }[]): void {
  const seen = new Set<string>();
  for (const { name, value } of variables) {
    if (!/^[A-Za-z_][A-Za-z0-9_.-]*$/.test(name)) throw invalid(`Invalid environment variable name: ${name}`);
    // Settings of the build itself, such as whether it looks for reports.
    const reserved = name.startsWith('CODEBUILD_') && !name.startsWith('CODEBUILD_CONFIG_');
    if (reserved) throw invalid(`Invalid environment variable name: ${name}. The prefix CODEBUILD_ is reserved`);
    if (value.includes('\0')) throw invalid(`Invalid environment variable value: ${name} contains a NUL character`);
    if (seen.has(name)) throw invalid(`Duplicate environment variable name: ${name}`);
    seen.add(name);
  }
}

/** A path has no line break; YAML of a buildspec always has (a version and a phase). */
export function isInline(buildspec: string): boolean {
  return buildspec.includes('\n') || /^\s*\{/.test(buildspec);
}

/** The repository's name out of an HTTPS clone URL (of AWS or of this installation). */
export function repositoryOf(location: string): string | undefined {
  return /^https?:\/\/[^/]+\/v1\/repos\/([\w.-]+)\/?$/.exec(location)?.[1];
}
