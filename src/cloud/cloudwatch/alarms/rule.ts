/** Rules of composite alarms: `ALARM("a") AND NOT (OK(b) OR INSUFFICIENT_DATA("c"))`. */
import type { Transaction } from '../../../platform/platform.ts';
import { invalid, notThere } from '../errors.ts';
import type { Alarm, CompositeDefinition, StateValue } from '../tables.ts';
import { alarmArn } from './alarm.ts';
import { stamp } from './messages.ts';
import type { NewState } from './state.ts';

export type Rule =
  | { kind: 'constant'; value: boolean }
  /** `alarm`: a name or an ARN. */
  | { kind: 'state'; state: StateValue; alarm: string }
  | { kind: 'not'; of: Rule }
  | { kind: 'and' | 'or'; left: Rule; right: Rule };

const TOKEN = /\s*(?:(\(|\))|"((?:\\.|[^"\\])*)"|([^\s()"]+))/y;
const MAX_DEPTH = 100;
const MAX_CHILDREN = 100;

/** Throws ValidationError. */
export function parseRule(source: string): Rule {
  const tokens: string[] = [];
  const text = source.trim();
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < text.length) {
    const at = TOKEN.lastIndex;
    const match = TOKEN.exec(text);
    if (!match) throw broken(`it cannot be read from '${text.slice(at, at + 20)}' on`);
    // A name in quotation marks is told apart from a word by what it begins with.
    tokens.push(match[1] ?? match[3] ?? `"${match[2]!.replace(/\\(.)/g, '$1')}`);
  }
  return new Parser(tokens).parse();
}

function broken(why: string): Error {
  return invalid(`AlarmRule is not valid: ${why}.`);
}

class Parser {
  readonly #tokens: string[];
  #at = 0;
  #depth = 0;

  constructor(tokens: string[]) {
    this.#tokens = tokens;
  }

  parse(): Rule {
    const rule = this.#or();
    if (this.#at < this.#tokens.length) throw broken(`'${this.#tokens[this.#at]}' is not expected where it is`);
    return rule;
  }

  #take(token: string): boolean {
    if (this.#tokens[this.#at]?.toUpperCase() !== token) return false;
    this.#at += 1;
    return true;
  }

  #expect(token: string): void {
    if (!this.#take(token))
      throw broken(`'${token}' is expected ${this.#tokens[this.#at] === undefined ? 'at the end' : `before '${this.#tokens[this.#at]}'`}`);
  }

  #or(): Rule {
    let left = this.#and();
    while (this.#take('OR')) left = { kind: 'or', left, right: this.#and() };
    return left;
  }

  #and(): Rule {
    let left = this.#single();
    while (this.#take('AND')) left = { kind: 'and', left, right: this.#single() };
    return left;
  }

  #single(): Rule {
    this.#depth += 1;
    if (this.#depth > MAX_DEPTH) throw broken('it is nested too deeply');
    const rule = this.#innermost();
    this.#depth -= 1;
    return rule;
  }

  #innermost(): Rule {
    if (this.#take('NOT')) return { kind: 'not', of: this.#single() };
    if (this.#take('(')) {
      const inner = this.#or();
      this.#expect(')');
      return inner;
    }
    if (this.#take('TRUE')) return { kind: 'constant', value: true };
    if (this.#take('FALSE')) return { kind: 'constant', value: false };
    if (this.#take('AT_LEAST')) throw notThere('AT_LEAST in rules of composite alarms');
    for (const state of ['ALARM', 'OK', 'INSUFFICIENT_DATA'] as const) {
      if (!this.#take(state)) continue;
      this.#expect('(');
      const name = this.#tokens[this.#at];
      if (name === undefined || name === '(' || name === ')') throw broken(`${state} needs the name of an alarm`);
      this.#at += 1;
      this.#expect(')');
      return { kind: 'state', state, alarm: name.startsWith('"') ? name.slice(1) : name };
    }
    const token = this.#tokens[this.#at];
    throw broken(token === undefined ? 'it ends too early' : `'${token}' is not expected where it is`);
  }
}

/** Names and ARNs of the alarms in a rule. */
export function alarmsIn(rule: Rule): string[] {
  if (rule.kind === 'state') return [rule.alarm];
  if (rule.kind === 'not') return alarmsIn(rule.of);
  return rule.kind === 'constant' ? [] : [...alarmsIn(rule.left), ...alarmsIn(rule.right)];
}

function holds(rule: Rule, stateOf: (alarm: string) => StateValue | undefined): boolean {
  switch (rule.kind) {
    case 'constant':
      return rule.value;
    case 'state':
      return stateOf(rule.alarm) === rule.state;
    case 'not':
      return !holds(rule.of, stateOf);
    case 'and':
      return holds(rule.left, stateOf) && holds(rule.right, stateOf);
    case 'or':
      return holds(rule.left, stateOf) || holds(rule.right, stateOf);
  }
}

/** By the states that its alarms have now. */
export async function compositeState(tx: Transaction, alarm: Alarm): Promise<NewState> {
  const children = await tx.sql
    .selectFrom('cloudwatch.children')
    .innerJoin('cloudwatch.alarms', 'cloudwatch.alarms.id', 'cloudwatch.children.child')
    .selectAll('cloudwatch.alarms')
    .where('cloudwatch.children.parent', '=', alarm.id)
    .execute();
  const byName = new Map(children.flatMap((child) => [[child.name, child] as const, [alarmArn(child, child.name), child] as const]));
  const rule = parseRule((alarm.definition as CompositeDefinition).AlarmRule);
  const value: StateValue = holds(rule, (name) => byName.get(name)?.state) ? 'ALARM' : 'OK';
  const last = children.toSorted((a, b) => b.transitioned_at.getTime() - a.transitioned_at.getTime())[0];
  const arn = last && alarmArn(last, last.name);
  return {
    value,
    reason: last
      ? `${arn} transitioned to ${last.state} at ${longTime(last.transitioned_at)}`
      : `The rule is ${value === 'ALARM' ? 'TRUE' : 'FALSE'}`,
    reasonData:
      last && JSON.stringify({ triggeringAlarms: [{ arn, state: { value: last.state, timestamp: stamp(last.transitioned_at) } }] }),
  };
}

/** `Friday 03 July, 2020 12:00:00 UTC` */
function longTime(date: Date): string {
  const parts = new Intl.DateTimeFormat('en-US', {
    weekday: 'long',
    day: '2-digit',
    month: 'long',
    year: 'numeric',
    timeZone: 'UTC',
  }).formatToParts(date);
  const part = (type: string): string => parts.find((item) => item.type === type)!.value;
  return `${part('weekday')} ${part('day')} ${part('month')}, ${part('year')} ${date.toISOString().slice(11, 19)} UTC`;
}

export function checkNumber(names: string[]): void {
  if (names.length > MAX_CHILDREN) throw invalid(`A rule can name up to ${MAX_CHILDREN} alarms.`);
}
