/**
 * The pattern language of EventBridge and of SNS's filter policies: which events somebody wants. A pattern is compiled once into a
 * predicate; an event is JSON.
 * Facts: EventBridge user guide, "Comparison operators for use in event patterns".
 */
import { anythingBut, cidr, numeric, type Test, textMatcher } from './matchers.ts';

export class PatternError extends Error {
  override readonly name = 'PatternError';
}

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
export type Predicate = (event: unknown) => boolean;

const MAX_DEPTH = 50;
const MAX_OR_COMBINATIONS = 1000;

/** Throws PatternError with the reason when the text is no pattern. */
export function compilePattern(text: string): Predicate {
  let pattern: Json;
  try {
    pattern = JSON.parse(text) as Json;
  } catch (error) {
    throw new PatternError(`Event pattern is not valid JSON: ${(error as Error).message}`);
  }
  if (!isObject(pattern)) throw new PatternError('Filter is not an object');
  if (Object.keys(pattern).length === 0) throw new PatternError('Empty objects are not allowed');
  if (countOr(pattern) > MAX_OR_COMBINATIONS) throw new PatternError(`$or makes more than ${MAX_OR_COMBINATIONS} combinations`);
  return compileObject(pattern, '', 0);
}

function isObject(value: unknown): value is Record<string, Json> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function countOr(pattern: Json): number {
  if (!isObject(pattern)) return 1;
  let combinations = 1;
  for (const [key, value] of Object.entries(pattern)) {
    if (key === '$or' && isOr(value)) combinations *= value.reduce<number>((sum, branch) => sum + countOr(branch), 0);
    else combinations *= countOr(value);
    if (combinations > MAX_OR_COMBINATIONS) break;
  }
  return combinations;
}

/** `$or` is an operator only with two or more objects; else it is a field of that name. */
function isOr(value: Json): value is Record<string, Json>[] {
  return Array.isArray(value) && value.length > 1 && value.every(isObject);
}

function compileObject(pattern: Record<string, Json>, path: string, depth: number): Predicate {
  if (depth > MAX_DEPTH) throw new PatternError('The pattern is nested too deeply');
  const parts = Object.entries(pattern).map(([key, value]) => compileField(key, value, path, depth));
  return (value) => parts.every((part) => part(value));
}

function compileField(key: string, value: Json, path: string, depth: number): Predicate {
  if (key === '$or' && isOr(value)) {
    const branches = value.map((branch) => compileObject(branch, path, depth + 1));
    return (event) => branches.some((branch) => branch(event));
  }
  const here = path ? `${path}.${key}` : key;
  const inner = Array.isArray(value) ? compileLeaf(value, here) : compileInner(value, here, depth);
  // A list in the event matches when one of its elements does, as a whole.
  return (event) => {
    if (Array.isArray(event)) return event.some((element) => inner(fieldOf(element, key)));
    return inner(fieldOf(event, key));
  };
}

function fieldOf(value: unknown, key: string): unknown {
  return isObject(value) && Object.hasOwn(value, key) ? value[key] : undefined;
}

function compileInner(value: Json, path: string, depth: number): Predicate {
  if (!isObject(value)) throw new PatternError(`"${path}" must be an object or an array`);
  if (Object.keys(value).length === 0) throw new PatternError('Empty objects are not allowed');
  const inner = compileObject(value, path, depth + 1);
  return (event) => (Array.isArray(event) ? event.some(inner) : inner(event));
}

/** A list of alternatives for one field. */
function compileLeaf(alternatives: Json[], path: string): Predicate {
  if (alternatives.length === 0) throw new PatternError('Empty arrays are not allowed');
  const tests = alternatives.map((alternative) => compileAlternative(alternative, path));
  return (value) => {
    const present = value !== undefined && !isObject(value) && !(Array.isArray(value) && value.length === 0);
    const values = Array.isArray(value) ? value : [value];
    return tests.some(({ absent, test }) => (present ? values.some((element) => !isObject(element) && test(element)) : absent));
  };
}

interface Alternative {
  /** Whether a missing field satisfies it. */
  absent: boolean;
  test: Test;
}

function compileAlternative(alternative: Json, path: string): Alternative {
  if (Array.isArray(alternative)) throw new PatternError(`"${path}" holds a list in a list`);
  if (!isObject(alternative)) return { absent: false, test: (value) => value === alternative };
  const entries = Object.entries(alternative);
  if (entries.length !== 1) throw new PatternError(`A match expression of "${path}" must have exactly one operator`);
  const [operator, operand] = entries[0]!;
  switch (operator) {
    case 'exists':
      if (typeof operand !== 'boolean') throw new PatternError('exists match pattern must be either true or false.');
      return { absent: !operand, test: () => operand };
    case 'prefix':
    case 'suffix':
    case 'equals-ignore-case':
    case 'wildcard':
      return { absent: false, test: textMatcher(operator, operand, PatternError) };
    case 'numeric':
      return { absent: false, test: numeric(operand, PatternError) };
    case 'cidr':
      return { absent: false, test: cidr(operand, PatternError) };
    case 'anything-but':
      return { absent: false, test: anythingBut(operand, PatternError) };
    default:
      throw new PatternError(`Unrecognized match type ${operator}`);
  }
}
