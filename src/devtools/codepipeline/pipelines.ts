/** Pipelines and their versions. */
import { randomUUID } from 'node:crypto';
import { AwsError } from '../../platform/errors.ts';
import type { Transaction } from '../../platform/platform.ts';
import { type OperationContext, operation } from '../../platform/service.ts';
import { arnOf, pipelineArn } from './arns.ts';
import { declarationOf, findPipeline } from './find-pipeline.ts';
import { startExecution } from './start.ts';
import { checkStructure, StructureError } from './structure.ts';
import type { Declaration, PipelineRow } from './tables.ts';
import './tables.ts';
import { checkTags, writeTags } from './tags.ts';
import { keepWatches, watchedSources } from './watches.ts';

const MAX_PIPELINES = 1000;
const PAGE = 1000;

/** The role and those of its actions are passed to CodePipeline: iam:PassRole. */
function passRoles({ roleArn, stages }: Declaration) {
  const roles = new Set([roleArn, ...stages.flatMap((stage) => stage.actions).flatMap((action) => action.roleArn ?? [])]);
  return [...roles].map((resource) => ({
    action: 'iam:PassRole',
    resource,
    conditions: { 'iam:PassedToService': 'codepipeline.amazonaws.com' },
  }));
}

function checked(ctx: OperationContext<StructureError['code']>, pipeline: Declaration): Declaration {
  try {
    checkStructure(pipeline, ctx.region);
  } catch (error) {
    if (error instanceof StructureError) throw ctx.error(error.code, error.message);
    throw error;
  }
  return { ...pipeline, pipelineType: pipeline.pipelineType ?? 'V1', executionMode: pipeline.executionMode ?? 'SUPERSEDED' };
}

/** The role must let CodePipeline in, as AWS checks it when a pipeline is made. */
async function requireRole(ctx: OperationContext<'InvalidStructureException'>, { roleArn, name }: Declaration): Promise<void> {
  try {
    await ctx.aws.as({ role: roleArn, service: 'codepipeline', sessionName: name, region: ctx.region });
  } catch (error) {
    if (!(error instanceof AwsError)) throw error;
    throw ctx.error('InvalidStructureException', `CodePipeline is not authorized to perform AssumeRole on role ${roleArn}`);
  }
}

export const createPipeline = operation('codepipeline', 'CreatePipeline', {
  authorize: ({ pipeline, tags = [] }, ctx) => [
    { resource: arnOf(ctx, pipeline.name), requestTags: Object.fromEntries(tags.map(({ key, value }) => [key, value])) },
    ...passRoles(pipeline),
  ],
  async handle(ctx, input) {
    const declaration = { ...checked(ctx, input.pipeline), version: 1 };
    checkTags(ctx, input.tags);
    await requireRole(ctx, declaration);
    const now = ctx.now();
    const row: PipelineRow = {
      id: randomUUID(),
      account: ctx.account,
      region: ctx.region,
      name: declaration.name,
      version: 1,
      role_arn: declaration.roleArn,
      execution_mode: declaration.executionMode!,
      pipeline_type: declaration.pipelineType!,
      created_at: now,
      updated_at: now,
    };
    await ctx.transaction(async (tx) => {
      const { count } = await tx.sql
        .selectFrom('codepipeline.pipelines')
        .select((eb) => eb.fn.countAll<number>().as('count'))
        .where((eb) => eb.and({ account: ctx.account, region: ctx.region }))
        .executeTakeFirstOrThrow();
      if (count >= MAX_PIPELINES)
        throw ctx.error('LimitExceededException', `The number of pipelines of an account is limited to ${MAX_PIPELINES}.`);
      const made = await tx.sql
        .insertInto('codepipeline.pipelines')
        .values(row)
        .onConflict((conflict) => conflict.doNothing())
        .returning('id')
        .executeTakeFirst();
      if (!made)
        throw ctx.error('PipelineNameInUseException', `A pipeline with the name '${row.name}' already exists in account '${row.account}'`);
      await keepVersion(tx, row, declaration);
      await writeTags(tx, row.id, input.tags ?? []);
      await startExecution(tx, row, declaration, { type: 'CreatePipeline', detail: ctx.principal.arn }, now);
    });
    return { pipeline: declaration, tags: input.tags };
  },
});

async function keepVersion(tx: Transaction, row: PipelineRow, declaration: Declaration): Promise<void> {
  await tx.sql
    .insertInto('codepipeline.versions')
    .values({ pipeline_id: row.id, version: row.version, declaration: JSON.stringify(declaration) })
    .execute();
  await keepWatches(tx, row.id, watchedSources(declaration));
}

export const updatePipeline = operation('codepipeline', 'UpdatePipeline', {
  authorize: ({ pipeline }, ctx) => [{ resource: arnOf(ctx, pipeline.name) }, ...passRoles(pipeline)],
  async handle(ctx, input) {
    const declaration = checked(ctx, input.pipeline);
    await requireRole(ctx, declaration);
    const version = await ctx.transaction(async (tx) => {
      const current = await tx.sql
        .selectFrom('codepipeline.pipelines')
        .selectAll()
        .where((eb) => eb.and({ account: ctx.account, region: ctx.region, name: declaration.name }))
        .forNoKeyUpdate()
        .executeTakeFirst();
      if (!current) {
        // As AWS answers, although its model does not list the code for this operation.
        throw new AwsError(
          'ResourceNotFoundException',
          `The account with id '${ctx.account}' does not include a pipeline with the name '${declaration.name}'`,
        );
      }
      const row: PipelineRow = {
        ...current,
        version: current.version + 1,
        role_arn: declaration.roleArn,
        execution_mode: declaration.executionMode!,
        pipeline_type: declaration.pipelineType!,
        updated_at: ctx.now(),
      };
      await tx.sql.updateTable('codepipeline.pipelines').set(row).where('id', '=', row.id).execute();
      await keepVersion(tx, row, { ...declaration, version: row.version });
      return row.version;
    });
    return { pipeline: { ...declaration, version } };
  },
});

export const getPipeline = operation('codepipeline', 'GetPipeline', {
  authorize: ({ name }, ctx) => arnOf(ctx, name),
  async handle(ctx, { name, version }) {
    const row = await findPipeline(ctx, name);
    const declaration = await declarationOf(ctx.read, row.id, version ?? row.version);
    if (!declaration) {
      throw ctx.error(
        'PipelineVersionNotFoundException',
        `Account '${ctx.account}' does not have a pipeline with name '${name}' and version '${version}'`,
      );
    }
    return {
      pipeline: { ...declaration, version: version ?? row.version },
      metadata: { pipelineArn: pipelineArn(row), created: row.created_at, updated: row.updated_at },
    };
  },
});

export const deletePipeline = operation('codepipeline', 'DeletePipeline', {
  authorize: ({ name }, ctx) => arnOf(ctx, name),
  async handle(ctx, { name }) {
    // Running actions end on their own; their rows go with the pipeline, as on AWS.
    await ctx.transaction((tx) =>
      tx.sql
        .deleteFrom('codepipeline.pipelines')
        .where((eb) => eb.and({ account: ctx.account, region: ctx.region, name }))
        .execute(),
    );
    return {};
  },
});

export const listPipelines = operation('codepipeline', 'ListPipelines', {
  authorize: (_input, ctx) => arnOf(ctx, '*'),
  async handle(ctx, { nextToken, maxResults = PAGE }) {
    const scope = `codepipeline:ListPipelines:${ctx.account}:${ctx.region}`;
    const after = nextToken === undefined ? '' : ctx.paging.open<string>(scope, nextToken);
    if (after === undefined) throw ctx.error('InvalidNextTokenException', 'The next token is not valid.');
    const rows = await ctx.read
      .selectFrom('codepipeline.pipelines')
      .selectAll()
      .where((eb) => eb.and({ account: ctx.account, region: ctx.region }))
      .where('name', '>', after)
      .orderBy('name')
      .limit(maxResults + 1)
      .execute();
    const page = rows.slice(0, maxResults);
    return {
      pipelines: page.map((row) => ({
        name: row.name,
        version: row.version,
        pipelineType: row.pipeline_type,
        executionMode: row.execution_mode,
        created: row.created_at,
        updated: row.updated_at,
      })),
      nextToken: rows.length > maxResults ? ctx.paging.seal(scope, page.at(-1)!.name) : undefined,
    };
  },
});
