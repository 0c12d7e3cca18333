/** Rules with a schedule: each is a reconciler that fires once and sets its next timer in the same transaction. */
import { randomUUID } from 'node:crypto';
import { sql } from 'kysely';
import type { Reconciler } from '../../platform/service.ts';
import { queueDeliveries } from './deliver.ts';
import { nextFire } from './schedule.ts';
import './tables.ts';

export const scheduledRules: Reconciler = {
  async run(platform, arn) {
    const [, , , region, account, resource = ''] = arn.split(':');
    const place = { account: account!, region: region!, bus: 'default' };
    const name = resource.slice('rule/'.length);
    await platform.transaction(async (tx) => {
      const rule = await tx.sql
        .selectFrom('events.rules')
        .select(['schedule', 'next_fire'])
        .where((eb) => eb.and({ ...place, name, state: 'ENABLED' }))
        .where('schedule', 'is not', null)
        .forUpdate()
        .executeTakeFirst();
      if (!rule) return;
      const now = platform.now();
      if (rule.next_fire && rule.next_fire <= now) {
        await queueDeliveries(platform, tx, place, [name], {
          version: '0',
          id: randomUUID(),
          'detail-type': 'Scheduled Event',
          source: 'aws.events',
          account: place.account,
          time: rule.next_fire.toISOString().replace(/\.\d+Z$/, 'Z'),
          region: place.region,
          resources: [arn],
          detail: {},
        });
      }
      if (rule.next_fire && rule.next_fire > now) return tx.reconcile('events.schedule', arn, rule.next_fire);
      // After a pause the missed times are not made up for: one event, then on from now.
      const next = nextFire(rule.schedule!, now);
      await tx.sql
        .updateTable('events.rules')
        .set({ next_fire: next ?? null })
        .where((eb) => eb.and({ ...place, name }))
        .execute();
      if (next) await tx.reconcile('events.schedule', arn, next);
    });
  },
  async pending(platform) {
    const { rows } = await sql<{ arn: string }>`select 'arn:aws:events:' || region || ':' || account || ':rule/' || name as arn
      from events.rules where schedule is not null and state = 'ENABLED' and (next_fire is null or next_fire <= now())`.execute(
      platform.read as never,
    );
    return rows.map(({ arn }) => arn);
  },
};
