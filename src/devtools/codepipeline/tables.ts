/** The rows of `schema/`, and what their JSON columns hold. */
import type { Generated, JSONColumnType, Selectable } from 'kysely';
import type { ShapeOf } from '../../platform/service.ts';

export type Declaration = ShapeOf<'codepipeline', 'PipelineDeclaration'>;
export type StageDeclaration = ShapeOf<'codepipeline', 'StageDeclaration'>;
export type ActionDeclaration = ShapeOf<'codepipeline', 'ActionDeclaration'>;
export type ExecutionStatus = NonNullable<ShapeOf<'codepipeline', 'PipelineExecution'>['status']>;
export type StageStatus = ShapeOf<'codepipeline', 'StageExecution'>['status'];
export type ActionStatus = NonNullable<ShapeOf<'codepipeline', 'ActionExecution'>['status']>;

/** A bundle of files between actions: a zip in the artifact bucket. */
export interface Artifact {
  name: string;
  bucket: string;
  key: string;
}

/** What a source action found. */
export interface Revision {
  id: string;
  summary?: string;
  url?: string;
  created?: string;
}

export interface PipelinesTable {
  id: string;
  account: string;
  region: string;
  name: string;
  version: number;
  role_arn: string;
  execution_mode: NonNullable<Declaration['executionMode']>;
  pipeline_type: NonNullable<Declaration['pipelineType']>;
  created_at: Date;
  updated_at: Date;
}

export interface ExecutionsTable {
  id: string;
  sequence: Generated<number>;
  pipeline_id: string;
  version: number;
  mode: NonNullable<Declaration['executionMode']>;
  status: ExecutionStatus;
  status_summary: string | null;
  trigger_type: NonNullable<ShapeOf<'codepipeline', 'ExecutionTrigger'>['triggerType']>;
  trigger_detail: string;
  variables: JSONColumnType<Record<string, string>>;
  source_revisions: JSONColumnType<ShapeOf<'codepipeline', 'SourceRevisionOverride'>[]>;
  client_token: string | null;
  stage: Generated<number>;
  inside: Generated<boolean>;
  stop: 'wait' | 'abandon' | null;
  stop_reason: string | null;
  started_at: Date;
  updated_at: Date;
}

export interface StageRunsTable {
  execution_id: string;
  stage: string;
  status: StageStatus;
  attempt: Generated<number>;
  entered_at: Date;
  updated_at: Date;
}

export interface ActionRunsTable {
  id: string;
  sequence: Generated<number>;
  execution_id: string;
  stage: string;
  action: string;
  run_order: number;
  attempt: number;
  status: ActionStatus;
  begun: Generated<boolean>;
  external_id: string | null;
  external_url: string | null;
  summary: string | null;
  token: string | null;
  updated_by: string | null;
  configuration: JSONColumnType<Record<string, string>, string | null, string | null> | null;
  input_artifacts: JSONColumnType<Artifact[], string | undefined, string>;
  output_artifacts: JSONColumnType<Artifact[], string | undefined, string>;
  variables: JSONColumnType<Record<string, string>, string | undefined, string>;
  revision: JSONColumnType<Revision, string | null, string | null> | null;
  error: JSONColumnType<{ code: string; message: string }, string | null, string | null> | null;
  started_at: Date;
  updated_at: Date;
}

export type PipelineRow = Selectable<PipelinesTable>;
export type ExecutionRow = Selectable<ExecutionsTable>;
export type StageRunRow = Selectable<StageRunsTable>;
export type ActionRunRow = Selectable<ActionRunsTable>;

declare module '../../platform/platform.ts' {
  interface Tables {
    'codepipeline.pipelines': PipelinesTable;
    'codepipeline.versions': { pipeline_id: string; version: number; declaration: JSONColumnType<Declaration> };
    'codepipeline.watches': { pipeline_id: string; action: string; source: string; seen: string | null };
    'codepipeline.transitions': {
      pipeline_id: string;
      stage: string;
      enabled: boolean;
      reason: string | null;
      changed_by: string;
      changed_at: Date;
    };
    'codepipeline.executions': ExecutionsTable;
    'codepipeline.stage_runs': StageRunsTable;
    'codepipeline.action_runs': ActionRunsTable;
    'codepipeline.tags': { pipeline_id: string; key: string; value: string };
  }
}
