/** Revisions of applications: registered by users, or by the deployment that first names them. */
import { sql } from 'kysely';
import { AwsError } from '../../platform/errors.ts';
import type { Transaction } from '../../platform/platform.ts';
import { operation, type RequestContext, type ShapeOf } from '../../platform/service.ts';
import { type Application, findApplication, onApplication } from './applications.ts';
import { limitBatch, onePage } from './pages.ts';
import { locationDigest, locationProblem, normalized } from './revision-location.ts';
import type { RevisionLocation } from './tables.ts';

const MAX_REVISIONS = 25;
const MAX_DESCRIPTION = 1000;

export interface CheckedRevision {
  location: RevisionLocation;
  digest: string;
}

/** The location as it is kept, with its digest; the real error if it is none for this application. */
export function checkedLocation(application: Application, location: RevisionLocation): CheckedRevision {
  const problem = locationProblem(location, application.compute_platform);
  if (problem) throw new AwsError('InvalidRevisionException', problem);
  const kept = normalized(location);
  return { location: kept, digest: locationDigest(kept) };
}

export function checkDescription(description: string | undefined): void {
  if ((description?.length ?? 0) > MAX_DESCRIPTION) {
    throw new AwsError('DescriptionTooLongException', `The description is too long: it can have up to ${MAX_DESCRIPTION} characters.`);
  }
}

/** Keeps a revision if it is new, and when it was used if it is being deployed. */
export async function registerRevision(
  tx: Transaction,
  application: Application,
  { location, digest }: CheckedRevision,
  { now, description, used }: { now: Date; description?: string | undefined; used: boolean },
): Promise<void> {
  const usedAt = used ? now : null;
  await tx.sql
    .insertInto('codedeploy.revisions')
    .values({
      application_id: application.id,
      digest,
      location: JSON.stringify(location),
      description: description ?? null,
      registered_at: now,
      first_used_at: usedAt,
      last_used_at: usedAt,
    })
    .onConflict((conflict) =>
      conflict.columns(['application_id', 'digest']).doUpdateSet({
        ...(description !== undefined && { description }),
        ...(used ? { first_used_at: sql`coalesce(revisions.first_used_at, ${now})`, last_used_at: now } : { registered_at: now }),
      }),
    )
    .execute();
}

interface Found {
  digest: string;
  location: RevisionLocation;
  info: ShapeOf<'codedeploy', 'GenericRevisionInfo'>;
}

async function findRevisions(ctx: RequestContext, application: Application, digests: string[]): Promise<Found[]> {
  const rows = await ctx.read
    .selectFrom('codedeploy.revisions')
    .selectAll()
    .where('application_id', '=', application.id)
    .where('digest', 'in', digests)
    .execute();
  const groups = await ctx.read
    .selectFrom('codedeploy.groups')
    .select(['name', 'target_revision'])
    .where('application_id', '=', application.id)
    .where('target_revision', 'in', digests)
    .orderBy('name')
    .execute();
  return rows.map((row) => ({
    digest: row.digest,
    location: row.location,
    info: {
      description: row.description ?? undefined,
      deploymentGroups: groups.filter(({ target_revision }) => target_revision === row.digest).map(({ name }) => name),
      firstUsedTime: row.first_used_at ?? undefined,
      lastUsedTime: row.last_used_at ?? undefined,
      registerTime: row.registered_at,
    },
  }));
}

export const registerApplicationRevision = operation('codedeploy', 'RegisterApplicationRevision', {
  authorize: ({ applicationName }, ctx) => onApplication(ctx, applicationName),
  async handle(ctx, { applicationName, description, revision }) {
    checkDescription(description);
    const application = await findApplication(ctx, applicationName);
    const checked = checkedLocation(application, revision);
    await ctx.transaction((tx) => registerRevision(tx, application, checked, { now: ctx.now(), description, used: false }));
    return {};
  },
});

export const getApplicationRevision = operation('codedeploy', 'GetApplicationRevision', {
  authorize: ({ applicationName }, ctx) => onApplication(ctx, applicationName),
  async handle(ctx, { applicationName, revision }) {
    const application = await findApplication(ctx, applicationName);
    const { digest } = checkedLocation(application, revision);
    const [found] = await findRevisions(ctx, application, [digest]);
    if (!found) throw ctx.error('RevisionDoesNotExistException', 'The specified revision does not exist');
    return { applicationName, revision: found.location, revisionInfo: found.info };
  },
});

export const batchGetApplicationRevisions = operation('codedeploy', 'BatchGetApplicationRevisions', {
  authorize: ({ applicationName }, ctx) => onApplication(ctx, applicationName),
  async handle(ctx, { applicationName, revisions }) {
    if (revisions.length === 0) throw ctx.error('RevisionRequiredException', 'Revision is required.');
    limitBatch(revisions, MAX_REVISIONS);
    const application = await findApplication(ctx, applicationName);
    const asked = revisions.map((revision) => checkedLocation(application, revision));
    const found = new Map(
      (
        await findRevisions(
          ctx,
          application,
          asked.map(({ digest }) => digest),
        )
      ).map((one) => [one.digest, one]),
    );
    const missing = asked.filter(({ digest }) => !found.has(digest));
    return {
      applicationName,
      revisions: [...found.values()].map(({ location, info }) => ({ revisionLocation: location, genericRevisionInfo: info })),
      ...(missing.length > 0 && {
        errorMessage: `Revisions do not exist: ${missing.map(({ location }) => JSON.stringify(location)).join(', ')}`,
      }),
    };
  },
});

const SORT_COLUMNS = { registerTime: 'registered_at', firstUsedTime: 'first_used_at', lastUsedTime: 'last_used_at' } as const;

export const listApplicationRevisions = operation('codedeploy', 'ListApplicationRevisions', {
  authorize: ({ applicationName }, ctx) => onApplication(ctx, applicationName),
  async handle(ctx, { applicationName, sortBy, sortOrder = 'ascending', s3Bucket, s3KeyPrefix, deployed = 'ignore', nextToken: token }) {
    if (s3KeyPrefix !== undefined && s3Bucket === undefined) {
      throw ctx.error('BucketNameFilterRequiredException', 'A bucket name is required, but was not provided.');
    }
    const application = await findApplication(ctx, applicationName);
    const list = ['revisions', application.id, sortBy, sortOrder, s3Bucket, s3KeyPrefix, deployed].join('|');
    const column = SORT_COLUMNS[sortBy ?? 'registerTime'];
    const [direction, beyond] = sortOrder === 'ascending' ? (['asc', '>'] as const) : (['desc', '<'] as const);
    const { rows, nextToken } = await onePage(
      ctx,
      list,
      token,
      (after: { time: number; digest: string } | undefined, limit) => {
        // Never used sorts as used before all others; in milliseconds, since a token carries no finer time.
        const time = sql<number>`coalesce(floor(extract(epoch from ${sql.ref(column)}) * 1000), 0)::bigint`;
        let query = ctx.read
          .selectFrom('codedeploy.revisions')
          .select(['location', 'digest', time.as('time')])
          .where('application_id', '=', application.id)
          .orderBy(time, direction)
          .orderBy('digest', direction)
          .limit(limit);
        if (after) query = query.where(sql`(${time}, digest)`, beyond, sql`(${after.time}, ${after.digest})`);
        if (s3Bucket !== undefined) query = query.where(sql`location #>> '{s3Location,bucket}'`, '=', s3Bucket);
        if (s3KeyPrefix !== undefined) query = query.where(sql<boolean>`starts_with(location #>> '{s3Location,key}', ${s3KeyPrefix})`);
        if (deployed !== 'ignore') {
          const targets = ctx.read
            .selectFrom('codedeploy.groups')
            .select('target_revision')
            .where('application_id', '=', application.id)
            .where('target_revision', 'is not', null);
          query = query.where('digest', deployed === 'include' ? 'in' : 'not in', targets);
        }
        return query.execute();
      },
      ({ time, digest }) => ({ time, digest }),
    );
    return { revisions: rows.map(({ location }) => location), nextToken };
  },
});
