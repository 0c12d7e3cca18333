/** A query as a chain of steps that events are pushed through, newest first. What a step keeps is bounded. */
import { type Aggregate, compileAggregate } from './aggregates.ts';
import { compileExpression, compileRegex, type Evaluate } from './expressions.ts';
import { type Command, QueryError } from './syntax.ts';
import { compareValues, isTrue, type Row, toText, type Value } from './values.ts';

export const DEFAULT_LIMIT = 10_000;
const MAX_ROWS = 100_000;
const MAX_GROUPS = 100_000;

/** A row with fields of its own over those of another. */
export class DerivedRow implements Row {
  readonly base: Row | undefined;
  readonly own = new Map<string, Value>();

  constructor(base: Row | undefined) {
    this.base = base;
  }

  get(name: string): Value {
    return this.own.has(name) ? this.own.get(name) : this.base?.get(name);
  }
}

interface Step {
  push(row: DerivedRow): void;
  end(): void;
}

export interface Compiled {
  /** False when nothing that could still come would change the result. */
  push(row: Row): boolean;
  /** The rows of the result, in their order. */
  end(): DerivedRow[];
  /** Fields that the result shows. */
  visible: string[];
  /** Whether rows of the result are events, which can be looked up. */
  ofEvents: boolean;
  /** How many rows came through all conditions. */
  matched(): number;
}

/** Throws QueryError. `ordered`: the events come newest first, so without sort nothing needs to be sorted. */
export function compileQuery(commands: Command[], limit: number | undefined, ordered: boolean): Compiled {
  const shown = new Visible();
  const result: DerivedRow[] = [];
  const most = Math.min(limit ?? DEFAULT_LIMIT, MAX_ROWS);
  let full = false;
  let matched = 0;
  let chain: Step = {
    push(row) {
      if (result.length < most) result.push(row);
      full = streaming && result.length >= most;
    },
    end() {},
  };
  const sorting = commands.some(({ kind }) => kind === 'sort' || kind === 'stats' || kind === 'dedup');
  const streaming = ordered && !sorting && !commands.some(({ kind }) => kind === 'limit');
  const all: Command[] = [...commands];
  if (!ordered && !sorting) all.unshift({ kind: 'sort', keys: [{ expression: { kind: 'field', name: '@timestamp' }, descending: true }] });
  for (const command of all) shown.see(command);
  // The last step is made first, since each is given the one behind it.
  for (let index = all.length - 1; index >= 0; index -= 1) chain = stepOf(all[index]!, chain, roomOf(all, index, most));
  const begin = chain;
  const firstKeeping = commands.findIndex(({ kind }) => kind !== 'filter' && kind !== 'fields' && kind !== 'parse' && kind !== 'display');
  const counting = countMatched(commands.slice(0, firstKeeping < 0 ? undefined : firstKeeping), () => {
    matched += 1;
  });
  return {
    push(row) {
      const derived = new DerivedRow(row);
      counting(derived);
      begin.push(derived);
      return !full;
    },
    end() {
      begin.end();
      return result;
    },
    visible: shown.names(),
    ofEvents: !commands.some(({ kind }) => kind === 'stats'),
    matched: () => matched,
  };
}

/** AWS tells how many events the conditions before anything else let through. */
function countMatched(commands: Command[], found: () => void): (row: DerivedRow) => void {
  const filters = commands.filter((command) => command.kind === 'filter');
  if (filters.length === 0) return found;
  // Its conditions may speak of fields that commands before it made: those run again on a row of their own.
  let chain: Step = { push: found, end() {} };
  for (const command of commands.toReversed()) chain = stepOf(command, chain, MAX_ROWS);
  return (row) => chain.push(new DerivedRow(row));
}

/** How many rows a sort must keep: what the limit right behind it, or the end, takes of them. */
function roomOf(commands: Command[], index: number, most: number): number {
  const rest = commands.slice(index + 1).filter(({ kind }) => kind !== 'display' && kind !== 'fields' && kind !== 'parse');
  const [next] = rest;
  if (next?.kind === 'limit') return next.count;
  return rest.length === 0 ? most : MAX_ROWS;
}

class Visible {
  #names: string[] | undefined;
  #parsed: string[] = [];

  see(command: Command): void {
    if (command.kind === 'display') this.#names = command.columns.map(({ name }) => name);
    else if (command.kind === 'stats') this.#names = [...command.by, ...command.aggregates].map(({ name }) => name);
    else if (command.kind === 'fields') this.#names = [...(this.#names ?? this.#parsed), ...command.columns.map(({ name }) => name)];
    else if (command.kind === 'parse') {
      if (this.#names) this.#names.push(...command.names);
      else this.#parsed.push(...command.names);
    }
  }

  names(): string[] {
    return [...new Set(this.#names ?? ['@timestamp', '@message', ...this.#parsed])];
  }
}

function stepOf(command: Command, next: Step, room: number): Step {
  switch (command.kind) {
    case 'fields':
    case 'display': {
      const columns = command.columns
        .filter(({ name, expression }) => expression.kind !== 'field' || expression.name !== name)
        .map(({ name, expression }) => [name, compileExpression(expression)] as const);
      return onEach(next, (row) => {
        for (const [name, value] of columns) row.own.set(name, value(row));
      });
    }
    case 'filter': {
      const condition = compileExpression(command.condition);
      return {
        push(row) {
          if (isTrue(condition(row))) next.push(row);
        },
        end: () => next.end(),
      };
    }
    case 'parse':
      return parseStep(command, next);
    case 'stats':
      return statsStep(command, next);
    case 'sort':
      return sortStep(command, next, room);
    case 'limit': {
      let passed = 0;
      return {
        push(row) {
          passed += 1;
          if (passed <= command.count) next.push(row);
        },
        end: () => next.end(),
      };
    }
    case 'dedup':
      return dedupStep(command, next);
  }
}

function onEach(next: Step, change: (row: DerivedRow) => void): Step {
  return {
    push(row) {
      change(row);
      next.push(row);
    },
    end: () => next.end(),
  };
}

function parseStep({ of, pattern, names }: Extract<Command, { kind: 'parse' }>, next: Step): Step {
  const value = compileExpression(of);
  const extract = pattern.kind === 'text' ? globExtract(pattern.text) : regexExtract(pattern.source, names);
  return onEach(next, (row) => {
    const text = toText(value(row));
    const found = text === undefined ? undefined : extract(text);
    if (found) for (const [index, name] of names.entries()) row.own.set(name, found[index]);
  });
}

/** What stands where the `*` are; the first piece may stand anywhere. Each piece is looked for once. */
function globExtract(glob: string): (text: string) => string[] | undefined {
  const [first, ...pieces] = glob.split('*') as [string, ...string[]];
  return (text) => {
    const start = text.indexOf(first);
    if (start < 0) return undefined;
    let from = start + first.length;
    const found: string[] = [];
    for (const [index, piece] of pieces.entries()) {
      // An open end takes the rest.
      const at = piece === '' && index === pieces.length - 1 ? text.length : text.indexOf(piece, from);
      if (at < 0) return undefined;
      found.push(text.slice(from, at));
      from = at + piece.length;
    }
    return found;
  };
}

function regexExtract(source: string, names: string[]): (text: string) => (string | undefined)[] | undefined {
  const expression = compileRegex(source);
  return (text) => {
    const matcher = expression.matcher(text);
    return matcher.find() ? names.map((name) => matcher.group(name) ?? undefined) : undefined;
  };
}

function statsStep({ aggregates, by }: Extract<Command, { kind: 'stats' }>, next: Step): Step {
  const keys = by.map(({ name, expression }) => [name, compileExpression(expression)] as const);
  const makers = aggregates.map(({ name, expression }) => [name, compileAggregate(expression)] as const);
  const groups = new Map<string, { keys: Value[]; states: ReturnType<Aggregate>[] }>();
  return {
    push(row) {
      const values = keys.map(([, value]) => value(row));
      const key = JSON.stringify(values.map((value) => toText(value) ?? null));
      let group = groups.get(key);
      if (!group) {
        if (groups.size === MAX_GROUPS) throw new QueryError(`stats made more than ${MAX_GROUPS} groups`);
        group = { keys: values, states: makers.map(([, make]) => make()) };
        groups.set(key, group);
      }
      for (const state of group.states) state.add(row);
    },
    end() {
      // A number over nothing is still a row: count(*) is 0.
      if (groups.size === 0 && keys.length === 0) groups.set('', { keys: [], states: makers.map(([, make]) => make()) });
      for (const group of groups.values()) {
        const row = new DerivedRow(undefined);
        for (const [index, [name]] of keys.entries()) row.own.set(name, group.keys[index]);
        for (const [index, [name]] of makers.entries()) row.own.set(name, group.states[index]!.result());
        next.push(row);
      }
      groups.clear();
      next.end();
    },
  };
}

function sortStep({ keys }: Extract<Command, { kind: 'sort' }>, next: Step, room: number): Step {
  const compiled = keys.map(({ expression, descending }) => [compileExpression(expression), descending ? -1 : 1] as const);
  let kept: { row: DerivedRow; keys: Value[] }[] = [];
  const sort = (): void => {
    kept.sort((a, b) => {
      for (const [index, [, sign]] of compiled.entries()) {
        const order = compareValues(a.keys[index], b.keys[index]) * sign;
        if (order !== 0) return order;
      }
      return 0;
    });
    kept.length = Math.min(kept.length, room);
  };
  return {
    push(row) {
      kept.push({ row, keys: compiled.map(([value]: readonly [Evaluate, number]) => value(row)) });
      if (kept.length >= 2 * room + 1_000) sort();
    },
    end() {
      sort();
      for (const { row } of kept) next.push(row);
      kept = [];
      next.end();
    },
  };
}

/** The first row of each combination of values. */
function dedupStep({ keys }: Extract<Command, { kind: 'dedup' }>, next: Step): Step {
  const compiled = keys.map(compileExpression);
  const seen = new Set<string>();
  return {
    push(row) {
      const key = JSON.stringify(compiled.map((value) => toText(value(row)) ?? null));
      if (seen.has(key)) return;
      if (seen.size === MAX_GROUPS) throw new QueryError(`dedup met more than ${MAX_GROUPS} different rows`);
      seen.add(key);
      next.push(row);
    },
    end: () => next.end(),
  };
}
