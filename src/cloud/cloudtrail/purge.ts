/** Forgetting what is past retention. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Platform } from '../../platform/platform.ts';
import { dayOf, dropOldPartitions, RETENTION_DAYS } from './chunks.ts';

const EVERY_MS = 3_600_000;
const SOON_MS = 10_000;
const DAY_MS = 86_400_000;
/** Data events are kept for a trail whose bucket cannot be written to; nobody else can read them. */
const DATA_DAYS = 30;

export async function keepPurging(platform: Platform, signal: AbortSignal): Promise<void> {
  for (let pause = SOON_MS; !signal.aborted; pause = EVERY_MS) {
    await delay(pause, undefined, { ref: false, signal }).catch(() => {});
    if (signal.aborted) return;
    await purge(platform).catch((error) => platform.log.warn({ error: error.message }, 'old audit events could not be removed'));
  }
}

export async function purge(platform: Platform): Promise<void> {
  await dropOldPartitions(platform);
  await forgetDelivered(platform);
  const oldest = new Date(platform.now().getTime() - RETENTION_DAYS * DAY_MS);
  const delivered = dayOf(platform.now().getTime() - DATA_DAYS * DAY_MS);
  await platform.transaction((tx) =>
    tx.sql.deleteFrom('cloudtrail.chunks').where('data', '=', true).where('day', '<', delivered).execute(),
  );
  await platform.transaction((tx) => tx.sql.deleteFrom('cloudtrail.journals').where('moved_at', '<', oldest).execute());
}

/** What was delivered and is in no digest to come. */
async function forgetDelivered(platform: Platform): Promise<void> {
  const before = new Date(platform.now().getTime() - DATA_DAYS * DAY_MS);
  await platform.transaction((tx) => tx.sql.deleteFrom('cloudtrail.deliveries').where('delivered_at', '<', before).execute());
}
