/**
 * Moves the executions of one pipeline on: who may enter which stage, which actions are due, what is finished. One reconciler a pipeline, so
 * that stage locks and superseding need no locks of their own. It does no action's work: each action run is a reconciler too.
 */
import { randomUUID } from 'node:crypto';
import type { AwsEvent, Transaction } from '../../platform/platform.ts';
import type { Reconciler } from '../../platform/service.ts';
import { actionEvent, pipelineEvent, stageEvent } from './events.ts';
import { declarationOf } from './find-pipeline.ts';
import { ACTION } from './kinds.ts';
import type {
  ActionDeclaration,
  ActionRunRow,
  Declaration,
  ExecutionRow,
  ExecutionStatus,
  PipelineRow,
  StageDeclaration,
  StageRunRow,
  StageStatus,
} from './tables.ts';
import './tables.ts';

const ACTIVE: ExecutionStatus[] = ['InProgress', 'Stopping'];

export const pipelines: Reconciler = {
  async run(platform, id) {
    await platform.transaction((tx) => advance(tx, id, platform.now()));
  },
  async pending(platform) {
    const rows = await platform.read
      .selectFrom('codepipeline.executions')
      .select('pipeline_id')
      .distinct()
      .where('status', 'in', ACTIVE)
      .execute();
    return rows.map((row) => row.pipeline_id);
  },
};

/** Taken before any row of the pipeline's executions is changed, by whoever goes on to `advance`: so nobody waits in a circle. */
export function lockPipeline(tx: Transaction, pipelineId: string): Promise<PipelineRow | undefined> {
  return (
    tx.sql
      .selectFrom('codepipeline.pipelines')
      .selectAll()
      .where('id', '=', pipelineId)
      // Nobody who only refers to the row has to wait.
      .forNoKeyUpdate()
      .executeTakeFirst()
  );
}

/** One pipeline with its active executions, for the length of one transaction. */
interface Round {
  tx: Transaction;
  now: Date;
  pipeline: PipelineRow;
  executions: ExecutionRow[];
  declarations: Map<number, Declaration>;
  /** Of the executions that are inside of a stage. */
  stageRuns: StageRunRow[];
  /** Of the same, the oldest first. */
  actionRuns: ActionRunRow[];
  /** Told together at the end: one round trip. */
  events: AwsEvent[];
}

/**
 * Every step that is due in the pipeline. In a transaction that has changed what it depends on, it spares the way over a job; it waits for
 * others who do the same.
 */
export async function advance(tx: Transaction, pipelineId: string, now: Date): Promise<void> {
  const round = await openRound(tx, pipelineId, now);
  if (!round) return;
  for (const execution of round.executions) {
    if (execution.stop) await stopExecution(round, execution);
    else if (execution.inside) await continueStage(round, execution);
  }
  // After everybody has gone as far as they can: a stage that was left is free, and entering one frees none.
  await letIn(round);
  if (round.events.length > 0) await tx.emit(...round.events);
}

async function openRound(tx: Transaction, pipelineId: string, now: Date): Promise<Round | undefined> {
  const pipeline = await lockPipeline(tx, pipelineId);
  if (!pipeline) return undefined;
  const executions = await tx.sql
    .selectFrom('codepipeline.executions')
    .selectAll()
    .where('pipeline_id', '=', pipelineId)
    .where('status', 'in', ACTIVE)
    .orderBy('sequence')
    .forNoKeyUpdate()
    .execute();
  const declarations = new Map<number, Declaration>();
  for (const version of new Set(executions.map((execution) => execution.version))) {
    declarations.set(version, (await declarationOf(tx.sql, pipelineId, version))!);
  }
  const inside = executions.filter((execution) => execution.inside).map(({ id }) => id);
  const round: Round = { tx, now, pipeline, executions, declarations, stageRuns: [], actionRuns: [], events: [] };
  if (inside.length === 0) return round;
  round.stageRuns = await tx.sql.selectFrom('codepipeline.stage_runs').selectAll().where('execution_id', 'in', inside).execute();
  const runs = tx.sql.selectFrom('codepipeline.action_runs').selectAll().where('execution_id', 'in', inside);
  round.actionRuns = await runs.orderBy('sequence').execute();
  return round;
}

function stageOf(round: Round, execution: ExecutionRow): StageDeclaration {
  return round.declarations.get(execution.version)!.stages[execution.stage]!;
}

async function update(
  round: Round,
  execution: ExecutionRow,
  changes: Partial<Pick<ExecutionRow, 'status' | 'stage' | 'inside' | 'status_summary'>>,
): Promise<void> {
  Object.assign(execution, changes);
  await round.tx.sql
    .updateTable('codepipeline.executions')
    .set({ ...changes, updated_at: round.now })
    .where('id', '=', execution.id)
    .execute();
}

/** The newest run of each action of the execution's stage. Attempt 0 marks runs that are to be done again whatever they were. */
function latestRuns(round: Round, execution: ExecutionRow): Map<string, ActionRunRow> {
  const { name } = stageOf(round, execution);
  const mine = round.actionRuns.filter((run) => run.execution_id === execution.id && run.stage === name);
  return new Map(mine.map((run) => [run.action, run]));
}

async function setStage(round: Round, execution: ExecutionRow, status: StageStatus): Promise<void> {
  await round.tx.sql
    .updateTable('codepipeline.stage_runs')
    .set({ status, updated_at: round.now })
    .where((eb) => eb.and({ execution_id: execution.id, stage: stageOf(round, execution).name }))
    .execute();
}

/** Starts what is due in the stage, or leaves it. */
async function continueStage(round: Round, execution: ExecutionRow): Promise<void> {
  const stage = stageOf(round, execution);
  const { attempt } = round.stageRuns.find((run) => run.execution_id === execution.id && run.stage === stage.name)!;
  const runs = latestRuns(round, execution);
  const current = (action: ActionDeclaration): ActionRunRow | undefined => {
    const run = runs.get(action.name);
    return run && (run.attempt === attempt || (run.status === 'Succeeded' && run.attempt > 0)) ? run : undefined;
  };
  const states = stage.actions.map(current);
  if (states.some((run) => run?.status === 'InProgress')) return;
  const failed = states.find((run) => run?.status === 'Failed' || run?.status === 'Abandoned');
  if (failed) return failStage(round, execution, stage);
  const due = stage.actions.filter((action) => !current(action));
  if (due.length === 0) return leaveStage(round, execution, stage);
  const next = Math.min(...due.map((action) => action.runOrder ?? 1));
  for (const action of due.filter((action) => (action.runOrder ?? 1) === next)) await startAction(round, execution, stage, action, attempt);
}

async function startAction(
  round: Round,
  execution: ExecutionRow,
  stage: StageDeclaration,
  action: ActionDeclaration,
  attempt: number,
): Promise<void> {
  const { tx, now, pipeline } = round;
  const run = {
    id: randomUUID(),
    execution_id: execution.id,
    stage: stage.name,
    action: action.name,
    run_order: action.runOrder ?? 1,
    attempt,
    status: 'InProgress' as const,
    external_id: null,
    external_url: null,
    summary: null,
    token: action.actionTypeId.category === 'Approval' ? randomUUID() : null,
    updated_by: null,
    configuration: null,
    revision: null,
    error: null,
    started_at: now,
    updated_at: now,
  };
  await tx.sql.insertInto('codepipeline.action_runs').values(run).execute();
  round.events.push(actionEvent(pipeline, execution, action, { ...run, input_artifacts: [], output_artifacts: [] }, 'STARTED', now));
  await tx.reconcile(ACTION, run.id);
}

async function leaveStage(round: Round, execution: ExecutionRow, stage: StageDeclaration): Promise<void> {
  const { pipeline, now } = round;
  await setStage(round, execution, 'Succeeded');
  round.events.push(stageEvent(pipeline, execution, stage.name, 'SUCCEEDED', now));
  const last = execution.stage === round.declarations.get(execution.version)!.stages.length - 1;
  if (!last) return update(round, execution, { stage: execution.stage + 1, inside: false });
  await update(round, execution, { status: 'Succeeded', inside: false });
  round.events.push(pipelineEvent(pipeline, execution, 'SUCCEEDED', now));
}

async function failStage(round: Round, execution: ExecutionRow, stage: StageDeclaration): Promise<void> {
  const { pipeline, now } = round;
  await setStage(round, execution, 'Failed');
  round.events.push(stageEvent(pipeline, execution, stage.name, 'FAILED', now));
  // Stays the stage's latest execution, so that it can be retried, but holds it no longer.
  await update(round, execution, { status: 'Failed', inside: false });
  round.events.push(pipelineEvent(pipeline, execution, 'FAILED', now));
}

/** `wait` lets running actions end; `abandon` leaves them behind. Nothing new is started either way. */
async function stopExecution(round: Round, execution: ExecutionRow): Promise<void> {
  const { pipeline, now } = round;
  if (execution.inside) {
    const stage = stageOf(round, execution);
    const running = [...latestRuns(round, execution).values()].filter((run) => run.status === 'InProgress');
    if (running.length > 0 && execution.stop === 'wait') return waitForActions(round, execution, stage);
    for (const run of running) await abandonRun(round, execution, stage, run);
    await setStage(round, execution, 'Stopped');
    round.events.push(stageEvent(pipeline, execution, stage.name, 'STOPPED', now));
  }
  await update(round, execution, { status: 'Stopped', inside: false });
  round.events.push(pipelineEvent(pipeline, execution, 'STOPPED', now));
}

async function waitForActions(round: Round, execution: ExecutionRow, stage: StageDeclaration): Promise<void> {
  const { numUpdatedRows } = await round.tx.sql
    .updateTable('codepipeline.stage_runs')
    .set({ status: 'Stopping', updated_at: round.now })
    .where((eb) => eb.and({ execution_id: execution.id, stage: stage.name, status: 'InProgress' }))
    .executeTakeFirst();
  if (numUpdatedRows > 0n) round.events.push(stageEvent(round.pipeline, execution, stage.name, 'STOPPING', round.now));
}

async function abandonRun(round: Round, execution: ExecutionRow, stage: StageDeclaration, run: ActionRunRow): Promise<void> {
  const { tx, pipeline, now } = round;
  const { numUpdatedRows } = await tx.sql
    .updateTable('codepipeline.action_runs')
    .set({ status: 'Abandoned', updated_at: now })
    .where((eb) => eb.and({ id: run.id, status: 'InProgress' }))
    .executeTakeFirst();
  // It ended by itself a moment ago: that stands.
  if (numUpdatedRows === 0n) return;
  const action = stage.actions.find(({ name }) => name === run.action)!;
  round.events.push(actionEvent(pipeline, execution, action, run, 'ABANDONED', now));
}

/** Lets waiting executions into free stages, by the rules of their execution mode. */
async function letIn(round: Round): Promise<void> {
  const disabled = await disabledStages(round);
  const names = new Set(round.executions.map((execution) => stageOf(round, execution).name));
  for (const name of names) {
    const here = round.executions.filter((execution) => ACTIVE.includes(execution.status) && stageOf(round, execution).name === name);
    const waiting = here.filter((execution) => !execution.inside && !execution.stop);
    if (waiting.length === 0) continue;
    const parallel = waiting.filter((execution) => execution.mode === 'PARALLEL');
    for (const execution of parallel) if (!disabled.has(name)) await enter(round, execution);
    const ordered = waiting.filter((execution) => execution.mode !== 'PARALLEL');
    const next = await nextInLine(round, ordered);
    const free = !here.some((execution) => execution.inside && execution.mode !== 'PARALLEL');
    if (next && free && !disabled.has(name)) await enter(round, next);
  }
}

/** QUEUED: first come, first served. SUPERSEDED: the newest; the older ones end here. */
async function nextInLine(round: Round, waiting: ExecutionRow[]): Promise<ExecutionRow | undefined> {
  const newest = waiting.at(-1);
  if (!newest || newest.mode === 'QUEUED') return waiting[0];
  for (const older of waiting.slice(0, -1)) {
    await update(round, older, { status: 'Superseded', status_summary: `Superseded by execution ${newest.id}` });
    round.events.push(pipelineEvent(round.pipeline, older, 'SUPERSEDED', round.now));
  }
  return newest;
}

async function disabledStages(round: Round): Promise<Set<string>> {
  const rows = await round.tx.sql
    .selectFrom('codepipeline.transitions')
    .select('stage')
    .where((eb) => eb.and({ pipeline_id: round.pipeline.id, enabled: false }))
    .execute();
  return new Set(rows.map(({ stage }) => stage));
}

async function enter(round: Round, execution: ExecutionRow): Promise<void> {
  const { tx, now, pipeline } = round;
  const stage = stageOf(round, execution);
  const run = await tx.sql
    .insertInto('codepipeline.stage_runs')
    .values({ execution_id: execution.id, stage: stage.name, status: 'InProgress', entered_at: now, updated_at: now })
    .returningAll()
    .executeTakeFirstOrThrow();
  round.stageRuns.push(run);
  round.events.push(stageEvent(pipeline, execution, stage.name, 'STARTED', now));
  await update(round, execution, { inside: true });
  await continueStage(round, execution);
}
