/** Which events start builds: filterGroups, or the branchFilter of old. Users' expressions run in linear time (RE2), and match anywhere. */
import { RE2JS } from 're2js';
import { invalid } from '../rules.ts';
import type { EventType, WebhookEvent } from './event.ts';
import type { WebhookDefinition } from './tables.ts';

type Filter = NonNullable<WebhookDefinition['filterGroups']>[number][number];

/** What a payload may leave out is asked for when a filter wants it, and not before. */
export interface Lookups {
  files(): Promise<string[]>;
  message(): Promise<string>;
}

const EVENT_TYPES: ReadonlySet<string> = new Set<EventType>([
  'PUSH',
  'PULL_REQUEST_CREATED',
  'PULL_REQUEST_UPDATED',
  'PULL_REQUEST_REOPENED',
  'PULL_REQUEST_MERGED',
  'PULL_REQUEST_CLOSED',
  'RELEASED',
  'PRERELEASED',
]);
/** Without filters: whatever brings new commits. */
const USUAL: ReadonlySet<EventType> = new Set(['PUSH', 'PULL_REQUEST_CREATED', 'PULL_REQUEST_UPDATED', 'PULL_REQUEST_REOPENED']);
const LOOKED_UP: ReadonlySet<string> = new Set(['FILE_PATH', 'COMMIT_MESSAGE']);
const MAX_PATTERN = 1024;
const MAX_GROUPS = 20;

/** Throws InvalidInputException. */
export function checkFilters({ filterGroups = [], branchFilter }: WebhookDefinition): void {
  if (branchFilter && filterGroups.length > 0) throw invalid('Invalid webhook: branchFilter and filterGroups cannot be used together');
  if (branchFilter) compiled(branchFilter);
  if (filterGroups.length > MAX_GROUPS) throw invalid(`Invalid webhook: a webhook cannot have more than ${MAX_GROUPS} filter groups`);
  for (const group of filterGroups) {
    if (!group.some((filter) => filter.type === 'EVENT'))
      throw invalid('Invalid webhook filter group: it must have a filter of type EVENT');
    for (const filter of group) checkFilter(filter);
  }
}

function checkFilter({ type, pattern }: Filter): void {
  if (type === 'WORKFLOW_NAME')
    throw invalid('Invalid webhook filter: runners, which WORKFLOW_NAME is for, are not available in this installation');
  if (type !== 'EVENT') return void compiled(pattern);
  for (const name of eventNames(pattern)) {
    if (name === 'WORKFLOW_JOB_QUEUED')
      throw invalid('Invalid webhook filter: runners, which WORKFLOW_JOB_QUEUED is for, are not available in this installation');
    if (!EVENT_TYPES.has(name)) throw invalid(`Invalid webhook filter pattern: ${name} is not a type of event`);
  }
}

/** One group must pass; it passes if each of its filters does. */
export async function passesFilters(definition: WebhookDefinition, event: WebhookEvent, lookups: Lookups): Promise<boolean> {
  const { filterGroups = [], branchFilter } = definition;
  if (filterGroups.length === 0) {
    if (!USUAL.has(event.type)) return false;
    const branch = event.headRef?.replace(/^refs\/(heads|tags)\//, '') ?? '';
    return !branchFilter || compiled(branchFilter).matcher(branch).find();
  }
  for (const group of filterGroups) if (await passesGroup(group, event, lookups)) return true;
  return false;
}

async function passesGroup(group: Filter[], event: WebhookEvent, lookups: Lookups): Promise<boolean> {
  // What the provider must be asked about comes last.
  const ordered = [...group].sort((a, b) => Number(LOOKED_UP.has(a.type)) - Number(LOOKED_UP.has(b.type)));
  for (const filter of ordered) {
    const matched = await matches(filter, event, lookups);
    if (matched === (filter.excludeMatchedPattern ?? false)) return false;
  }
  return true;
}

async function matches({ type, pattern }: Filter, event: WebhookEvent, lookups: Lookups): Promise<boolean> {
  if (type === 'EVENT') return eventNames(pattern).includes(event.type);
  const expression = compiled(pattern);
  const values = await valuesOf(type, event, lookups);
  return values.some((value) => value !== undefined && expression.matcher(value).find());
}

/** An event that has none of them, such as a push with a BASE_REF filter, matches no pattern. */
async function valuesOf(type: Filter['type'], event: WebhookEvent, lookups: Lookups): Promise<(string | undefined)[]> {
  switch (type) {
    case 'ACTOR_ACCOUNT_ID':
      return [event.actor];
    case 'HEAD_REF':
      return [event.headRef];
    case 'BASE_REF':
      return [event.baseRef];
    case 'FILE_PATH':
      return isRelease(event) ? [] : lookups.files();
    case 'COMMIT_MESSAGE':
      return isRelease(event) ? [] : [await lookups.message()];
    case 'TAG_NAME':
      return [event.tag];
    case 'RELEASE_NAME':
      return [event.release];
    case 'REPOSITORY_NAME':
      return [event.repository.slice(event.repository.lastIndexOf('/') + 1)];
    case 'ORGANIZATION_NAME':
      return [event.repository.slice(0, Math.max(0, event.repository.lastIndexOf('/')))];
    case 'WORKFLOW_NAME':
    case 'EVENT':
      return [];
  }
}

function isRelease({ type }: WebhookEvent): boolean {
  return type === 'RELEASED' || type === 'PRERELEASED';
}

function eventNames(pattern: string): string[] {
  return pattern.split(',').map((name) => name.trim());
}

function compiled(pattern: string): RE2JS {
  if (pattern.length > MAX_PATTERN) throw invalid(`Invalid webhook filter pattern: it has more than ${MAX_PATTERN} characters`);
  try {
    return RE2JS.compile(pattern);
  } catch {
    throw invalid(`Invalid webhook filter pattern: ${pattern} is not a regular expression`);
  }
}
