/** Checks an input against the constraints of its model, with AWS's own words for what is broken. */
import type { ServiceModel, Shape, ShapeRef } from '../platform/model.ts';
import { wholeStringMatcher } from './patterns.ts';

export { unstorableError, violationError } from './validation-errors.ts';

export type ViolationKind = 'required' | 'enum' | 'length' | 'range' | 'pattern';

export interface Violation {
  kind: ViolationKind;
  /** Members from the outside in, as in the model, without list positions. */
  members: { name: string; shape: string; location: ShapeRef['location'] }[];
  /** One constraint as AWS words it: `Value 'x' at 'y' failed to satisfy constraint: …`. */
  text: string;
}

export type Validator = (input: Record<string, unknown>) => Violation[];

/** More than this help nobody, and an input of a million broken items must not make an answer of a million lines. */
const MAX_VIOLATIONS = 50;
const MAX_SHOWN = 4096;

interface Place {
  /** `tags.1.member.key` */
  path: string;
  members: Violation['members'];
}

type Check = (value: any, place: Place, found: Violation[]) => void;
/** A constraint of a simple value: undefined when satisfied, else AWS's phrase. */
type Rule = { kind: ViolationKind; broken: (value: any) => string | undefined };

/** Java names members with a small first letter, whatever the wire says. */
function pathName(name: string): string {
  return name.charAt(0).toLowerCase() + name.slice(1);
}

function shown(value: unknown): string {
  const text = render(value);
  return text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}…` : text;
}

/** As Java's `toString` shows it: `[a, b]`, `{k=v}`. */
function render(value: unknown): string {
  if (Array.isArray(value)) return `[${value.slice(0, MAX_VIOLATIONS).map(render).join(', ')}]`;
  if (value instanceof Uint8Array) return `java.nio.HeapByteBuffer[pos=0 lim=${value.length} cap=${value.length}]`;
  if (value instanceof Date) return value.toISOString();
  if (value !== null && typeof value === 'object') {
    const entries = Object.entries(value).slice(0, MAX_VIOLATIONS);
    return `{${entries.map(([key, item]) => `${key}=${render(item)}`).join(', ')}}`;
  }
  return String(value);
}

function violation(kind: ViolationKind, place: Place, value: unknown, sensitive: boolean, constraint: string): Violation {
  const subject = value === null ? 'Value null' : sensitive ? 'Value' : `Value '${shown(value)}'`;
  return { kind, members: place.members, text: `${subject} at '${place.path}' failed to satisfy constraint: ${constraint}` };
}

/** Characters as users count them; only looked at one by one where it could matter. */
function codePoints(text: string, limit: number): number {
  if (text.length <= limit) return text.length;
  let count = 0;
  for (const _ of text) count++;
  return count;
}

function lengthRule(min: number | undefined, max: number | undefined, lengthOf: (value: any) => number): Rule {
  return {
    kind: 'length',
    broken: (value) => {
      const length = lengthOf(value);
      if (max !== undefined && length > max) return `Member must have length less than or equal to ${max}`;
      if (min !== undefined && length < min) return `Member must have length greater than or equal to ${min}`;
      return undefined;
    },
  };
}

function rangeRule(min: number | undefined, max: number | undefined): Rule {
  return {
    kind: 'range',
    broken: (value: number) => {
      if (max !== undefined && value > max) return `Member must have value less than or equal to ${max}`;
      if (min !== undefined && value < min) return `Member must have value greater than or equal to ${min}`;
      return undefined;
    },
  };
}

/** What AWS checks of a value by itself, without looking inside. */
function rulesOf(shape: Shape): Rule[] {
  const rules: Rule[] = [];
  const { min, max } = shape;
  const bounded = min !== undefined || max !== undefined;
  if (bounded && shape.type === 'string')
    rules.push(lengthRule(min, max, (text: string) => codePoints(text, max ?? Number.POSITIVE_INFINITY)));
  else if (bounded && shape.type === 'list') rules.push(lengthRule(min, max, (list: unknown[]) => list.length));
  else if (bounded && shape.type === 'map') rules.push(lengthRule(min, max, (map: object) => Object.keys(map).length));
  // A payload that is still arriving has no length yet.
  else if (bounded && shape.type === 'blob')
    rules.push(lengthRule(min, max, (blob) => (blob instanceof Uint8Array ? blob.length : (min ?? 0))));
  else if (bounded) rules.push(rangeRule(min, max));
  if (shape.enum) {
    const allowed = new Set(shape.enum);
    const text = `Member must satisfy enum value set: [${shape.enum.join(', ')}]`;
    rules.push({ kind: 'enum', broken: (value) => (allowed.has(value) ? undefined : text) });
  }
  if (shape.pattern !== undefined) {
    const matches = wholeStringMatcher(shape.pattern);
    const text = `Member must satisfy regular expression pattern: ${shape.pattern}`;
    rules.push({ kind: 'pattern', broken: (value) => (matches(value) ? undefined : text) });
  }
  return rules;
}

/** All rules of a shape in one phrase, which AWS gives for a list whose items break any of them. */
function allConstraints(shape: Shape): string {
  const parts: string[] = [];
  if (shape.max !== undefined) parts.push(`Member must have length less than or equal to ${shape.max}`);
  if (shape.min !== undefined) parts.push(`Member must have length greater than or equal to ${shape.min}`);
  if (shape.enum) parts.push(`Member must satisfy enum value set: [${shape.enum.join(', ')}]`);
  if (shape.pattern !== undefined) parts.push(`Member must satisfy regular expression pattern: ${shape.pattern}`);
  parts.push('Member must not be null');
  return `[${parts.join(', ')}]`;
}

function isSimple(shape: Shape): boolean {
  return shape.type !== 'structure' && shape.type !== 'list' && shape.type !== 'map';
}

/** One model's checks by shape, so that recursive and shared shapes are compiled once. `undefined`: nothing to check inside. */
class Compiler {
  private readonly model: ServiceModel;
  private readonly checks = new Map<string, Check>();

  constructor(model: ServiceModel) {
    this.model = model;
  }

  check(shapeName: string): Check {
    const known = this.checks.get(shapeName);
    if (known) return known;
    // A shape that contains itself finds this entry, which calls what is compiled by then.
    let compiled: Check = () => {};
    this.checks.set(shapeName, (value, place, found) => compiled(value, place, found));
    compiled = this.compile(this.model.shapes[shapeName]!);
    this.checks.set(shapeName, compiled);
    return compiled;
  }

  private compile(shape: Shape): Check {
    const rules = rulesOf(shape);
    const inside = this.compileInside(shape);
    return (value, place, found) => {
      for (const { kind, broken } of rules) {
        const constraint = broken(value);
        if (constraint !== undefined) found.push(violation(kind, place, value, shape.sensitive === true, constraint));
      }
      if (inside && found.length < MAX_VIOLATIONS) inside(value, place, found);
    };
  }

  private compileInside(shape: Shape): Check | undefined {
    if (shape.type === 'structure') return this.structure(shape);
    if (shape.type === 'list') return this.list(shape);
    if (shape.type === 'map') return this.map(shape);
    return undefined;
  }

  private structure(shape: Shape): Check {
    const required = new Set(shape.required);
    const members = Object.entries(shape.members ?? {}).map(([name, ref]) => ({
      name,
      path: pathName(name),
      required: required.has(name),
      member: { name, shape: ref.shape, location: ref.location },
      check: this.check(ref.shape),
    }));
    return (value: Record<string, unknown>, place, found) => {
      for (const { name, path, required, member, check } of members) {
        const inner = value[name];
        if (inner === undefined && !required) continue;
        if (found.length >= MAX_VIOLATIONS) return;
        const at = { path: place.path ? `${place.path}.${path}` : path, members: [...place.members, member] };
        if (inner === undefined) found.push(violation('required', at, null, false, 'Member must not be null'));
        else check(inner, at, found);
      }
    };
  }

  private list(shape: Shape): Check {
    const item = this.model.shapes[shape.member!.shape]!;
    if (isSimple(item)) return this.simpleItems(shape, item);
    const check = this.check(shape.member!.shape);
    return (value: unknown[], place, found) => {
      for (const [index, inner] of value.entries()) {
        if (found.length >= MAX_VIOLATIONS) return;
        const at = { path: `${place.path}.${index + 1}.member`, members: place.members };
        if (inner === null) found.push(violation('required', at, null, false, 'Member must not be null'));
        else check(inner, at, found);
      }
    };
  }

  /** Broken items are told of the list as a whole. */
  private simpleItems(shape: Shape, item: Shape): Check {
    const rules = rulesOf(item);
    const constraint = `Member must satisfy constraint: ${allConstraints(item)}`;
    const sensitive = shape.sensitive === true || item.sensitive === true;
    return (value: unknown[], place, found) => {
      for (const inner of value) {
        const kind = inner === null ? 'required' : rules.find(({ broken }) => broken(inner) !== undefined)?.kind;
        if (!kind) continue;
        found.push(violation(kind === 'required' ? 'pattern' : kind, place, value, sensitive, constraint));
        return;
      }
    };
  }

  private map(shape: Shape): Check {
    const key = this.model.shapes[shape.key!.shape]!;
    const item = this.model.shapes[shape.value!.shape]!;
    const keyRules = rulesOf(key);
    const valueRules = isSimple(item) ? rulesOf(item) : [];
    const check = isSimple(item) ? undefined : this.check(shape.value!.shape);
    return (value: Record<string, unknown>, place, found) => {
      for (const name of Object.keys(value)) {
        if (found.length >= MAX_VIOLATIONS) return;
        const badKey = keyRules.find(({ broken }) => broken(name) !== undefined);
        const badValue = valueRules.find(({ broken }) => broken(value[name]) !== undefined);
        if (badKey) found.push(violation(badKey.kind, place, value, true, `Map keys must satisfy constraint: ${allConstraints(key)}`));
        if (badValue)
          found.push(violation(badValue.kind, place, value, true, `Map value must satisfy constraint: ${allConstraints(item)}`));
        if (badKey || badValue) return;
        check?.(value[name], { path: `${place.path}.${name}.member`, members: place.members }, found);
      }
    };
  }
}

const compilers = new WeakMap<ServiceModel, { compiler: Compiler; validators: Map<string, Validator> }>();

/** Compiled when first asked for, and kept. The violations come in the order of the model's members. */
export function compileValidator(model: ServiceModel, operationName: string): Validator {
  let kept = compilers.get(model);
  if (!kept) {
    kept = { compiler: new Compiler(model), validators: new Map() };
    compilers.set(model, kept);
  }
  let validator = kept.validators.get(operationName);
  if (!validator) {
    const input = model.operations[operationName]?.input;
    const check = input && kept.compiler.check(input.shape);
    validator = (value) => {
      const found: Violation[] = [];
      check?.(value, { path: '', members: [] }, found);
      return found;
    };
    kept.validators.set(operationName, validator);
  }
  return validator;
}
