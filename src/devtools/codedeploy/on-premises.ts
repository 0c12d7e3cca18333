/** On-premises instances: hosts that are known by the IAM identity that their agent signs as. */
import type { Selectable } from 'kysely';
import { AwsError } from '../../platform/errors.ts';
import type { Transaction } from '../../platform/platform.ts';
import { type Check, type OperationContext, operation, type RequestContext, type ShapeOf } from '../../platform/service.ts';
import { hostKey, instanceArn, instancePolicyArn, randomText, whenTaken } from './names.ts';
import { limitBatch, onePage } from './pages.ts';
import { ACTIVE_STATUSES, type InstancesTable, type TagMap } from './tables.ts';
import { filtersProblem, matchesAny } from './tag-filters.ts';
import { tagList, tagMap } from './tag-lists.ts';

const MAX_NAMES = 100;
const MAX_TAGS = 10;
const SUFFIX_LENGTH = 10;

export type Instance = Selectable<InstancesTable>;

/** Who the agent of an instance signs as. */
export function identityOf({ iam_user_arn, iam_session_arn }: Pick<Instance, 'iam_user_arn' | 'iam_session_arn'>): string {
  return (iam_user_arn ?? iam_session_arn)!;
}

function onInstances(ctx: RequestContext, names: string[]): Check[] {
  return names.slice(0, MAX_NAMES).map((name) => ({ resource: instancePolicyArn(ctx, name) }));
}

function checkName(name: string): void {
  if (name === '') throw new AwsError('InstanceNameRequiredException', 'Instance name is required.');
  if (name.length > 100 || !/^[\w+=,.@-]+$/.test(name)) {
    throw new AwsError(
      'InvalidInstanceNameException',
      `The on-premises instance name was specified in an invalid format: ${name.slice(0, 100)}`,
    );
  }
}

function describe(instance: Instance): ShapeOf<'codedeploy', 'InstanceInfo'> {
  return {
    instanceName: instance.name,
    iamSessionArn: instance.iam_session_arn ?? undefined,
    iamUserArn: instance.iam_user_arn ?? undefined,
    instanceArn: instanceArn(instance, instance.name, instance.suffix),
    registerTime: instance.registered_at,
    deregisterTime: instance.deregistered_at ?? undefined,
    tags: tagList(instance.tags),
  };
}

export const registerOnPremisesInstance = operation('codedeploy', 'RegisterOnPremisesInstance', {
  authorize: ({ instanceName }, ctx) => instancePolicyArn(ctx, instanceName),
  async handle(ctx, { instanceName: name, iamUserArn, iamSessionArn }) {
    checkName(name);
    if (iamUserArn !== undefined && iamSessionArn !== undefined) {
      throw ctx.error(
        'MultipleIamArnsProvidedException',
        'Both an IAM user ARN and an IAM session ARN were included in the request. Use only one ARN type.',
      );
    }
    if (iamUserArn === undefined && iamSessionArn === undefined) {
      throw ctx.error(
        'IamArnRequiredException',
        'No IAM ARN was included in the request. You must use an IAM session ARN or IAM user ARN in the request.',
      );
    }
    if (iamUserArn !== undefined && !isIdentity(ctx.account, iamUserArn, 'iam', 'user/.+')) {
      throw ctx.error('InvalidIamUserArnException', `The IAM user ARN was specified in an invalid format: ${iamUserArn}`);
    }
    if (iamSessionArn !== undefined && !isIdentity(ctx.account, iamSessionArn, 'sts', 'assumed-role/[^/]+/[^/]+')) {
      throw ctx.error('InvalidIamSessionArnException', `The IAM session ARN was specified in an invalid format: ${iamSessionArn}`);
    }
    await ctx.transaction(async (tx) => {
      const before = await lockInstances(tx, ctx, [name]);
      if (before.some(({ deregistered_at }) => deregistered_at === null)) {
        throw ctx.error('InstanceNameAlreadyRegisteredException', `The specified on-premises instance name is already registered: ${name}`);
      }
      const row = {
        suffix: randomText(SUFFIX_LENGTH),
        iam_user_arn: iamUserArn ?? null,
        iam_session_arn: iamSessionArn ?? null,
        tags: '{}',
        registered_at: ctx.now(),
        deregistered_at: null,
      };
      await tx.sql
        .insertInto('codedeploy.instances')
        .values({ account: ctx.account, region: ctx.region, name, ...row })
        .onConflict((conflict) => conflict.columns(['account', 'region', 'name']).doUpdateSet(row))
        .execute()
        .catch(whenTaken(() => identityTaken(ctx, iamUserArn, iamSessionArn)));
    });
    return {};
  },
});

function identityTaken(
  ctx: OperationContext<'IamUserArnAlreadyRegisteredException' | 'IamSessionArnAlreadyRegisteredException'>,
  user: string | undefined,
  session: string | undefined,
): AwsError {
  return user !== undefined
    ? ctx.error(
        'IamUserArnAlreadyRegisteredException',
        `The specified IAM user ARN is already registered with an on-premises instance: ${user}`,
      )
    : ctx.error(
        'IamSessionArnAlreadyRegisteredException',
        `The request included an IAM session ARN that has already been used to register a different instance: ${session}`,
      );
}

function isIdentity(account: string, arn: string, service: 'iam' | 'sts', resource: string): boolean {
  return new RegExp(`^arn:aws[\\w-]*:${service}::${account}:${resource}$`).test(arn);
}

/** A deployment that is on its way to the instance goes on without it. */
export const deregisterOnPremisesInstance = operation('codedeploy', 'DeregisterOnPremisesInstance', {
  authorize: ({ instanceName }, ctx) => instancePolicyArn(ctx, instanceName),
  async handle(ctx, { instanceName }) {
    checkName(instanceName);
    await ctx.transaction(async (tx) => {
      const [instance] = await lockInstances(tx, ctx, [instanceName]);
      if (!instance || instance.deregistered_at) return;
      await tx.sql
        .updateTable('codedeploy.instances')
        .set({ deregistered_at: ctx.now() })
        .where('account', '=', ctx.account)
        .where('region', '=', ctx.region)
        .where('name', '=', instanceName)
        .execute();
      const running = await tx.sql
        .selectFrom('codedeploy.targets as target')
        .innerJoin('codedeploy.deployments as deployment', 'deployment.id', 'target.deployment_id')
        .select('deployment.id')
        .where('target.host', '=', hostKey(ctx, identityOf(instance)))
        .where('deployment.status', 'in', ACTIVE_STATUSES)
        .execute();
      for (const { id } of running) await tx.reconcile('codedeploy.deployment', id);
    });
    return {};
  },
});

export const getOnPremisesInstance = operation('codedeploy', 'GetOnPremisesInstance', {
  authorize: ({ instanceName }, ctx) => instancePolicyArn(ctx, instanceName),
  async handle(ctx, { instanceName }) {
    checkName(instanceName);
    const [instance] = await readInstances(ctx, [instanceName]);
    if (!instance) throw notRegistered(instanceName);
    return { instanceInfo: describe(instance) };
  },
});

export const batchGetOnPremisesInstances = operation('codedeploy', 'BatchGetOnPremisesInstances', {
  authorize: ({ instanceNames }, ctx) => onInstances(ctx, instanceNames),
  async handle(ctx, { instanceNames }) {
    if (instanceNames.length === 0) throw ctx.error('InstanceNameRequiredException', 'Instance name is required.');
    limitBatch(instanceNames, MAX_NAMES);
    return { instanceInfos: (await readInstances(ctx, instanceNames)).map(describe) };
  },
});

export const listOnPremisesInstances = operation('codedeploy', 'ListOnPremisesInstances', {
  authorize: () => '*',
  async handle(ctx, { registrationStatus, tagFilters = [], nextToken: token }) {
    const problem = filtersProblem(tagFilters);
    if (problem) throw ctx.error('InvalidTagFilterException', problem);
    const list = `instances:${registrationStatus}:${JSON.stringify(tagFilters)}`;
    const { rows, nextToken } = await onePage(
      ctx,
      list,
      token,
      async (after: string | undefined, limit) => {
        let query = ctx.read
          .selectFrom('codedeploy.instances')
          .select(['name', 'tags'])
          .where('account', '=', ctx.account)
          .where('region', '=', ctx.region)
          .where('name', '>', after ?? '')
          .orderBy('name');
        if (registrationStatus) query = query.where('deregistered_at', registrationStatus === 'Registered' ? 'is' : 'is not', null);
        if (tagFilters.length === 0) return query.limit(limit).execute();
        return (await query.execute()).filter(({ tags }) => matchesAny(tagFilters, tags)).slice(0, limit);
      },
      ({ name }) => name,
    );
    return { instanceNames: rows.map(({ name }) => name), nextToken };
  },
});

type TagOperation = 'AddTagsToOnPremisesInstances' | 'RemoveTagsFromOnPremisesInstances';
type Tags = ShapeOf<'codedeploy', 'Tag'>[];

/** Changes the tags of several instances, or of none. */
async function retag(ctx: RequestContext, names: string[], tags: Tags, change: (before: TagMap) => TagMap): Promise<void> {
  if (names.length === 0) throw new AwsError('InstanceNameRequiredException', 'Instance name is required.');
  if (tags.length === 0) throw new AwsError('TagRequiredException', 'A tag was not specified.');
  if (names.length > MAX_NAMES)
    throw new AwsError('InstanceLimitExceededException', `The maximum number of instances (${MAX_NAMES}) was exceeded.`);
  for (const name of names) checkName(name);
  for (const { Key, Value = '' } of tags) {
    if (!Key || Key.length > 128 || Value.length > 256)
      throw new AwsError('InvalidTagException', 'The tag was specified in an invalid format.');
  }
  await ctx.transaction(async (tx) => {
    const found = await lockInstances(tx, ctx, names);
    for (const name of names) {
      const instance = found.find((one) => one.name === name && one.deregistered_at === null);
      if (!instance) throw notRegistered(name);
      const after = change(instance.tags);
      if (Object.keys(after).length > MAX_TAGS) {
        throw new AwsError('TagLimitExceededException', `The maximum allowed number of tags (${MAX_TAGS}) was exceeded for ${name}.`);
      }
      await tx.sql
        .updateTable('codedeploy.instances')
        .set({ tags: JSON.stringify(after) })
        .where('account', '=', ctx.account)
        .where('region', '=', ctx.region)
        .where('name', '=', name)
        .execute();
    }
  });
}

const tagging = <O extends TagOperation>(name: O, change: (before: TagMap, tags: Tags) => TagMap) =>
  operation('codedeploy', name as TagOperation, {
    authorize: ({ instanceNames }, ctx) => onInstances(ctx, instanceNames),
    async handle(ctx, { instanceNames, tags }) {
      await retag(ctx, [...new Set(instanceNames)], tags, (before) => change(before, tags));
      return {};
    },
  });

export const addTagsToOnPremisesInstances = tagging('AddTagsToOnPremisesInstances', (before, tags) => ({ ...before, ...tagMap(tags) }));

/** A tag goes when key and value are those it has; a tag given without a value goes whatever value it has. */
export const removeTagsFromOnPremisesInstances = tagging('RemoveTagsFromOnPremisesInstances', (before, tags) =>
  Object.fromEntries(
    Object.entries(before).filter(
      ([key, value]) => !tags.some(({ Key, Value }) => Key === key && (Value === undefined || Value === value)),
    ),
  ),
);

function notRegistered(name: string): AwsError {
  return new AwsError('InstanceNotRegisteredException', `The specified on-premises instance is not registered: ${name}`);
}

function readInstances(ctx: RequestContext, names: string[]): Promise<Instance[]> {
  return ctx.read
    .selectFrom('codedeploy.instances')
    .selectAll()
    .where('account', '=', ctx.account)
    .where('region', '=', ctx.region)
    .where('name', 'in', names)
    .orderBy('name')
    .execute();
}

function lockInstances(tx: Transaction, ctx: RequestContext, names: string[]): Promise<Instance[]> {
  return tx.sql
    .selectFrom('codedeploy.instances')
    .selectAll()
    .where('account', '=', ctx.account)
    .where('region', '=', ctx.region)
    .where('name', 'in', names)
    .orderBy('name')
    .forUpdate()
    .execute();
}
