/** Where an event stands in the order of all events: by time, then by chunk, then by place in the chunk. */
export interface Position {
  at: number;
  chunk: number;
  index: number;
}

export function compare(a: Position, b: Position): number {
  return a.at - b.at || a.chunk - b.chunk || a.index - b.index;
}

/** Before every event of that moment. */
export function before(at: number): Position {
  return { at, chunk: -1, index: -1 };
}

/** After every event there can be. */
export const END: Position = { at: Number.MAX_SAFE_INTEGER, chunk: Number.MAX_SAFE_INTEGER, index: Number.MAX_SAFE_INTEGER };
