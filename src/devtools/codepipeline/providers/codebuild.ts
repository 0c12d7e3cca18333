/** Build and Test, CodeBuild: one build or a batch of them, its artifacts from and to the artifact store. */
import { AwsError } from '../../../platform/errors.ts';
import type { Input, ShapeOf } from '../../../platform/service.ts';
import type { Artifact } from '../tables.ts';
import type { ActionJob, Outcome, Provider } from './provider.ts';

/** What StartBuild and StartBuildBatch have in common. */
type Common = Input<'codebuild', 'StartBuild'> & Input<'codebuild', 'StartBuildBatch'>;
type EnvironmentVariable = ShapeOf<'codebuild', 'EnvironmentVariable'>;

export const codebuild: Provider = {
  async advance(job) {
    if (job.configuration.BatchEnabled === 'true') return advanceBatch(job);
    if (job.run.external_id === null) return start(job, startBuild);
    const { builds } = await job.clients.codebuild.batchGetBuilds({ ids: [job.run.external_id] });
    const build = builds?.[0];
    if (!build) return { state: 'Failed', code: 'JobFailed', message: `The build ${job.run.external_id} does not exist any more.` };
    return outcomeOf(build);
  },
};

async function advanceBatch(job: ActionJob): Promise<Outcome> {
  if (job.run.external_id === null) return start(job, startBatch);
  const { buildBatches } = await job.clients.codebuild.batchGetBuildBatches({ ids: [job.run.external_id] });
  const batch = buildBatches?.[0];
  if (!batch) return { state: 'Failed', code: 'JobFailed', message: `The build batch ${job.run.external_id} does not exist any more.` };
  const { id: externalId, buildBatchStatus: status, phases } = batch;
  if (status === 'IN_PROGRESS') return { state: 'InProgress', externalId };
  if (status === 'SUCCEEDED') return { state: 'Succeeded', externalId };
  return { state: 'Failed', code: 'JobFailed', externalId, message: failureMessage({ buildStatus: status, phases }) };
}

/** CodeBuild remembers an idempotency token for five minutes; a little less, since the clocks of two processes may differ. */
const TOKEN_MS = 4 * 60_000;

async function start(job: ActionJob, begin: (job: ActionJob) => Promise<Outcome>): Promise<Outcome> {
  if (job.run.begun && job.now().getTime() - job.run.updated_at.getTime() > TOKEN_MS) {
    const message =
      'Penstock ended while it started the build, and came back too late to tell whether there is one. None was started in its place; retry the stage to build.';
    return { state: 'Failed', code: 'SystemUnavailable', message };
  }
  if (!job.run.begun) await job.markBegun();
  return begin(job);
}

async function startBuild(job: ActionJob): Promise<Outcome> {
  const { run } = job;
  const [single, ...more] = run.output_artifacts;
  const { build } = await job.clients.codebuild.startBuild({
    ...commonRequest(job),
    // One output is the build's primary artifact; of several, each is the secondary artifact of its name.
    artifactsOverride: single && more.length === 0 ? destination(single) : { type: 'NO_ARTIFACTS' },
    secondaryArtifactsOverride: more.length > 0 ? run.output_artifacts.map(named) : [],
  });
  return { state: 'InProgress', externalId: build!.id!, url: build!.logs?.deepLink };
}

async function startBatch(job: ActionJob): Promise<Outcome> {
  const { run, configuration } = job;
  const [single] = run.output_artifacts;
  const combine = configuration.CombineArtifacts === 'true';
  const { buildBatch } = await job.clients.codebuild.startBuildBatch({
    ...commonRequest(job),
    buildBatchConfigOverride: { combineArtifacts: combine },
    // Combined there is one output; else CodeBuild finds the build and the artifact of each by its name.
    artifactsOverride: combine && single ? destination(single) : { type: 'NO_ARTIFACTS' },
    secondaryArtifactsOverride: combine ? [] : run.output_artifacts.map(named),
  });
  return { state: 'InProgress', externalId: buildBatch!.id! };
}

function commonRequest({ run, configuration, encryptionKey }: ActionJob): Common {
  const primary = run.input_artifacts.find(({ name }) => name === configuration.PrimarySource) ?? run.input_artifacts[0]!;
  const others = run.input_artifacts.filter((artifact) => artifact !== primary);
  return {
    projectName: configuration.ProjectName!,
    // The run's id: a start whose answer was lost is not a second build.
    idempotencyToken: run.id,
    sourceTypeOverride: 'CODEPIPELINE',
    sourceVersion: objectArn(primary),
    secondarySourcesOverride: others.map(({ name }) => ({ type: 'CODEPIPELINE', sourceIdentifier: name })),
    secondarySourcesVersionOverride: others.map((artifact) => ({ sourceIdentifier: artifact.name, sourceVersion: objectArn(artifact) })),
    // What the pipeline makes is under the pipeline's key, whatever the project's is.
    encryptionKeyOverride: encryptionKey,
    environmentVariablesOverride: environmentVariables(configuration.EnvironmentVariables),
  };
}

function named(artifact: Artifact): ShapeOf<'codebuild', 'ProjectArtifacts'> {
  return { ...destination(artifact), artifactIdentifier: artifact.name };
}

function objectArn({ bucket, key }: Artifact): string {
  return `arn:aws:s3:::${bucket}/${key}`;
}

function destination({ bucket, key }: Artifact): ShapeOf<'codebuild', 'ProjectArtifacts'> {
  const cut = key.lastIndexOf('/');
  return {
    type: 'CODEPIPELINE',
    location: bucket,
    path: key.slice(0, cut),
    name: key.slice(cut + 1),
    packaging: 'ZIP',
    namespaceType: 'NONE',
  };
}

function environmentVariables(text: string | undefined): EnvironmentVariable[] {
  if (!text) return [];
  let list: unknown;
  try {
    list = JSON.parse(text);
  } catch {
    list = undefined;
  }
  if (!Array.isArray(list))
    throw new AwsError('InvalidActionConfiguration', 'EnvironmentVariables must be a JSON array of {name, value, type}.');
  return list.map((item: Partial<EnvironmentVariable> | null) => {
    if (typeof item?.name !== 'string' || item.value === undefined)
      throw new AwsError('InvalidActionConfiguration', 'Each of EnvironmentVariables must have a name and a value.');
    return { name: item.name, value: String(item.value), type: item.type ?? 'PLAINTEXT' };
  });
}

function outcomeOf(build: ShapeOf<'codebuild', 'Build'>): Outcome {
  const known = { externalId: build.id, url: build.logs?.deepLink };
  switch (build.buildStatus) {
    case 'IN_PROGRESS':
      return { state: 'InProgress', ...known };
    case 'SUCCEEDED': {
      const exported = (build.exportedEnvironmentVariables ?? []).map(({ name, value }) => [name!, value ?? '']);
      return { state: 'Succeeded', ...known, variables: Object.fromEntries(exported) };
    }
    default:
      return { state: 'Failed', code: 'JobFailed', ...known, message: failureMessage(build) };
  }
}

type FailedPhase = Pick<ShapeOf<'codebuild', 'BuildPhase'>, 'phaseStatus' | 'contexts'> & { phaseType?: string };

/** As CodePipeline words it: the state, then what the failed phase said. */
function failureMessage({
  buildStatus,
  phases = [],
}: Pick<ShapeOf<'codebuild', 'Build'>, 'buildStatus'> & { phases?: FailedPhase[] }): string {
  const failed = phases.find(({ phaseStatus }) => phaseStatus !== undefined && phaseStatus !== 'SUCCEEDED');
  const reason = failed?.contexts?.map(({ message }) => message).find(Boolean);
  return `Build terminated with state: ${buildStatus}. Phase: ${failed?.phaseType ?? 'COMPLETED'}, Code: ${failed?.contexts?.[0]?.statusCode ?? ''}, Message: ${reason ?? ''}`;
}
