/** Whether a trail could deliver where it is told to: found by trying, as the service that will do it. */

import { AwsError } from '../../platform/errors.ts';
import type { Platform } from '../../platform/platform.ts';
import { cachedPolicy } from '../../platform/policy/document.ts';
import { evaluate } from '../../platform/policy/evaluate.ts';
import { servicePrincipal } from '../../platform/principal.ts';
import type { RequestContext } from '../../platform/service.ts';
import { isAwsError } from './errors.ts';
import type { TrailSettings } from './tables.ts';
import type { Trail } from './trail.ts';

type Destination = Pick<Trail, 'arn' | 'account' | 'region' | 'settings'>;

/** CloudTrail itself, on behalf of a trail. */
export function asTrail(platform: Pick<Platform, 'aws'>, { arn, account, region }: Omit<Destination, 'settings'>) {
  return platform.aws.asService('cloudtrail', { account, region, sourceArn: arn });
}

/** How CloudTrail writes: owned by the bucket's owner, under the trail's key. */
export function writing({ S3BucketName, KmsKeyId }: TrailSettings) {
  return {
    Bucket: S3BucketName,
    ACL: 'bucket-owner-full-control',
    ...(KmsKeyId === undefined ? {} : { ServerSideEncryption: 'aws:kms' as const, SSEKMSKeyId: KmsKeyId }),
  } as const;
}

export function keyPrefix({ S3KeyPrefix }: TrailSettings, account: string): string {
  return `${S3KeyPrefix ? `${S3KeyPrefix}/` : ''}AWSLogs/${account}`;
}

export async function checkDestinations(ctx: RequestContext, trail: Destination): Promise<void> {
  const { settings } = trail;
  if (settings.KmsKeyId !== undefined) settings.KmsKeyId = await usableKey(ctx, settings.KmsKeyId);
  await checkBucket(ctx, trail);
  if (settings.SnsTopicName) settings.SnsTopicARN = await checkTopic(ctx, trail, settings.SnsTopicName);
  await checkLogGroup(ctx, trail);
}

async function usableKey(ctx: RequestContext, id: string): Promise<string> {
  try {
    const { KeyMetadata } = await ctx.aws.asPrincipal(ctx.principal, ctx.region, 'cloudtrail').kms.describeKey({ KeyId: id });
    if (KeyMetadata!.Enabled === false) throw refused('KmsKeyDisabledException', `KMS key ${id} is disabled.`);
    return KeyMetadata!.Arn!;
  } catch (error) {
    if (isAwsError(error, 'NotFoundException')) throw refused('KmsKeyNotFoundException', `KMS key ${id} does not exist.`);
    if (isAwsError(error, 'InvalidArnException', 'ValidationException'))
      throw refused('InvalidKmsKeyIdException', `KMS key ${id} is not valid.`);
    throw error;
  }
}

/** The empty object is what AWS leaves there too. */
async function checkBucket(ctx: RequestContext, trail: Destination): Promise<void> {
  const { S3BucketName: bucket } = trail.settings;
  const insufficient = refused('InsufficientS3BucketPolicyException', `Incorrect S3 bucket policy is detected for bucket: ${bucket}`);
  const { s3 } = asTrail(ctx, trail);
  const probe = (settings: TrailSettings) =>
    s3.putObject({ ...writing(settings), Key: `${keyPrefix(settings, trail.account)}/CloudTrail/` });
  if (await hasNoPolicy(ctx, bucket)) throw insufficient;
  try {
    await s3.getBucketAcl({ Bucket: bucket });
    await probe({ ...trail.settings, KmsKeyId: undefined });
  } catch (error) {
    if (isAwsError(error, 'NoSuchBucket')) throw refused('S3BucketDoesNotExistException', `S3 bucket ${bucket} does not exist!`);
    if (isAwsError(error, 'AccessDenied', 'AccessDeniedException')) throw insufficient;
    throw error;
  }
  if (trail.settings.KmsKeyId === undefined) return;
  await probe(trail.settings).catch((error) => {
    if (!(error instanceof AwsError)) throw error;
    throw refused(
      'InsufficientEncryptionPolicyException',
      `Insufficient permissions to access S3 bucket ${bucket} or KMS key ${trail.settings.KmsKeyId}.`,
    );
  });
}

/** Only as far as the caller may know: a service may write to its own account's bucket that has no policy, and CloudTrail asks for one. */
async function hasNoPolicy(ctx: RequestContext, bucket: string): Promise<boolean> {
  const { s3 } = ctx.aws.asPrincipal(ctx.principal, ctx.region, 'cloudtrail');
  return s3.getBucketPolicy({ Bucket: bucket }).then(
    () => false,
    (error) => isAwsError(error, 'NoSuchBucketPolicy'),
  );
}

async function checkTopic(ctx: RequestContext, trail: Destination, nameOrArn: string): Promise<string> {
  const arn = nameOrArn.startsWith('arn:') ? nameOrArn : `arn:aws:sns:${ctx.region}:${ctx.account}:${nameOrArn}`;
  const insufficient = refused('InsufficientSnsTopicPolicyException', 'SNS Topic does not exist or the topic policy is incorrect!');
  const { sns } = ctx.aws.asPrincipal(ctx.principal, ctx.region, 'cloudtrail');
  const { Attributes = {} } = await sns.getTopicAttributes({ TopicArn: arn }).catch((error) => {
    if (isAwsError(error, 'InvalidParameter', 'InvalidParameterException')) {
      throw refused('InvalidSnsTopicNameException', `SNS topic ${nameOrArn} is not valid.`);
    }
    throw isAwsError(error, 'NotFound', 'NotFoundException') ? insufficient : error;
  });
  const values: Record<string, string> = { 'aws:sourcearn': trail.arn, 'aws:sourceaccount': trail.account };
  const verdict = evaluate({
    principal: servicePrincipal('cloudtrail', trail.account, trail.arn),
    action: 'sns:Publish',
    resource: arn,
    resolve: (key) => values[key],
    identity: [],
    ...(Attributes.Policy === undefined ? {} : { resourcePolicy: cachedPolicy(Attributes.Policy) }),
  });
  if (verdict.decision !== 'allowed') throw insufficient;
  return arn;
}

/** `ACCOUNT_CloudTrail_REGION`, as AWS names it. */
export function logStreamName(account: string, region: string): string {
  return `${account}_CloudTrail_${region}`;
}

/** `arn:aws:logs:REGION:ACCOUNT:log-group:NAME:*` */
export function logGroupName(arn: string): string | undefined {
  return /^arn:aws:logs:[\w-]+:\d{12}:log-group:([^:*]+)(?::\*)?$/.exec(arn)?.[1];
}

async function checkLogGroup(ctx: RequestContext, { settings, account, region }: Destination): Promise<void> {
  const { CloudWatchLogsLogGroupArn: group, CloudWatchLogsRoleArn: role } = settings;
  if (!group && !role) return;
  const name = group === undefined ? undefined : logGroupName(group);
  if (!name) throw refused('InvalidCloudWatchLogsLogGroupArnException', 'CloudWatch Logs log group ARN is missing or not valid.');
  if (!role) throw refused('InvalidCloudWatchLogsRoleArnException', 'CloudWatch Logs role ARN is missing.');
  const clients = await ctx.aws.as({ role, service: 'cloudtrail', sessionName: 'CLOUDWATCHLOGS_DELIVERY', region }).catch((error) => {
    if (!(error instanceof AwsError)) throw error;
    throw refused('InvalidCloudWatchLogsRoleArnException', 'Access denied. Check the trust relationships for your role.');
  });
  try {
    await clients.logs.createLogStream({ logGroupName: name, logStreamName: logStreamName(account, region) });
  } catch (error) {
    if (isAwsError(error, 'ResourceAlreadyExistsException')) return;
    if (isAwsError(error, 'ResourceNotFoundException')) {
      throw refused('InvalidCloudWatchLogsLogGroupArnException', `CloudTrail cannot validate the specified log group ARN: ${group}`);
    }
    if (!(error instanceof AwsError)) throw error;
    throw refused('InvalidCloudWatchLogsRoleArnException', 'Access denied. Check the permissions for your role.');
  }
}

function refused(code: string, message: string): AwsError {
  return new AwsError(code, message, { status: 400 });
}
