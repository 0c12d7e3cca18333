/** The rows of `schema/043-sandboxes.sql`. */
import type { ColumnType, Generated, JSONColumnType, Selectable } from 'kysely';
import type { BuildDefinition, StoredPhase } from '../tables.ts';

export type SandboxPhase = 'SUBMITTED' | 'QUEUED' | 'PROVISIONING' | 'DOWNLOAD_SOURCE' | 'RUN_SANDBOX' | 'COMPLETED';
export type EndStatus = 'STOPPED' | 'FAILED' | 'FAULT';

/** What commands need to know of the sources, for as long as the machine is there. */
export interface Workspace {
  /** Inside. */
  directory: string;
  env: Record<string, string>;
}

export interface SandboxesTable {
  id: string;
  account: string;
  region: string;
  project: string;
  project_id: string;
  sandbox_order: Generated<string>;
  session: string;
  definition: JSONColumnType<BuildDefinition, string, string>;
  phases: JSONColumnType<StoredPhase<SandboxPhase>[], string, string>;
  requested_at: Date;
  started_at: Date | null;
  queue_deadline: Date;
  deadline: Date | null;
  stop_requested_at: Date | null;
  ended_at: Date | null;
  end_status: EndStatus | null;
  owner: string | null;
  attempts: Generated<number>;
  machine: string | null;
  place: string | null;
  left_at: Date | null;
  endpoint: string | null;
  workspace: ColumnType<Workspace | null, string | null | undefined, string | null>;
  resolved_source_version: string | null;
}

export interface CommandExecutionsTable {
  id: string;
  sandbox: string;
  command_order: Generated<string>;
  command: string;
  status: 'SUBMITTED' | 'IN_PROGRESS' | 'SUCCEEDED' | 'FAILED';
  submitted_at: Date;
  started_at: Date | null;
  ended_at: Date | null;
  exit_code: number | null;
  stdout: string | null;
  stderr: string | null;
}

export type SandboxRow = Selectable<SandboxesTable>;
export type CommandRow = Selectable<CommandExecutionsTable>;

declare module '../../../platform/platform.ts' {
  interface Tables {
    'codebuild.sandboxes': SandboxesTable;
    'codebuild.command_executions': CommandExecutionsTable;
  }
}

export const SANDBOX_RECONCILER = 'codebuild.sandbox';

/** Processes with room for a sandbox look. */
export const SANDBOX_QUEUE_TOPIC = 'codebuild.sandbox-queue';
/** With a sandbox's id: the process that runs it stops it. */
export const SANDBOX_STOP_TOPIC = 'codebuild.sandbox-stop';

/** The process that runs it looks for commands. */
export function commandTopic(id: string): string {
  return `codebuild.sandbox.${id}`;
}
