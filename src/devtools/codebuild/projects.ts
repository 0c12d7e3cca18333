/** Build projects: made, changed, deleted, found and listed. */
import { randomUUID } from 'node:crypto';
import { sql } from 'kysely';
import { asRecords, batchedRead } from '../../platform/database/batch.ts';
import type { RequestContext, ShapeOf } from '../../platform/service.ts';
import { type Check, operation } from '../../platform/service.ts';
import { checkBatchRole } from './batches/config.ts';
import { describeProject } from './describe.ts';
import { requireFleet } from './fleets/find.ts';
import { type Place, projectArn, projectNameOf, projectRefOf } from './names.ts';
import { DIRECTIONS, PAGE, pageOf, startOf } from './pages.ts';
import { newLinkSecret } from './public/links.ts';
import { checkBadge, checkDefinition, checkLimits } from './rules.ts';
import { checkServiceRole } from './service-role.ts';
import { forgetResourcePolicy } from './sharing/shared.ts';
import type { ProjectDefinition, ProjectRow } from './tables.ts';
import { tagMap } from './tags.ts';
import { CACHE_TOPIC } from './topics.ts';
import { findWebhookOf, forgetWebhook } from './webhooks/rows.ts';

const UNIQUE_VIOLATION = '23505';
const DEFAULT_TIMEOUT_MINUTES = 60;
const DEFAULT_QUEUED_TIMEOUT_MINUTES = 480;

const PARTIAL =
  'builds of projects with a VPC, with file systems, or for Windows or macOS fail; without a container engine or a cluster builds run with the tools of ' +
  'the host, whatever the image';

export const createProject = operation('codebuild', 'CreateProject', {
  authorize: ({ name, tags }, ctx) => ({ resource: projectArn(ctx, name), requestTags: tagMap(tags) }),
  partial: PARTIAL,
  async handle(ctx, { name, tags, badgeEnabled, ...given }) {
    checkBadge(badgeEnabled, given.source);
    checkDefinition(given);
    await checkServiceRole(ctx, given.serviceRole);
    await checkBatchRole(ctx, given.buildBatchConfig);
    await requireFleet(ctx.read, ctx, given.environment);
    const definition = withDefaults(ctx, name, { ...given, badge: { badgeEnabled: badgeEnabled ?? false } });
    checkLimits(definition);
    const now = ctx.now();
    const row = await ctx.transaction((tx) =>
      tx.sql
        .insertInto('codebuild.projects')
        .values({
          account: ctx.account,
          region: ctx.region,
          name,
          id: randomUUID(),
          definition: JSON.stringify(definition),
          tags: JSON.stringify(tagMap(tags)),
          created_at: now,
          modified_at: now,
          badge_token: badgeEnabled ? newLinkSecret() : null,
        })
        .returningAll()
        .executeTakeFirstOrThrow()
        .catch((error) => {
          if (error.code !== UNIQUE_VIOLATION) throw error;
          throw ctx.error('ResourceAlreadyExistsException', `Project already exists: ${projectArn(ctx, name)}`);
        }),
    );
    return { project: describeProject(ctx, row) };
  },
});

export const updateProject = operation('codebuild', 'UpdateProject', {
  authorize: async ({ name, tags }, ctx) => ({ ...(await onProject(ctx, name)), requestTags: tagMap(tags) }),
  partial: PARTIAL,
  async handle(ctx, { name: given, tags, badgeEnabled, ...changes }) {
    const name = projectNameOf(ctx, given);
    if (changes.serviceRole !== undefined) await checkServiceRole(ctx, changes.serviceRole);
    await checkBatchRole(ctx, changes.buildBatchConfig);
    await requireFleet(ctx.read, ctx, changes.environment);
    const row = await ctx.transaction(async (tx) => {
      const project = await tx.sql
        .selectFrom('codebuild.projects')
        .selectAll()
        .where('account', '=', ctx.account)
        .where('region', '=', ctx.region)
        .where('name', '=', name)
        .forUpdate()
        .executeTakeFirst();
      if (!project) throw ctx.error('ResourceNotFoundException', `Project cannot be found: ${projectArn(ctx, name)}`);
      const definition = withDefaults(ctx, name, { ...project.definition, ...defined(changes) });
      // Without anything in it the batch configuration goes away, as infrastructure tools do it.
      if (changes.buildBatchConfig && Object.keys(changes.buildBatchConfig).length === 0) definition.buildBatchConfig = undefined;
      if (badgeEnabled !== undefined) definition.badge = { badgeEnabled };
      checkBadge(definition.badge?.badgeEnabled, definition.source);
      checkDefinition(definition);
      checkLimits(definition);
      return tx.sql
        .updateTable('codebuild.projects')
        .set({
          definition: JSON.stringify(definition),
          modified_at: ctx.now(),
          // Kept when the badge is turned off: pictures that were published show again when it is turned on.
          badge_token: project.badge_token ?? (badgeEnabled ? newLinkSecret() : null),
          ...(tags === undefined ? {} : { tags: JSON.stringify(tagMap(tags)) }),
        })
        .where('id', '=', project.id)
        .returningAll()
        .executeTakeFirstOrThrow();
    });
    return { project: describeProject(ctx, row, await findWebhookOf(ctx, row.id)) };
  },
});

/** Deleting what is not there succeeds, as on AWS; builds of the project stay listed and run to their end. */
export const deleteProject = operation('codebuild', 'DeleteProject', {
  authorize: ({ name }, ctx) => onProject(ctx, name),
  async handle(ctx, { name: given }) {
    const name = projectNameOf(ctx, given);
    await ctx.transaction(async (tx) => {
      await tx.sql
        .deleteFrom('codebuild.projects')
        .where('account', '=', ctx.account)
        .where('region', '=', ctx.region)
        .where('name', '=', name)
        .execute();
      await forgetResourcePolicy(tx, ctx, projectArn(ctx, name));
      await forgetWebhook(tx, { account: ctx.account, region: ctx.region, name });
      await tx.signal(CACHE_TOPIC);
    });
    return {};
  },
});

export const batchGetProjects = operation('codebuild', 'BatchGetProjects', {
  authorize: ({ names }, ctx) => Promise.all(names.map((name) => onProject(ctx, name))),
  async handle(ctx, { names }) {
    const wanted = [...new Set(names)];
    const rows = await Promise.all(wanted.map((name) => findNamed(ctx, name)));
    const projects = rows.map(async (row) => row && describeProject(ctx, row, await findWebhookOf(ctx, row.id)));
    return {
      projects: (await Promise.all(projects)).filter((project) => project !== undefined),
      projectsNotFound: wanted.filter((_, index) => !rows[index]),
    };
  },
});

const SORT_COLUMNS = { NAME: 'name', CREATED_TIME: 'created_at', LAST_MODIFIED_TIME: 'modified_at' } as const;

export const listProjects = operation('codebuild', 'ListProjects', {
  authorize: () => '*',
  async handle(ctx, { sortBy = 'NAME', sortOrder = 'ASCENDING', nextToken }) {
    const scope = `codebuild:ListProjects:${ctx.account}:${ctx.region}:${sortBy}:${sortOrder}`;
    const after = startOf<{ name: string; time: string }>(ctx, scope, nextToken);
    const column = SORT_COLUMNS[sortBy];
    const [direction, behind] = DIRECTIONS[sortOrder];
    let query = ctx.read
      .selectFrom('codebuild.projects')
      .select(['name', 'created_at', 'modified_at'])
      .where('account', '=', ctx.account)
      .where('region', '=', ctx.region);
    if (column !== 'name') {
      query = query.orderBy(column, direction);
      if (after) query = query.where((eb) => eb(eb.refTuple(column, 'name'), behind, eb.tuple(new Date(after.time), after.name)));
    } else if (after) query = query.where('name', behind, after.name);
    const rows = await query
      .orderBy('name', direction)
      .limit(PAGE + 1)
      .execute();
    const { page, nextToken: next } = pageOf(ctx, scope, rows, PAGE, (row) => ({
      name: row.name,
      time: (column === 'modified_at' ? row.modified_at : row.created_at).toISOString(),
    }));
    return { projects: page.map((row) => row.name), nextToken: next };
  },
});

export const invalidateProjectCache = operation('codebuild', 'InvalidateProjectCache', {
  authorize: ({ projectName }, ctx) => onProject(ctx, projectName),
  async handle(ctx, { projectName }) {
    const name = projectNameOf(ctx, projectName);
    const { numUpdatedRows } = await ctx.transaction(async (tx) => {
      await tx.signal(CACHE_TOPIC);
      return tx.sql
        .updateTable('codebuild.projects')
        .set((eb) => ({ cache_generation: eb('cache_generation', '+', 1) }))
        .where('account', '=', ctx.account)
        .where('region', '=', ctx.region)
        .where('name', '=', name)
        .executeTakeFirstOrThrow();
    });
    if (numUpdatedRows === 0n) throw ctx.error('ResourceNotFoundException', `Project cannot be found: ${projectArn(ctx, name)}`);
    return {};
  },
});

/** The IAM question about a project, with its tags and, for others than its owner, its policy, if it is there. */
export async function onProject(ctx: RequestContext, given: string): Promise<Check> {
  const project = projectRefOf(ctx, given);
  const row = await findProject(ctx, project, project.name);
  return {
    resource: projectArn(project, project.name),
    resourceTags: row?.tags,
    resourceAccount: project.account,
    resourcePolicy: row?.resource_policy ?? undefined,
  };
}

/** A project's row with the policy that shares it. */
export type FoundProject = ProjectRow & { resource_policy: string | null };

const keyOf = ({ account, region, name }: Place & { name: string }): string => `${account}/${region}/${name}`;

/** By account, region and name; undefined where there is none. */
const projectBatch = batchedRead<Place & { name: string }, FoundProject | undefined>({
  key: keyOf,
  async run(read, wanted) {
    const { rows } = await sql<FoundProject>`
      select project.*, shared.policy as resource_policy
      from json_to_recordset(${asRecords(wanted)}) as wanted (account text, region text, name text)
      join codebuild.projects project using (account, region, name)
      left join codebuild.resource_policies shared on shared.account = project.account and shared.region = project.region
        and shared.arn = 'arn:aws:codebuild:' || project.region || ':' || project.account || ':project/' || project.name`.execute(read);
    const byKey = new Map(rows.map((row) => [keyOf(row), row]));
    return wanted.map((each) => byKey.get(keyOf(each)));
  },
});

export function findProject(
  ctx: Pick<RequestContext, 'read'>,
  { account, region }: Place,
  name: string,
): Promise<FoundProject | undefined> {
  return projectBatch(ctx, { account, region, name });
}

/** By name, or by the ARN of a project that may be another account's. */
export function findNamed(ctx: RequestContext, given: string): Promise<FoundProject | undefined> {
  const project = projectRefOf(ctx, given);
  return findProject(ctx, project, project.name);
}

type Given = Partial<ProjectDefinition> & Record<string, unknown>;

/** What CodeBuild fills in, and so shows from the first BatchGetProjects on. */
function withDefaults(ctx: RequestContext, name: string, given: Given): ProjectDefinition {
  const definition: ProjectDefinition = defined({
    ...given,
    timeoutInMinutes: given.timeoutInMinutes ?? DEFAULT_TIMEOUT_MINUTES,
    queuedTimeoutInMinutes: given.queuedTimeoutInMinutes ?? DEFAULT_QUEUED_TIMEOUT_MINUTES,
    encryptionKey: given.encryptionKey ?? `arn:aws:kms:${ctx.region}:${ctx.account}:alias/aws/s3`,
    cache: given.cache ?? { type: 'NO_CACHE' },
    badge: given.badge ?? { badgeEnabled: false },
    projectVisibility: given.projectVisibility ?? 'PRIVATE',
  });
  const { environment, artifacts, source } = definition;
  if (environment) {
    definition.environment = {
      ...environment,
      environmentVariables: (environment.environmentVariables ?? []).map((variable) => ({
        ...variable,
        type: variable.type ?? 'PLAINTEXT',
      })),
      privilegedMode: environment.privilegedMode ?? false,
      imagePullCredentialsType: environment.imagePullCredentialsType ?? 'CODEBUILD',
    };
  }
  if (artifacts) definition.artifacts = artifactDefaults(artifacts, name);
  if (definition.secondaryArtifacts) {
    definition.secondaryArtifacts = definition.secondaryArtifacts.map((item) => artifactDefaults(item, item.artifactIdentifier ?? name));
  }
  // Without anything in it a VPC goes away, as infrastructure tools do it.
  if (definition.vpcConfig && Object.keys(definition.vpcConfig).length === 0) definition.vpcConfig = undefined;
  // -1 takes the limit away, as the console and CloudFormation do it.
  if (definition.concurrentBuildLimit === -1) definition.concurrentBuildLimit = undefined;
  if (source) definition.source = { ...source, insecureSsl: source.insecureSsl ?? false };
  return definition;
}

/** An S3 artifact is named after its project unless it says otherwise. */
export function artifactDefaults(
  artifacts: ShapeOf<'codebuild', 'ProjectArtifacts'>,
  name: string,
): ShapeOf<'codebuild', 'ProjectArtifacts'> {
  if (artifacts.type === 'NO_ARTIFACTS') return { type: 'NO_ARTIFACTS' };
  const packaging = artifacts.packaging ?? 'NONE';
  return {
    ...artifacts,
    name: artifacts.name ?? name,
    packaging,
    ...(artifacts.type === 'S3'
      ? { namespaceType: artifacts.namespaceType ?? 'NONE', encryptionDisabled: artifacts.encryptionDisabled ?? false }
      : {}),
  };
}

function defined<T extends object>(value: T): T {
  return Object.fromEntries(Object.entries(value).filter(([, member]) => member !== undefined)) as T;
}
