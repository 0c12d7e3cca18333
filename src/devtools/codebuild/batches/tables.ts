/** The rows of `schema/011-batches.sql`. */
import type { ColumnType, Generated, JSONColumnType, Selectable } from 'kysely';
import type { ShapeOf } from '../../../platform/service.ts';
import type { FinalStatus, PhaseContext } from '../runner/outcome.ts';
import type { BuildDefinition, StartRequest, StoredArtifact } from '../tables.ts';
import type { WebhookOrigin } from '../webhooks/tables.ts';

export type BuildBatch = ShapeOf<'codebuild', 'BuildBatch'>;
export type BatchConfig = ShapeOf<'codebuild', 'ProjectBuildBatchConfig'> & {
  serviceRole: string;
  timeoutInMins: number;
  restrictions: ShapeOf<'codebuild', 'BatchRestrictions'> & { maximumBuildsAllowed: number };
};
export type BatchPhaseType = NonNullable<NonNullable<BuildBatch['phases']>[number]['phaseType']>;

/** Times are ISO texts: this is JSON. */
export interface StoredBatchPhase {
  phaseType: BatchPhaseType;
  phaseStatus?: FinalStatus;
  startTime: string;
  endTime?: string;
  durationInSeconds?: number;
  contexts?: PhaseContext[];
}

/** A build of a batch, from before it is started. Its id is given beforehand, so that it is started once, whoever tries. */
export interface StoredSummary {
  id: string;
  requestedOn: string;
  /** PENDING: there is no such build yet. STOPPED without a build: it never will be. */
  status: 'PENDING' | 'IN_PROGRESS' | FinalStatus;
  artifact?: StoredArtifact | undefined;
  secondaryArtifacts?: StoredArtifact[] | undefined;
}

/** What a build of the batch section says beside what all have. */
export interface GroupOverrides {
  buildspec?: string | undefined;
  fleet?: string | undefined;
  computeType?: StartRequest['computeTypeOverride'];
  image?: string | undefined;
  type?: StartRequest['environmentTypeOverride'];
  privilegedMode?: boolean | undefined;
  variables: { name: string; value: string }[];
}

export interface StoredGroup {
  identifier: string;
  /** Absent for the download of the source. */
  dependsOn?: string[];
  ignoreFailure: boolean;
  overrides: GroupOverrides;
  shard?: { index: number; total: number } | undefined;
  build: StoredSummary;
  /** Builds that were retried, the oldest first. */
  prior: StoredSummary[];
}

/** `builds.batch_build` */
export interface BatchedBuild {
  identifier: string;
  /** Its status is told to the git provider, as that of a build outside of a batch is. */
  reported?: boolean | undefined;
  shard?: { index: number; total: number } | undefined;
}

type Json<T> = JSONColumnType<T & object, string, string>;
type NullableJson<T> = ColumnType<T | null, string | null | undefined, string | null>;

export interface BuildBatchesTable {
  id: string;
  account: string;
  region: string;
  project: string;
  project_id: string;
  number: number;
  batch_order: Generated<string>;
  definition: Json<BuildDefinition>;
  config: Json<BatchConfig>;
  request: Json<StartRequest>;
  status: 'IN_PROGRESS' | FinalStatus;
  phases: Json<StoredBatchPhase[]>;
  groups: Json<StoredGroup[]>;
  fast_fail: Generated<boolean>;
  initiator: string;
  started_at: Date;
  ended_at: Date | null;
  deadline: Date;
  ending: 'FAILED' | 'STOPPED' | 'TIMED_OUT' | null;
  resolved_source_version: string | null;
  artifacts: NullableJson<StoredArtifact>;
  report_arns: string[] | null;
  webhook: NullableJson<WebhookOrigin>;
}

export type BatchRow = Selectable<BuildBatchesTable>;

declare module '../../../platform/platform.ts' {
  interface Tables {
    'codebuild.build_batches': BuildBatchesTable;
  }
}
