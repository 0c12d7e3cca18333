/** Build and Test, CodeBuild: one build, its artifacts from and to the artifact store. */
import { AwsError } from '../../../platform/errors.ts';
import type { Input, ShapeOf } from '../../../platform/service.ts';
import type { Artifact } from '../tables.ts';
import type { ActionJob, Outcome, Provider } from './provider.ts';

type EnvironmentVariable = ShapeOf<'codebuild', 'EnvironmentVariable'>;

export const codebuild: Provider = {
  async advance(job) {
    if (job.run.external_id === null) return start(job);
    const { builds } = await job.clients.codebuild.batchGetBuilds({ ids: [job.run.external_id] });
    const build = builds?.[0];
    if (!build) return { state: 'Failed', code: 'JobFailed', message: `The build ${job.run.external_id} does not exist any more.` };
    return outcomeOf(build);
  },
};

/** CodeBuild remembers an idempotency token for five minutes; a little less, since the clocks of two processes may differ. */
const TOKEN_MS = 4 * 60_000;

async function start(job: ActionJob): Promise<Outcome> {
  if (job.run.begun && job.now().getTime() - job.run.updated_at.getTime() > TOKEN_MS) {
    const message =
      'Penstock ended while it started the build, and came back too late to tell whether there is one. None was started in its place; retry the stage to build.';
    return { state: 'Failed', code: 'SystemUnavailable', message };
  }
  if (!job.run.begun) await job.markBegun();
  const { build } = await job.clients.codebuild.startBuild(startRequest(job));
  return { state: 'InProgress', externalId: build!.id!, url: build!.logs?.deepLink };
}

function startRequest({ run, configuration, encryptionKey }: ActionJob): Input<'codebuild', 'StartBuild'> {
  const primary = run.input_artifacts.find(({ name }) => name === configuration.PrimarySource) ?? run.input_artifacts[0]!;
  const others = run.input_artifacts.filter((artifact) => artifact !== primary);
  const [single, ...more] = run.output_artifacts;
  return {
    projectName: configuration.ProjectName!,
    // The run's id: a start whose answer was lost is not a second build.
    idempotencyToken: run.id,
    sourceTypeOverride: 'CODEPIPELINE',
    sourceVersion: objectArn(primary),
    secondarySourcesOverride: others.map(({ name }) => ({ type: 'CODEPIPELINE', sourceIdentifier: name })),
    secondarySourcesVersionOverride: others.map((artifact) => ({ sourceIdentifier: artifact.name, sourceVersion: objectArn(artifact) })),
    // One output is the build's primary artifact; of several, each is the secondary artifact of its name.
    artifactsOverride: single && more.length === 0 ? destination(single) : { type: 'NO_ARTIFACTS' },
    secondaryArtifactsOverride:
      more.length > 0 ? run.output_artifacts.map((artifact) => ({ ...destination(artifact), artifactIdentifier: artifact.name })) : [],
    // What the pipeline makes is under the pipeline's key, whatever the project's is.
    encryptionKeyOverride: encryptionKey,
    environmentVariablesOverride: environmentVariables(configuration.EnvironmentVariables),
  };
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

/** As CodePipeline words it: the state, then what the failed phase said. */
function failureMessage({ buildStatus, phases = [] }: ShapeOf<'codebuild', 'Build'>): string {
  const failed = phases.find(({ phaseStatus }) => phaseStatus !== undefined && phaseStatus !== 'SUCCEEDED');
  const reason = failed?.contexts?.map(({ message }) => message).find(Boolean);
  return `Build terminated with state: ${buildStatus}. Phase: ${failed?.phaseType ?? 'COMPLETED'}, Code: ${failed?.contexts?.[0]?.statusCode ?? ''}, Message: ${reason ?? ''}`;
}
