/** The tree of a Logs Insights query (user guide, "CloudWatch Logs Insights language query syntax"). */

export type Expression =
  | { kind: 'value'; value: string | number }
  | { kind: 'field'; name: string }
  /** Milliseconds: `5m`. */
  | { kind: 'period'; unit: string; number: number }
  | { kind: 'unary'; operator: 'not' | '-'; of: Expression }
  | { kind: 'binary'; operator: string; left: Expression; right: Expression }
  | { kind: 'match'; negated: boolean; of: Expression; pattern: Pattern }
  | { kind: 'in'; negated: boolean; of: Expression; items: Expression[] }
  | { kind: 'call'; name: string; args: Expression[]; all: boolean };

export type Pattern = { kind: 'text'; text: string } | { kind: 'regex'; source: string };

/** `name`: the alias, else the text as it was written. */
export interface Column {
  name: string;
  expression: Expression;
}

export type Command =
  | { kind: 'fields'; columns: Column[] }
  | { kind: 'display'; columns: Column[] }
  | { kind: 'filter'; condition: Expression }
  | { kind: 'parse'; of: Expression; pattern: Pattern; names: string[] }
  | { kind: 'stats'; aggregates: Column[]; by: Column[] }
  | { kind: 'sort'; keys: { expression: Expression; descending: boolean }[] }
  | { kind: 'limit'; count: number }
  | { kind: 'dedup'; keys: Expression[] };

/** Where and why a query is not one. Offsets are of characters, the first 0. */
export class QueryError extends Error {
  override readonly name = 'QueryError';
  readonly start: number;
  readonly end: number;

  constructor(message: string, start = 0, end = start) {
    super(message);
    this.start = start;
    this.end = end;
  }
}
