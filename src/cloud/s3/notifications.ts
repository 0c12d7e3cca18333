/** Events to EventBridge, for buckets that have it enabled, and the configuration that enables it. */
import { sql } from 'kysely';
import type { Transaction } from '../../platform/platform.ts';
import { operation, type RequestContext } from '../../platform/service.ts';
import { type Bucket, bucketArn, findBucket, onBucket } from './access.ts';
import { s3Error } from './errors.ts';
import type { Deleted } from './versions.ts';

interface Written {
  key: string;
  size: number;
  etag: string;
  versionId: string;
  reason: 'PutObject' | 'CopyObject' | 'CompleteMultipartUpload';
}

/** "Object Created" in the transaction that made the object (EventBridge: `aws.s3`, user guide "EventBridge event message structure"). */
export async function objectCreated(tx: Transaction, ctx: RequestContext, bucket: Bucket, written: Written): Promise<void> {
  const { key, size, etag, versionId, reason } = written;
  await emit(tx, ctx, bucket, 'Object Created', { key, size, etag, ...versionDetail(bucket, versionId) }, { reason });
}

export async function objectDeleted(tx: Transaction, ctx: RequestContext, bucket: Bucket, key: string, deleted: Deleted): Promise<void> {
  const { removed, marker } = deleted;
  if (!removed && marker === undefined) return;
  const object = marker === undefined ? { key, etag: removed!.etag ?? undefined } : { key };
  await emit(
    tx,
    ctx,
    bucket,
    'Object Deleted',
    { ...object, ...versionDetail(bucket, marker ?? removed!.version_id) },
    { reason: 'DeleteObject', 'deletion-type': marker === undefined ? 'Permanently Deleted' : 'Delete Marker Created' },
  );
}

function versionDetail(bucket: Bucket, versionId: string): { 'version-id'?: string } {
  return bucket.versioning === null ? {} : { 'version-id': versionId };
}

async function emit(
  tx: Transaction,
  ctx: RequestContext,
  bucket: Bucket,
  detailType: string,
  object: Record<string, unknown>,
  further: Record<string, unknown>,
): Promise<void> {
  if (!bucket.event_bridge) return;
  // Compares as text: later writes of a key have a greater one.
  const { rows } = await sql<{ order: number }>`select nextval('s3.version_order') as order`.execute(tx.sql);
  const sequencer = rows[0]!.order.toString(16).padStart(16, '0').toUpperCase();
  await tx.emit({
    account: bucket.account,
    region: bucket.region,
    source: 'aws.s3',
    detailType,
    resources: [bucketArn(bucket.name)],
    time: ctx.now(),
    detail: {
      version: '0',
      bucket: { name: bucket.name },
      object: { ...object, sequencer },
      'request-id': ctx.requestId,
      requester: ctx.principal.account,
      'source-ip-address': ctx.sourceIp,
      ...further,
    },
  });
}

export const getBucketNotificationConfiguration = operation('s3', 'GetBucketNotificationConfiguration', {
  authorize: onBucket('s3:GetBucketNotification'),
  async handle(ctx, input) {
    const bucket = await findBucket(ctx, input);
    return bucket.event_bridge ? { EventBridgeConfiguration: {} } : {};
  },
});

export const putBucketNotificationConfiguration = operation('s3', 'PutBucketNotificationConfiguration', {
  authorize: onBucket('s3:PutBucketNotification'),
  async handle(ctx, input) {
    const { NotificationConfiguration: asked } = input;
    const others = [asked.TopicConfigurations, asked.QueueConfigurations, asked.LambdaFunctionConfigurations];
    if (others.some((configurations) => configurations?.length)) {
      throw s3Error('InvalidArgument', 'Unable to validate the following destination configurations');
    }
    await ctx.transaction((tx) =>
      tx.sql
        .updateTable('s3.buckets')
        .set({ event_bridge: asked.EventBridgeConfiguration !== undefined })
        .where('name', '=', input.Bucket)
        .execute(),
    );
    return {};
  },
  partial: 'EventBridge only: SNS topics, SQS queues and Lambda functions are refused',
});
