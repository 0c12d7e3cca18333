/** How a sandbox's rows change: by the process that owns it, or under a lock by whoever looks after those that nobody runs. */
import type { Platform, Transaction } from '../../../platform/platform.ts';
import { LostBuild, persist } from '../engine/persist.ts';
import { turnTo } from '../engine/record.ts';
import { type PhaseOutcome, SUCCEEDED } from '../runner/outcome.ts';
import type { EndStatus, SandboxPhase, SandboxRow, Workspace } from './tables.ts';

export interface Owned {
  id: string;
  owner: string;
}

interface Changes {
  workspace?: Workspace;
  resolved_source_version?: string | undefined;
}

/** Ends the current phase well and begins the next. */
export function enterPhase(
  platform: Platform,
  sandbox: Owned,
  phase: SandboxPhase,
  { workspace, ...changes }: Changes = {},
): Promise<void> {
  return persist(platform, async (tx) => {
    const row = await lockOwned(tx, sandbox);
    // A commit whose answer was lost is tried again.
    if (row.phases.at(-1)?.phaseType === phase) return;
    const { phases } = turnTo<SandboxPhase>(row.phases, phase, SUCCEEDED, platform.now());
    await tx.sql
      .updateTable('codebuild.sandboxes')
      .set({ phases: JSON.stringify(phases), ...(workspace && { workspace: JSON.stringify(workspace) }), ...changes })
      .where('id', '=', row.id)
      .execute();
  });
}

export interface Ending {
  status: EndStatus;
  /** Of the phase that is current. */
  outcome: PhaseOutcome;
}

export function endSandbox(platform: Platform, sandbox: Owned, ending: Ending): Promise<void> {
  return persist(platform, async (tx) => endLocked(tx, platform, await lockOwned(tx, sandbox), ending));
}

/** The same for a row that the caller has locked. Commands that had not ended never will. */
export async function endLocked(tx: Transaction, platform: Platform, row: SandboxRow, { status, outcome }: Ending): Promise<void> {
  const now = platform.now();
  const { phases } = turnTo<SandboxPhase>(row.phases, 'COMPLETED', outcome, now);
  await tx.sql
    .updateTable('codebuild.sandboxes')
    .set({ phases: JSON.stringify(phases), end_status: status, ended_at: now, owner: null, machine: null, workspace: null })
    .where('id', '=', row.id)
    .execute();
  await failUnfinished(tx, platform, row.id, ['SUBMITTED', 'IN_PROGRESS'], 'The sandbox ended before the command did.\n');
}

export async function failUnfinished(
  tx: Transaction,
  platform: Platform,
  sandbox: string,
  statuses: ('SUBMITTED' | 'IN_PROGRESS')[],
  reason: string,
): Promise<void> {
  await tx.sql
    .updateTable('codebuild.command_executions')
    .set({ status: 'FAILED', ended_at: platform.now(), stderr: reason })
    .where('sandbox', '=', sandbox)
    .where('status', 'in', statuses)
    .execute();
}

/** Throws LostBuild when the sandbox is not this process's any more. */
export async function lockOwned(tx: Transaction, { id, owner }: Owned): Promise<SandboxRow> {
  const row = await lock(tx, id);
  if (row?.owner !== owner) throw new LostBuild(`Sandbox ${id} is no longer owned by process ${owner}.`);
  return row;
}

/** Undefined when it is over. */
export function lock(tx: Transaction, id: string): Promise<SandboxRow | undefined> {
  return tx.sql
    .selectFrom('codebuild.sandboxes')
    .selectAll()
    .where('id', '=', id)
    .where('ended_at', 'is', null)
    .forUpdate()
    .executeTakeFirst();
}
