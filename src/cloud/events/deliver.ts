/** From a committed event to its rules, and from each rule to its targets. */
import { AwsError } from '../../platform/errors.ts';
import { compilePattern, type Predicate } from '../../platform/event-patterns/patterns.ts';
import type { Platform } from '../../platform/platform.ts';
import type { JobHandler } from '../../platform/service.ts';
import { DEFAULT_BUS, ruleArn } from './arns.ts';
import { type DeliveredEvent, targetInput } from './inputs.ts';
import { type Delivery, queueClient, targetKind } from './invoke.ts';
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
const FINAL =
  /^(AccessDenied|AuthorizationError|Invalid|MissingRequiredParameter|ValidationException|NotFound$|.*NotFound.*|.*DoesNotExist.*|NoSuchEntity.*)/;

/** Job `events.invoke`: one event to one target; what the target never takes goes to its dead-letter queue. */
export const invokeTarget: JobHandler = async (platform, delivery: Delivery, { attempt, maxAttempts }) => {
  const { target, rule, event } = delivery;
  const age = (platform.now().getTime() - Date.parse(event.time)) / 1000;
  if (attempt > 1 && age > (target.RetryPolicy?.MaximumEventAgeInSeconds ?? MAX_AGE_SECONDS)) {
    platform.log.error({ rule: rule.arn, target: target.Arn, event: event.id }, 'an event grew too old before its target took it');
    await toDeadLetters(platform, delivery, attempt, 'EventAgeExceeded', 'The event grew too old before its target took it.');
    return;
  }
  try {
    await targetKind(target.Arn)!.invoke(platform, delivery);
  } catch (error) {
    const final = error instanceof AwsError && FINAL.test(error.code);
    if (!final && (attempt < maxAttempts || !target.DeadLetterConfig?.Arn)) throw error;
    const { message, code = 'SDK_CLIENT_ERROR' } = error as Error & { code?: string };
    platform.log.error({ rule: rule.arn, target: target.Arn, event: event.id, code, message }, 'an event was refused by its target');
    await toDeadLetters(platform, delivery, attempt, code, message);
  }
};

/** With the attributes that EventBridge gives it (user guide, "Using dead-letter queues"). Throws while the queue cannot be reached. */
async function toDeadLetters(platform: Platform, delivery: Delivery, attempt: number, code: string, message: string): Promise<void> {
  const { target, rule, input } = delivery;
  const arn = target.DeadLetterConfig?.Arn;
  if (!arn) return;
  const { sqs, QueueUrl } = queueClient(platform, delivery, arn);
  const text = (StringValue: string) => ({ DataType: 'String', StringValue });
  const MessageAttributes = {
    RULE_ARN: text(rule.arn),
    TARGET_ARN: text(target.Arn),
    ERROR_CODE: text(code),
    ERROR_MESSAGE: text(message.slice(0, 1000) || code),
    RETRY_ATTEMPTS: { DataType: 'Number', StringValue: String(attempt - 1) },
  };
  try {
    await sqs.sendMessage({ QueueUrl, MessageBody: input, MessageAttributes });
  } catch (error) {
    if (!(error instanceof AwsError) || !FINAL.test(error.code)) throw error;
    platform.log.error({ rule: rule.arn, queue: arn, reason: error.message }, 'a dead-letter queue refused an event');
  }
}

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
