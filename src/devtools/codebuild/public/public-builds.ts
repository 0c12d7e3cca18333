/** What everybody may see of a public project: its builds and, as far as its role for that may read them, their logs and artifacts. */
import { Readable } from 'node:stream';
import type { Clients } from '../../../platform/aws.ts';
import { AwsError } from '../../../platform/errors.ts';
import type { Platform } from '../../../platform/platform.ts';
import { describeBuild } from '../describe.ts';
import { logsOf } from '../names.ts';
import { parseS3Location } from '../storage/s3-location.ts';
import type { Build, BuildRow, ProjectRow } from '../tables.ts';
import { isLinkSecret } from './links.ts';

const PAGE = 100;
const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Undefined when there is no such project or it is not public any more. */
export async function findPublicProject(platform: Platform, alias: unknown): Promise<ProjectRow | undefined> {
  if (!isLinkSecret(alias)) return undefined;
  const row = await platform.read.selectFrom('codebuild.projects').selectAll().where('public_alias', '=', alias).executeTakeFirst();
  return row?.definition.projectVisibility === 'PUBLIC_READ' ? row : undefined;
}

/** Of a build, what tells nothing but how it went: not its environment, whose variables may hold what nobody meant to publish. */
export type PublicBuild = Pick<
  Build,
  'id' | 'buildNumber' | 'buildStatus' | 'currentPhase' | 'startTime' | 'endTime' | 'sourceVersion' | 'resolvedSourceVersion' | 'phases'
>;

function describePublic(row: BuildRow): PublicBuild {
  const { id, buildNumber, buildStatus, currentPhase, startTime, endTime, sourceVersion, resolvedSourceVersion, phases } =
    describeBuild(row);
  return { id, buildNumber, buildStatus, currentPhase, startTime, endTime, sourceVersion, resolvedSourceVersion, phases };
}

/** The newest first. 'bad-token' when the token is not one of ours. */
export async function listPublicBuilds(
  platform: Platform,
  project: ProjectRow,
  nextToken: unknown,
): Promise<{ builds: PublicBuild[]; nextToken: string | undefined } | 'bad-token'> {
  const scope = `codebuild:PublicBuilds:${project.id}`;
  const after = typeof nextToken === 'string' ? platform.paging.open<{ order: string }>(scope, nextToken) : undefined;
  if (nextToken !== undefined && !after) return 'bad-token';
  let query = ofProject(platform, project).selectAll().orderBy('build_order', 'desc');
  if (after) query = query.where('build_order', '<', after.order);
  const rows = await query.limit(PAGE + 1).execute();
  const page = rows.slice(0, PAGE);
  const last = page.at(-1);
  return {
    builds: page.map(describePublic),
    nextToken: rows.length > PAGE && last ? platform.paging.seal(scope, { order: String(last.build_order) }) : undefined,
  };
}

function ofProject({ read }: Platform, { account, region, name, id }: ProjectRow) {
  return read
    .selectFrom('codebuild.builds')
    .where('account', '=', account)
    .where('region', '=', region)
    .where('project', '=', name)
    .where('project_id', '=', id);
}

export async function findPublicBuild(
  platform: Platform,
  project: ProjectRow,
  id: string,
): Promise<{ row: BuildRow; build: PublicBuild } | undefined> {
  const row = UUID.test(id) ? await ofProject(platform, project).selectAll().where('id', '=', id).executeTakeFirst() : undefined;
  return row && { row, build: describePublic(row) };
}

/** As the project's resourceAccessRole; undefined when it has none. Throws AwsError when the role cannot be assumed. */
async function asReader(platform: Platform, { definition, region, account }: ProjectRow): Promise<Clients | undefined> {
  const role = definition.resourceAccessRole;
  return role === undefined
    ? undefined
    : platform.aws.as({ role, service: 'codebuild', sessionName: 'AWSCodeBuild-public', region, account });
}

/** The log's text; undefined when there is none to read. Throws AwsError when the role may not read it. */
export async function publicLog(platform: Platform, project: ProjectRow, row: BuildRow): Promise<Readable | undefined> {
  const place = logsOf(row, row.definition.logsConfig);
  const clients = place && (await asReader(platform, project));
  if (!place || !clients) return undefined;
  const read = (nextToken?: string) =>
    clients.logs.getLogEvents({ logGroupName: place.groupName, logStreamName: place.streamName, startFromHead: true, nextToken });
  // The first page before the answer begins, so that what is not allowed is told by its status.
  const first = await read();
  return Readable.from(
    (async function* () {
      let page = first;
      while (page.events?.length) {
        yield page.events.map((event) => event.message ?? '').join('');
        page = await read(page.nextForwardToken);
      }
    })(),
  );
}

/** The primary artifact, when it is one file in S3. */
export async function publicArtifact(
  platform: Platform,
  project: ProjectRow,
  row: BuildRow,
): Promise<{ name: string; body: Readable | Uint8Array | undefined } | undefined> {
  const location = row.artifacts?.location;
  const clients = location ? await asReader(platform, project) : undefined;
  if (!location || !clients) return undefined;
  const { bucket, key } = parseS3Location(location);
  try {
    const { Body } = await clients.s3.getObject({ Bucket: bucket, Key: key });
    return { name: key.slice(key.lastIndexOf('/') + 1), body: Body };
  } catch (error) {
    if (error instanceof AwsError && error.code === 'NoSuchKey') return undefined;
    throw error;
  }
}
