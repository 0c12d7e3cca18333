import { messageOf } from './failure.ts';

/** A deployment as the service describes it to a host. */
export interface DeploymentSpec {
  deploymentId: string;
  deploymentGroupId: string;
  deploymentGroupName: string;
  applicationName: string;
  /** `user`, `codeDeployRollback`, … */
  creator: string;
  type: string;
  appSpecFilename: string;
  /** As sent, in upper case; it is judged when a file exists. */
  fileExistsBehavior: string;
  /** Undefined: any event may stand in the appspec. */
  allPossibleEvents: string[] | undefined;
  revision: S3Revision;
}

export interface S3Revision {
  bucket: string;
  key: string;
  bundleType: 'tar' | 'tgz' | 'zip';
  version: string | undefined;
  /** Without quotes. */
  etag: string | undefined;
}

/** Reads a deployment specification (the JSON inside an envelope). Throws with the AWS agent's words if something is missing. */
export function parseDeploymentSpec(json: string): DeploymentSpec {
  let data: any;
  try {
    data = JSON.parse(json);
  } catch (error) {
    throw new Error(`The deployment specification is not JSON: ${messageOf(error)}`);
  }
  const required = (key: string): string => {
    const value = data?.[key];
    if (typeof value !== 'string' || value === '') throw new Error(`Deployment Spec has no ${key}`);
    return value;
  };

  const id = required('DeploymentId');
  const overrides = data.AgentActionOverrides?.AgentOverrides?.FileExistsBehavior;
  return {
    deploymentId: directoryName('DeploymentId', id.startsWith('arn:') ? id.slice(id.lastIndexOf('/') + 1) : id),
    deploymentGroupId: directoryName('DeploymentGroupId', required('DeploymentGroupId')),
    deploymentGroupName: required('DeploymentGroupName'),
    applicationName: required('ApplicationName'),
    creator: data.DeploymentCreator || 'user',
    type: data.DeploymentType || 'IN_PLACE',
    appSpecFilename: data.AppSpecFilename || 'appspec.yml',
    fileExistsBehavior: typeof overrides === 'string' && overrides !== '' ? overrides.toUpperCase() : 'DISALLOW',
    allPossibleEvents: Array.isArray(data.AllPossibleLifecycleEvents) ? data.AllPossibleLifecycleEvents : undefined,
    revision: parseRevision(data.Revision),
  };
}

function parseRevision(revision: any): S3Revision {
  if (!revision) throw new Error('Must specify a revison');
  if (!revision.RevisionType) throw new Error('Must specify a revision source');
  if (revision.RevisionType !== 'S3')
    throw new Error(`Revisions of type ${revision.RevisionType} are not supported by this agent; use S3.`);
  const s3 = revision.S3Revision;
  if (!s3?.Bucket || !s3.Key || !s3.BundleType) throw new Error('S3Revision in Deployment Spec must specify Bucket, Key and BundleType');
  if (!['tar', 'tgz', 'zip'].includes(s3.BundleType)) throw new Error('BundleType in S3Revision must be tar, tgz or zip');
  return {
    bucket: s3.Bucket,
    key: s3.Key,
    bundleType: s3.BundleType,
    version: s3.Version || undefined,
    etag: typeof s3.ETag === 'string' ? s3.ETag.replaceAll('"', '') : undefined,
  };
}

/** Ids become names of directories, so nothing may stand in them that leads elsewhere. */
function directoryName(key: string, value: string): string {
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/.test(value)) throw new Error(`${key} is not a valid id: ${JSON.stringify(value)}`);
  return value;
}
