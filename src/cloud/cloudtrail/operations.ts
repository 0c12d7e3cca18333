/** What CloudTrail makes of each operation: whether it reads, whether it is a data event, what it is called, and what of it must be hidden. */
import type { ServiceModel } from '../../platform/model.ts';
import { type Mask, maskOf } from './masks.ts';

export interface Traits {
  service: string;
  eventName: string;
  eventSource: string;
  readOnly: boolean;
  /** Reads have no responseElements, but for those that hand out credentials. */
  withOutput: boolean;
  /** The `resources.type` under which trails select it, when it is a data event: those are recorded only for trails that ask. */
  dataType: string | undefined;
  input: Mask | undefined;
  output: Mask | undefined;
}

const READS =
  /^(Get|List|Describe|Head|BatchGet|BatchDescribe|BatchIsAuthorized|Lookup|Search|Filter|Select|Simulate|Check|Evaluate|Test|Validate|Query|Scan|View|Download)/;
/** Reads by another name, as CloudTrail marks them. */
const MORE_READS: Record<string, string[]> = {
  sts: ['AssumeRole', 'AssumeRoleWithSAML', 'AssumeRoleWithWebIdentity', 'DecodeAuthorizationMessage'],
  kms: [
    'Encrypt',
    'Decrypt',
    'ReEncrypt',
    'GenerateDataKey',
    'GenerateDataKeyWithoutPlaintext',
    'GenerateDataKeyPair',
    'GenerateDataKeyPairWithoutPlaintext',
    'GenerateRandom',
    'GenerateMac',
    'VerifyMac',
    'Sign',
    'Verify',
  ],
  logs: ['StartQuery', 'StartLiveTail'],
  codecommit: ['GitPull'],
  'codedeploy-commands': ['PollHostCommand'],
  'codedeploy-commands-secure': ['PollHostCommand'],
};
const READS_WITH_OUTPUT = /^(AssumeRole|GetSessionToken|GetFederationToken)/;

const OBJECT = 'AWS::S3::Object';
/** Operations on contents rather than on resources. S3's are those that name a key, and these. */
const DATA: Record<string, Record<string, string>> = {
  s3: {
    ListObjects: OBJECT,
    ListObjectsV2: OBJECT,
    ListObjectVersions: OBJECT,
    ListMultipartUploads: OBJECT,
    DeleteObjects: OBJECT,
    HeadBucket: OBJECT,
  },
  sns: { Publish: 'AWS::SNS::Topic', PublishBatch: 'AWS::SNS::Topic' },
  sqs: Object.fromEntries(
    [
      'SendMessage',
      'SendMessageBatch',
      'ReceiveMessage',
      'DeleteMessage',
      'DeleteMessageBatch',
      'ChangeMessageVisibility',
      'ChangeMessageVisibilityBatch',
    ].map((name) => [name, 'AWS::SQS::Queue']),
  ),
  cloudwatch: Object.fromEntries(
    ['PutMetricData', 'GetMetricData', 'GetMetricStatistics', 'ListMetrics'].map((name) => [name, 'AWS::CloudWatch::Metric']),
  ),
  events: { PutEvents: 'AWS::Events::EventBus' },
  logs: Object.fromEntries(['PutLogEvents', 'GetLogEvents', 'FilterLogEvents'].map((name) => [name, 'AWS::Logs::LogGroup'])),
};

/** S3's older names, which CloudTrail has kept. */
const S3_NAMES: Record<string, string> = {
  ListObjectsV2: 'ListObjects',
  PutPublicAccessBlock: 'PutBucketPublicAccessBlock',
  GetPublicAccessBlock: 'GetBucketPublicAccessBlock',
  DeletePublicAccessBlock: 'DeleteBucketPublicAccessBlock',
  PutBucketLifecycleConfiguration: 'PutBucketLifecycle',
  GetBucketLifecycleConfiguration: 'GetBucketLifecycle',
  PutBucketNotificationConfiguration: 'PutBucketNotification',
  GetBucketNotificationConfiguration: 'GetBucketNotification',
};

/** Penstock's own calls that do what on AWS a service does by a call of its API, which is recorded. */
const STANDS_FOR: Record<string, Record<string, string>> = { codebuild: { StartBatchedBuild: 'StartBuild' } };

const known = new WeakMap<ServiceModel, Map<string, Traits | undefined>>();

/** Undefined for what is no operation of AWS's API: names that a client made up, and Penstock's own calls, unless they stand for one. */
export function traitsOf(service: string, model: ServiceModel, operation: string): Traits | undefined {
  let ofModel = known.get(model);
  if (!ofModel) {
    ofModel = new Map();
    known.set(model, ofModel);
  }
  const traits = ofModel.get(operation);
  if (traits || ofModel.has(operation)) return traits;
  const found = model.operations[operation];
  if (!found && !model.otherOperations.includes(operation)) return undefined;
  const made = found?.internal && !STANDS_FOR[service]?.[operation] ? undefined : makeTraits(service, model, operation);
  ofModel.set(operation, made);
  return made;
}

function makeTraits(service: string, model: ServiceModel, operation: string): Traits {
  const { input, output } = model.operations[operation] ?? {};
  const readOnly = isRead(service, operation);
  const names = Object.keys((input && model.shapes[input.shape]?.members) ?? {});
  return {
    service,
    eventName: (service === 's3' ? S3_NAMES[operation] : STANDS_FOR[service]?.[operation]) ?? operation,
    eventSource: eventSource(model),
    readOnly,
    withOutput: !readOnly || READS_WITH_OUTPUT.test(operation),
    dataType: DATA[service]?.[operation] ?? (service === 's3' && names.includes('Key') ? OBJECT : undefined),
    input: maskOf(model, input?.shape),
    output: maskOf(model, output?.shape),
  };
}

export function isRead(service: string, operation: string): boolean {
  return READS.test(operation) || MORE_READS[service]?.includes(operation) === true;
}

export function eventSource(model: ServiceModel): string {
  return `${model.metadata.endpointPrefix}.amazonaws.com`;
}
