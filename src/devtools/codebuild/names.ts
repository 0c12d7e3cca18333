/** ARNs and ids of projects and builds, and back. */
export interface Place {
  account: string;
  region: string;
}

export function projectArn({ account, region }: Place, name: string): string {
  return `arn:aws:codebuild:${region}:${account}:project/${name}`;
}

/** `project:uuid`, what the API calls a build's id. */
export function buildId(build: { project: string; id: string }): string {
  return `${build.project}:${build.id}`;
}

export function buildArn(build: Place & { project: string; id: string }): string {
  return `arn:aws:codebuild:${build.region}:${build.account}:build/${buildId(build)}`;
}

/** Callers may give a project by name or by its ARN in this account and region. */
export function projectNameOf(place: Place, given: string): string {
  const prefix = projectArn(place, '');
  return given.startsWith(prefix) ? given.slice(prefix.length) : given;
}

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** The parts of a build's id or ARN; undefined when it is neither, or of another account or region. */
export function parseBuildId(place: Place, given: string): { project: string; id: string } | undefined {
  const prefix = `arn:aws:codebuild:${place.region}:${place.account}:build/`;
  const text = given.startsWith(prefix) ? given.slice(prefix.length) : given;
  const [project, id, ...rest] = text.split(':');
  if (!project || !id || rest.length > 0 || !UUID.test(id)) return undefined;
  return { project, id };
}

export function logsOf(
  build: { project: string; id: string },
  config: { cloudWatchLogs?: { status: string; groupName?: string; streamName?: string } } | undefined,
): { groupName: string; streamName: string } | undefined {
  const wanted = config?.cloudWatchLogs;
  if (wanted?.status === 'DISABLED') return undefined;
  return {
    groupName: wanted?.groupName ?? `/aws/codebuild/${build.project}`,
    streamName: wanted?.streamName ? `${wanted.streamName}/${build.id}` : build.id,
  };
}

/** The link of AWS's own console: tools print it, and the names in it are those of this installation. */
export function logsLink(region: string, { groupName, streamName }: { groupName: string; streamName: string }): string {
  return `https://console.aws.amazon.com/cloudwatch/home?region=${region}#logEvent:group=${groupName};stream=${streamName}`;
}
