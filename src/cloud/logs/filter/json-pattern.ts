/** `{ $.a.b[0] = "x" && ($.n > 5 || $.gone NOT EXISTS) }`: conditions on events that are JSON objects or arrays. */
import { readCondition, TokenReader, takeComparison, tokenize } from './lexer.ts';
import { PatternError } from './pattern-error.ts';
import { comparisonTest, type ValueTest } from './values.ts';

type Step = string | number | '*any*';
const ANY = '*any*' as const;
/** An event may be long: deeper selectors than this are nobody's. */
const MAX_STEPS = 50;

const isWord = (char: string): boolean => /[\w$.[\]'*:\-+/@#]/.test(char);

export function compileJsonPattern(source: string): (message: string) => boolean {
  const reader = new TokenReader(tokenize(source, isWord));
  reader.expect('{');
  const test = readCondition<unknown>(reader, () => readAtom(reader));
  reader.expect('}');
  reader.end();
  return (message) => {
    const value = parseObject(message);
    return value !== undefined && test(value);
  };
}

function parseObject(message: string): unknown {
  const start = message.trimStart()[0];
  if (start !== '{' && start !== '[') return undefined;
  try {
    return JSON.parse(message);
  } catch {
    return undefined;
  }
}

function readAtom(reader: TokenReader): (event: unknown) => boolean {
  const { kind, text } = reader.next();
  if (kind !== 'word' || !text.startsWith('$')) throw new PatternError(`a selector is expected, not ${text}`);
  const steps = parseSelector(text);
  if (reader.takeWord('IS')) {
    const test = readState(reader);
    return (event) => select(event, steps).some(test);
  }
  if (reader.takeWord('NOT')) {
    if (!reader.takeWord('EXISTS')) throw new PatternError('EXISTS expected after NOT');
    return (event) => select(event, steps).length === 0;
  }
  if (reader.takeWord('EXISTS')) return (event) => select(event, steps).length > 0;
  const comparison = takeComparison(reader);
  const operand = reader.next();
  if (operand.kind === 'symbol') throw new PatternError(`a value is expected, not ${operand.text}`);
  const test = comparisonTest(comparison, { kind: operand.kind, text: operand.text });
  return (event) => select(event, steps).some(test);
}

function readState(reader: TokenReader): ValueTest {
  if (reader.takeWord('NULL')) return (value) => value === null;
  if (reader.takeWord('TRUE')) return (value) => value === true;
  if (reader.takeWord('FALSE')) return (value) => value === false;
  throw new PatternError('NULL, TRUE or FALSE expected after IS');
}

/** `$.a['b c'][0].*` in steps. */
function parseSelector(text: string): Step[] {
  const steps: Step[] = [];
  const part = /\.([\w\-:@#/+]+|\*)|\[(\d{1,9}|\*)\]|\['([^']*)'\]/y;
  part.lastIndex = 1;
  while (part.lastIndex < text.length) {
    const match = part.exec(text);
    if (!match) throw new PatternError(`${text} is not a selector`);
    const [, name, index, quotedName] = match;
    if (name === '*' || index === '*') steps.push(ANY);
    else if (index !== undefined) steps.push(Number(index));
    else steps.push(name ?? quotedName!);
  }
  if (steps.length === 0 || steps.length > MAX_STEPS) throw new PatternError(`${text} is not a selector`);
  return steps;
}

/** All values there; none when a step leads nowhere. */
function select(event: unknown, steps: Step[]): unknown[] {
  let found: unknown[] = [event];
  for (const step of steps) found = found.flatMap((value) => follow(value, step));
  return found;
}

function follow(value: unknown, step: Step): unknown[] {
  if (value === null || typeof value !== 'object') return [];
  if (step === ANY) return Object.values(value);
  if (typeof step === 'number') return Array.isArray(value) && step < value.length ? [value[step]] : [];
  return !Array.isArray(value) && Object.hasOwn(value, step) ? [(value as Record<string, unknown>)[step]] : [];
}
