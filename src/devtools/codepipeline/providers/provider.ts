/** What an action provider does, and what it gets for it. */
import type { Clients } from '../../../platform/aws.ts';
import type { ActionDeclaration, ActionRunRow, ExecutionRow, Revision } from '../tables.ts';

export interface ActionJob {
  /** As the action's role, else the pipeline's; in the action's region. */
  clients: Clients;
  /** The same role in another region. */
  clientsIn(region: string): Promise<Clients>;
  /** `endpoint` is where clients reach Penstock. */
  pipeline: { name: string; region: string; endpoint(): string };
  /** When the action times out. */
  deadline: Date;
  /** `external_id` says what was started; `begun` that it may have been. */
  run: ActionRunRow;
  action: ActionDeclaration;
  execution: ExecutionRow;
  /** With every variable replaced. */
  configuration: Record<string, string>;
  /** The KMS key of the artifact store, if it names one. */
  encryptionKey: string | undefined;
  now(): Date;
  /** To be called, and awaited, before work is begun that cannot be begun twice. */
  markBegun(): Promise<unknown>;
  signal: AbortSignal;
}

interface Known {
  externalId?: string;
  url?: string;
  summary?: string;
}

export type Outcome =
  | ({ state: 'InProgress' } & Known)
  | ({ state: 'Succeeded'; variables?: Record<string, string>; revision?: Revision } & Known)
  | ({ state: 'Failed'; code: FailureCode; message: string } & Known);

/** Facts: FailureType of the model. */
export type FailureCode =
  | 'JobFailed'
  | 'ConfigurationError'
  | 'PermissionError'
  | 'RevisionOutOfSync'
  | 'RevisionUnavailable'
  | 'SystemUnavailable';

/**
 * Does the next thing of one action run. Called at least once for the same state, never twice at a time for one run; an AwsError ends the
 * run as failed, any other error is tried again.
 */
export interface Provider {
  advance(job: ActionJob): Promise<Outcome>;
}
