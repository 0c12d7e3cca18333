/** Tags of pipelines. */
import type { Transaction } from '../../platform/platform.ts';
import { type OperationContext, operation, type ShapeOf } from '../../platform/service.ts';
import { pipelineNamed } from './find-pipeline.ts';
import type { PipelineRow } from './tables.ts';
import './tables.ts';

type Tag = ShapeOf<'codepipeline', 'Tag'>;
const MAX_TAGS = 50;

export function checkTags(ctx: OperationContext<'TooManyTagsException' | 'InvalidTagsException'>, tags: Tag[] | undefined): void {
  if (!tags) return;
  if (tags.length > MAX_TAGS) throw ctx.error('TooManyTagsException', `A pipeline can have at most ${MAX_TAGS} tags.`);
  if (tags.some(({ key }) => /^aws:/i.test(key))) throw ctx.error('InvalidTagsException', 'Tag keys must not start with aws:.');
  if (new Set(tags.map(({ key }) => key)).size < tags.length)
    throw ctx.error('InvalidTagsException', 'Duplicate tag keys are not allowed.');
}

export async function writeTags(tx: Transaction, pipelineId: string, tags: Tag[]): Promise<void> {
  if (tags.length === 0) return;
  await tx.sql
    .insertInto('codepipeline.tags')
    .values(tags.map(({ key, value }) => ({ pipeline_id: pipelineId, key, value })))
    .onConflict((conflict) => conflict.columns(['pipeline_id', 'key']).doUpdateSet((eb) => ({ value: eb.ref('excluded.value') })))
    .execute();
}

async function pipelineOf(ctx: OperationContext<'ResourceNotFoundException'>, arn: string): Promise<PipelineRow> {
  const [, , , region, account, ...name] = arn.split(':');
  const row = region === ctx.region && account === ctx.account ? await pipelineNamed(ctx, name.join(':')) : undefined;
  if (!row) throw ctx.error('ResourceNotFoundException', `The resource ${arn} was not found.`);
  return row;
}

export const tagResource = operation('codepipeline', 'TagResource', {
  authorize: ({ resourceArn, tags }) => ({
    resource: resourceArn,
    requestTags: Object.fromEntries(tags.map(({ key, value }) => [key, value])),
  }),
  async handle(ctx, { resourceArn, tags }) {
    const row = await pipelineOf(ctx, resourceArn);
    checkTags(ctx, tags);
    await ctx.transaction(async (tx) => {
      await writeTags(tx, row.id, tags);
      const { count } = await tx.sql
        .selectFrom('codepipeline.tags')
        .select((eb) => eb.fn.countAll<number>().as('count'))
        .where('pipeline_id', '=', row.id)
        .executeTakeFirstOrThrow();
      if (count > MAX_TAGS) throw ctx.error('TooManyTagsException', `A pipeline can have at most ${MAX_TAGS} tags.`);
    });
    return {};
  },
});

export const untagResource = operation('codepipeline', 'UntagResource', {
  authorize: ({ resourceArn }) => resourceArn,
  async handle(ctx, { resourceArn, tagKeys }) {
    const row = await pipelineOf(ctx, resourceArn);
    if (tagKeys.length > 0) {
      await ctx.transaction((tx) =>
        tx.sql.deleteFrom('codepipeline.tags').where('pipeline_id', '=', row.id).where('key', 'in', tagKeys).execute(),
      );
    }
    return {};
  },
});

export const listTagsForResource = operation('codepipeline', 'ListTagsForResource', {
  authorize: ({ resourceArn }) => resourceArn,
  async handle(ctx, { resourceArn, nextToken, maxResults = MAX_TAGS }) {
    const row = await pipelineOf(ctx, resourceArn);
    const scope = `codepipeline:ListTagsForResource:${row.id}`;
    const after = nextToken === undefined ? '' : ctx.paging.open<string>(scope, nextToken);
    if (after === undefined) throw ctx.error('InvalidNextTokenException', 'The next token is not valid.');
    const tags = await ctx.read
      .selectFrom('codepipeline.tags')
      .select(['key', 'value'])
      .where('pipeline_id', '=', row.id)
      .where('key', '>', after)
      .orderBy('key')
      .limit(maxResults + 1)
      .execute();
    const page = tags.slice(0, maxResults);
    return { tags: page, nextToken: tags.length > maxResults ? ctx.paging.seal(scope, page.at(-1)!.key) : undefined };
  },
});
