/** The rows of `schema/`. */
import type { ColumnType, Generated, JSONColumnType, Selectable } from 'kysely';
import type { Input, ShapeOf } from '../../platform/service.ts';
import type { BatchedBuild } from './batches/tables.ts';
import type { FinalStatus, PhaseContext, PhaseType } from './runner/outcome.ts';
import type { WebhookOrigin } from './webhooks/tables.ts';

export type Project = ShapeOf<'codebuild', 'Project'>;
export type Build = ShapeOf<'codebuild', 'Build'>;
export type StartRequest = Input<'codebuild', 'StartBuild'>;

/** The parts of a Project that the user sets. */
export type ProjectDefinition = Omit<Project, 'name' | 'arn' | 'tags' | 'created' | 'lastModified'>;

/** The parts of a Build that are fixed when it starts. */
export type BuildDefinition = Pick<
  Build,
  | 'sourceVersion'
  | 'source'
  | 'secondarySources'
  | 'secondarySourceVersions'
  | 'cache'
  | 'environment'
  | 'serviceRole'
  | 'timeoutInMinutes'
  | 'queuedTimeoutInMinutes'
  | 'encryptionKey'
  | 'vpcConfig'
  | 'fileSystemLocations'
> & {
  artifacts: ShapeOf<'codebuild', 'ProjectArtifacts'>;
  secondaryArtifacts: ShapeOf<'codebuild', 'ProjectArtifacts'>[];
  logsConfig: ShapeOf<'codebuild', 'LogsConfig'> | undefined;
  cacheGeneration: number;
  /** Of a public project: what its page is found by. */
  publicProjectAlias?: string | undefined;
};

/** Times are ISO texts: this is JSON. */
export interface StoredPhase<Type extends string = PhaseType> {
  phaseType: Type;
  phaseStatus?: FinalStatus;
  startTime: string;
  endTime?: string;
  durationInSeconds?: number;
  contexts?: PhaseContext[];
}

export interface StoredArtifact {
  location: string;
  sha256sum?: string;
  md5sum?: string;
  overrideArtifactName?: boolean;
  encryptionDisabled?: boolean;
  artifactIdentifier?: string;
  bucketOwnerAccess?: 'NONE' | 'READ_ONLY' | 'FULL';
}

export interface RetryState {
  autoRetryLimit?: number;
  autoRetryNumber?: number;
  nextAutoRetry?: string;
  previousAutoRetry?: string;
}

type Json<T> = JSONColumnType<T & object, string, string>;
type NullableJson<T> = ColumnType<T | null, string | null | undefined, string | null>;

export interface ProjectsTable {
  account: string;
  region: string;
  name: string;
  id: string;
  definition: Json<ProjectDefinition>;
  tags: Json<Record<string, string>>;
  builds: Generated<number>;
  batches: Generated<number>;
  cache_generation: Generated<number>;
  created_at: Date;
  modified_at: Date;
  badge_token: string | null;
  public_alias: string | null;
}

export interface BuildsTable {
  id: string;
  account: string;
  region: string;
  project: string;
  project_id: string;
  number: number;
  build_order: Generated<string>;
  definition: Json<BuildDefinition>;
  request: Json<StartRequest>;
  status: 'IN_PROGRESS' | FinalStatus;
  phases: Json<StoredPhase[]>;
  initiator: string;
  started_at: Date;
  ended_at: Date | null;
  queue_deadline: Date;
  deadline: Date | null;
  stop_requested_at: Date | null;
  owner: string | null;
  attempts: Generated<number>;
  first_command_at: Date | null;
  machine: string | null;
  place: string | null;
  isolation: string | null;
  credential_hash: string | null;
  resolved_source_version: string | null;
  artifacts: NullableJson<StoredArtifact>;
  secondary_artifacts: NullableJson<StoredArtifact[]>;
  report_arns: string[] | null;
  exported_variables: NullableJson<{ name: string; value: string }[]>;
  retry: NullableJson<RetryState>;
  fleet: string | null;
  in_fleet: Generated<boolean>;
  turn: Generated<string>;
  claim_order: string | null;
  batch: string | null;
  batch_build: NullableJson<BatchedBuild>;
  batchspec: string | null;
  webhook: NullableJson<WebhookOrigin>;
}

export interface LeftoversTable {
  place: string;
  machine: string;
}

export interface StartTokensTable {
  account: string;
  region: string;
  token: string;
  request_hash: string;
  build: string;
  created_at: Date;
}

export type ProjectRow = Selectable<ProjectsTable>;
export type BuildRow = Selectable<BuildsTable>;

/** What a machine, a log and sources are made for: a build, or the session of a sandbox. */
export type Work = Pick<BuildRow, 'id' | 'account' | 'region' | 'project' | 'project_id' | 'machine' | 'definition'>;

declare module '../../platform/platform.ts' {
  interface Tables {
    'codebuild.projects': ProjectsTable;
    'codebuild.builds': BuildsTable;
    'codebuild.leftovers': LeftoversTable;
    'codebuild.start_tokens': StartTokensTable;
  }
}
