/** The rows of `schema/`. */
import type { JSONColumnType } from 'kysely';
import type { ShapeOf } from '../../platform/service.ts';

type Shape<N extends keyof import('../../generated/models.ts').ModelShapes['codedeploy']> = ShapeOf<'codedeploy', N>;

export type RevisionLocation = Shape<'RevisionLocation'>;
export type MinimumHealthyHosts = Shape<'MinimumHealthyHosts'>;
export type Diagnostics = Shape<'Diagnostics'>;
export type TagMap = Record<string, string>;
export type ComputePlatform = 'Server' | 'Lambda' | 'ECS';
export type DeploymentStatus = 'Created' | 'Queued' | 'InProgress' | 'Succeeded' | 'Failed' | 'Stopped';
export type TargetStatus = 'Pending' | 'InProgress' | 'Succeeded' | 'Failed' | 'Skipped';
export type EventStatus = TargetStatus;
export type DeploymentErrorCode = NonNullable<Shape<'ErrorInformation'>['code']>;

export const ACTIVE_STATUSES: DeploymentStatus[] = ['Created', 'Queued', 'InProgress'];

/** What a deployment group keeps as it was given. */
export type GroupSettings = Pick<
  Shape<'DeploymentGroupInfo'>,
  | 'ec2TagFilters'
  | 'ec2TagSet'
  | 'onPremisesInstanceTagFilters'
  | 'onPremisesTagSet'
  | 'triggerConfigurations'
  | 'alarmConfiguration'
  | 'autoRollbackConfiguration'
  | 'outdatedInstancesStrategy'
  | 'deploymentStyle'
  | 'terminationHookEnabled'
>;

/** What a deployment keeps as it was given, and of its group as the group was then. */
export type DeploymentOptions = Pick<
  Shape<'DeploymentInfo'>,
  | 'description'
  | 'ignoreApplicationStopFailures'
  | 'autoRollbackConfiguration'
  | 'updateOutdatedInstancesOnly'
  | 'targetInstances'
  | 'fileExistsBehavior'
  | 'overrideAlarmConfiguration'
>;

export interface ApplicationsTable {
  id: string;
  account: string;
  region: string;
  name: string;
  compute_platform: ComputePlatform;
  tags: JSONColumnType<TagMap>;
  created_at: Date;
}

export interface RevisionsTable {
  application_id: string;
  digest: string;
  location: JSONColumnType<RevisionLocation>;
  description: string | null;
  registered_at: Date;
  first_used_at: Date | null;
  last_used_at: Date | null;
}

export interface GroupsTable {
  id: string;
  account: string;
  region: string;
  application_id: string;
  name: string;
  config_name: string;
  service_role_arn: string;
  settings: JSONColumnType<GroupSettings>;
  tags: JSONColumnType<TagMap>;
  target_revision: string | null;
  active_deployment: string | null;
  last_attempted_deployment: string | null;
  last_successful_deployment: string | null;
  created_at: Date;
}

export interface ConfigsTable {
  id: string;
  account: string;
  region: string;
  name: string;
  compute_platform: ComputePlatform;
  minimum_healthy_hosts: JSONColumnType<MinimumHealthyHosts> | null;
  traffic_routing: JSONColumnType<Shape<'TrafficRoutingConfig'>> | null;
  zonal: JSONColumnType<Shape<'ZonalConfig'>> | null;
  created_at: Date;
}

export interface InstancesTable {
  account: string;
  region: string;
  name: string;
  suffix: string;
  iam_user_arn: string | null;
  iam_session_arn: string | null;
  tags: JSONColumnType<TagMap>;
  registered_at: Date;
  deregistered_at: Date | null;
}

export interface AgentsTable {
  host: string;
  last_seen_at: Date;
  version: string | null;
}

export interface DeploymentsTable {
  id: string;
  account: string;
  region: string;
  application_id: string;
  application_name: string;
  group_id: string;
  group_name: string;
  service_role_arn: string;
  config_name: string;
  minimum_healthy_hosts: JSONColumnType<MinimumHealthyHosts>;
  status: DeploymentStatus;
  creator: 'user' | 'codeDeployRollback';
  revision: JSONColumnType<RevisionLocation>;
  revision_digest: string;
  previous_revision: JSONColumnType<RevisionLocation> | null;
  options: JSONColumnType<DeploymentOptions>;
  rollback_of: string | null;
  restart_of: string | null;
  rolled_back_by: string | null;
  rollback_message: string | null;
  stop_requested_at: Date | null;
  stopped_by_alarm: string | null;
  rollback_on_stop: boolean;
  error_code: DeploymentErrorCode | null;
  error_message: string | null;
  created_at: Date;
  started_at: Date | null;
  completed_at: Date | null;
}

export interface TargetsTable {
  deployment_id: string;
  position: number;
  name: string;
  arn: string;
  host: string;
  status: TargetStatus;
  updated_at: Date;
}

export interface EventsTable {
  deployment_id: string;
  target: number;
  position: number;
  name: string;
  status: EventStatus;
  command_id: string;
  host: string;
  queued_at: Date | null;
  delivered_at: Date | null;
  started_at: Date | null;
  ended_at: Date | null;
  diagnostics: JSONColumnType<Diagnostics> | null;
}

export interface InstalledTable {
  group_id: string;
  instance: string;
  revision_digest: string | null;
  healthy: boolean;
  updated_at: Date;
}

declare module '../../platform/platform.ts' {
  interface Tables {
    'codedeploy.applications': ApplicationsTable;
    'codedeploy.revisions': RevisionsTable;
    'codedeploy.groups': GroupsTable;
    'codedeploy.configs': ConfigsTable;
    'codedeploy.instances': InstancesTable;
    'codedeploy.agents': AgentsTable;
    'codedeploy.deployments': DeploymentsTable;
    'codedeploy.targets': TargetsTable;
    'codedeploy.events': EventsTable;
    'codedeploy.installed': InstalledTable;
  }
}
