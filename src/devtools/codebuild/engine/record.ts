/** How a build's rows change: always phase, status, event and wake-up in one transaction, and only by the process that owns the build. */
import { storable } from '../../../platform/database/unstorable.ts';
import type { Platform, Transaction } from '../../../platform/platform.ts';
import { wakeBatches } from '../batches/wake.ts';
import { reportStatus } from '../build-status/report.ts';
import { emitPhaseChange, emitStateChange } from '../events.ts';
import { FLEET_RECONCILER } from '../fleets/tables.ts';
import { abandonReports } from '../reports/handing-in.ts';
import type { FinalStatus, PhaseContext, PhaseOutcome, PhaseType } from '../runner/outcome.ts';
import type { PhaseStep } from '../runner/world.ts';
import type { BuildRow, StoredArtifact, StoredPhase } from '../tables.ts';
import { overTopic, QUEUE_TOPIC } from '../topics.ts';
import { scheduleRetry } from './auto-retry.ts';
import { LostBuild, persist } from './persist.ts';

export interface Changes {
  first_command_at?: Date;
  isolation?: string;
  resolved_source_version?: string;
  artifacts?: StoredArtifact;
  secondary_artifacts?: StoredArtifact[];
}

/** Ends the current phase and begins the next, for each step in turn. */
export async function enterPhases(
  platform: Platform,
  build: { id: string; owner: string },
  steps: PhaseStep[],
  changes: Changes = {},
): Promise<void> {
  await persist(platform, async (tx) => {
    const row = await lockOwned(tx, build);
    // A commit whose answer was lost is tried again: then the last of these phases is the current one already.
    if (row.phases.at(-1)?.phaseType === steps.at(-1)?.phase) return;
    const ended: StoredPhase[] = [];
    let { phases } = row;
    for (const { phase, outcome } of steps) {
      const turned = turnTo(phases, phase, outcome, platform.now());
      phases = turned.phases;
      ended.push(turned.completed);
    }
    const after = await update(tx, row.id, { phases: JSON.stringify(phases), ...stored(changes) });
    for (const phase of ended) await emitPhaseChange(tx, after, phase);
    // Which commit it is may be known only now.
    if (changes.resolved_source_version !== undefined) await reportStatus(tx, after);
  });
}

export interface Ending {
  /** Of the phase that is current. */
  outcome: PhaseOutcome;
  status: FinalStatus;
  exportedVariables?: { name: string; value: string }[];
  /** Of the build that downloads a batch's source. */
  batchspec?: string;
  /** From on-failure RETRY. */
  retry?: { count: number; pattern: string; message: string } | undefined;
}

/** The build is over: status, COMPLETED, no owner, no credentials, and perhaps a retry, all at once. */
export async function endBuild(platform: Platform, build: { id: string; owner: string }, ending: Ending): Promise<void> {
  await persist(platform, async (tx) => {
    await endLocked(tx, platform, await lockOwned(tx, build), ending);
  });
}

/** The same for a row that the caller has locked (queued, or of a dead process). */
export async function endLocked(tx: Transaction, platform: Platform, row: BuildRow, ending: Ending): Promise<void> {
  const now = platform.now();
  const { phases, completed } = turnTo(row.phases, 'COMPLETED', ending.outcome, now);
  const after = await update(tx, row.id, {
    phases: JSON.stringify(phases),
    status: ending.status,
    ended_at: now,
    owner: null,
    machine: null,
    credential_hash: null,
    exported_variables: ending.exportedVariables ? JSON.stringify(ending.exportedVariables) : null,
    batchspec: ending.batchspec === undefined ? null : storable(ending.batchspec),
  });
  await abandonReports(tx, row.id);
  await emitPhaseChange(tx, after, completed);
  const over = phases.at(-1);
  if (over) await emitPhaseChange(tx, after, { ...over, phaseStatus: ending.status, endTime: over.startTime, durationInSeconds: 0 });
  await emitStateChange(tx, after);
  await reportStatus(tx, after);
  await scheduleRetry(tx, platform, after, ending.retry);
  await wakeBatches(tx, after);
  await tx.signal(overTopic(row.id));
  if (row.fleet !== null) await leaveFleet(tx, row.fleet);
}

/** Another build may take its place, in whichever process; or the fleet only waited for it to be deleted. */
async function leaveFleet(tx: Transaction, fleet: string): Promise<void> {
  await tx.signal(QUEUE_TOPIC);
  const { status } = (await tx.sql.selectFrom('codebuild.fleets').select('status').where('id', '=', fleet).executeTakeFirst()) ?? {};
  if (status === 'PENDING_DELETION') await tx.reconcile(FLEET_RECONCILER, fleet);
}

async function lockOwned(tx: Transaction, build: { id: string; owner: string }): Promise<BuildRow> {
  const row = await tx.sql
    .selectFrom('codebuild.builds')
    .selectAll()
    .where('id', '=', build.id)
    .where('owner', '=', build.owner)
    .where('status', '=', 'IN_PROGRESS')
    .forUpdate()
    .executeTakeFirst();
  if (!row) throw new LostBuild(`Build ${build.id} is no longer owned by process ${build.owner}.`);
  return row;
}

function update(tx: Transaction, id: string, changes: object): Promise<BuildRow> {
  return tx.sql
    .updateTable('codebuild.builds')
    .set(changes as Partial<Record<never, never>>)
    .where('id', '=', id)
    .returningAll()
    .executeTakeFirstOrThrow() as Promise<BuildRow>;
}

function stored(changes: Changes): Record<string, unknown> {
  const { artifacts, secondary_artifacts, ...plain } = changes;
  return {
    ...plain,
    ...(artifacts ? { artifacts: JSON.stringify(artifacts) } : {}),
    ...(secondary_artifacts ? { secondary_artifacts: JSON.stringify(secondary_artifacts) } : {}),
  };
}

/** Messages quote what users wrote, and a phase that could not be recorded would never end. */
export function storableContexts(contexts: PhaseContext[]): PhaseContext[] {
  return contexts.map(({ statusCode, message }) => ({ statusCode, message: storable(message) }));
}

/** The phases with the last one closed and the next one open. */
export function turnTo<Type extends string = PhaseType>(
  phases: StoredPhase<Type>[],
  next: Type,
  outcome: PhaseOutcome,
  now: Date,
): { phases: StoredPhase<Type>[]; completed: StoredPhase<Type> } {
  const open = phases.at(-1);
  if (!open) throw new Error('A build has at least the phase SUBMITTED.');
  const completed: StoredPhase<Type> = {
    ...open,
    phaseStatus: outcome.status,
    endTime: now.toISOString(),
    durationInSeconds: Math.max(0, Math.round((now.getTime() - Date.parse(open.startTime)) / 1000)),
    ...(outcome.contexts.length > 0 ? { contexts: storableContexts(outcome.contexts) } : {}),
  };
  return { phases: [...phases.slice(0, -1), completed, { phaseType: next, startTime: now.toISOString() }], completed };
}
