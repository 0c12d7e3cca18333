/** Hands chunks to the trails that are to deliver them, in the transaction that stores them. */
import type { Platform, Transaction } from '../../platform/platform.ts';
import type { Chunk } from './chunks.ts';
import type { Rendered } from './render.ts';
import { takes } from './selectors.ts';

export const DELIVER = 'cloudtrail.deliver';

/** The ids of those that some trail takes. */
export async function handToTrails(
  platform: Platform,
  tx: Transaction,
  chunks: { chunk: Chunk; events: Rendered[] }[],
): Promise<Set<string>> {
  const taken = new Set<string>();
  if (chunks.length === 0) return taken;
  const accounts = [...new Set(chunks.map(({ chunk }) => chunk.account))];
  const trails = await tx.sql
    .selectFrom('cloudtrail.trails')
    .select(['arn', 'account', 'region', 'settings', 'selectors', 'logging', 'started_at', 'stopped_at'])
    .where('account', 'in', accounts)
    .where('started_at', 'is not', null)
    .execute();
  const due = nextBoundary(platform);
  for (const trail of trails) {
    const from = trail.started_at!.getTime();
    const to = trail.logging ? null : trail.stopped_at!.getTime();
    const wanted = chunks.filter(
      ({ chunk, events }) =>
        chunk.account === trail.account &&
        (trail.settings.IsMultiRegionTrail || chunk.region === trail.region) &&
        events.some((event) => event.time >= from && (to === null || event.time < to) && takes(trail.selectors, event)),
    );
    if (wanted.length === 0) continue;
    const rows = wanted.map(({ chunk: { id, day, region, count } }) => ({
      trail: trail.arn,
      chunk: id,
      day,
      region,
      count,
      from_at: from,
      to_at: to,
      due_at: due,
    }));
    await tx.sql.insertInto('cloudtrail.waiting').values(rows).execute();
    await tx.reconcile(DELIVER, trail.arn, due);
    for (const { chunk } of rows) taken.add(chunk);
  }
  return taken;
}

/** Deliveries happen at full intervals, so that one file holds what an interval brought. */
export function nextBoundary({ config, now }: Pick<Platform, 'config' | 'now'>): Date {
  const interval = config.cloudtrail.deliverySeconds * 1000;
  return new Date((Math.floor(now().getTime() / interval) + 1) * interval);
}
