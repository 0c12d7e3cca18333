/** The thread in which one query computes: neither its regular expressions nor its memory can be to anybody else's cost. */
import { parentPort, workerData } from 'node:worker_threads';
import { EventRow, type EventSource } from './event-row.ts';
import { parseQuery } from './parse.ts';
import { type Compiled, compileQuery } from './pipeline.ts';
import { QueryError } from './syntax.ts';
import { toText } from './values.ts';

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

/** Of all values of a result; what leaves the thread is copied beyond what its heap may hold. */
const MAX_CHARACTERS = 64 * 1024 * 1024;

const { query, limit, ordered } = workerData as QueryTask;
const compiled = compileQuery(parseQuery(query), limit, ordered);

parentPort!.on('message', (request: Request) => {
  parentPort!.postMessage(answer(request));
});

function answer(request: Request): Reply {
  try {
    if ('end' in request) return { rows: rowsFound(), matched: compiled.matched() };
    return { goOn: request.events.every((event) => compiled.push(new EventRow(event))) };
  } catch (error) {
    if (!(error instanceof QueryError)) throw error;
    return { problem: error.message };
  }
}

function rowsFound(): FoundRow[] {
  let characters = 0;
  return compiled.end().map((row) => {
    const result = found(row);
    for (const { value } of result.fields) characters += value.length;
    if (characters > MAX_CHARACTERS) throw new QueryError('The result is larger than 64 MiB: limit its rows, or show less of them.');
    return result;
  });
}

function found(row: ReturnType<Compiled['end']>[number]): FoundRow {
  const fields = compiled.visible.flatMap((name) => {
    const value = toText(row.get(name));
    return value === undefined ? [] : [{ field: name, value }];
  });
  const event = compiled.ofEvents && row.base instanceof EventRow ? row.base.source : undefined;
  return { fields, event: event && { group: event.group, position: event.position } };
}
