/** A query's text to its commands. */
import { parseExpression } from './parse-expression.ts';
import { Scanner } from './scanner.ts';
import { type Column, type Command, type Expression, type Pattern, QueryError } from './syntax.ts';

const MAX_COMMANDS = 50;
const MAX_STATS = 2;
const MAX_LIMIT = 100_000;
/** On AWS but not here. */
const MISSING = ['pattern', 'diff', 'anomaly', 'unnest', 'unmask', 'filterindex', 'source', 'join', 'lookup', 'addtotals', 'fillmissing'];

/** Throws QueryError. */
export function parseQuery(text: string): Command[] {
  const scanner = new Scanner(text);
  const commands: Command[] = [];
  scanner.take('|');
  do {
    commands.push(parseCommand(scanner));
    if (commands.length > MAX_COMMANDS) throw scanner.error(`a query can have up to ${MAX_COMMANDS} commands`);
  } while (scanner.take('|'));
  if (!scanner.done()) throw scanner.unexpected();
  if (commands.filter(({ kind }) => kind === 'stats').length > MAX_STATS)
    throw new QueryError(`a query can have up to ${MAX_STATS} stats commands`);
  return commands;
}

function parseCommand(scanner: Scanner): Command {
  const start = scanner.start();
  const word = scanner.word()?.toLowerCase();
  switch (word) {
    case 'fields':
    case 'display':
      return { kind: word, columns: columns(scanner) };
    case 'filter':
      return { kind: 'filter', condition: parseExpression(scanner) };
    case 'parse':
      return parseParse(scanner);
    case 'stats': {
      const aggregates = columns(scanner);
      return { kind: 'stats', aggregates, by: scanner.takeWord('by') ? columns(scanner) : [] };
    }
    case 'sort':
    case 'order': {
      scanner.takeWord('by');
      return { kind: 'sort', keys: list(scanner, () => sortKey(scanner)) };
    }
    case 'limit':
    case 'head': {
      const count = scanner.number();
      if (count === undefined || !Number.isInteger(count) || count < 1 || count > MAX_LIMIT) {
        throw scanner.error(`limit takes a whole number from 1 to ${MAX_LIMIT}`);
      }
      return { kind: 'limit', count };
    }
    case 'dedup':
      return { kind: 'dedup', keys: list(scanner, () => parseExpression(scanner)) };
    default:
      if (word === undefined) throw scanner.done() ? scanner.error('a command is expected') : scanner.unexpected();
      if (MISSING.includes(word)) throw new QueryError(`Penstock does not have the command ${word}`, start, scanner.at);
      throw new QueryError(`there is no command ${word}`, start, scanner.at);
  }
}

function list<T>(scanner: Scanner, item: () => T): T[] {
  const items = [item()];
  while (scanner.take(',')) items.push(item());
  return items;
}

function columns(scanner: Scanner): Column[] {
  return list(scanner, () => {
    const start = scanner.start();
    const expression = parseExpression(scanner);
    const written = scanner.text.slice(start, scanner.at).trim();
    const alias = scanner.takeWord('as') ? name(scanner) : undefined;
    return { name: alias ?? (expression.kind === 'field' ? expression.name : written), expression };
  });
}

function name(scanner: Scanner): string {
  const found = scanner.field();
  if (found === undefined) throw scanner.error('a name is expected');
  return found;
}

function sortKey(scanner: Scanner): { expression: Expression; descending: boolean } {
  // AWS sorts downward only where that is said.
  const expression = parseExpression(scanner);
  const descending = scanner.takeWord('desc');
  if (!descending) scanner.takeWord('asc');
  return { expression, descending };
}

function parseParse(scanner: Scanner): Command {
  let of: Expression = { kind: 'field', name: '@message' };
  let pattern = patternHere(scanner);
  if (!pattern) {
    of = { kind: 'field', name: name(scanner) };
    pattern = patternHere(scanner);
  }
  if (!pattern) throw scanner.error('parse takes a text with * or a regular expression');
  if (pattern.kind === 'regex') {
    // Named groups name the fields.
    const names = [...pattern.source.matchAll(/\(\?P?<([A-Za-z]\w*)>/g)].map(([, group]) => group!);
    if (names.length === 0) throw scanner.error('the regular expression of parse needs named groups');
    return { kind: 'parse', of, pattern, names };
  }
  const wanted = pattern.text.split('*').length - 1;
  if (wanted === 0) throw scanner.error('the text of parse needs a * for each field');
  if (!scanner.takeWord('as')) throw scanner.error("'as' is expected");
  const names = list(scanner, () => name(scanner));
  if (names.length !== wanted) throw scanner.error(`the text of parse has ${wanted} *, and ${names.length} names are given`);
  return { kind: 'parse', of, pattern, names };
}

function patternHere(scanner: Scanner): Pattern | undefined {
  const source = scanner.regex();
  if (source !== undefined) return { kind: 'regex', source };
  const text = scanner.quoted();
  return text === undefined ? undefined : { kind: 'text', text };
}
