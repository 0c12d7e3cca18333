/**
 * Digests: once an hour, for each region of a trail, a list of the log files that were delivered with their hashes, signed, and chained to the
 * digest before. `aws cloudtrail validate-logs` finds by them whatever was changed or removed.
 */
import { createHash, sign } from 'node:crypto';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import type { Selectable } from 'kysely';
import { AwsError } from '../../platform/errors.ts';
import type { Platform } from '../../platform/platform.ts';
import type { Reconciler } from '../../platform/service.ts';
import { note, trailBy } from './delivery.ts';
import { asTrail, keyPrefix, writing } from './destinations.ts';
import { signingKey } from './keys.ts';
import type { DigestsTable } from './tables.ts';
import type { Trail } from './trail.ts';

const compress = promisify(gzip);
const DIGEST = 'cloudtrail.digest';
const ALGORITHM = 'SHA256withRSA';

type Digest = Selectable<DigestsTable>;

export const digests: Reconciler = {
  async run(platform, arn, signal) {
    const trail = await trailBy(platform, arn);
    if (!trail?.started_at || !trail.settings.LogFileValidationEnabled) return;
    for (const region of await regionsOf(platform, trail)) {
      if (signal.aborted) return;
      const begun = (await begunDigest(platform, arn, region)) ?? (await beginDigest(platform, trail, region));
      if (begun) await finish(platform, trail, begun);
    }
    if (!trail.logging && !(await undigested(platform)).has(arn)) return;
    await platform.transaction((tx) => tx.reconcile(DIGEST, arn, new Date(lastBoundary(platform).getTime() + intervalMs(platform))));
  },
  async pending(platform) {
    const trails = await platform.read.selectFrom('cloudtrail.trails').select(['arn', 'settings']).where('logging', '=', true).execute();
    const logging = trails.filter(({ settings }) => settings.LogFileValidationEnabled).map(({ arn }) => arn);
    return [...new Set([...logging, ...(await undigested(platform))])];
  },
};

/** Trails with files that are still to be in a digest, also after they were stopped. */
async function undigested(platform: Platform): Promise<Set<string>> {
  const rows = await platform.read
    .selectFrom('cloudtrail.deliveries')
    .innerJoin('cloudtrail.trails', 'cloudtrail.trails.arn', 'cloudtrail.deliveries.trail')
    .select(['trail', 'settings'])
    .distinctOn('trail')
    .where('digested', '=', false)
    .execute();
  return new Set(rows.filter(({ settings }) => settings.LogFileValidationEnabled).map(({ trail }) => trail));
}

function intervalMs({ config }: Platform): number {
  return config.cloudtrail.digestSeconds * 1000;
}

function lastBoundary(platform: Platform): Date {
  const interval = intervalMs(platform);
  return new Date(Math.floor(platform.now().getTime() / interval) * interval);
}

/** Its home, and wherever it delivered something from. */
async function regionsOf(platform: Platform, trail: Trail): Promise<string[]> {
  const rows = await platform.read.selectFrom('cloudtrail.deliveries').select('region').distinct().where('trail', '=', trail.arn).execute();
  return [...new Set([trail.region, ...rows.map(({ region }) => region)])];
}

function begunDigest(platform: Platform, arn: string, region: string): Promise<Digest | undefined> {
  return platform.read
    .selectFrom('cloudtrail.digests')
    .selectAll()
    .where('trail', '=', arn)
    .where('region', '=', region)
    .where('body', 'is not', null)
    .executeTakeFirst();
}

/** The digest up to the last full interval, unless there is one; its text and signature are fixed before it is written anywhere. */
async function beginDigest(platform: Platform, trail: Trail, region: string): Promise<Digest | undefined> {
  const end = lastBoundary(platform);
  const previous = await platform.read
    .selectFrom('cloudtrail.digests')
    .selectAll()
    .where('trail', '=', trail.arn)
    .where('region', '=', region)
    .orderBy('end_at', 'desc')
    .executeTakeFirst();
  const start = previous?.end_at ?? new Date(trail.settings.validatedSince!);
  if (end <= start) return undefined;
  const key = await signingKey(platform);
  return platform.transaction(async (tx) => {
    const files = await tx.sql
      .selectFrom('cloudtrail.deliveries')
      .selectAll()
      .where('trail', '=', trail.arn)
      .where('region', '=', region)
      .where('delivered_at', 'is not', null)
      .where('digested', '=', false)
      .where('created_at', '>=', new Date(trail.settings.validatedSince!))
      .orderBy('delivered_at')
      .forUpdate()
      .execute();
    const { S3BucketName: bucket } = trail.settings;
    const objectKey = digestKey(trail, region, end);
    const body = JSON.stringify({
      awsAccountId: trail.account,
      digestStartTime: seconds(start),
      digestEndTime: seconds(end),
      digestS3Bucket: bucket,
      digestS3Object: objectKey,
      digestPublicKeyFingerprint: key.fingerprint,
      digestSignatureAlgorithm: ALGORITHM,
      newestEventTime: newest(files.map(({ newest_at }) => newest_at!)),
      oldestEventTime: oldest(files.map(({ oldest_at }) => oldest_at!)),
      previousDigestS3Bucket: previous?.bucket ?? null,
      previousDigestS3Object: previous?.key ?? null,
      previousDigestHashValue: previous?.hash ?? null,
      previousDigestHashAlgorithm: previous ? 'SHA-256' : null,
      previousDigestSignature: previous?.signature ?? null,
      logFiles: files.map((file) => ({
        s3Bucket: file.bucket,
        s3Object: file.key,
        hashValue: file.hash,
        hashAlgorithm: 'SHA-256',
        newestEventTime: seconds(file.newest_at!),
        oldestEventTime: seconds(file.oldest_at!),
      })),
    });
    const hash = createHash('sha256').update(body).digest('hex');
    const toSign = [seconds(end), `${bucket}/${objectKey}`, hash, previous?.signature ?? 'null'].join('\n');
    const signature = sign('sha256', Buffer.from(toSign), key.privateKey).toString('hex');
    const digest = { trail: trail.arn, region, end_at: end, bucket, key: objectKey, body, hash, signature };
    await tx.sql.insertInto('cloudtrail.digests').values(digest).execute();
    const listed = files.map(({ id }) => id);
    if (listed.length > 0) await tx.sql.updateTable('cloudtrail.deliveries').set({ digested: true }).where('id', 'in', listed).execute();
    return digest;
  });
}

function digestKey({ account, settings, name, region: home }: Trail, region: string, end: Date): string {
  const [day, time] = seconds(end).split('T') as [string, string];
  const stamp = `${day.replaceAll('-', '')}T${time.replaceAll(':', '')}`;
  const file = `${account}_CloudTrail-Digest_${region}_${name}_${home}_${stamp}.json.gz`;
  return `${keyPrefix(settings, account)}/CloudTrail-Digest/${region}/${day.replaceAll('-', '/')}/${file}`;
}

async function finish(platform: Platform, trail: Trail, digest: Digest): Promise<void> {
  try {
    await asTrail(platform, trail).s3.putObject({
      ...writing(trail.settings),
      Bucket: digest.bucket,
      Key: digest.key,
      Body: await compress(digest.body!),
      ContentType: 'application/json',
      ContentEncoding: 'gzip',
      Metadata: { signature: digest.signature, 'signature-algorithm': ALGORITHM },
    });
  } catch (error) {
    if (!(error instanceof AwsError)) throw error;
    platform.log.warn(
      { trail: trail.arn, key: digest.key, error: error.code },
      'a digest of a trail could not be delivered; tried again later',
    );
    return note(platform, trail.arn, { digestError: error.code }, async () => {});
  }
  const delivered = { digestDeliveredAt: platform.now().toISOString(), digestError: undefined };
  await note(platform, trail.arn, delivered, async (tx) => {
    await tx.sql
      .updateTable('cloudtrail.digests')
      .set({ body: null })
      .where('trail', '=', digest.trail)
      .where('region', '=', digest.region)
      .where('end_at', '=', digest.end_at)
      .execute();
    // Only the last one is needed, to chain the next to it.
    await tx.sql
      .deleteFrom('cloudtrail.digests')
      .where('trail', '=', digest.trail)
      .where('region', '=', digest.region)
      .where('end_at', '<', digest.end_at)
      .execute();
  });
}

function seconds(date: Date): string {
  return `${date.toISOString().slice(0, 19)}Z`;
}

function newest(dates: Date[]): string | null {
  return dates.length === 0 ? null : seconds(new Date(Math.max(...dates.map(Number))));
}

function oldest(dates: Date[]): string | null {
  return dates.length === 0 ? null : seconds(new Date(Math.min(...dates.map(Number))));
}
