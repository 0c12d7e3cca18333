/** Triggers of a repository: which changes of references are told to which SNS topic or Lambda function. */
import { randomUUID } from 'node:crypto';
import { AwsError } from '../../platform/errors.ts';
import type { RequestContext, ShapeOf } from '../../platform/service.ts';
import { operation } from '../../platform/service.ts';
import { branchTip, checkBranchName } from './branches.ts';
import type { Repository } from './repository.ts';
import { findRepository, onRepository, repositoryMissing } from './repository.ts';
import { send } from './trigger-delivery.ts';
import type { Trigger } from './trigger-record.ts';
import { testMessage } from './trigger-record.ts';

const MAX_TRIGGERS = 10;
const MAX_BRANCHES = 10;
const MAX_CUSTOM_DATA = 1000;
const NO_TRIGGERS = '00000000-0000-0000-0000-000000000000';

export const putRepositoryTriggers = operation('codecommit', 'PutRepositoryTriggers', {
  authorize: ({ repositoryName }, ctx) => onRepository(ctx, repositoryName),
  partial: 'functions are called where PENSTOCK_ENDPOINT_LAMBDA is set; elsewhere the log says that they were not',
  async handle(ctx, { repositoryName, triggers }) {
    checkTriggers(ctx, triggers);
    const repository = await findRepository(ctx, repositoryName);
    const row = { repository_id: repository.id, configuration_id: randomUUID(), triggers: JSON.stringify(triggers) };
    await ctx.transaction(async (tx) => {
      // Pushes lock it too: each is told by the triggers of before or of after, whole.
      const locked = await tx.sql
        .selectFrom('codecommit.repositories')
        .select('id')
        .where('id', '=', repository.id)
        .forUpdate()
        .executeTakeFirst();
      if (!locked) throw repositoryMissing(repositoryName);
      await tx.sql
        .insertInto('codecommit.triggers')
        .values(row)
        .onConflict((conflict) => conflict.column('repository_id').doUpdateSet(row))
        .execute();
    });
    return { configurationId: row.configuration_id };
  },
});

export const getRepositoryTriggers = operation('codecommit', 'GetRepositoryTriggers', {
  authorize: ({ repositoryName }, ctx) => onRepository(ctx, repositoryName),
  async handle(ctx, { repositoryName }) {
    const repository = await findRepository(ctx, repositoryName);
    const row = await ctx.read
      .selectFrom('codecommit.triggers')
      .select(['configuration_id', 'triggers'])
      .where('repository_id', '=', repository.id)
      .executeTakeFirst();
    return { configurationId: row?.configuration_id ?? NO_TRIGGERS, triggers: row?.triggers.map(describe) ?? [] };
  },
});

export const testRepositoryTriggers = operation('codecommit', 'TestRepositoryTriggers', {
  authorize: ({ repositoryName }, ctx) => onRepository(ctx, repositoryName),
  async handle(ctx, { repositoryName, triggers }) {
    if (triggers.length === 0) throw ctx.error('RepositoryTriggersListRequiredException', 'At least one trigger is required.');
    checkTriggers(ctx, triggers);
    const repository = await findRepository(ctx, repositoryName);
    const tip = await latest(ctx, repository);
    const occasion = { repository, configurationId: randomUUID(), caller: ctx.principal.arn, time: ctx.now() };
    const tests = await Promise.all(
      triggers.map(async (trigger) => {
        const failure = await send(ctx, testMessage(trigger, tip, occasion)).then(() => undefined, explain);
        return { trigger: trigger.name, failureMessage: failure };
      }),
    );
    return {
      successfulExecutions: tests.filter(({ failureMessage }) => failureMessage === undefined).map(({ trigger }) => trigger),
      failedExecutions: tests.filter(({ failureMessage }) => failureMessage !== undefined),
    };
  },
});

async function latest(ctx: RequestContext, repository: Repository): Promise<{ branch: string; commit: string } | undefined> {
  const branch = repository.default_branch;
  const commit = branch === null ? undefined : await branchTip(ctx, repository, branch);
  return branch === null || commit === undefined ? undefined : { branch, commit };
}

function explain(error: Error): string {
  return error instanceof AwsError ? `${error.code}: ${error.message}` : error.message;
}

function describe(trigger: Trigger): ShapeOf<'codecommit', 'RepositoryTrigger'> {
  return { ...trigger, branches: trigger.branches ?? [] };
}

function checkTriggers(ctx: RequestContext, triggers: Trigger[]): void {
  if (triggers.length > MAX_TRIGGERS) {
    throw new AwsError('MaximumRepositoryTriggersExceededException', `A repository can have at most ${MAX_TRIGGERS} triggers.`);
  }
  for (const trigger of triggers) checkTrigger(ctx, trigger);
  const names = triggers.map(({ name }) => name);
  const twice = names.find((name, index) => names.indexOf(name) < index);
  if (twice !== undefined) throw new AwsError('InvalidRepositoryTriggerNameException', `More than one trigger is named ${twice}.`);
}

function checkTrigger(ctx: RequestContext, { name, destinationArn, customData = '', branches = [], events }: Trigger): void {
  if (name === '') throw new AwsError('RepositoryTriggerNameRequiredException', 'A name for the trigger is required.');
  if (!/^[\w.-]{1,100}$/.test(name)) {
    throw new AwsError(
      'InvalidRepositoryTriggerNameException',
      `The trigger name is not valid: ${name.slice(0, 200)}. Trigger names are 1 to 100 letters, numbers, periods, underscores and dashes.`,
    );
  }
  checkDestination(ctx, name, destinationArn);
  if (customData.length > MAX_CUSTOM_DATA) {
    throw new AwsError(
      'InvalidRepositoryTriggerCustomDataException',
      `The custom data of the trigger ${name} is longer than ${MAX_CUSTOM_DATA} characters.`,
    );
  }
  if (branches.length > MAX_BRANCHES) {
    throw new AwsError('MaximumBranchesExceededException', `The trigger ${name} has more than ${MAX_BRANCHES} branches.`);
  }
  for (const branch of branches) checkTriggerBranch(name, branch);
  if (events.length === 0) {
    throw new AwsError('RepositoryTriggerEventsListRequiredException', `At least one event is required for the trigger ${name}.`);
  }
  if (events.includes('all') && events.length > 1) {
    throw new AwsError('InvalidRepositoryTriggerEventsException', `The trigger ${name} has the event all, which stands alone.`);
  }
}

function checkDestination(ctx: RequestContext, name: string, arn: string): void {
  if (arn === '')
    throw new AwsError('RepositoryTriggerDestinationArnRequiredException', `A destination ARN is required for the trigger ${name}.`);
  const [, region] =
    /^arn:aws:(?:sns:([\w-]+):\d{12}:[\w.-]{1,256}|lambda:([\w-]+):\d{12}:function:[\w-]{1,140}(?::[\w$-]+)?)$/
      .exec(arn)
      ?.filter((part) => part !== undefined) ?? [];
  if (region === undefined) {
    throw new AwsError(
      'InvalidRepositoryTriggerDestinationArnException',
      `The destination of the trigger ${name} is no ARN of an SNS topic or a Lambda function: ${arn.slice(0, 300)}`,
    );
  }
  if (region !== ctx.region) {
    throw new AwsError(
      'InvalidRepositoryTriggerRegionException',
      `The destination of the trigger ${name} is in ${region}, the repository in ${ctx.region}: they must be in the same region.`,
    );
  }
}

function checkTriggerBranch(name: string, branch: string): void {
  try {
    checkBranchName(branch);
  } catch (cause) {
    throw new AwsError(
      'InvalidRepositoryTriggerBranchNameException',
      `The trigger ${name} has a branch name that is not valid: ${branch}`,
      {
        cause,
      },
    );
  }
}
