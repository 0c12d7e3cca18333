/** Events as they are stored: those of one account and region, in order of time, compressed as one row. */
import { randomUUID } from 'node:crypto';
import { promisify } from 'node:util';
import { zstdCompress, zstdDecompress } from 'node:zlib';
import { sql } from 'kysely';
import type { Platform, Transaction } from '../../platform/platform.ts';
import { attributeHashes } from './attributes.ts';
import type { Rendered, TrailRecord } from './render.ts';
import type { ResourceRef } from './resources.ts';
import './tables.ts';

const compress = promisify(zstdCompress);
const decompress = promisify(zstdDecompress);

/** AWS's event history goes back so far. */
export const RETENTION_DAYS = 90;
const DAY_MS = 86_400_000;
const MAX_PLAIN_BYTES = 512 * 1024 * 1024;
/** Any fixed number, known only to us: one process at a time makes or drops partitions. */
const PARTITIONS_LOCK = 7_461_003;

/** An event in a chunk. */
export interface StoredEvent {
  /** Milliseconds since 1970. */
  time: number;
  /** Of data events. */
  dataType: string | undefined;
  userName: string | undefined;
  resources: ResourceRef[];
  record: TrailRecord;
}

export interface Chunk {
  id: string;
  day: string;
  account: string;
  region: string;
  first_at: number;
  last_at: number;
  count: number;
  data: boolean;
  attributes: string;
  events: Buffer;
}

/** One chunk for each account, region and kind, beside what is in it; events keep their order. */
export async function packAll(events: Rendered[]): Promise<{ chunk: Chunk; events: Rendered[] }[]> {
  const groups = Map.groupBy(events, (event) => `${event.account} ${event.region} ${event.dataType === undefined}`);
  return Promise.all([...groups.values()].map(async (group) => ({ chunk: await pack(group), events: group })));
}

async function pack(events: Rendered[]): Promise<Chunk> {
  const { account, region, dataType } = events[0]!;
  const data = dataType !== undefined;
  const times = events.map(({ time }) => time);
  const last = Math.max(...times);
  const lines = events.map(
    ({ time, dataType, userName, resources, text }) =>
      `[${time},${JSON.stringify([dataType ?? null, userName ?? null, resources])},${text}]`,
  );
  return {
    id: randomUUID(),
    day: dayOf(last),
    account,
    region,
    first_at: Math.min(...times),
    last_at: last,
    count: events.length,
    data,
    attributes: data ? '{}' : `{${attributeHashes({ account, region }, events).join()}}`,
    events: await compress(Buffer.from(`[${lines.join()}]`)),
  };
}

export async function unpack(events: Buffer): Promise<StoredEvent[]> {
  const plain = await decompress(events, { maxOutputLength: MAX_PLAIN_BYTES });
  const stored = JSON.parse(plain.toString()) as [number, [string | null, string | null, ResourceRef[]], TrailRecord][];
  return stored.map(([time, [dataType, userName, resources], record]) => ({
    time,
    dataType: dataType ?? undefined,
    userName: userName ?? undefined,
    resources,
    record,
  }));
}

export async function insertChunks(tx: Transaction, chunks: Chunk[]): Promise<void> {
  if (chunks.length === 0) return;
  await tx.sql.insertInto('cloudtrail.chunks').values(chunks).execute();
}

export function dayOf(time: number): string {
  return new Date(time).toISOString().slice(0, 10);
}

const made = new Set<string>();

/** The partitions that these chunks need; made once a day by whoever is first. */
export async function ensurePartitions(platform: Pick<Platform, 'transaction'>, days: string[]): Promise<void> {
  const missing = [...new Set(days)].filter((day) => !made.has(day));
  if (missing.length === 0) return;
  await platform.transaction(async (tx) => {
    await sql`select pg_advisory_xact_lock(${PARTITIONS_LOCK})`.execute(tx.sql);
    for (const day of missing) {
      const next = dayOf(Date.parse(day) + DAY_MS);
      const name = sql.table(`cloudtrail.chunks_${day.replaceAll('-', '')}`);
      await sql`create table if not exists ${name} partition of cloudtrail.chunks
        for values from (${sql.lit(day)}) to (${sql.lit(next)})`.execute(tx.sql);
    }
  });
  for (const day of missing) made.add(day);
}

/** Drops the days that are past retention. */
export async function dropOldPartitions(platform: Platform): Promise<void> {
  const oldest = dayOf(platform.now().getTime() - RETENTION_DAYS * DAY_MS);
  const { rows } = await sql<{ name: string }>`
    select child.relname as name from pg_inherits join pg_class child on child.oid = inhrelid
    where inhparent = 'cloudtrail.chunks'::regclass`.execute(platform.read as never);
  const old = rows.filter(({ name }) => name < `chunks_${oldest.replaceAll('-', '')}`);
  for (const { name } of old) {
    await platform.transaction(async (tx) => {
      await sql`select pg_advisory_xact_lock(${PARTITIONS_LOCK})`.execute(tx.sql);
      await sql`drop table if exists ${sql.table(`cloudtrail.${name}`)}`.execute(tx.sql);
    });
    made.delete(`${name.slice(7, 11)}-${name.slice(11, 13)}-${name.slice(13)}`);
  }
}
