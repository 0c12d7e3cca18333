/** Pipelines by their names, and what they said in each of their versions. */
import type { Transaction } from '../../platform/platform.ts';
import type { OperationContext, RequestContext } from '../../platform/service.ts';
import type { Declaration, PipelineRow } from './tables.ts';
import './tables.ts';

export function pipelineNotFound(ctx: OperationContext<'PipelineNotFoundException'>, name: string): Error {
  return ctx.error('PipelineNotFoundException', `Account '${ctx.account}' does not have a pipeline with name '${name}'`);
}

export async function findPipeline(ctx: OperationContext<'PipelineNotFoundException'>, name: string): Promise<PipelineRow> {
  const row = await pipelineNamed(ctx, name);
  if (row) return row;
  throw pipelineNotFound(ctx, name);
}

export function pipelineNamed(ctx: RequestContext, name: string): Promise<PipelineRow | undefined> {
  return ctx.read
    .selectFrom('codepipeline.pipelines')
    .selectAll()
    .where((eb) => eb.and({ account: ctx.account, region: ctx.region, name }))
    .executeTakeFirst();
}

export async function declarationOf(
  read: Pick<Transaction['sql'], 'selectFrom'>,
  pipelineId: string,
  version: number,
): Promise<Declaration | undefined> {
  const row = await read
    .selectFrom('codepipeline.versions')
    .select('declaration')
    .where((eb) => eb.and({ pipeline_id: pipelineId, version }))
    .executeTakeFirst();
  return row?.declaration;
}
