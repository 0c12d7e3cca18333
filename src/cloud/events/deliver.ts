/** From a committed event to its rules, and from each rule to its targets. */
import { AwsError } from '../../platform/errors.ts';
import { compilePattern, type Predicate } from '../../platform/event-patterns/patterns.ts';
import type { Platform } from '../../platform/platform.ts';
import type { JobHandler } from '../../platform/service.ts';
import { DEFAULT_BUS, ruleArn } from './arns.ts';
import { type DeliveredEvent, targetInput } from './inputs.ts';
import { type Delivery, targetKind } from './invoke.ts';
import './tables.ts';

/** Back-off reaches minutes within a few attempts; AWS tries 185 times in 24 hours. */
const MAX_ATTEMPTS = 25;
const MAX_AGE_SECONDS = 86_400;
const MAX_KEPT_PATTERNS = 10_000;

interface QueuedEvent {
  id: string;
  account: string;
  region: string;
  source: string;
  detailType: string;
  resources: string[];
  detail: unknown;
  time: string;
  bus?: string;
}

const compiled = new Map<string, Predicate>();

function predicate(pattern: string): Predicate {
  let found = compiled.get(pattern);
  if (!found) {
    found = compilePattern(pattern);
    if (compiled.size >= MAX_KEPT_PATTERNS) compiled.clear();
    compiled.set(pattern, found);
  }
  return found;
}

/** Job `events.deliver`: queues one delivery for each target of each rule that wants the event; exactly once for an event. */
export const deliverEvent: JobHandler = async (platform, queued: QueuedEvent) => {
  const event = toEvent(queued);
  const { account, region, bus = DEFAULT_BUS } = queued;
  const rules = await platform.read
    .selectFrom('events.rules')
    .select(['name', 'pattern'])
    .where((eb) => eb.and({ account, region, bus, state: 'ENABLED' }))
    .where('pattern', 'is not', null)
    .execute();
  const wanted = rules.filter((rule) => predicate(rule.pattern!)(event)).map((rule) => rule.name);
  if (wanted.length === 0) return;
  await platform.transaction(async (tx) => {
    const first = await tx.sql
      .insertInto('events.delivered')
      .values({ event_id: event.id })
      .onConflict((conflict) => conflict.doNothing())
      .returning('event_id')
      .executeTakeFirst();
    if (!first) return;
    await queueDeliveries(platform, tx, { account, region, bus }, wanted, event);
  });
};

export async function queueDeliveries(
  platform: Platform,
  tx: Parameters<Parameters<Platform['transaction']>[0]>[0],
  place: { account: string; region: string; bus: string },
  rules: string[],
  event: DeliveredEvent,
): Promise<void> {
  const targets = await tx.sql
    .selectFrom('events.targets')
    .select(['rule', 'target'])
    .where((eb) => eb.and(place))
    .where('rule', 'in', rules)
    .execute();
  for (const { rule: name, target } of targets) {
    const rule = { name, arn: ruleArn(place, place.bus, name) };
    const delivery: Delivery = { ...place, rule, target, input: targetInput(target, event, rule, platform.now()), event };
    const maxAttempts = Math.min(MAX_ATTEMPTS, (target.RetryPolicy?.MaximumRetryAttempts ?? MAX_ATTEMPTS) + 1);
    await tx.enqueue('events.invoke', delivery, { maxAttempts });
  }
}

/** Errors that no retry heals: the target or the permission is not there. EventBridge gives up on them too. */
const FINAL = /^(AccessDenied|ValidationException|InvalidInputException|.*NotFound.*|.*DoesNotExist.*|NoSuchEntity.*)/;

/** Job `events.invoke`: one event to one target. */
export const invokeTarget: JobHandler = async (platform, delivery: Delivery, { attempt }) => {
  const { target, rule, event } = delivery;
  const age = (platform.now().getTime() - Date.parse(event.time)) / 1000;
  if (attempt > 1 && age > (target.RetryPolicy?.MaximumEventAgeInSeconds ?? MAX_AGE_SECONDS)) {
    platform.log.error({ rule: rule.arn, target: target.Arn, event: event.id }, 'an event grew too old before its target took it');
    return;
  }
  try {
    await targetKind(target.Arn)!.invoke(platform, delivery);
  } catch (error) {
    if (!(error instanceof AwsError) || !FINAL.test(error.code)) throw error;
    platform.log.error(
      { rule: rule.arn, target: target.Arn, event: event.id, code: error.code, message: error.message },
      'an event was refused by its target',
    );
  }
};

export function toEvent(queued: QueuedEvent): DeliveredEvent {
  return {
    version: '0',
    id: queued.id,
    'detail-type': queued.detailType,
    source: queued.source,
    account: queued.account,
    // AWS gives whole seconds.
    time: queued.time.replace(/\.\d+Z$/, 'Z'),
    region: queued.region,
    resources: queued.resources,
    detail: queued.detail,
  };
}
