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

/** As `projectNameOf`, and by the ARN of a project that another account may have shared, in this region. */
export function projectRefOf(place: Place, given: string): Place & { name: string } {
  const shared = /^arn:aws:codebuild:([^:]+):(\d{12}):project\/([^:/]+)$/.exec(given);
  if (!shared || shared[1] !== place.region) return { account: place.account, region: place.region, name: given };
  return { region: place.region, account: shared[2]!, name: shared[3]! };
}

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** The parts of a build's id or ARN; undefined when it is neither, or of another account or region. */
export function parseBuildId(place: Place, given: string): BuildRef | undefined {
  const ref = parseBuildRef(place, given);
  return ref?.account === place.account ? ref : undefined;
}

export type BuildRef = Place & { project: string; id: string };

/** The same for a build that may be another account's, which is named by its ARN. */
export function parseBuildRef(place: Place, given: string): BuildRef | undefined {
  const arn = /^arn:aws:codebuild:([^:]+):(\d{12}):build\/(.*)$/.exec(given);
  if (arn && arn[1] !== place.region) return undefined;
  const [project, id, ...rest] = (arn?.[3] ?? given).split(':');
  if (!project || !id || rest.length > 0 || !UUID.test(id)) return undefined;
  return { account: arn?.[2] ?? place.account, region: place.region, project, id };
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
