/** What happened to a bucket's objects, on its way to a topic or a queue. */
import { AwsError } from '../../platform/errors.ts';
import type { Platform } from '../../platform/platform.ts';
import type { JobHandler } from '../../platform/service.ts';

export const NOTIFY = 's3.notify';
/** What no retry heals: the destination or the permission is not there. */
const FINAL = /^(AccessDenied|AuthorizationError|InvalidParameter|NotFound|NotImplemented|QueueDoesNotExist|Validation)/;

export interface Notice {
  arn: string;
  bucket: string;
  /** Of the bucket. */
  account: string;
  text: string;
}

/** As S3 on behalf of the bucket: the policy of the topic or queue decides. */
export async function send(platform: Pick<Platform, 'aws' | 'config'>, { arn, bucket, account, text }: Notice): Promise<void> {
  const [, , service, region, owner, name] = arn.split(':') as string[];
  const clients = platform.aws.asService('s3', { account, region: region!, sourceArn: `arn:aws:s3:::${bucket}` });
  if (service === 'sns') await clients.sns.publish({ TopicArn: arn, Subject: 'Amazon S3 Notification', Message: text });
  else {
    const QueueUrl = `${platform.config.serviceEndpoints.sqs ?? platform.config.endpoints.http}/${owner}/${name}`;
    await clients.sqs.sendMessage({ QueueUrl, MessageBody: text });
  }
}

/** Job `s3.notify`: one message, at least once. */
export const deliverNotice: JobHandler = async (platform, notice: Notice) => {
  try {
    await send(platform, notice);
  } catch (error) {
    if (!(error instanceof AwsError) || !FINAL.test(error.code)) throw error;
    platform.log.error({ bucket: notice.bucket, destination: notice.arn, reason: error.message }, 'a notification of a bucket was refused');
  }
};
