/** EventBridge: committed events find their rules, and rules their targets. */
import { sql } from 'kysely';
import { defineService } from '../../platform/service.ts';
import * as buses from './buses.ts';
import { deliverEvent, invokeTarget } from './deliver.ts';
import * as events from './put-events.ts';
import * as rules from './rules.ts';
import { scheduledRules } from './scheduled.ts';
import * as tags from './tags.ts';
import * as targets from './targets.ts';

const TIDY_MS = 3_600_000;

export const eventsService = defineService('events', {
  operations: {
    putRule: rules.putRule,
    describeRule: rules.describeRule,
    deleteRule: rules.deleteRule,
    enableRule: rules.enableRule,
    disableRule: rules.disableRule,
    listRules: rules.listRules,
    listRuleNamesByTarget: rules.listRuleNamesByTarget,
    putTargets: targets.putTargets,
    removeTargets: targets.removeTargets,
    listTargetsByRule: targets.listTargetsByRule,
    putEvents: events.putEvents,
    testEventPattern: events.testEventPattern,
    createEventBus: buses.createEventBus,
    updateEventBus: buses.updateEventBus,
    describeEventBus: buses.describeEventBus,
    deleteEventBus: buses.deleteEventBus,
    listEventBuses: buses.listEventBuses,
    putPermission: buses.putPermission,
    removePermission: buses.removePermission,
    tagResource: tags.tagResource,
    untagResource: tags.untagResource,
    listTagsForResource: tags.listTagsForResource,
  },
  jobs: { 'events.deliver': deliverEvent, 'events.invoke': invokeTarget },
  reconcilers: { 'events.schedule': scheduledRules },
  schema: new URL('./schema/', import.meta.url),
  async start(platform, signal) {
    // A job is tried again within hours: a day of remembered events is more than enough.
    const tidy = () =>
      platform
        .transaction((tx) => sql`delete from events.delivered where at < now() - interval '2 days'`.execute(tx.sql))
        .catch((error) => platform.log.warn({ error }, 'old event ids could not be forgotten'));
    const timer = setInterval(tidy, TIDY_MS);
    signal.addEventListener('abort', () => clearInterval(timer), { once: true });
  },
});
