/** What happens to objects is told to EventBridge where the bucket has it enabled, and to the topics and queues that it names. */
import { sql } from 'kysely';
import type { Transaction } from '../../platform/platform.ts';
import type { RequestContext } from '../../platform/service.ts';
import { type Bucket, bucketArn, canonicalUser } from './access.ts';
import { concerns } from './notification-configuration.ts';
import { NOTIFY, type Notice } from './notify.ts';
import type { Notification } from './tables.ts';
import type { Deleted } from './versions.ts';

interface Written {
  key: string;
  size: number;
  etag: string;
  versionId: string;
  reason: 'PutObject' | 'CopyObject' | 'CompleteMultipartUpload';
}

/** One change, as EventBridge and as notifications name it. */
interface Change {
  detailType: string;
  event: string;
  object: { key: string; size?: number; etag?: string; 'version-id'?: string };
  further: Record<string, unknown>;
}

const CREATED = { PutObject: 'Put', CopyObject: 'Copy', CompleteMultipartUpload: 'CompleteMultipartUpload' };

/** In the transaction that made the object. */
export async function objectCreated(tx: Transaction, ctx: RequestContext, bucket: Bucket, written: Written): Promise<void> {
  const { key, size, etag, versionId, reason } = written;
  const object = { key, size, etag, ...versionDetail(bucket, versionId) };
  await tell(tx, ctx, bucket, { detailType: 'Object Created', event: `ObjectCreated:${CREATED[reason]}`, object, further: { reason } });
}

export async function objectDeleted(tx: Transaction, ctx: RequestContext, bucket: Bucket, key: string, deleted: Deleted): Promise<void> {
  const { removed, marker } = deleted;
  if (!removed && marker === undefined) return;
  const etag = marker === undefined ? (removed!.etag ?? undefined) : undefined;
  await tell(tx, ctx, bucket, {
    detailType: 'Object Deleted',
    event: marker === undefined ? 'ObjectRemoved:Delete' : 'ObjectRemoved:DeleteMarkerCreated',
    object: { key, ...(etag !== undefined && { etag }), ...versionDetail(bucket, marker ?? removed!.version_id) },
    further: { reason: 'DeleteObject', 'deletion-type': marker === undefined ? 'Permanently Deleted' : 'Delete Marker Created' },
  });
}

function versionDetail(bucket: Bucket, versionId: string): { 'version-id'?: string } {
  return bucket.versioning === null ? {} : { 'version-id': versionId };
}

async function tell(tx: Transaction, ctx: RequestContext, bucket: Bucket, change: Change): Promise<void> {
  const concerned = bucket.notifications.filter((notification) => concerns(notification, change.event, change.object.key));
  if (!bucket.event_bridge && concerned.length === 0) return;
  // Compares as text: later writes of a key have a greater one.
  const { rows } = await sql<{ order: number }>`select nextval('s3.version_order') as order`.execute(tx.sql);
  const sequencer = rows[0]!.order.toString(16).padStart(16, '0').toUpperCase();
  if (bucket.event_bridge) await emit(tx, ctx, bucket, change, sequencer);
  for (const notification of concerned) {
    const text = JSON.stringify({ Records: [record(ctx, bucket, change, sequencer, notification)] });
    const notice: Notice = { arn: notification.arn, bucket: bucket.name, account: bucket.account, text };
    await tx.enqueue(NOTIFY, notice);
  }
}

/** User guide, "EventBridge event message structure". */
async function emit(tx: Transaction, ctx: RequestContext, bucket: Bucket, change: Change, sequencer: string): Promise<void> {
  await tx.emit({
    account: bucket.account,
    region: bucket.region,
    source: 'aws.s3',
    detailType: change.detailType,
    resources: [bucketArn(bucket.name)],
    time: ctx.now(),
    detail: {
      version: '0',
      bucket: { name: bucket.name },
      object: { ...change.object, sequencer },
      'request-id': ctx.requestId,
      requester: ctx.principal.account,
      'source-ip-address': ctx.sourceIp,
      ...change.further,
    },
  });
}

/** User guide, "Event message structure". */
function record(ctx: RequestContext, bucket: Bucket, { event, object }: Change, sequencer: string, { id }: Notification) {
  const { key, size, etag, 'version-id': versionId } = object;
  return {
    eventVersion: '2.1',
    eventSource: 'aws:s3',
    awsRegion: bucket.region,
    eventTime: ctx.now().toISOString(),
    eventName: event,
    userIdentity: { principalId: `AWS:${ctx.principal.id}` },
    requestParameters: { sourceIPAddress: ctx.sourceIp },
    responseElements: { 'x-amz-request-id': ctx.requestId, 'x-amz-id-2': ctx.requestId },
    s3: {
      s3SchemaVersion: '1.0',
      configurationId: id,
      bucket: { name: bucket.name, ownerIdentity: { principalId: canonicalUser(bucket.account).ID }, arn: bucketArn(bucket.name) },
      // As in a form: spaces are plus signs, and slashes stay.
      object: { key: encodeURIComponent(key).replaceAll('%20', '+').replaceAll('%2F', '/'), size, eTag: etag, versionId, sequencer },
    },
  };
}
