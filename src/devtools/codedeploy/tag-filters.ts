/** Which instances the tag filters of a deployment group mean. */
import type { ShapeOf } from '../../platform/service.ts';
import type { GroupSettings, TagMap } from './tables.ts';

export type TagFilter = ShapeOf<'codedeploy', 'TagFilter'>;

/** AWS's limits of a group. */
const MAX_FILTERS = 10;
export const MAX_TAG_GROUPS = 3;

function kindOf({ Key, Value, Type }: TagFilter): NonNullable<TagFilter['Type']> {
  if (Type) return Type;
  if (Key === undefined) return 'VALUE_ONLY';
  return Value === undefined ? 'KEY_ONLY' : 'KEY_AND_VALUE';
}

function matches(filter: TagFilter, tags: TagMap): boolean {
  const { Key = '', Value = '' } = filter;
  switch (kindOf(filter)) {
    case 'KEY_ONLY':
      return Object.hasOwn(tags, Key);
    case 'VALUE_ONLY':
      return Object.values(tags).includes(Value);
    case 'KEY_AND_VALUE':
      return Object.hasOwn(tags, Key) && tags[Key] === Value;
  }
}

/** One filter of the list is enough; no filter means no instance. */
export function matchesAny(filters: TagFilter[], tags: TagMap): boolean {
  return filters.some((filter) => matches(filter, tags));
}

/** Whether an on-premises instance belongs to a group. EC2 filters say nothing about it. */
export function selects(settings: GroupSettings, tags: TagMap): boolean {
  const sets = settings.onPremisesTagSet?.onPremisesTagSetList ?? [];
  if (sets.length > 0) return sets.every((filters) => matchesAny(filters, tags));
  return matchesAny(settings.onPremisesInstanceTagFilters ?? [], tags);
}

/** What is wrong with a list of filters; undefined when nothing is. */
export function filtersProblem(filters: TagFilter[]): string | undefined {
  if (filters.length > MAX_FILTERS) return `A deployment group can have up to ${MAX_FILTERS} tags.`;
  for (const filter of filters) {
    const kind = kindOf(filter);
    if (kind !== 'VALUE_ONLY' && !filter.Key) return `A tag filter of type ${kind} must have a key.`;
    if (kind === 'VALUE_ONLY' && filter.Value === undefined) return 'A tag filter of type VALUE_ONLY must have a value.';
  }
  return undefined;
}
