/**
 * Log files of trails. First a row says which chunks go into which file; then the file is written; then the row says so. Whoever is killed in
 * between leaves the row, and the same file is written again under the same name: nothing is missing, and nothing is there twice.
 */
import { createHash, randomUUID } from 'node:crypto';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import type { Selectable } from 'kysely';
import { AwsError } from '../../platform/errors.ts';
import type { Platform } from '../../platform/platform.ts';
import type { Reconciler } from '../../platform/service.ts';
import { unpack } from './chunks.ts';
import { asTrail, keyPrefix, logGroupName, logStreamName, writing } from './destinations.ts';
import { isAwsError } from './errors.ts';
import type { TrailRecord } from './render.ts';
import { takes } from './selectors.ts';
import type { DeliveriesTable, Piece, TrailStatus } from './tables.ts';
import type { Trail } from './trail.ts';
import { DELIVER, nextBoundary } from './waiting.ts';

const compress = promisify(gzip);

/** A file holds no more events than this, about. */
const MAX_EVENTS = 20_000;
/** PutLogEvents' bounds, with room for what it counts beside the text. */
const MAX_LOG_EVENTS = 500;

type Delivery = Selectable<DeliveriesTable>;

export const deliveries: Reconciler = {
  async run(platform, arn, signal) {
    const trail = await trailBy(platform, arn);
    if (!trail) return;
    while (!signal.aborted) {
      const delivery = (await begunDelivery(platform, trail)) ?? (await beginDelivery(platform, trail));
      if (!delivery) return;
      if (!(await finish(platform, trail, delivery))) return;
    }
  },
  async pending(platform) {
    const due = await platform.read
      .selectFrom('cloudtrail.waiting')
      .select('trail')
      .distinct()
      .where('due_at', '<=', platform.now())
      .execute();
    const begun = await platform.read
      .selectFrom('cloudtrail.deliveries')
      .select('trail')
      .distinct()
      .where('delivered_at', 'is', null)
      .execute();
    return [...new Set([...due, ...begun].map(({ trail }) => trail))];
  },
};

export function trailBy(platform: Platform, arn: string): Promise<Trail | undefined> {
  return platform.read.selectFrom('cloudtrail.trails').selectAll().where('arn', '=', arn).executeTakeFirst();
}

/** One whose file may be there or not. After the trail got another bucket, it goes there. */
async function begunDelivery(platform: Platform, trail: Trail): Promise<Delivery | undefined> {
  const begun = await platform.read
    .selectFrom('cloudtrail.deliveries')
    .selectAll()
    .where('trail', '=', trail.arn)
    .where('delivered_at', 'is', null)
    .orderBy('created_at')
    .executeTakeFirst();
  if (!begun || begun.bucket === trail.settings.S3BucketName) return begun;
  const { bucket, key } = newDelivery(trail, begun.region, begun.chunks, begun.created_at);
  await platform.transaction((tx) => tx.sql.updateTable('cloudtrail.deliveries').set({ bucket, key }).where('id', '=', begun.id).execute());
  return { ...begun, bucket, key };
}

/** Takes what waits of one region, when any of it is due; undefined when there is nothing. */
function beginDelivery(platform: Platform, trail: Trail): Promise<Delivery | undefined> {
  const now = platform.now();
  return platform.transaction(async (tx) => {
    const due = await tx.sql
      .selectFrom('cloudtrail.waiting')
      .select('region')
      .where('trail', '=', trail.arn)
      .where('due_at', '<=', now)
      .orderBy('due_at')
      .executeTakeFirst();
    if (!due) return undefined;
    const rows = await tx.sql
      .selectFrom('cloudtrail.waiting')
      .selectAll()
      .where('trail', '=', trail.arn)
      .where('region', '=', due.region)
      .orderBy('due_at')
      .forUpdate()
      .execute();
    let count = 0;
    const taken = rows.filter((row) => {
      count += row.count;
      return count - row.count < MAX_EVENTS;
    });
    const { chunks, ...delivery } = newDelivery(trail, due.region, taken.map(pieceOf), now);
    await tx.sql
      .insertInto('cloudtrail.deliveries')
      .values({ ...delivery, chunks: JSON.stringify(chunks) })
      .execute();
    await tx.sql
      .deleteFrom('cloudtrail.waiting')
      .where('trail', '=', trail.arn)
      .where(
        'chunk',
        'in',
        taken.map(({ chunk }) => chunk),
      )
      .execute();
    return { ...delivery, chunks };
  });
}

function pieceOf(row: { chunk: string; day: string; from_at: number; to_at: number | null }): Piece {
  return { chunk: row.chunk, day: row.day, from: row.from_at, to: row.to_at };
}

function newDelivery(trail: Trail, region: string, chunks: Piece[], now: Date): Delivery {
  const [day, time] = now.toISOString().split('T') as [string, string];
  const stamp = `${day.replaceAll('-', '')}T${time.slice(0, 5).replace(':', '')}Z`;
  const unique = randomUUID().replaceAll('-', '').slice(0, 16);
  const name = `${trail.account}_CloudTrail_${region}_${stamp}_${unique}.json.gz`;
  return {
    id: randomUUID(),
    trail: trail.arn,
    region,
    bucket: trail.settings.S3BucketName,
    key: `${keyPrefix(trail.settings, trail.account)}/CloudTrail/${region}/${day.replaceAll('-', '/')}/${name}`,
    chunks,
    created_at: now,
    delivered_at: null,
    digested: false,
    hash: null,
    oldest_at: null,
    newest_at: null,
  };
}

/** False when the file could not be written; it is tried again later. */
async function finish(platform: Platform, trail: Trail, delivery: Delivery): Promise<boolean> {
  const records = await recordsOf(platform, trail, delivery.chunks);
  if (records.length === 0) {
    await platform.transaction((tx) => tx.sql.deleteFrom('cloudtrail.deliveries').where('id', '=', delivery.id).execute());
    return true;
  }
  const attemptedAt = platform.now().toISOString();
  const text = JSON.stringify({ Records: records });
  const failed = await write(platform, trail, delivery, text);
  if (failed !== undefined) {
    platform.log.warn(
      { trail: trail.arn, key: delivery.key, error: failed },
      'a log file of a trail could not be delivered; tried again later',
    );
    await note(platform, trail.arn, { attemptedAt, deliveryError: failed }, async (tx) => {
      await tx.reconcile(DELIVER, trail.arn, nextBoundary(platform));
    });
    return false;
  }
  const deliveredAt = platform.now();
  const status: TrailStatus = { attemptedAt, deliveredAt: deliveredAt.toISOString(), deliveryError: undefined };
  Object.assign(status, await sendToLogs(platform, trail, delivery.region, records), await notify(platform, trail, delivery));
  const times = records.map(({ eventTime }) => eventTime).sort();
  await note(platform, trail.arn, status, async (tx) => {
    await tx.sql
      .updateTable('cloudtrail.deliveries')
      .set({
        delivered_at: deliveredAt,
        hash: createHash('sha256').update(text).digest('hex'),
        oldest_at: new Date(times[0]!),
        newest_at: new Date(times.at(-1)!),
      })
      .where('id', '=', delivery.id)
      .execute();
  });
  return true;
}

async function recordsOf(platform: Platform, trail: Trail, pieces: Piece[]): Promise<TrailRecord[]> {
  const records: TrailRecord[] = [];
  for (const { chunk, day, from, to } of pieces) {
    const row = await platform.read
      .selectFrom('cloudtrail.chunks')
      .select('events')
      .where('day', '=', day)
      .where('id', '=', chunk)
      .executeTakeFirst();
    if (!row) continue;
    for (const event of await unpack(row.events)) {
      if (event.time >= from && (to === null || event.time < to) && takes(trail.selectors, event) && isWanted(trail, event.record)) {
        records.push(event.record);
      }
    }
  }
  return records;
}

const GLOBAL_SERVICES = new Set(['iam.amazonaws.com', 'sts.amazonaws.com']);

function isWanted({ settings }: Trail, { eventSource }: TrailRecord): boolean {
  return settings.IncludeGlobalServiceEvents || !GLOBAL_SERVICES.has(eventSource);
}

/** The error's code when S3 refused it. */
async function write(platform: Platform, trail: Trail, { bucket, key }: Delivery, text: string): Promise<string | undefined> {
  try {
    await asTrail(platform, trail).s3.putObject({
      ...writing(trail.settings),
      Bucket: bucket,
      Key: key,
      Body: await compress(text),
      ContentType: 'application/json',
      ContentEncoding: 'gzip',
    });
    return undefined;
  } catch (error) {
    if (error instanceof AwsError) return error.code;
    throw error;
  }
}

/** At least once: a crash right after it sends again. */
async function sendToLogs(platform: Platform, trail: Trail, region: string, records: TrailRecord[]): Promise<TrailStatus> {
  const { CloudWatchLogsLogGroupArn: group, CloudWatchLogsRoleArn: role } = trail.settings;
  if (!group || !role) return {};
  const groupName = logGroupName(group)!;
  const logStream = logStreamName(trail.account, region);
  try {
    const { logs } = await platform.aws.as({ role, service: 'cloudtrail', sessionName: 'CLOUDWATCHLOGS_DELIVERY', region: trail.region });
    await logs.createLogStream({ logGroupName: groupName, logStreamName: logStream }).catch((error) => {
      if (!isAwsError(error, 'ResourceAlreadyExistsException')) throw error;
    });
    const events = records
      .map((record) => ({ timestamp: Date.parse(record.eventTime), message: JSON.stringify(record) }))
      .sort((one, other) => one.timestamp - other.timestamp);
    for (const batch of batches(events)) await logs.putLogEvents({ logGroupName: groupName, logStreamName: logStream, logEvents: batch });
    return { logsDeliveredAt: platform.now().toISOString(), logsError: undefined };
  } catch (error) {
    if (error instanceof AwsError) return { logsError: error.code };
    throw error;
  }
}

const MAX_LOG_BYTES = 900_000;

function batches(events: { timestamp: number; message: string }[]): { timestamp: number; message: string }[][] {
  const all: { timestamp: number; message: string }[][] = [];
  let size = Number.POSITIVE_INFINITY;
  for (const event of events) {
    const bytes = Buffer.byteLength(event.message) + 26;
    if (size + bytes > MAX_LOG_BYTES || all.at(-1)!.length >= MAX_LOG_EVENTS) {
      all.push([]);
      size = 0;
    }
    all.at(-1)!.push(event);
    size += bytes;
  }
  return all;
}

async function notify(platform: Platform, trail: Trail, { bucket, key }: Delivery): Promise<TrailStatus> {
  const { SnsTopicARN: topic } = trail.settings;
  if (topic === undefined) return {};
  const notifiedAt = platform.now().toISOString();
  try {
    const message = JSON.stringify({ s3Bucket: bucket, s3ObjectKey: [key] });
    await asTrail(platform, trail).sns.publish({ TopicArn: topic, Message: message });
    return { notifiedAt, notificationError: undefined };
  } catch (error) {
    if (error instanceof AwsError) return { notifiedAt, notificationError: error.code };
    throw error;
  }
}

/** Changes what GetTrailStatus tells, together with `more`. */
export function note(
  platform: Platform,
  arn: string,
  change: TrailStatus,
  more: (tx: Parameters<Parameters<Platform['transaction']>[0]>[0]) => Promise<void>,
): Promise<void> {
  return platform.transaction(async (tx) => {
    const row = await tx.sql.selectFrom('cloudtrail.trails').select('status').where('arn', '=', arn).forUpdate().executeTakeFirst();
    if (!row) return;
    const status = JSON.stringify({ ...row.status, ...change });
    await tx.sql.updateTable('cloudtrail.trails').set({ status }).where('arn', '=', arn).execute();
    await more(tx);
  });
}
