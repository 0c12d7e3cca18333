/** Makes an execution, and takes its first step, in the caller's transaction. */
import { randomUUID } from 'node:crypto';
import type { Transaction } from '../../platform/platform.ts';
import { advance } from './engine.ts';
import { pipelineEvent } from './events.ts';
import type { Declaration, ExecutionRow, PipelineRow } from './tables.ts';
import './tables.ts';

export interface Trigger {
  type: ExecutionRow['trigger_type'];
  detail: string;
}

interface Options {
  clientToken?: string | undefined;
  variables?: Record<string, string>;
  sourceRevisions?: ExecutionRow['source_revisions'];
}

/** The id of the execution; that of an earlier one when the token was used before. The caller has locked the pipeline. */
export async function startExecution(
  tx: Transaction,
  pipeline: PipelineRow,
  declaration: Declaration,
  trigger: Trigger,
  now: Date,
  { clientToken, variables = {}, sourceRevisions = [] }: Options = {},
): Promise<string> {
  const defaults = Object.fromEntries(
    (declaration.variables ?? []).flatMap(({ name, defaultValue }) => (defaultValue === undefined ? [] : [[name, defaultValue]])),
  );
  const made = await tx.sql
    .insertInto('codepipeline.executions')
    .values({
      id: randomUUID(),
      pipeline_id: pipeline.id,
      version: pipeline.version,
      mode: pipeline.execution_mode,
      status: 'InProgress',
      status_summary: null,
      trigger_type: trigger.type,
      trigger_detail: trigger.detail,
      variables: JSON.stringify({ ...defaults, ...variables }),
      source_revisions: JSON.stringify(sourceRevisions),
      client_token: clientToken ?? null,
      stop: null,
      stop_reason: null,
      started_at: now,
      updated_at: now,
    })
    .onConflict((conflict) => conflict.columns(['pipeline_id', 'client_token']).doNothing())
    .returningAll()
    .executeTakeFirst();
  if (!made) {
    const { id } = await tx.sql
      .selectFrom('codepipeline.executions')
      .select('id')
      .where((eb) => eb.and({ pipeline_id: pipeline.id, client_token: clientToken! }))
      .executeTakeFirstOrThrow();
    return id;
  }
  await tx.emit(pipelineEvent(pipeline, made, 'STARTED', now));
  await advance(tx, pipeline.id, now);
  return made.id;
}
