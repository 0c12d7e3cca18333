/**
 * `AWS API Call via CloudTrail`: changes, as events for the rules of the default bus. As on AWS, only where a trail is logging: a rule for all events
 * of a service would else get its calls too, unasked. And only those that some rule waits for are sent at all.
 */
import { isAway } from '../../platform/database/pool.ts';
import { compilePattern, type Predicate } from '../../platform/event-patterns/patterns.ts';
import type { AwsEvent, Platform } from '../../platform/platform.ts';
import type { Rendered } from './render.ts';

const DETAIL_TYPE = 'AWS API Call via CloudTrail';
const MAX_KEPT_PATTERNS = 1_000;

/** In order of the calls. Asks for trails and rules once for each account and region, and not at all when nothing was changed. */
export async function eventsForRules(platform: Platform, events: Rendered[]): Promise<AwsEvent[]> {
  const changes = events.filter(({ record }) => !record.readOnly);
  const wanted: AwsEvent[] = [];
  if (changes.length === 0) return wanted;
  const hasTrail = await loggingTrails(platform);
  for (const [, group] of Map.groupBy(changes, ({ account, region }) => `${account} ${region}`)) {
    if (!hasTrail(group[0]!)) continue;
    const predicates = await predicatesOf(platform, group[0]!);
    if (predicates.length === 0) continue;
    for (const change of group) if (predicates.some((matches) => matches(envelope(change)))) wanted.push(toEvent(change));
  }
  return wanted;
}

async function loggingTrails({ read }: Platform): Promise<(place: Rendered) => boolean> {
  const trails = await read.selectFrom('cloudtrail.trails').select(['account', 'region', 'settings']).where('logging', '=', true).execute();
  return ({ account, region }) =>
    trails.some((trail) => trail.account === account && (trail.region === region || trail.settings.IsMultiRegionTrail));
}

/** What a pattern sees. */
function envelope(change: Rendered): Record<string, unknown> {
  const { account, region, source, resources, detail, time } = toEvent(change);
  return {
    version: '0',
    id: change.record.eventID,
    'detail-type': DETAIL_TYPE,
    source,
    account,
    time: time!.toISOString(),
    region,
    resources,
    detail,
  };
}

function toEvent({ account, region, time, record }: Rendered): AwsEvent {
  const source = `aws.${record.eventSource.slice(0, record.eventSource.indexOf('.'))}`;
  return { account, region, source, detailType: DETAIL_TYPE, resources: [], detail: record, time: new Date(time) };
}

/** When EventBridge cannot be asked (it may be elsewhere), the audit goes on without it; not when it is the database that is away. */
async function predicatesOf(platform: Platform, place: Rendered): Promise<Predicate[]> {
  try {
    return await askForRules(platform, place);
  } catch (error) {
    if (isAway(error)) throw error;
    platform.log.warn({ error: (error as Error).message }, 'the rules of the default bus could not be read: no rule gets these calls');
    return [];
  }
}

async function askForRules(platform: Platform, { account, region }: Rendered): Promise<Predicate[]> {
  const { events } = platform.aws.asService('cloudtrail', { account, region });
  const predicates: Predicate[] = [];
  let NextToken: string | undefined;
  do {
    const page = await events.listRules({ NextToken });
    for (const { State, EventPattern } of page.Rules ?? []) {
      if (State !== 'DISABLED' && EventPattern !== undefined) predicates.push(predicate(EventPattern));
    }
    NextToken = page.NextToken;
  } while (NextToken !== undefined);
  return predicates;
}

const compiled = new Map<string, Predicate>();

function predicate(pattern: string): Predicate {
  let found = compiled.get(pattern);
  if (!found) {
    if (compiled.size >= MAX_KEPT_PATTERNS) compiled.clear();
    found = compilePattern(pattern);
    compiled.set(pattern, found);
  }
  return found;
}
