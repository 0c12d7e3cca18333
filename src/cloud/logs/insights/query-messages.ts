/** What a query's thread and whoever runs it say to each other. */
import type { EventSource } from './event-row.ts';

export interface QueryTask {
  query: string;
  limit: number | undefined;
  /** Whether the events come newest first. */
  ordered: boolean;
}

/** Events, newest first; or that there are no more. */
export type Request = { events: EventSource[] } | { end: true };

export interface FoundRow {
  fields: { field: string; value: string }[];
  /** The event that the row is, if it is one. */
  event: Pick<EventSource, 'group' | 'position'> | undefined;
}

export type Reply =
  /** False: nothing that could still come would change the result. */
  { goOn: boolean } | { rows: FoundRow[]; matched: number } | { problem: string };
