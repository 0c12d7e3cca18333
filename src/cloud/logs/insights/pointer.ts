/** `@ptr`: a name of one event that tells nothing and cannot be forged. */
import type { Paging } from '../../../platform/paging.ts';
import type { EventSource } from './event-row.ts';

interface Place {
  account: string;
  region: string;
}

export interface Pointer {
  group: string;
  chunk: number;
  index: number;
}

function scopeOf({ account, region }: Place): string {
  return `logs:record:${account}:${region}`;
}

export function pointerTo(
  { paging }: { paging: Paging },
  place: Place,
  { group, position }: Pick<EventSource, 'group' | 'position'>,
): string {
  return paging.seal(scopeOf(place), { group: group.name, chunk: position.chunk, index: position.index } satisfies Pointer);
}

export function openPointer({ paging }: { paging: Paging }, place: Place, text: string): Pointer | undefined {
  return paging.open<Pointer>(scopeOf(place), text);
}
