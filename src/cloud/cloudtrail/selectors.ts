/** Which events a trail takes: PutEventSelectors and GetEventSelectors, and the question itself. */
import type { ShapeOf } from '../../platform/service.ts';
import type { StoredEvent } from './chunks.ts';
import type { TrailRecord } from './render.ts';
import type { Selectors } from './tables.ts';

type Basic = ShapeOf<'cloudtrail', 'EventSelector'>;
type Field = ShapeOf<'cloudtrail', 'AdvancedFieldSelector'>;

/** What a trail takes that was told nothing. */
export const DEFAULT_SELECTORS: Basic[] = [
  { ReadWriteType: 'All', IncludeManagementEvents: true, DataResources: [], ExcludeManagementEventSources: [] },
];

type Event = Pick<StoredEvent, 'dataType' | 'resources' | 'record'>;

export function takes(selectors: Selectors | null, event: Event): boolean {
  if (selectors?.advanced)
    return selectors.advanced.some(({ FieldSelectors }) => FieldSelectors.every((field) => fieldTakes(field, event)));
  return (selectors?.basic ?? DEFAULT_SELECTORS).some((selector) => basicTakes(selector, event));
}

/** Types of data events that may be taken; management events are taken or not one by one. */
export function dataTypes(selectors: Selectors | null): string[] {
  if (selectors?.basic) return selectors.basic.flatMap(({ DataResources = [] }) => DataResources.map(({ Type }) => Type!));
  return (selectors?.advanced ?? []).flatMap(({ FieldSelectors }) =>
    FieldSelectors.filter(({ Field }) => Field === 'resources.type').flatMap(({ Equals = [] }) => Equals),
  );
}

function basicTakes(selector: Basic, event: Event): boolean {
  const { ReadWriteType = 'All', IncludeManagementEvents = true, DataResources = [], ExcludeManagementEventSources = [] } = selector;
  const { record, dataType } = event;
  if (ReadWriteType !== 'All' && (ReadWriteType === 'ReadOnly') !== record.readOnly) return false;
  if (dataType === undefined) return IncludeManagementEvents && !ExcludeManagementEventSources.includes(record.eventSource);
  const resources = DataResources.filter(({ Type }) => Type === dataType);
  return resources.some(({ Values = [] }) => Values.some((value) => arnsOf(event).some((arn) => arn.startsWith(withoutEnd(value)))));
}

/** `arn:aws:s3` and `arn:aws:s3:::` mean all buckets; `arn:aws:s3:::name/` all objects of one. */
function withoutEnd(value: string): string {
  return value === 'arn:aws:s3:::' ? 'arn:aws:s3' : value;
}

/** ARNs of objects; of a call on a whole bucket, the bucket as its objects begin. */
function arnsOf({ resources }: Event): string[] {
  return resources.flatMap(({ type, arn }) => (arn === undefined ? [] : [type === 'AWS::S3::Bucket' ? `${arn}/` : arn]));
}

function fieldTakes(field: Field, event: Event): boolean {
  const values = fieldValues(field.Field, event);
  const any = (given: string[] | undefined, test: (value: string, wanted: string) => boolean): boolean | undefined =>
    given && values.some((value) => given.some((wanted) => test(value, wanted)));
  const equals = (value: string, wanted: string): boolean => value === wanted;
  const starts = (value: string, wanted: string): boolean => value.startsWith(wanted);
  const ends = (value: string, wanted: string): boolean => value.endsWith(wanted);
  if (any(field.NotEquals, equals) || any(field.NotStartsWith, starts) || any(field.NotEndsWith, ends)) return false;
  const asked = [any(field.Equals, equals), any(field.StartsWith, starts), any(field.EndsWith, ends)].filter(
    (found) => found !== undefined,
  );
  return asked.length === 0 || asked.includes(true);
}

export const FIELDS = [
  'eventCategory',
  'readOnly',
  'eventSource',
  'eventName',
  'eventType',
  'resources.type',
  'resources.ARN',
  'userIdentity.arn',
  'sessionCredentialFromConsole',
];

function fieldValues(name: string, event: Event): string[] {
  const { record, dataType } = event;
  const values: Record<string, (record: TrailRecord) => string | undefined> = {
    eventCategory: ({ eventCategory }) => eventCategory,
    readOnly: ({ readOnly }) => String(readOnly),
    eventSource: ({ eventSource }) => eventSource,
    eventName: ({ eventName }) => eventName,
    eventType: ({ eventType }) => eventType,
    'resources.type': () => dataType,
    'userIdentity.arn': ({ userIdentity }) => userIdentity.arn,
    sessionCredentialFromConsole: () => 'false',
  };
  if (name === 'resources.ARN') return arnsOf(event);
  const value = values[name]?.(record);
  return value === undefined ? [] : [value];
}
