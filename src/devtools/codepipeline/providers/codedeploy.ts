/** Deploy, CodeDeploy: one deployment of the input artifact. */
import type { ActionJob, Outcome, Provider } from './provider.ts';

export const codedeploy: Provider = {
  async advance(job) {
    const id = job.run.external_id ?? (await findBegun(job));
    if (!id) return start(job);
    const { deploymentInfo } = await job.clients.codedeploy.getDeployment({ deploymentId: id });
    switch (deploymentInfo?.status) {
      case 'Succeeded':
        return { state: 'Succeeded', externalId: id, summary: 'Deployment Succeeded' };
      case 'Failed':
      case 'Stopped':
        return {
          state: 'Failed',
          code: 'JobFailed',
          externalId: id,
          message: deploymentInfo.errorInformation?.message ?? `Deployment ${id} ended with the status ${deploymentInfo.status}`,
        };
      default:
        return { state: 'InProgress', externalId: id };
    }
  },
};

const describe = ({ run }: ActionJob): string => `CodePipeline action execution ${run.id}`;

async function start(job: ActionJob): Promise<Outcome> {
  const { clients, configuration, run } = job;
  const [artifact] = run.input_artifacts;
  const head = await clients.s3.headObject({ Bucket: artifact!.bucket, Key: artifact!.key });
  await job.markBegun();
  const { deploymentId } = await clients.codedeploy.createDeployment({
    applicationName: configuration.ApplicationName!,
    deploymentGroupName: configuration.DeploymentGroupName!,
    description: describe(job),
    revision: {
      revisionType: 'S3',
      s3Location: {
        bucket: artifact!.bucket,
        key: artifact!.key,
        bundleType: 'zip',
        eTag: head.ETag?.replaceAll('"', ''),
        version: head.VersionId,
      },
    },
  });
  return { state: 'InProgress', externalId: deploymentId! };
}

/** CreateDeployment has no idempotency token: after a crash the deployment that may have been made is looked for before another is. */
async function findBegun(job: ActionJob): Promise<string | undefined> {
  if (!job.run.begun) return undefined;
  const { clients, configuration, run } = job;
  let nextToken: string | undefined;
  do {
    const page = await clients.codedeploy.listDeployments({
      applicationName: configuration.ApplicationName!,
      deploymentGroupName: configuration.DeploymentGroupName!,
      createTimeRange: { start: new Date(run.started_at.getTime() - MINUTE_MS) },
      nextToken,
    });
    for (const deploymentIds of inGroups(page.deployments ?? [], MAX_BATCH)) {
      const { deploymentsInfo = [] } = await clients.codedeploy.batchGetDeployments({ deploymentIds });
      const mine = deploymentsInfo.find(({ description }) => description === describe(job));
      if (mine) return mine.deploymentId;
    }
    nextToken = page.nextToken;
  } while (nextToken);
  return undefined;
}

/** BatchGetDeployments takes no more at once. */
const MAX_BATCH = 25;
const MINUTE_MS = 60_000;

function inGroups(list: string[], size: number): string[][] {
  return Array.from({ length: Math.ceil(list.length / size) }, (_, index) => list.slice(index * size, (index + 1) * size));
}
