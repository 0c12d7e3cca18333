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
  const { deployments = [] } = await clients.codedeploy.listDeployments({
    applicationName: configuration.ApplicationName!,
    deploymentGroupName: configuration.DeploymentGroupName!,
    createTimeRange: { start: new Date(run.started_at.getTime() - 60_000) },
  });
  if (deployments.length === 0) return undefined;
  const { deploymentsInfo = [] } = await clients.codedeploy.batchGetDeployments({ deploymentIds: deployments.slice(0, 25) });
  return deploymentsInfo.find(({ description }) => description === describe(job))?.deploymentId;
}
