/** Applications: the names under which revisions and deployment groups are kept. */
import { randomUUID } from 'node:crypto';
import type { Selectable } from 'kysely';
import type { Platform } from '../../platform/platform.ts';
import { type Check, operation, type RequestContext, type ShapeOf } from '../../platform/service.ts';
import { applicationArn, applicationMissing, whenTaken } from './names.ts';
import { limitBatch, onePage } from './pages.ts';
import type { ApplicationsTable } from './tables.ts';
import { resourceTags } from './tag-lists.ts';

const MAX_APPLICATIONS = 1000;
const MAX_NAMES = 100;

export type Application = Selectable<ApplicationsTable>;

/** Whom to ask for permission on an application, which may not be there. */
export async function onApplication(ctx: RequestContext, name: string | undefined): Promise<Check> {
  if (name === undefined) return { resource: '*' };
  const found = await lookUpApplication(ctx, ctx, name);
  return { resource: applicationArn(ctx, name), ...(found && { resourceTags: found.tags }) };
}

export function lookUpApplication(
  { read }: Pick<Platform, 'read'>,
  { account, region }: { account: string; region: string },
  name: string,
): Promise<Application | undefined> {
  return read
    .selectFrom('codedeploy.applications')
    .selectAll()
    .where('account', '=', account)
    .where('region', '=', region)
    .where('name', '=', name)
    .executeTakeFirst();
}

export async function findApplication(ctx: RequestContext, name: string): Promise<Application> {
  const application = await lookUpApplication(ctx, ctx, name);
  if (!application) throw applicationMissing(name);
  return application;
}

function describe({ id, name, created_at, compute_platform }: Application): ShapeOf<'codedeploy', 'ApplicationInfo'> {
  return { applicationId: id, applicationName: name, createTime: created_at, linkedToGitHub: false, computePlatform: compute_platform };
}

export const createApplication = operation('codedeploy', 'CreateApplication', {
  authorize: ({ applicationName, tags }, ctx) => ({ resource: applicationArn(ctx, applicationName), requestTags: resourceTags(tags) }),
  async handle(ctx, { applicationName, computePlatform = 'Server', tags }) {
    const id = randomUUID();
    await ctx.transaction(async (tx) => {
      const { count } = await tx.sql
        .selectFrom('codedeploy.applications')
        .select(({ fn }) => fn.countAll<number>().as('count'))
        .where('account', '=', ctx.account)
        .where('region', '=', ctx.region)
        .executeTakeFirstOrThrow();
      if (count >= MAX_APPLICATIONS) {
        throw ctx.error(
          'ApplicationLimitExceededException',
          `More applications were attempted to be created than are allowed: ${MAX_APPLICATIONS}`,
        );
      }
      const made = await tx.sql
        .insertInto('codedeploy.applications')
        .values({
          id,
          account: ctx.account,
          region: ctx.region,
          name: applicationName,
          compute_platform: computePlatform,
          tags: JSON.stringify(resourceTags(tags)),
          created_at: ctx.now(),
        })
        .onConflict((conflict) => conflict.columns(['account', 'region', 'name']).doNothing())
        .executeTakeFirst();
      if (!made.numInsertedOrUpdatedRows)
        throw ctx.error('ApplicationAlreadyExistsException', `Application already exists: ${applicationName}`);
    });
    return { applicationId: id };
  },
});

export const getApplication = operation('codedeploy', 'GetApplication', {
  authorize: ({ applicationName }, ctx) => onApplication(ctx, applicationName),
  async handle(ctx, { applicationName }) {
    return { application: describe(await findApplication(ctx, applicationName)) };
  },
});

export const batchGetApplications = operation('codedeploy', 'BatchGetApplications', {
  authorize: ({ applicationNames }, ctx) => Promise.all(applicationNames.slice(0, MAX_NAMES).map((name) => onApplication(ctx, name))),
  async handle(ctx, { applicationNames }) {
    if (applicationNames.length === 0) throw ctx.error('ApplicationNameRequiredException', 'Application name is required.');
    limitBatch(applicationNames, MAX_NAMES);
    const found = await Promise.all([...new Set(applicationNames)].map((name) => findApplication(ctx, name)));
    return { applicationsInfo: found.map(describe) };
  },
});

export const listApplications = operation('codedeploy', 'ListApplications', {
  authorize: () => '*',
  async handle(ctx, { nextToken: token }) {
    const { rows, nextToken } = await onePage(
      ctx,
      'applications',
      token,
      (after: string | undefined, limit) =>
        ctx.read
          .selectFrom('codedeploy.applications')
          .select('name')
          .where('account', '=', ctx.account)
          .where('region', '=', ctx.region)
          .where('name', '>', after ?? '')
          .orderBy('name')
          .limit(limit)
          .execute(),
      ({ name }) => name,
    );
    return { applications: rows.map(({ name }) => name), nextToken };
  },
});

/** Renames it; its deployments are found under the new name too. */
export const updateApplication = operation('codedeploy', 'UpdateApplication', {
  authorize: ({ applicationName }, ctx) => onApplication(ctx, applicationName),
  async handle(ctx, { applicationName, newApplicationName }) {
    if (applicationName === undefined) throw ctx.error('ApplicationNameRequiredException', 'Application name is required.');
    const application = await findApplication(ctx, applicationName);
    if (newApplicationName === undefined || newApplicationName === applicationName) return {};
    await ctx.transaction(async (tx) => {
      await tx.sql
        .updateTable('codedeploy.applications')
        .set({ name: newApplicationName })
        .where('id', '=', application.id)
        .execute()
        .catch(whenTaken(() => ctx.error('ApplicationAlreadyExistsException', `Application already exists: ${newApplicationName}`)));
      const renamed = { application_name: newApplicationName };
      await tx.sql.updateTable('codedeploy.deployments').set(renamed).where('application_id', '=', application.id).execute();
    });
    return {};
  },
});

/** With its groups and revisions. What was deployed stays in the records; a deployment that still runs fails for the lack of its group. */
export const deleteApplication = operation('codedeploy', 'DeleteApplication', {
  authorize: ({ applicationName }, ctx) => onApplication(ctx, applicationName),
  async handle(ctx, { applicationName }) {
    await ctx.transaction(async (tx) => {
      const application = await tx.sql
        .selectFrom('codedeploy.applications')
        .select('id')
        .where('account', '=', ctx.account)
        .where('region', '=', ctx.region)
        .where('name', '=', applicationName)
        .forUpdate()
        .executeTakeFirst();
      if (!application) return;
      const groups = await tx.sql
        .deleteFrom('codedeploy.groups')
        .where('application_id', '=', application.id)
        .returning('active_deployment')
        .execute();
      await tx.sql.deleteFrom('codedeploy.applications').where('id', '=', application.id).execute();
      for (const { active_deployment } of groups) if (active_deployment) await tx.reconcile('codedeploy.deployment', active_deployment);
    });
    return {};
  },
});
