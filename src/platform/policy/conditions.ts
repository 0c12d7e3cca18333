/** The condition operators of policies. */
import { type AddressRange, inRange, parseAddress, parseRange } from './addresses.ts';
import { compilePattern, type Pattern, type PatternOptions, type Resolve } from './pattern.ts';

export type Condition = (resolve: Resolve) => boolean;

/** Does the request's value match this one value of the policy? */
type Matcher = (value: string, resolve: Resolve) => boolean;

interface Operator {
  /** Undefined when the policy's value is not of the operator's type. */
  compile(value: string, variables: boolean): Matcher | undefined;
  /** The condition holds when no value matches, and when the key is absent. */
  negated: boolean;
}

function text(options: Omit<PatternOptions, 'variables'>): Operator['compile'] {
  return (source, variables) => {
    const pattern = compilePattern(source, { ...options, variables });
    return options.ignoreCase ? (value, resolve) => pattern.matches(value.toLowerCase(), resolve) : pattern.matches;
  };
}

const ARN_PARTS = 6;

/** The six parts of an ARN are compared one by one, so that `*` does not reach over a colon; the last holds all that remains. */
function arn(source: string, variables: boolean): Matcher | undefined {
  const parts = splitArn(source);
  // `arn:aws:sns*` and `*`: one wildcard for all the parts that follow.
  if (!parts) return source.includes('*') ? compilePattern(source, { wildcards: true, variables }).matches : undefined;
  const patterns: Pattern[] = parts.map((part) => compilePattern(part, { wildcards: true, variables }));
  return (value, resolve) => {
    const given = splitArn(value);
    return given !== undefined && patterns.every((pattern, index) => pattern.matches(given[index]!, resolve));
  };
}

function splitArn(value: string): string[] | undefined {
  const parts = value.split(':');
  if (parts.length < ARN_PARTS) return undefined;
  return [...parts.slice(0, ARN_PARTS - 1), parts.slice(ARN_PARTS - 1).join(':')];
}

function compared(parse: (value: string) => number | undefined, holds: (given: number, wanted: number) => boolean): Operator['compile'] {
  return (source, variables) => {
    if (variables && source.includes('${')) return undefined;
    const wanted = parse(source);
    if (wanted === undefined) return undefined;
    return (value) => {
      const given = parse(value);
      return given !== undefined && holds(given, wanted);
    };
  };
}

function parseNumber(value: string): number | undefined {
  return /^[+-]?\d+(\.\d+)?$/.test(value) ? Number(value) : undefined;
}

/** ISO 8601 or seconds since 1970. */
function parseDate(value: string): number | undefined {
  if (/^\d{5,}(\.\d+)?$/.test(value)) return Number(value) * 1000;
  if (!/^\d{4}(-\d\d(-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?)?)?)?$/.test(value)) return undefined;
  const time = Date.parse(/T/.test(value) && !/(Z|[+-]\d\d:?\d\d)$/.test(value) ? `${value}Z` : value);
  return Number.isNaN(time) ? undefined : time;
}

function bool(source: string): Matcher | undefined {
  const wanted = source.toLowerCase();
  return wanted === 'true' || wanted === 'false' ? (value) => value.toLowerCase() === wanted : undefined;
}

function binary(source: string): Matcher | undefined {
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(source)) return undefined;
  const wanted = Buffer.from(source, 'base64');
  return (value) => Buffer.from(value, 'base64').equals(wanted);
}

function address(source: string): Matcher | undefined {
  const range: AddressRange | undefined = parseRange(source);
  if (!range) return undefined;
  return (value) => {
    const given = parseAddress(value);
    return given !== undefined && inRange(given, range);
  };
}

const comparisons: [string, (given: number, wanted: number) => boolean, boolean][] = [
  ['Equals', (given, wanted) => given === wanted, false],
  ['NotEquals', (given, wanted) => given === wanted, true],
  ['LessThan', (given, wanted) => given < wanted, false],
  ['LessThanEquals', (given, wanted) => given <= wanted, false],
  ['GreaterThan', (given, wanted) => given > wanted, false],
  ['GreaterThanEquals', (given, wanted) => given >= wanted, false],
];

/** By lower-case name. */
const operators = new Map<string, Operator>(
  (
    [
      ['StringEquals', text({ wildcards: false }), false],
      ['StringNotEquals', text({ wildcards: false }), true],
      ['StringEqualsIgnoreCase', text({ wildcards: false, ignoreCase: true }), false],
      ['StringNotEqualsIgnoreCase', text({ wildcards: false, ignoreCase: true }), true],
      ['StringLike', text({ wildcards: true }), false],
      ['StringNotLike', text({ wildcards: true }), true],
      ['ArnEquals', arn, false],
      ['ArnNotEquals', arn, true],
      ['ArnLike', arn, false],
      ['ArnNotLike', arn, true],
      ['Bool', bool, false],
      ['BinaryEquals', binary, false],
      ['IpAddress', address, false],
      ['NotIpAddress', address, true],
      ...comparisons.map(([name, holds, negated]) => [`Numeric${name}`, compared(parseNumber, holds), negated] as const),
      ...comparisons.map(([name, holds, negated]) => [`Date${name}`, compared(parseDate, holds), negated] as const),
    ] as [string, Operator['compile'], boolean][]
  ).map(([name, compile, negated]) => [name.toLowerCase(), { compile, negated }]),
);

const NAME = /^(?:(forallvalues|foranyvalue):)?([a-z]+?)(ifexists)?$/;

/** One operator with one key. Undefined when the operator does not exist or a value is not of its type. */
export function compileCondition(operatorName: string, key: string, values: string[], variables: boolean): Condition | undefined {
  const found = NAME.exec(operatorName.toLowerCase());
  if (!found) return undefined;
  const [, quantifier, name, ifExists] = found;
  const lowerKey = key.toLowerCase();
  if (name === 'null') return quantifier || ifExists ? undefined : compileNull(lowerKey, values);
  const operator = operators.get(name!);
  if (!operator) return undefined;
  const matchers = values.map((value) => operator.compile(value, variables));
  if (matchers.some((matcher) => matcher === undefined)) return undefined;
  const matched = (value: string, resolve: Resolve): boolean => matchers.some((matcher) => matcher!(value, resolve));
  const { negated } = operator;
  const whenAbsent = ifExists !== undefined || quantifier === 'forallvalues' || (negated && quantifier === undefined);
  return (resolve) => {
    const given = resolve(lowerKey);
    if (isAbsent(given)) return whenAbsent;
    if (typeof given === 'string') return matched(given, resolve) !== negated;
    if (quantifier === 'forallvalues') return given.every((value) => matched(value, resolve) !== negated);
    if (quantifier === 'foranyvalue') return given.some((value) => matched(value, resolve) !== negated);
    return given.some((value) => matched(value, resolve)) !== negated;
  };
}

function isAbsent(given: string | string[] | undefined): given is undefined {
  return given === undefined || (Array.isArray(given) && given.length === 0);
}

function compileNull(key: string, values: string[]): Condition | undefined {
  const wanted = values.map((value) => value.toLowerCase());
  if (wanted.some((value) => value !== 'true' && value !== 'false')) return undefined;
  return (resolve) => {
    const given = resolve(key);
    return wanted.includes(isAbsent(given) ? 'true' : 'false');
  };
}
