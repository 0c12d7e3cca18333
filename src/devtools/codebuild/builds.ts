/** Builds that were started: found, listed, stopped, deleted. */
import type { RequestContext } from '../../platform/service.ts';
import { operation } from '../../platform/service.ts';
import { describeBuild } from './describe.ts';
import { requestStop } from './engine/stop.ts';
import { type BuildRef, buildArn, buildId, type Place, parseBuildId, parseBuildRef, projectArn, projectRefOf } from './names.ts';
import { DIRECTIONS, PAGE, pageOf, startOf } from './pages.ts';
import { findProject, onProject } from './projects.ts';
import { invalid } from './rules.ts';
import type { BuildRow } from './tables.ts';
import { overTopic } from './topics.ts';

export const batchGetBuilds = operation('codebuild', 'BatchGetBuilds', {
  authorize: ({ ids }, ctx) => onBuilds(ctx, ids),
  async handle(ctx, { ids }) {
    const wanted = [...new Set(ids)];
    const found = await findBuilds(ctx, wanted, parseBuildRef);
    return {
      builds: wanted.flatMap((id) => {
        const row = found.get(id);
        return row ? [describeBuild(row)] : [];
      }),
      buildsNotFound: wanted.filter((id) => !found.has(id)),
    };
  },
});

export const listBuilds = operation('codebuild', 'ListBuilds', {
  authorize: () => '*',
  handle: (ctx, { sortOrder = 'DESCENDING', nextToken }) => listPage(ctx, ctx, undefined, sortOrder, nextToken),
});

export const listBuildsForProject = operation('codebuild', 'ListBuildsForProject', {
  authorize: ({ projectName }, ctx) => onProject(ctx, projectName),
  async handle(ctx, { projectName, sortOrder = 'DESCENDING', nextToken }) {
    const project = projectRefOf(ctx, projectName);
    if (!(await findProject(ctx, project, project.name)))
      throw ctx.error('ResourceNotFoundException', `Project cannot be found: ${projectArn(project, project.name)}`);
    return listPage(ctx, project, project.name, sortOrder, nextToken);
  },
});

/** How long StopBuild waits for the build to be over, so that its answer shows it STOPPED as on AWS. */
const STOP_WAIT_MS = 2_000;

export const stopBuild = operation('codebuild', 'StopBuild', {
  authorize: ({ id }, ctx) => onBuilds(ctx, [id]),
  async handle(ctx, { id }) {
    const parsed = parseBuildId(ctx, id);
    if (!parsed) throw invalid('Invalid build ID provided');
    const row = (await findBuilds(ctx, [id])).get(id);
    if (!row)
      throw ctx.error(
        'ResourceNotFoundException',
        `Build cannot be found: ${buildArn({ ...parsed, account: ctx.account, region: ctx.region })}`,
      );
    if (row.status !== 'IN_PROGRESS') return { build: describeBuild(row) };
    const over = ctx.signals.wait(overTopic(row.id), STOP_WAIT_MS);
    await requestStop(ctx, row.id);
    await over;
    const now = (await findBuilds(ctx, [id])).get(id);
    return { build: describeBuild(now ?? row) };
  },
});

export const batchDeleteBuilds = operation('codebuild', 'BatchDeleteBuilds', {
  authorize: ({ ids }, ctx) => onBuilds(ctx, ids),
  async handle(ctx, { ids }) {
    const wanted = [...new Set(ids)];
    const found = await findBuilds(ctx, wanted);
    const over = [...found.values()].filter((row) => row.status !== 'IN_PROGRESS');
    const deleted = over.length === 0 ? [] : await deleteBuilds(ctx, over);
    const gone = new Set(deleted.map((row) => row.id));
    return {
      buildsDeleted: deleted.map(buildArn),
      buildsNotDeleted: wanted
        .filter((id) => !gone.has(found.get(id)?.id ?? ''))
        .map((id) => ({ id, statusCode: found.has(id) ? 'BUILD_IN_PROGRESS' : 'BUILD_NOT_FOUND' })),
    };
  },
});

async function deleteBuilds(ctx: RequestContext, rows: BuildRow[]): Promise<BuildRow[]> {
  return ctx.transaction((tx) =>
    tx.sql
      .deleteFrom('codebuild.builds')
      .where(
        'id',
        'in',
        rows.map((row) => row.id),
      )
      .where('status', '!=', 'IN_PROGRESS')
      .returningAll()
      .execute(),
  );
}

/** By the id as given. Another region's or a malformed id finds nothing; another account's only where `parse` allows it. */
async function findBuilds(ctx: RequestContext, ids: string[], parse = parseBuildId): Promise<Map<string, BuildRow>> {
  const parsed = new Map(ids.map((given) => [given, parse(ctx, given)]));
  const uuids = [...parsed.values()].flatMap((item) => (item ? [item.id] : []));
  if (uuids.length === 0) return new Map();
  const rows = await ctx.read
    .selectFrom('codebuild.builds')
    .selectAll()
    .where('id', 'in', uuids)
    .where('region', '=', ctx.region)
    .execute();
  const byArn = new Map(rows.map((row) => [buildArn(row), row]));
  const found = new Map<string, BuildRow>();
  for (const [given, item] of parsed) {
    const row = item && byArn.get(buildArn(item));
    if (row) found.set(given, row);
  }
  return found;
}

/** A build belongs to its project, which is what policies name. */
function onBuilds(ctx: RequestContext, ids: string[]) {
  const projects = new Set(ids.map((id) => projectOf(parseBuildRef(ctx, id))));
  return Promise.all([...projects].map((arn) => onProject(ctx, arn)));
}

function projectOf(build: BuildRef | undefined): string {
  return build ? projectArn(build, build.project) : '*';
}

async function listPage(
  ctx: RequestContext,
  { account, region }: Place,
  project: string | undefined,
  order: 'ASCENDING' | 'DESCENDING',
  nextToken: string | undefined,
) {
  const scope = `codebuild:ListBuilds:${account}:${region}:${project ?? ''}:${order}`;
  const after = startOf<{ order: string }>(ctx, scope, nextToken);
  const [direction, behind] = DIRECTIONS[order];
  let query = ctx.read
    .selectFrom('codebuild.builds')
    .select(['id', 'project', 'build_order'])
    .where('account', '=', account)
    .where('region', '=', region);
  if (project !== undefined) query = query.where('project', '=', project);
  if (after) query = query.where('build_order', behind, after.order);
  const rows = await query
    .orderBy('build_order', direction)
    .limit(PAGE + 1)
    .execute();
  const { page, nextToken: next } = pageOf(ctx, scope, rows, PAGE, (row) => ({ order: String(row.build_order) }));
  return { ids: page.map(buildId), nextToken: next };
}
