/** What a host is told of a deployment, in the form that AWS's agent reads. */
import { POSSIBLE_EVENTS } from './lifecycle.ts';
import type { DeploymentOptions, RevisionLocation } from './tables.ts';

export interface SpecifiedDeployment {
  id: string;
  application_name: string;
  group_id: string;
  group_name: string;
  creator: string;
  revision: RevisionLocation;
  options: DeploymentOptions;
  restart_of: string | null;
}

/** The JSON inside the signed envelope. */
export function specificationText(deployment: SpecifiedDeployment): string {
  const { fileExistsBehavior } = deployment.options;
  return JSON.stringify({
    DeploymentId: deployment.id,
    DeploymentGroupId: deployment.group_id,
    DeploymentGroupName: deployment.group_name,
    ApplicationName: deployment.application_name,
    DeploymentCreator: deployment.creator,
    DeploymentType: 'IN_PLACE',
    AppSpecFilename: 'appspec.yml',
    ...(fileExistsBehavior && { AgentActionOverrides: { AgentOverrides: { FileExistsBehavior: fileExistsBehavior } } }),
    AllPossibleLifecycleEvents: POSSIBLE_EVENTS,
    // Agents that know it spare the download; to others a restart is a deployment like any.
    ...(deployment.restart_of && { ReuseArchiveFromDeploymentId: deployment.restart_of }),
    Revision: revisionOf(deployment.revision),
  });
}

function revisionOf({ revisionType, s3Location, gitHubLocation }: RevisionLocation): object {
  if (revisionType === 'S3') {
    const { bucket, key, bundleType, version, eTag } = s3Location!;
    return {
      RevisionType: 'S3',
      S3Revision: { Bucket: bucket, Key: key, BundleType: bundleType, ...(version && { Version: version }), ...(eTag && { ETag: eTag }) },
    };
  }
  const [account, repository] = gitHubLocation!.repository!.split('/');
  return { RevisionType: 'GitHub', GitHubRevision: { Account: account, Repository: repository, CommitId: gitHubLocation!.commitId } };
}
