/** Fleets: made, changed, deleted, found and listed. */
import { randomUUID } from 'node:crypto';
import type { Transaction } from '../../../platform/platform.ts';
import { type Check, operation, type RequestContext } from '../../../platform/service.ts';
import { DIRECTIONS, PAGE, pageOf, startOf } from '../pages.ts';
import { invalid } from '../rules.ts';
import { checkServiceRole } from '../service-role.ts';
import { tagMap } from '../tags.ts';
import { findFleet, fleetArn, parseFleetArn } from './find.ts';
import { capacityOf, type Load, loadOf } from './room.ts';
import { fleetDefinition } from './rules.ts';
import { FLEET_RECONCILER, type Fleet, type FleetRow } from './tables.ts';

const UNIQUE_VIOLATION = '23505';
const IDLE: Load = { running: 0, waiting: 0 };

const PARTIAL =
  'capacity is a number of builds at once: machines are made for each build, none stands ready; vpcConfig, proxyConfiguration, imageId, Windows, macOS ' +
  'and CUSTOM_INSTANCE_TYPE are refused';

export const createFleet = operation('codebuild', 'CreateFleet', {
  authorize: ({ name, tags }, ctx) => ({ resource: `${fleetArn({ ...placeOf(ctx), name, id: '*' })}`, requestTags: tagMap(tags) }),
  partial: PARTIAL,
  async handle(ctx, { name, tags, ...given }) {
    const definition = fleetDefinition(undefined, given);
    if (definition.fleetServiceRole !== undefined) await checkServiceRole(ctx, definition.fleetServiceRole);
    const now = ctx.now();
    const row = await ctx.transaction(async (tx) => {
      const made = await tx.sql
        .insertInto('codebuild.fleets')
        .values({
          ...placeOf(ctx),
          name,
          id: randomUUID(),
          definition: JSON.stringify(definition),
          tags: JSON.stringify(tagMap(tags)),
          status: 'CREATING',
          created_at: now,
          modified_at: now,
        })
        .returningAll()
        .executeTakeFirstOrThrow()
        .catch((error) => {
          if (error.code !== UNIQUE_VIOLATION) throw error;
          throw ctx.error('ResourceAlreadyExistsException', `Fleet already exists: ${name}`);
        });
      await tx.reconcile(FLEET_RECONCILER, made.id);
      return made;
    });
    return { fleet: describeFleet(row, IDLE) };
  },
});

export const updateFleet = operation('codebuild', 'UpdateFleet', {
  authorize: async ({ arn, tags }, ctx) => ({ ...(await onFleet(ctx, arn)), requestTags: tagMap(tags) }),
  partial: PARTIAL,
  async handle(ctx, { arn, tags, ...changes }) {
    if (changes.fleetServiceRole !== undefined) await checkServiceRole(ctx, changes.fleetServiceRole);
    const row = await ctx.transaction(async (tx) => {
      const fleet = await lockFleet(tx, ctx, arn);
      if (!fleet) throw ctx.error('ResourceNotFoundException', `Fleet cannot be found: ${arn}`);
      if (fleet.status === 'PENDING_DELETION') throw invalid(`Fleet is being deleted: ${arn}`);
      const updated = await tx.sql
        .updateTable('codebuild.fleets')
        .set({
          definition: JSON.stringify(fleetDefinition(fleet.definition, changes)),
          status: 'UPDATING',
          modified_at: ctx.now(),
          ...(tags === undefined ? {} : { tags: JSON.stringify(tagMap(tags)) }),
        })
        .where('id', '=', fleet.id)
        .returningAll()
        .executeTakeFirstOrThrow();
      await tx.reconcile(FLEET_RECONCILER, fleet.id);
      return updated;
    });
    return { fleet: describeFleet(row, (await loadOf(ctx.read, [row])).get(row.id)) };
  },
});

/** Deleting what is not there succeeds. A fleet in which builds run is deleted when they are over. */
export const deleteFleet = operation('codebuild', 'DeleteFleet', {
  authorize: ({ arn }, ctx) => onFleet(ctx, arn),
  async handle(ctx, { arn }) {
    await ctx.transaction(async (tx) => {
      const fleet = await lockFleet(tx, ctx, arn);
      if (!fleet) return;
      await tx.sql
        .updateTable('codebuild.fleets')
        .set({ status: 'PENDING_DELETION', modified_at: ctx.now() })
        .where('id', '=', fleet.id)
        .execute();
      await tx.reconcile(FLEET_RECONCILER, fleet.id);
    });
    return {};
  },
});

export const batchGetFleets = operation('codebuild', 'BatchGetFleets', {
  authorize: ({ names }, ctx) => Promise.all(names.map((name) => onFleet(ctx, name))),
  async handle(ctx, { names }) {
    const wanted = [...new Set(names)];
    const rows = await Promise.all(wanted.map((name) => findFleet(ctx.read, ctx, name)));
    const found = rows.filter((row) => row !== undefined);
    const loads = await loadOf(ctx.read, found);
    return {
      fleets: found.map((row) => describeFleet(row, loads.get(row.id))),
      fleetsNotFound: wanted.filter((_, index) => !rows[index]),
    };
  },
});

const SORT_COLUMNS = { NAME: 'name', CREATED_TIME: 'created_at', LAST_MODIFIED_TIME: 'modified_at' } as const;

export const listFleets = operation('codebuild', 'ListFleets', {
  authorize: () => '*',
  async handle(ctx, { sortBy = 'NAME', sortOrder = 'ASCENDING', maxResults = PAGE, nextToken }) {
    const scope = `codebuild:ListFleets:${ctx.account}:${ctx.region}:${sortBy}:${sortOrder}`;
    const after = startOf<{ name: string; time: string }>(ctx, scope, nextToken);
    const column = SORT_COLUMNS[sortBy];
    const [direction, behind] = DIRECTIONS[sortOrder];
    let query = ctx.read.selectFrom('codebuild.fleets').selectAll().where('account', '=', ctx.account).where('region', '=', ctx.region);
    if (column !== 'name') {
      query = query.orderBy(column, direction);
      if (after) query = query.where((eb) => eb(eb.refTuple(column, 'name'), behind, eb.tuple(new Date(after.time), after.name)));
    } else if (after) query = query.where('name', behind, after.name);
    const rows = await query
      .orderBy('name', direction)
      .limit(maxResults + 1)
      .execute();
    const { page, nextToken: next } = pageOf(ctx, scope, rows, maxResults, (row) => ({
      name: row.name,
      time: (column === 'modified_at' ? row.modified_at : row.created_at).toISOString(),
    }));
    return { fleets: page.map(fleetArn), nextToken: next };
  },
});

function describeFleet(row: FleetRow, load: Load = IDLE): Fleet {
  const { scalingConfiguration, ...definition } = row.definition;
  return {
    arn: fleetArn(row),
    name: row.name,
    id: row.id,
    created: row.created_at,
    lastModified: row.modified_at,
    status: { statusCode: row.status },
    ...definition,
    scalingConfiguration: scalingConfiguration && { ...scalingConfiguration, desiredCapacity: capacityOf(row.definition, load) },
    tags: Object.entries(row.tags).map(([key, value]) => ({ key, value })),
  };
}

/** By its ARN; undefined when there is none. Throws InvalidInputException when it is no ARN of a fleet here. */
async function lockFleet(tx: Transaction, ctx: RequestContext, arn: string): Promise<FleetRow | undefined> {
  const parsed = parseFleetArn(ctx, arn);
  if (!parsed) throw invalid(`Invalid fleet ARN: ${arn}`);
  return tx.sql
    .selectFrom('codebuild.fleets')
    .selectAll()
    .where('account', '=', ctx.account)
    .where('region', '=', ctx.region)
    .where('name', '=', parsed.name)
    .where('id', '=', parsed.id)
    .forUpdate()
    .executeTakeFirst();
}

async function onFleet(ctx: RequestContext, given: string): Promise<Check> {
  const row = await findFleet(ctx.read, ctx, given);
  if (row) return { resource: fleetArn(row), resourceTags: row.tags };
  return { resource: given.startsWith('arn:') ? given : fleetArn({ ...placeOf(ctx), name: given, id: '*' }) };
}

function placeOf({ account, region }: RequestContext) {
  return { account, region };
}
