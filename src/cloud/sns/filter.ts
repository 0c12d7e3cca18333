/** Filter policies: which messages a subscription wants, by their attributes or by their body. */
import { compilePattern, PatternError, type Predicate } from '../../platform/event-patterns/patterns.ts';
import { invalid } from './errors.ts';
import type { Message, StoredAttributes, Subscription } from './tables.ts';

/** Developer guide, "Filter policy constraints". */
const MAX_BYTES = 262_144;
const MAX_KEYS = 5;
const MAX_COMBINATIONS = 150;
const MAX_KEPT = 10_000;

const compiled = new Map<string, Predicate>();

function predicateOf(policy: string): Predicate {
  let found = compiled.get(policy);
  if (!found) {
    found = compilePattern(policy);
    if (compiled.size >= MAX_KEPT) compiled.delete(compiled.keys().next().value!);
    compiled.set(policy, found);
  }
  return found;
}

/** Throws InvalidParameter; an empty object is a policy that wants everything. */
export function checkFilterPolicy(text: string, scope: string): void {
  if (Buffer.byteLength(text) > MAX_BYTES) throw invalid('FilterPolicy', `FilterPolicy must be at most ${MAX_BYTES} bytes`);
  let policy: unknown;
  try {
    policy = JSON.parse(text);
  } catch {
    throw invalid('FilterPolicy: failed to parse JSON.');
  }
  if (typeof policy !== 'object' || policy === null || Array.isArray(policy))
    throw invalid('FilterPolicy: Filter policy must be a JSON object');
  if (Object.keys(policy).length === 0) return;
  const { keys, combinations, nested } = measure(policy as Record<string, unknown>, 1);
  if (nested && scope === 'MessageAttributes')
    throw invalid('FilterPolicy: Filter policy scope MessageAttributes does not support nested filter policy');
  if (keys > MAX_KEYS) throw invalid(`FilterPolicy: Filter policy can not have more than ${MAX_KEYS} keys`);
  if (combinations > MAX_COMBINATIONS) throw invalid('FilterPolicy: Filter policy is too complex');
  try {
    predicateOf(text);
  } catch (error) {
    throw error instanceof PatternError ? invalid(`FilterPolicy: ${error.message}`) : error;
  }
}

interface Measure {
  keys: number;
  combinations: number;
  nested: boolean;
}

/** Values of each key count as often as the key is deep, and multiply; alternatives of `$or` add up. Stops at what is refused anyway. */
function measure(policy: Record<string, unknown>, depth: number): Measure {
  const total: Measure = { keys: 0, combinations: 1, nested: depth > 1 };
  if (depth > MAX_KEYS + 1) return { keys: MAX_KEYS + 1, combinations: 1, nested: true };
  for (const [key, value] of Object.entries(policy)) {
    const inner = measureValue(key, value, depth);
    total.keys += inner.keys;
    total.combinations *= inner.combinations;
    total.nested ||= inner.nested;
    if (total.keys > MAX_KEYS || total.combinations > MAX_COMBINATIONS) break;
  }
  return total;
}

function measureValue(key: string, value: unknown, depth: number): Measure {
  if (key === '$or' && Array.isArray(value) && value.every((branch) => typeof branch === 'object' && branch !== null)) {
    const branches = value.slice(0, MAX_COMBINATIONS + 1).map((branch) => measure(branch as Record<string, unknown>, depth));
    return {
      keys: Math.max(0, ...branches.map(({ keys }) => keys)),
      combinations: branches.reduce((sum, { combinations }) => sum + combinations, 0),
      nested: branches.some(({ nested }) => nested),
    };
  }
  if (Array.isArray(value)) return { keys: 1, combinations: Math.max(1, value.length * depth), nested: false };
  if (typeof value === 'object' && value !== null) return measure(value as Record<string, unknown>, depth + 1);
  return { keys: 1, combinations: 1, nested: false };
}

export function wants(subscription: Subscription, message: Message): boolean {
  const { FilterPolicy: policy, FilterPolicyScope: scope } = subscription.attributes;
  if (!policy || policy === '{}') return true;
  if (scope !== 'MessageBody') return predicateOf(policy)(attributeValues(message.attributes));
  try {
    const body: unknown = JSON.parse(message.by_protocol?.[subscription.protocol] ?? message.by_protocol?.default ?? message.message);
    return typeof body === 'object' && body !== null && predicateOf(policy)(body);
  } catch {
    // As on AWS: a body that is no JSON is not wanted by whoever looks into it.
    return false;
  }
}

/** Texts, numbers and arrays as patterns compare them; bytes match nothing. */
function attributeValues(attributes: StoredAttributes | null): Record<string, unknown> {
  const values = Object.entries(attributes ?? {}).flatMap(([name, { type, value }]): [string, unknown][] => {
    if (type === 'Binary' || type.startsWith('Binary.')) return [];
    if (type === 'Number' || type.startsWith('Number.')) return [[name, Number(value)]];
    return [[name, type === 'String.Array' ? (JSON.parse(value) as unknown) : value]];
  });
  return Object.fromEntries(values);
}
