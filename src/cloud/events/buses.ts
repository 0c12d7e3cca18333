/** Event buses. "default" is always there. */
import type { OperationContext, RequestContext, ShapeOf } from '../../platform/service.ts';
import { operation } from '../../platform/service.ts';
import { busArn, busName, DEFAULT_BUS } from './arns.ts';
import './tables.ts';
import { writeTags } from './tags.ts';

const MAX_BUSES = 100;
const MAX_POLICY_BYTES = 10_240;
const PAGE = 100;

export async function findBus(ctx: RequestContext, name: string) {
  return ctx.read
    .selectFrom('events.buses')
    .selectAll()
    .where((eb) => eb.and({ account: ctx.account, region: ctx.region, name }))
    .executeTakeFirst();
}

export async function requireBus(ctx: OperationContext<'ResourceNotFoundException'>, name: string): Promise<void> {
  if (name === DEFAULT_BUS || (await findBus(ctx, name))) return;
  throw ctx.error('ResourceNotFoundException', `Event bus ${name} does not exist.`);
}

const ofName = ({ Name }: { Name?: string | undefined }, ctx: RequestContext): string => busArn(ctx, busName(Name));

export const createEventBus = operation('events', 'CreateEventBus', {
  authorize: ofName,
  partial: 'partner event sources, encryption with a KMS key, dead-letter queues and logs of a bus are refused',
  async handle(ctx, input) {
    const { Name: name } = input;
    if (input.EventSourceName || input.KmsKeyIdentifier || input.DeadLetterConfig || input.LogConfig) {
      throw ctx.error(
        'ValidationException',
        'Penstock has no partner event sources, KMS keys, dead-letter queues or logs of event buses yet.',
      );
    }
    if (name.includes('/')) throw ctx.error('ValidationException', 'Event bus name must not contain /.');
    const exists = (): Error => ctx.error('ResourceAlreadyExistsException', `Event bus ${name} already exists.`);
    if (name === DEFAULT_BUS) throw exists();
    const key = { account: ctx.account, region: ctx.region };
    await ctx.transaction(async (tx) => {
      const { count } = await tx.sql
        .selectFrom('events.buses')
        .select((eb) => eb.fn.countAll<number>().as('count'))
        .where((eb) => eb.and(key))
        .executeTakeFirstOrThrow();
      if (count >= MAX_BUSES) throw ctx.error('LimitExceededException', 'The requested resource exceeds the maximum number allowed.');
      const made = await tx.sql
        .insertInto('events.buses')
        .values({ ...key, name, description: input.Description ?? null, policy: null })
        .onConflict((conflict) => conflict.doNothing())
        .returning('name')
        .executeTakeFirst();
      if (!made) throw exists();
      if (input.Tags) await writeTags(tx, busArn(ctx, name), input.Tags);
    });
    return { EventBusArn: busArn(ctx, name), Description: input.Description };
  },
});

export const updateEventBus = operation('events', 'UpdateEventBus', {
  authorize: ofName,
  partial: 'only the description can be changed',
  async handle(ctx, input) {
    const name = busName(input.Name);
    if (input.KmsKeyIdentifier || input.DeadLetterConfig || input.LogConfig) {
      throw ctx.error('ValidationException', 'Penstock has no KMS keys, dead-letter queues or logs of event buses yet.');
    }
    await requireBus(ctx, name);
    const description = input.Description ?? null;
    await ctx.transaction((tx) =>
      tx.sql
        .insertInto('events.buses')
        .values({ account: ctx.account, region: ctx.region, name, description, policy: null })
        .onConflict((conflict) => conflict.columns(['account', 'region', 'name']).doUpdateSet({ description, modified_at: ctx.now() }))
        .execute(),
    );
    return { Arn: busArn(ctx, name), Name: name, Description: input.Description };
  },
});

export const describeEventBus = operation('events', 'DescribeEventBus', {
  authorize: ofName,
  async handle(ctx, input) {
    const name = busName(input.Name);
    await requireBus(ctx, name);
    const row = await findBus(ctx, name);
    return {
      Name: name,
      Arn: busArn(ctx, name),
      Description: row?.description ?? undefined,
      Policy: row?.policy ?? undefined,
      CreationTime: row?.created_at,
      LastModifiedTime: row?.modified_at,
    };
  },
});

export const deleteEventBus = operation('events', 'DeleteEventBus', {
  authorize: ofName,
  async handle(ctx, input) {
    const name = busName(input.Name);
    if (name === DEFAULT_BUS) throw ctx.error('ValidationException', 'Cannot delete event bus default.');
    const key = { account: ctx.account, region: ctx.region };
    await ctx.transaction(async (tx) => {
      const rule = await tx.sql
        .selectFrom('events.rules')
        .select('name')
        .where((eb) => eb.and({ ...key, bus: name }))
        .executeTakeFirst();
      if (rule) throw ctx.error('ValidationException', `Cannot delete event bus ${name} as it has rules.`);
      await tx.sql
        .deleteFrom('events.buses')
        .where((eb) => eb.and({ ...key, name }))
        .execute();
      await tx.sql.deleteFrom('events.tags').where('arn', '=', busArn(ctx, name)).execute();
    });
    return {};
  },
});

export const listEventBuses = operation('events', 'ListEventBuses', {
  authorize: (_input, ctx) => busArn(ctx, '*'),
  async handle(ctx, { NamePrefix = '', NextToken, Limit = PAGE }) {
    const scope = `events:ListEventBuses:${ctx.account}:${ctx.region}`;
    const after = NextToken === undefined ? '' : ctx.paging.open<string>(scope, NextToken);
    if (after === undefined) throw ctx.error('ValidationException', 'The token is not valid.');
    const rows = await ctx.read
      .selectFrom('events.buses')
      .selectAll()
      .where((eb) => eb.and({ account: ctx.account, region: ctx.region }))
      .execute();
    const stored = new Map(rows.map((row) => [row.name, row]));
    const found = [...new Set([DEFAULT_BUS, ...stored.keys()])].filter((name) => name.startsWith(NamePrefix) && name > after).sort();
    const page = found.slice(0, Limit);
    const buses = page.map((name): ShapeOf<'events', 'EventBus'> => {
      const row = stored.get(name);
      return {
        Name: name,
        Arn: busArn(ctx, name),
        Description: row?.description ?? undefined,
        Policy: row?.policy ?? undefined,
        CreationTime: row?.created_at,
        LastModifiedTime: row?.modified_at,
      };
    });
    return { EventBuses: buses, NextToken: found.length > Limit ? ctx.paging.seal(scope, page.at(-1)) : undefined };
  },
});

interface PolicyDocument {
  Version: string;
  Statement: { Sid?: string }[];
}

async function changePolicy(ctx: RequestContext, name: string, change: (policy: PolicyDocument) => PolicyDocument): Promise<void> {
  await ctx.transaction(async (tx) => {
    const key = { account: ctx.account, region: ctx.region, name };
    await tx.sql
      .insertInto('events.buses')
      .values({ ...key, description: null, policy: null })
      .onConflict((conflict) => conflict.doNothing())
      .execute();
    const row = await tx.sql
      .selectFrom('events.buses')
      .select('policy')
      .where((eb) => eb.and(key))
      .forUpdate()
      .executeTakeFirstOrThrow();
    const changed = change(row.policy ? (JSON.parse(row.policy) as PolicyDocument) : { Version: '2012-10-17', Statement: [] });
    const policy = changed.Statement.length > 0 ? JSON.stringify(changed) : null;
    await tx.sql
      .updateTable('events.buses')
      .set({ policy, modified_at: ctx.now() })
      .where((eb) => eb.and(key))
      .execute();
  });
}

export const putPermission = operation('events', 'PutPermission', {
  authorize: (input, ctx) => busArn(ctx, busName(input.EventBusName)),
  async handle(ctx, input) {
    const name = busName(input.EventBusName);
    await requireBus(ctx, name);
    if (input.Policy !== undefined) {
      const given = parsePolicy(input.Policy);
      if (!given) throw ctx.error('ValidationException', 'Policy is not a valid JSON policy document.');
      if (Buffer.byteLength(input.Policy) > MAX_POLICY_BYTES)
        throw ctx.error('PolicyLengthExceededException', 'The event bus policy is too long.');
      await changePolicy(ctx, name, () => given);
      return {};
    }
    const { Action, Principal, StatementId, Condition } = input;
    if (!Action || !Principal || !StatementId) {
      throw ctx.error('ValidationException', 'Parameters Action, Principal and StatementId must be specified, or Policy.');
    }
    const statement = {
      Sid: StatementId,
      Effect: 'Allow',
      Principal: Principal === '*' ? '*' : { AWS: `arn:aws:iam::${Principal}:root` },
      Action,
      Resource: busArn(ctx, name),
      ...(Condition ? { Condition: { [Condition.Type]: { [Condition.Key]: Condition.Value } } } : {}),
    };
    await changePolicy(ctx, name, (policy) => ({
      ...policy,
      Statement: [...policy.Statement.filter(({ Sid }) => Sid !== StatementId), statement],
    }));
    return {};
  },
});

function parsePolicy(text: string): PolicyDocument | undefined {
  try {
    const policy = JSON.parse(text) as PolicyDocument;
    return Array.isArray(policy.Statement) ? policy : undefined;
  } catch {
    return undefined;
  }
}

export const removePermission = operation('events', 'RemovePermission', {
  authorize: (input, ctx) => busArn(ctx, busName(input.EventBusName)),
  async handle(ctx, input) {
    const name = busName(input.EventBusName);
    await requireBus(ctx, name);
    const row = await findBus(ctx, name);
    const policy = row?.policy ? (JSON.parse(row.policy) as PolicyDocument) : undefined;
    if (!input.RemoveAllPermissions && !policy?.Statement.some(({ Sid }) => Sid === input.StatementId)) {
      throw ctx.error(
        'ResourceNotFoundException',
        policy ? 'Statement with the provided id does not exist.' : 'EventBus does not have a policy.',
      );
    }
    await changePolicy(ctx, name, (current) => ({
      ...current,
      Statement: input.RemoveAllPermissions ? [] : current.Statement.filter(({ Sid }) => Sid !== input.StatementId),
    }));
    return {};
  },
});
