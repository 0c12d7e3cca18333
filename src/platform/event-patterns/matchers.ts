/** The operators of the pattern language that look at one value. */
import { BlockList, isIP } from 'node:net';

export type Test = (value: unknown) => boolean;
type Complaint = new (message: string) => Error;

export function textMatcher(operator: string, operand: unknown, complaint: Complaint): Test {
  const inner = ignoreCaseOperand(operand);
  if ((operator === 'prefix' || operator === 'suffix') && inner !== undefined) {
    const wanted = inner.toLowerCase();
    return (value) =>
      typeof value === 'string' && (operator === 'prefix' ? value.toLowerCase().startsWith(wanted) : value.toLowerCase().endsWith(wanted));
  }
  if (typeof operand !== 'string') throw new complaint(`${operator} match pattern must be a string`);
  switch (operator) {
    case 'prefix':
      return (value) => typeof value === 'string' && value.startsWith(operand);
    case 'suffix':
      return (value) => typeof value === 'string' && value.endsWith(operand);
    case 'equals-ignore-case': {
      const wanted = operand.toLowerCase();
      return (value) => typeof value === 'string' && value.toLowerCase() === wanted;
    }
    default:
      return wildcard(operand, complaint);
  }
}

/** `{ "prefix": { "equals-ignore-case": "x" } }` */
function ignoreCaseOperand(operand: unknown): string | undefined {
  if (typeof operand !== 'object' || operand === null) return undefined;
  const inner = (operand as Record<string, unknown>)['equals-ignore-case'];
  return typeof inner === 'string' ? inner : undefined;
}

/** `*` stands for any text, `\*` for a star. Matched by walking the parts in order: linear, whatever the pattern. */
function wildcard(pattern: string, complaint: Complaint): Test {
  const parts: string[] = [''];
  for (let at = 0; at < pattern.length; at++) {
    const char = pattern[at]!;
    if (char === '\\') {
      const next = pattern[++at];
      if (next !== '*' && next !== '\\') throw new complaint('Invalid escape character in a wildcard: only \\* and \\\\ are allowed');
      parts[parts.length - 1] += next;
    } else if (char === '*') {
      if (pattern[at + 1] === '*') throw new complaint('Consecutive wildcard characters are not allowed');
      parts.push('');
    } else parts[parts.length - 1] += char;
  }
  const first = parts[0]!;
  if (parts.length === 1) return (value) => value === first;
  const last = parts.at(-1)!;
  const middle = parts.slice(1, -1);
  return (value) => {
    if (typeof value !== 'string' || value.length < first.length + last.length || !value.startsWith(first) || !value.endsWith(last))
      return false;
    let from = first.length;
    for (const part of middle) {
      const found = value.indexOf(part, from);
      if (found < 0) return false;
      from = found + part.length;
    }
    return from <= value.length - last.length;
  };
}

const COMPARE: Record<string, (value: number, limit: number) => boolean> = {
  '=': (value, limit) => value === limit,
  '<': (value, limit) => value < limit,
  '<=': (value, limit) => value <= limit,
  '>': (value, limit) => value > limit,
  '>=': (value, limit) => value >= limit,
};
const NUMERIC_LIMIT = 5e9;

/** `[">", 0, "<=", 5]` */
export function numeric(operand: unknown, complaint: Complaint): Test {
  if (!Array.isArray(operand)) throw new complaint('Value of numeric must be an array.');
  if (operand.length !== 2 && operand.length !== 4) throw new complaint('Invalid number of arguments in numeric match');
  const bounds: [(value: number, limit: number) => boolean, number][] = [];
  for (let at = 0; at < operand.length; at += 2) {
    const compare = COMPARE[String(operand[at])];
    const limit = operand[at + 1];
    if (!compare) throw new complaint(`Unrecognized numeric range operator: ${operand[at]}`);
    if (typeof limit !== 'number') throw new complaint(`Value of ${operand[at]} must be numeric`);
    if (Math.abs(limit) > NUMERIC_LIMIT) throw new complaint(`Value of ${operand[at]} must be between -5.0e9 and 5.0e9`);
    bounds.push([compare, limit]);
  }
  return (value) => typeof value === 'number' && bounds.every(([compare, limit]) => compare(value, limit));
}

export function cidr(operand: unknown, complaint: Complaint): Test {
  const [address = '', bits = ''] = typeof operand === 'string' ? operand.split('/') : [];
  const family = isIP(address);
  if (family === 0 || !/^\d{1,3}$/.test(bits) || Number(bits) > (family === 4 ? 32 : 128)) {
    throw new complaint('Malformed CIDR, one "/" required');
  }
  const list = new BlockList();
  list.addSubnet(address, Number(bits), family === 4 ? 'ipv4' : 'ipv6');
  return (value) => typeof value === 'string' && isIP(value) !== 0 && list.check(value, isIP(value) === 4 ? 'ipv4' : 'ipv6');
}

/** Of one value, of a list of values, or of one operator on one text or a list of texts. */
export function anythingBut(operand: unknown, complaint: Complaint): Test {
  if (typeof operand === 'object' && operand !== null && !Array.isArray(operand)) {
    const entries = Object.entries(operand);
    const [operator, inner] = entries[0] ?? [];
    if (entries.length !== 1 || !['prefix', 'suffix', 'equals-ignore-case', 'wildcard'].includes(operator!)) {
      throw new complaint(`Unsupported anything-but pattern: ${operator}`);
    }
    const tests = (Array.isArray(inner) ? inner : [inner]).map((text) => textMatcher(operator!, text, complaint));
    if (tests.length === 0) throw new complaint('Empty arrays are not allowed');
    return (value) => !tests.some((test) => test(value));
  }
  const values = Array.isArray(operand) ? operand : [operand];
  if (values.length === 0) throw new complaint('Empty arrays are not allowed');
  if (!values.every((value) => typeof value === 'string') && !values.every((value) => typeof value === 'number')) {
    throw new complaint('Value of anything-but must be all strings or all numbers');
  }
  return (value) => !values.includes(value as never);
}
