/** `[ip, user, ..., status = 4*, bytes > 1000]`: conditions on the fields of events whose fields are set apart by spaces. */
import { readCondition, TokenReader, takeComparison, tokenize } from './lexer.ts';
import { PatternError } from './pattern-error.ts';
import { comparisonTest } from './values.ts';

const isWord = (char: string): boolean => /[^\s,"%=!<>()[\]&|{}]/.test(char);
const REST = '...';

interface Field {
  name: string;
  test: ((value: string) => boolean) | undefined;
}

export function compileFieldsPattern(source: string): (message: string) => boolean {
  const reader = new TokenReader(tokenize(source, isWord));
  reader.expect('[');
  const fields: Field[] = [];
  if (!reader.take(']')) {
    do fields.push(readField(reader));
    while (reader.take(','));
    reader.expect(']');
  }
  reader.end();
  const rests = fields.filter(({ name }) => name === REST).length;
  if (rests > 1) throw new PatternError('only one ... is allowed');
  return (message) => matches(fields, rests === 1, splitFields(message));
}

function readField(reader: TokenReader): Field {
  const first = reader.peek();
  if (first?.kind === 'word' && first.text === REST) {
    reader.next();
    return { name: REST, test: undefined };
  }
  const after = reader.peek();
  // A field without a name takes whatever stands there.
  if (after?.kind === 'symbol' && (after.text === ',' || after.text === ']')) return { name: '', test: undefined };
  let name: string | undefined;
  let conditions = 0;
  const atom = (): ((value: string) => boolean) => {
    const { kind, text } = reader.next();
    if (kind !== 'word') throw new PatternError(`a field name is expected, not ${text}`);
    name ??= text;
    if (text !== name) throw new PatternError(`a condition on ${name} cannot name ${text}`);
    const next = reader.peek();
    if (next?.kind === 'symbol' && [',', ']', '&&', '||', ')'].includes(next.text)) return () => true;
    conditions++;
    const comparison = takeComparison(reader);
    const operand = reader.next();
    if (operand.kind === 'symbol') throw new PatternError(`a value is expected, not ${operand.text}`);
    return comparisonTest(comparison, { kind: operand.kind, text: operand.text });
  };
  const test = readCondition<string>(reader, atom);
  return { name: name!, test: conditions > 0 ? test : undefined };
}

const SPACES = ' \t\n\r';
const CLOSING: Record<string, string> = { '"': '"', '[': ']' };

/** Fields by spaces; text in quotation marks or brackets is one field, without them. */
function splitFields(message: string): string[] {
  const fields: string[] = [];
  // An opening without its closing is text like any other. Where the last closing stands is looked up once, not for each opening.
  const lastClosing: Record<string, number> = { '"': message.lastIndexOf('"'), ']': message.lastIndexOf(']') };
  let at = 0;
  while (at < message.length) {
    if (SPACES.includes(message[at]!)) {
      at++;
      continue;
    }
    const close = CLOSING[message[at]!];
    if (close !== undefined && lastClosing[close]! > at) {
      const end = message.indexOf(close, at + 1);
      fields.push(message.slice(at + 1, end));
      at = end + 1;
    } else {
      const start = at++;
      while (at < message.length && !SPACES.includes(message[at]!)) at++;
      fields.push(message.slice(start, at));
    }
  }
  return fields;
}

/** With `...` the fields before it are counted from the start and those after it from the end; without, the number must agree. */
function matches(fields: Field[], hasRest: boolean, values: string[]): boolean {
  if (!hasRest) return values.length === fields.length && fields.every(({ test }, index) => !test || test(values[index]!));
  if (values.length < fields.length - 1) return false;
  const rest = fields.findIndex(({ name }) => name === REST);
  const head = fields.slice(0, rest);
  const tail = fields.slice(rest + 1);
  const offset = values.length - tail.length;
  return (
    head.every(({ test }, index) => !test || test(values[index]!)) &&
    tail.every(({ test }, index) => !test || test(values[offset + index]!))
  );
}
