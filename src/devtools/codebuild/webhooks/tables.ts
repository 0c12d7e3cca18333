/** The rows of `schema/021-webhooks.sql`. */
import type { Generated, JSONColumnType, Selectable } from 'kysely';
import type { ShapeOf } from '../../../platform/service.ts';

type Json<T> = JSONColumnType<T & object, string, string>;

export type Webhook = ShapeOf<'codebuild', 'Webhook'>;

/** The parts of a Webhook that the user sets. */
export type WebhookDefinition = Pick<
  Webhook,
  'branchFilter' | 'filterGroups' | 'buildType' | 'manualCreation' | 'scopeConfiguration' | 'pullRequestBuildPolicy'
>;

export interface WebhooksTable {
  id: string;
  account: string;
  region: string;
  project: string;
  project_id: string;
  definition: Json<WebhookDefinition>;
  source: Json<ShapeOf<'codebuild', 'ProjectSource'>>;
  service_role: string | null;
  sealed_secret: string;
  sealed_former: string | null;
  secret_changed_at: Date;
  status: NonNullable<Webhook['status']>;
  status_message: string | null;
  attempts: Generated<number>;
  hook_id: string | null;
  hook_url: string | null;
}

export interface WebhookDeliveriesTable {
  webhook: string;
  delivery: string;
  answer: string;
  received_at: Date;
}

export type WebhookRow = Selectable<WebhooksTable>;

/** Of a build that a webhook started. */
export interface WebhookOrigin {
  /** CODEBUILD_WEBHOOK_…, for the build's commands. */
  variables: Record<string, string>;
  /** Which commit the provider is told about. */
  commit: string | undefined;
}

declare module '../../../platform/platform.ts' {
  interface Tables {
    'codebuild.webhooks': WebhooksTable;
    'codebuild.webhook_deliveries': WebhookDeliveriesTable;
  }
}
