/** Forgetting what has had its time: subscriptions that nobody confirmed, and what was remembered against duplicates. */
import type { Reconciler } from '../../platform/service.ts';
import { PENDING_MS } from './confirmation.ts';

const EVERYTHING = 'all';

export const sweep: Reconciler = {
  async run(platform) {
    const now = platform.now();
    await platform.transaction(async (tx) => {
      await tx.sql
        .deleteFrom('sns.subscriptions')
        .where('confirmed', '=', false)
        .where('created_at', '<=', new Date(now.getTime() - PENDING_MS))
        .execute();
      await tx.sql.deleteFrom('sns.deduplication').where('expires_at', '<=', now).execute();
    });
  },
  async pending(platform) {
    return (await platform.read.selectFrom('sns.topics').select('name').limit(1).executeTakeFirst()) ? [EVERYTHING] : [];
  },
};
