/** Which error a service answers to a broken constraint: most have one code for all, CodeCommit and CodeDeploy one per field, S3 its own. */
import { AwsError } from '../platform/errors.ts';
import type { ServiceModel } from '../platform/model.ts';
import type { ValidationStyle } from '../platform/service.ts';
import type { Violation } from './validate.ts';

/** Names in the errors of fields that go by another name in the inputs. */
const STEMS: Record<string, string[]> = {
  afterBlobId: ['BlobId'],
  afterCommitSpecifier: ['Commit'],
  applicationNames: ['ApplicationName'],
  autoRollbackConfiguration: ['AutoRollbackConfig'],
  beforeCommitSpecifier: ['Commit'],
  branches: ['RepositoryTriggerBranchName'],
  commitIds: ['CommitIds', 'CommitId'],
  content: ['CommentContent', 'FileContent', 'ReplacementContent'],
  deployed: ['DeployedStateFilter'],
  deploymentGroupNames: ['DeploymentGroupName'],
  deploymentIds: ['DeploymentId'],
  destinationCommitSpecifier: ['Commit'],
  destinationArn: ['RepositoryTriggerDestinationArn'],
  ec2TagFilters: ['EC2Tag'],
  events: ['RepositoryTriggerEvents'],
  includeOnlyStatuses: ['DeploymentStatus'],
  instanceIds: ['InstanceId'],
  instanceNames: ['InstanceName'],
  instanceStatusFilter: ['InstanceStatus'],
  instanceTypeFilter: ['InstanceType'],
  kmsKeyId: ['EncryptionKey'],
  minimumHealthyHosts: ['MinimumHealthyHostValue'],
  onPremisesInstanceTagFilters: ['TagFilter', 'Tag'],
  outdatedInstancesStrategy: ['UpdateOutdatedInstancesOnlyValue'],
  relativeFileVersion: ['RelativeFileVersionEnum'],
  resourceArn: ['ResourceArn', 'Arn'],
  revisions: ['Revision'],
  serviceRoleArn: ['Role'],
  sourceCommitSpecifier: ['Commit'],
  status: ['LifecycleEventHookExecutionStatus'],
  tagFilters: ['TagFilter'],
  tagKeys: ['TagKeys'],
  tags: ['Tags', 'Tag'],
  targetIds: ['DeploymentTargetId'],
  targetId: ['DeploymentTargetId'],
  trafficRoutingConfig: ['TrafficRoutingConfiguration'],
  triggerConfigurations: ['TriggerConfig'],
  triggers: ['RepositoryTriggers'],
  zonalConfig: ['ZonalDeploymentConfiguration'],
};

function capital(name: string): string {
  return name.charAt(0).toUpperCase() + name.slice(1);
}

/** What the errors may call the broken member, likeliest first: from the innermost member outwards. */
function stems(violation: Violation): string[] {
  return violation.members.toReversed().flatMap(({ name, shape }) => {
    const plainShape = shape.replace(/(TypeEnum|Enum|List|Map|Type)$/, '');
    return [...(STEMS[name.charAt(0).toLowerCase() + name.slice(1)] ?? []), capital(name), plainShape];
  });
}

function errorNames(violation: Violation): string[] {
  return stems(violation).flatMap((stem) => {
    if (violation.kind === 'required') return [`${stem}RequiredException`, `${stem}ListRequiredException`, `${stem}MapRequiredException`];
    const invalid = [`Invalid${stem}Exception`, `Invalid${stem}ListException`, `Invalid${stem}MapException`, `${stem}InvalidIdException`];
    // Contents are of any form; only their size can be wrong.
    return violation.kind === 'length' ? [...invalid, `${stem}SizeLimitExceededException`] : invalid;
  });
}

/** The operation's own error for this field, when it has one. */
function namedError(model: ServiceModel, operationName: string, violation: Violation): string | undefined {
  const errors = new Set(model.operations[operationName]?.errors?.map(({ shape }) => shape));
  const all = errorNames(violation);
  return all.find((name) => errors.has(name));
}

export function validationMessage(violations: Violation[]): string {
  const count = violations.length;
  return `${count} validation error${count === 1 ? '' : 's'} detected: ${violations.map(({ text }) => text).join('; ')}`;
}

/** S3 speaks of bodies as XML, of everything else as arguments. */
function s3Error(violation: Violation): AwsError {
  const member = violation.members.at(-1)!;
  const outer = violation.members[0]!;
  if (outer.location === undefined && violation.kind === 'required' && violation.members.length === 1) {
    return new AwsError('MissingRequestBodyError', 'Request Body is empty', { status: 400 });
  }
  if (outer.name === 'CreateBucketConfiguration') {
    return new AwsError('InvalidLocationConstraint', 'The specified location-constraint is not valid', { status: 400 });
  }
  if (outer.location === undefined) {
    const message = 'The XML you provided was not well-formed or did not validate against our published schema';
    return new AwsError('MalformedXML', message, { status: 400 });
  }
  if (member.name === 'StorageClass')
    return new AwsError('InvalidStorageClass', 'The storage class you specified is not valid', { status: 400 });
  if (violation.kind === 'required') return new AwsError('InvalidRequest', `Missing required parameter: ${member.name}`, { status: 400 });
  return new AwsError('InvalidArgument', violation.text, { status: 400, fields: { ArgumentName: member.name } });
}

/** SQS has a word for what is missing; its limits are its own affair, not its model's. */
function sqsError(violation: Violation): AwsError {
  const member = violation.members.at(-1)!.name;
  if (violation.kind !== 'required') return new AwsError('InvalidParameterValueException', violation.text, { status: 400 });
  // An empty list does not show in the query form.
  if (member === 'Entries') return new AwsError('EmptyBatchRequest', 'There should be at least one entry in the request.');
  return new AwsError('MissingRequiredParameterException', `The request must contain the parameter ${member}.`, { status: 400 });
}

/** The error of the first violation, in the service's style, with a message that tells all of them. */
export function violationError(style: ValidationStyle, model: ServiceModel, operationName: string, violations: Violation[]): AwsError {
  const first = violations[0]!;
  if (model.metadata.serviceId === 'S3') return s3Error(first);
  if (model.metadata.serviceId === 'SQS') return sqsError(first);
  const code = style === 'named' ? (namedError(model, operationName, first) ?? 'ValidationException') : style;
  return new AwsError(code, validationMessage(violations), { status: 400 });
}

const UNSTORABLE = 'A value contains a character that is not supported: NUL, or half of a surrogate pair';

/** Of a text that no model forbids and that nothing could be done with. */
export function unstorableError(style: ValidationStyle, model: ServiceModel): AwsError {
  if (model.metadata.serviceId === 'S3') return new AwsError('InvalidArgument', UNSTORABLE, { status: 400 });
  if (model.metadata.serviceId === 'SQS') return new AwsError('InvalidParameterValueException', UNSTORABLE, { status: 400 });
  return new AwsError(style === 'named' ? 'ValidationException' : style, UNSTORABLE, { status: 400 });
}
