/** Expressions of a query, by precedence from weak to strong. */
import type { Scanner } from './scanner.ts';
import type { Expression } from './syntax.ts';

/** Truth in messages is 1 and 0. */
const CONSTANTS = new Map<string, Expression>([
  ['true', { kind: 'value', value: 1 }],
  ['false', { kind: 'value', value: 0 }],
]);
const COMPARISONS = ['!=', '<=', '>=', '=', '<', '>'];

export function parseExpression(scanner: Scanner): Expression {
  return scanner.nested(() => {
    let left = conjunction(scanner);
    while (scanner.takeWord('or')) left = { kind: 'binary', operator: 'or', left, right: conjunction(scanner) };
    return left;
  });
}

function conjunction(scanner: Scanner): Expression {
  let left = negation(scanner);
  while (scanner.takeWord('and')) left = { kind: 'binary', operator: 'and', left, right: negation(scanner) };
  return left;
}

function negation(scanner: Scanner): Expression {
  if (scanner.takeWord('not')) return scanner.nested(() => ({ kind: 'unary', operator: 'not', of: negation(scanner) }));
  return comparison(scanner);
}

function comparison(scanner: Scanner): Expression {
  const left = sum(scanner);
  if (scanner.take('=~')) return match(scanner, left, false);
  if (scanner.take('!~')) return match(scanner, left, true);
  const operator = COMPARISONS.find((sign) => scanner.take(sign));
  if (operator) return { kind: 'binary', operator, left, right: sum(scanner) };
  const negated = scanner.takeWord('not');
  if (scanner.takeWord('like') || (negated && scanner.take('=~'))) return match(scanner, left, negated);
  if (scanner.takeWord('in')) return { kind: 'in', negated, of: left, items: items(scanner, '[', ']') };
  if (negated) throw scanner.error("'like' or 'in' is expected");
  return left;
}

function match(scanner: Scanner, of: Expression, negated: boolean): Expression {
  const source = scanner.regex();
  if (source !== undefined) return { kind: 'match', negated, of, pattern: { kind: 'regex', source } };
  const text = scanner.quoted();
  if (text === undefined) throw scanner.error('a text or a /regular expression/ is expected');
  return { kind: 'match', negated, of, pattern: { kind: 'text', text } };
}

function items(scanner: Scanner, open: string, close: string): Expression[] {
  scanner.expect(open);
  const found: Expression[] = [];
  if (scanner.take(close)) return found;
  do found.push(parseExpression(scanner));
  while (scanner.take(','));
  scanner.expect(close);
  return found;
}

function sum(scanner: Scanner): Expression {
  let left = product(scanner);
  for (let operator = first(scanner, ['+', '-']); operator; operator = first(scanner, ['+', '-'])) {
    left = { kind: 'binary', operator, left, right: product(scanner) };
  }
  return left;
}

function product(scanner: Scanner): Expression {
  let left = power(scanner);
  for (let operator = first(scanner, ['*', '/', '%']); operator; operator = first(scanner, ['*', '/', '%'])) {
    left = { kind: 'binary', operator, left, right: power(scanner) };
  }
  return left;
}

function power(scanner: Scanner): Expression {
  const left = unary(scanner);
  return scanner.take('^') ? scanner.nested(() => ({ kind: 'binary', operator: '^', left, right: power(scanner) })) : left;
}

function first(scanner: Scanner, signs: string[]): string | undefined {
  return signs.find((sign) => scanner.take(sign));
}

function unary(scanner: Scanner): Expression {
  if (scanner.take('-')) return scanner.nested(() => ({ kind: 'unary', operator: '-', of: unary(scanner) }));
  return primary(scanner);
}

function primary(scanner: Scanner): Expression {
  if (scanner.take('(')) {
    const inner = parseExpression(scanner);
    scanner.expect(')');
    return inner;
  }
  const number = scanner.number();
  if (number !== undefined) {
    const unit = scanner.unit();
    return unit === undefined ? { kind: 'value', value: number } : { kind: 'period', number, unit };
  }
  const text = scanner.quoted();
  if (text !== undefined) return { kind: 'value', value: text };
  const name = scanner.field();
  if (name === undefined) throw scanner.unexpected();
  if (!scanner.take('(')) return CONSTANTS.get(name) ?? { kind: 'field', name };
  if (scanner.take('*')) {
    scanner.expect(')');
    return { kind: 'call', name: name.toLowerCase(), args: [], all: true };
  }
  const args: Expression[] = [];
  if (!scanner.take(')')) {
    do args.push(parseExpression(scanner));
    while (scanner.take(','));
    scanner.expect(')');
  }
  return { kind: 'call', name: name.toLowerCase(), args, all: false };
}
