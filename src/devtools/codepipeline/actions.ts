/** Runs one action: starts what its provider does, and looks whether that has ended. Called by events, by timers, and by the sweep. */
import { AwsError } from '../../platform/errors.ts';
import type { Platform } from '../../platform/platform.ts';
import type { Reconciler } from '../../platform/service.ts';
import { findProvider } from './action-types.ts';
import { advance, lockPipeline } from './engine.ts';
import { actionEvent } from './events.ts';
import { declarationOf } from './find-pipeline.ts';
import { ACTION } from './kinds.ts';
import { providerOf } from './providers/index.ts';
import type { ActionJob, Outcome } from './providers/provider.ts';
import type { ActionDeclaration, ActionRunRow, Artifact, Declaration, ExecutionRow, PipelineRow } from './tables.ts';
import './tables.ts';
import { resolve, UnresolvedVariableError } from './variables.ts';

/** Output variables of one action, by the user guide's quota. */
const MAX_VARIABLE_BYTES = 122_880;
/** An action's configuration with its variables replaced, by the same guide. */
const MAX_CONFIGURATION_BYTES = 100 * 1024;
const MINUTE_MS = 60_000;

type FinalOutcome = Exclude<Outcome, { state: 'InProgress' }>;

export const actions: Reconciler = {
  async run(platform, id, signal) {
    const situation = await load(platform, id);
    if (!situation) return;
    const { action } = situation;
    const deadline = deadlineOf(situation);
    if (platform.now() >= deadline) return finish(platform, situation, timedOut(action));
    let outcome: Outcome;
    try {
      const job = await prepare(platform, situation, signal);
      outcome = await providerOf(action.actionTypeId).advance(job);
    } catch (error) {
      outcome = failureOf(error);
    }
    if (outcome.state === 'InProgress') await note(platform, situation, outcome, deadline);
    else await finish(platform, situation, outcome);
  },
  async pending(platform) {
    const rows = await platform.read.selectFrom('codepipeline.action_runs').select('id').where('status', '=', 'InProgress').execute();
    return rows.map(({ id }) => id);
  },
};

function timeoutMinutes(action: ActionDeclaration): number {
  return action.timeoutInMinutes ?? findProvider(action.actionTypeId)!.timeoutMinutes;
}

function deadlineOf({ run, action }: Situation): Date {
  return new Date(run.started_at.getTime() + timeoutMinutes(action) * MINUTE_MS);
}

function timedOut(action: ActionDeclaration): FinalOutcome {
  const approval = action.actionTypeId.category === 'Approval';
  const message = approval
    ? 'The approval timed out before anybody answered.'
    : `The action failed because it did not end within ${timeoutMinutes(action)} minutes.`;
  return { state: 'Failed', code: 'JobFailed', message };
}

/** What the service answered ends the action; everything else (a lost connection, a bug) is tried again by the job. */
function failureOf(error: unknown): FinalOutcome {
  if (error instanceof UnresolvedVariableError) return { state: 'Failed', code: 'ConfigurationError', message: error.message };
  if (!(error instanceof AwsError) || /^(Throttling|ServiceUnavailable|Internal)/.test(error.code)) throw error;
  const code = /AccessDenied|NotAuthorized|Forbidden/.test(error.code) ? 'PermissionError' : 'ConfigurationError';
  return { state: 'Failed', code, message: `${error.message} (${error.code})` };
}

interface Situation {
  run: ActionRunRow;
  execution: ExecutionRow;
  pipeline: PipelineRow;
  declaration: Declaration;
  action: ActionDeclaration;
}

async function load(platform: Platform, id: string): Promise<Situation | undefined> {
  const run = await platform.read.selectFrom('codepipeline.action_runs').selectAll().where('id', '=', id).executeTakeFirst();
  if (run?.status !== 'InProgress') return undefined;
  const execution = await platform.read
    .selectFrom('codepipeline.executions')
    .selectAll()
    .where('id', '=', run.execution_id)
    .executeTakeFirst();
  if (!execution) return undefined;
  const [pipeline, declaration] = await Promise.all([
    platform.read.selectFrom('codepipeline.pipelines').selectAll().where('id', '=', execution.pipeline_id).executeTakeFirst(),
    declarationOf(platform.read, execution.pipeline_id, execution.version),
  ]);
  // The pipeline was deleted while we looked.
  if (!pipeline || !declaration) return undefined;
  const action = declaration.stages.find(({ name }) => name === run.stage)!.actions.find(({ name }) => name === run.action)!;
  return { run, execution, pipeline, declaration, action };
}

/** Resolves variables and artifacts, and keeps them: a retry of the job sees the same. */
async function prepare(platform: Platform, situation: Situation, signal: AbortSignal): Promise<ActionJob> {
  const { run, execution, pipeline, declaration, action } = situation;
  if (!run.configuration) {
    const earlier = await runsBefore(platform, execution.id, run);
    run.configuration = checkSize(resolve(action.configuration ?? {}, variableValues(situation, earlier)));
    run.input_artifacts = (action.inputArtifacts ?? []).map(({ name }) => producedArtifact(earlier, name));
    run.output_artifacts = (action.outputArtifacts ?? []).map(({ name }) => newArtifact(situation, name));
    await platform.transaction((tx) =>
      tx.sql
        .updateTable('codepipeline.action_runs')
        .set({
          configuration: JSON.stringify(run.configuration),
          input_artifacts: JSON.stringify(run.input_artifacts),
          output_artifacts: JSON.stringify(run.output_artifacts),
        })
        .where('id', '=', run.id)
        .execute(),
    );
  }
  const clientsIn = (region: string) =>
    platform.aws.as({ role: action.roleArn ?? declaration.roleArn, service: 'codepipeline', sessionName: pipeline.name, region });
  const clients = await clientsIn(action.region ?? pipeline.region);
  const markBegun = (): Promise<unknown> =>
    platform.transaction((tx) =>
      tx.sql.updateTable('codepipeline.action_runs').set({ begun: true, updated_at: platform.now() }).where('id', '=', run.id).execute(),
    );
  return {
    clients,
    clientsIn,
    pipeline: { name: pipeline.name, region: pipeline.region, endpoint: () => platform.config.publicUrl ?? platform.config.endpoints.http },
    deadline: deadlineOf(situation),
    run,
    action,
    execution,
    encryptionKey: storeOf(situation)?.encryptionKey?.id,
    configuration: run.configuration!,
    now: () => platform.now(),
    markBegun,
    signal,
  };
}

function checkSize(configuration: Record<string, string>): Record<string, string> {
  const size = Buffer.byteLength(JSON.stringify(configuration));
  if (size <= MAX_CONFIGURATION_BYTES) return configuration;
  const message = `The action configuration has ${size} bytes with its variables replaced, at most ${MAX_CONFIGURATION_BYTES} are allowed.`;
  throw new AwsError('InvalidActionConfiguration', message);
}

async function runsBefore(platform: Platform, executionId: string, run: ActionRunRow): Promise<ActionRunRow[]> {
  const rows = await platform.read
    .selectFrom('codepipeline.action_runs')
    .selectAll()
    .where((eb) => eb.and({ execution_id: executionId, status: 'Succeeded' }))
    .where('sequence', '<', run.sequence)
    .orderBy('sequence')
    .execute();
  return rows;
}

function variableValues({ execution, pipeline, declaration }: Situation, earlier: ActionRunRow[]): Map<string, string> {
  const values = new Map([
    ['codepipeline.PipelineExecutionId', execution.id],
    ['codepipeline.PipelineName', pipeline.name],
  ]);
  for (const [name, value] of Object.entries(execution.variables)) values.set(`variables.${name}`, value);
  const namespaces = new Map(
    declaration.stages.flatMap((stage) => stage.actions.map((action) => [`${stage.name}/${action.name}`, action.namespace])),
  );
  for (const run of earlier) {
    const namespace = namespaces.get(`${run.stage}/${run.action}`);
    if (namespace) for (const [name, value] of Object.entries(run.variables)) values.set(`${namespace}.${name}`, value);
  }
  return values;
}

function producedArtifact(earlier: ActionRunRow[], name: string): Artifact {
  const found = earlier.flatMap((run) => run.output_artifacts).findLast((artifact) => artifact.name === name);
  if (found) return found;
  throw new AwsError('InvalidStructureException', `No action before has made the artifact ${name}.`);
}

function storeOf({ declaration, action, pipeline }: Situation) {
  return declaration.artifactStore ?? declaration.artifactStores?.[action.region ?? pipeline.region];
}

/** `PIPELINE/ARTIFACT/random`, names cut as AWS cuts them. */
function newArtifact(situation: Situation, name: string): Artifact {
  const store = storeOf(situation);
  if (!store) throw new AwsError('InvalidStructureException', `The pipeline has no artifact store in ${situation.action.region}.`);
  // The run's id makes the place the same for every attempt of the job: a retry overwrites instead of leaving a second object.
  const random = Buffer.from(situation.run.id.replaceAll('-', ''), 'hex').toString('base64url').replace(/[-_]/g, '').slice(0, 7);
  return { name, bucket: store.location, key: `${situation.pipeline.name.slice(0, 20)}/${name.slice(0, 10)}/${random}` };
}

async function note(
  platform: Platform,
  { run }: Situation,
  outcome: Extract<Outcome, { state: 'InProgress' }>,
  deadline: Date,
): Promise<void> {
  const first = run.external_id === null;
  await platform.transaction(async (tx) => {
    await tx.sql
      .updateTable('codepipeline.action_runs')
      .set({
        external_id: outcome.externalId ?? run.external_id,
        external_url: outcome.url ?? run.external_url,
        summary: outcome.summary ?? run.summary,
        updated_at: platform.now(),
      })
      .where((eb) => eb.and({ id: run.id, status: 'InProgress' }))
      .execute();
    if (first) await tx.reconcile(ACTION, run.id, deadline);
    // What it waits for may have ended between its start and this row: its event found nobody then.
    if (first && outcome.externalId) await tx.reconcile(ACTION, run.id);
  });
}

async function finish(platform: Platform, { run, execution, pipeline, action }: Situation, outcome: FinalOutcome): Promise<void> {
  const now = platform.now();
  const result = checkVariableSize(outcome);
  const failed = result.state === 'Failed';
  const values = {
    status: result.state,
    external_id: result.externalId ?? run.external_id,
    external_url: result.url ?? run.external_url,
    summary: result.summary ?? run.summary,
    error: failed ? JSON.stringify({ code: result.code, message: result.message }) : null,
    variables: JSON.stringify(failed ? {} : (result.variables ?? {})),
    revision: failed || !result.revision ? null : JSON.stringify(result.revision),
    updated_at: now,
  };
  await platform.transaction(async (tx) => {
    await lockPipeline(tx, pipeline.id);
    const { numUpdatedRows } = await tx.sql
      .updateTable('codepipeline.action_runs')
      .set(values)
      .where((eb) => eb.and({ id: run.id, status: 'InProgress' }))
      .executeTakeFirst();
    // It was abandoned in the meantime: that stands.
    if (numUpdatedRows === 0n) return;
    const error = failed ? { code: result.code, message: result.message } : null;
    await tx.emit(actionEvent(pipeline, execution, action, { ...run, ...values, error }, failed ? 'FAILED' : 'SUCCEEDED', now));
    await advance(tx, pipeline.id, now);
  });
}

function checkVariableSize(outcome: FinalOutcome): FinalOutcome {
  if (outcome.state === 'Failed') return outcome;
  const size = Buffer.byteLength(JSON.stringify(outcome.variables ?? {}));
  if (size <= MAX_VARIABLE_BYTES) return outcome;
  return {
    state: 'Failed',
    code: 'ConfigurationError',
    message: `The action's output variables have ${size} bytes, at most ${MAX_VARIABLE_BYTES} are allowed.`,
  };
}
