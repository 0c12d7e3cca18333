/** What a build is made of: the project's settings with the overrides of one StartBuild. */
import { artifactDefaults } from './projects.ts';
import { checkDefinition, checkVariables } from './rules.ts';
import type { BuildDefinition, ProjectRow, StartRequest } from './tables.ts';

type Variables = NonNullable<NonNullable<BuildDefinition['environment']>['environmentVariables']>;

/** Throws InvalidInputException when the result breaks a rule. */
export function mergeOverrides(project: ProjectRow, request: StartRequest): BuildDefinition {
  const own = project.definition;
  const pipeline = isPipelineCall(request);
  const secondarySources = request.secondarySourcesOverride ?? own.secondarySources ?? [];
  const artifacts = artifactDefaults(request.artifactsOverride ?? own.artifacts ?? { type: 'NO_ARTIFACTS' }, project.name);
  const definition: BuildDefinition = {
    sourceVersion: request.sourceVersion ?? own.sourceVersion,
    source: mergeSource(own.source, request),
    secondarySources,
    secondarySourceVersions: mergeVersions(own.secondarySourceVersions, request.secondarySourcesVersionOverride, secondarySources),
    artifacts,
    secondaryArtifacts: (request.secondaryArtifactsOverride ?? own.secondaryArtifacts ?? []).map((item) =>
      artifactDefaults(item, item.artifactIdentifier ?? project.name),
    ),
    cache: request.cacheOverride ?? own.cache,
    environment: mergeEnvironment(own.environment, request),
    serviceRole: request.serviceRoleOverride ?? own.serviceRole,
    timeoutInMinutes: request.timeoutInMinutesOverride ?? own.timeoutInMinutes,
    queuedTimeoutInMinutes: request.queuedTimeoutInMinutesOverride ?? own.queuedTimeoutInMinutes,
    encryptionKey: request.encryptionKeyOverride ?? own.encryptionKey,
    vpcConfig: own.vpcConfig,
    fileSystemLocations: own.fileSystemLocations,
    logsConfig: request.logsConfigOverride ?? own.logsConfig,
    cacheGeneration: project.cache_generation,
    publicProjectAlias: own.projectVisibility === 'PUBLIC_READ' ? own.publicProjectAlias : undefined,
  };
  checkVariables(request.environmentVariablesOverride ?? []);
  checkDefinition(definition, pipeline || own.source?.type === 'CODEPIPELINE');
  return definition;
}

/** Only CodePipeline tells a build of type CODEPIPELINE where its artifacts go. */
export function isPipelineCall(request: StartRequest): boolean {
  const artifacts = [request.artifactsOverride, ...(request.secondaryArtifactsOverride ?? [])];
  return artifacts.some((artifact) => artifact?.type === 'CODEPIPELINE') || (request.sourceVersion?.startsWith('arn:aws:s3:::') ?? false);
}

function mergeSource(own: BuildDefinition['source'], request: StartRequest): BuildDefinition['source'] {
  const type = request.sourceTypeOverride ?? own?.type ?? 'NO_SOURCE';
  const sameType = type === own?.type;
  return {
    ...(sameType ? own : {}),
    type,
    location: request.sourceLocationOverride ?? (sameType ? own?.location : undefined),
    buildspec: request.buildspecOverride ?? own?.buildspec,
    ...(request.gitCloneDepthOverride === undefined ? {} : { gitCloneDepth: request.gitCloneDepthOverride }),
    ...(request.gitSubmodulesConfigOverride ? { gitSubmodulesConfig: request.gitSubmodulesConfigOverride } : {}),
    ...(request.sourceAuthOverride ? { auth: request.sourceAuthOverride } : {}),
    ...(request.reportBuildStatusOverride === undefined ? {} : { reportBuildStatus: request.reportBuildStatusOverride }),
    ...(request.buildStatusConfigOverride ? { buildStatusConfig: request.buildStatusConfigOverride } : {}),
    insecureSsl: request.insecureSslOverride ?? own?.insecureSsl ?? false,
  };
}

function mergeVersions(
  own: BuildDefinition['secondarySourceVersions'] = [],
  overrides: BuildDefinition['secondarySourceVersions'] = [],
  sources: NonNullable<BuildDefinition['secondarySources']>,
): NonNullable<BuildDefinition['secondarySourceVersions']> {
  const merged = new Map(own.map((version) => [version.sourceIdentifier, version]));
  // A project's version of a source that this build does not have is no mistake; one in the request is.
  for (const identifier of merged.keys()) if (!sources.some((source) => source.sourceIdentifier === identifier)) merged.delete(identifier);
  for (const version of overrides) merged.set(version.sourceIdentifier, version);
  return [...merged.values()];
}

export function mergeEnvironment(own: BuildDefinition['environment'], request: StartRequest): BuildDefinition['environment'] {
  if (!own) return own;
  return {
    ...own,
    type: request.environmentTypeOverride ?? own.type,
    image: request.imageOverride ?? own.image,
    computeType: request.computeTypeOverride ?? own.computeType,
    fleet: request.fleetOverride ?? own.fleet,
    certificate: request.certificateOverride ?? own.certificate,
    privilegedMode: request.privilegedModeOverride ?? own.privilegedMode,
    registryCredential: request.registryCredentialOverride ?? own.registryCredential,
    imagePullCredentialsType: request.imagePullCredentialsTypeOverride ?? own.imagePullCredentialsType,
    environmentVariables: mergeVariables(own.environmentVariables ?? [], request.environmentVariablesOverride ?? []),
  };
}

function mergeVariables(own: Variables, overrides: Variables): Variables {
  const merged = new Map(own.map((variable) => [variable.name, variable]));
  for (const variable of overrides) merged.set(variable.name, { ...variable, type: variable.type ?? 'PLAINTEXT' });
  return [...merged.values()];
}
