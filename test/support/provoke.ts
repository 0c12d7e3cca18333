/** Provokes the errors that a model names for operations, and finds those that nobody provokes. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { refused } from './refused.ts';

type Changes = Record<string, unknown>;
/** What is changed in the operation's good input to provoke the error, or what makes that. `undefined` leaves a member out. */
export type Provocation = Changes | (() => Promise<Changes>);

export interface Provoked {
  /** An input that works, or would. */
  input: Changes;
  /** By error without `Exception`. */
  errors: Record<string, Provocation>;
}

interface Model {
  operations: Record<string, { errors?: { shape: string }[] }>;
}

export function readModel(service: string): Model {
  return JSON.parse(readFileSync(new URL(`../../models/${service}.json`, import.meta.url), 'utf8'));
}

/** All errors of the operation must be provoked, but for those that are excused by a reason. */
export async function provokeAll(
  client: object,
  model: Model,
  operation: string,
  { input, errors }: Provoked,
  excused: Record<string, string>,
): Promise<void> {
  const named = new Set(model.operations[operation]!.errors!.map(({ shape }) => shape.replace(/Exception$/, '')));
  const provoked = new Set(Object.keys(errors));
  const missing = [...named].filter((name) => !provoked.has(name) && !excused[name]);
  assert.deepEqual(missing, [], `${operation} has errors that nothing provokes`);
  const method = operation.charAt(0).toLowerCase() + operation.slice(1);
  const call = (client as Record<string, (given: Changes) => Promise<unknown>>)[method]!;
  for (const [name, provocation] of Object.entries(errors)) {
    const changes = typeof provocation === 'function' ? await provocation() : provocation;
    await refused(call.call(client, { ...input, ...changes }), `${name}Exception`);
  }
}
