/** `#{namespace.key}` in the configuration of actions. */
import type { Declaration } from './tables.ts';

const EXPRESSION = /#\{([^}.\s]+\.[^}\s]+)\}/g;

/** The expressions in a text, without their braces. */
export function variablesIn(text: string): string[] {
  return [...text.matchAll(EXPRESSION)].map((found) => found[1]!);
}

/** Every namespace that a configuration may name. */
export function namespacesIn({ stages }: Declaration): Set<string> {
  const declared = stages.flatMap((stage) => stage.actions).flatMap((action) => action.namespace ?? []);
  return new Set(['codepipeline', 'variables', ...declared]);
}

export class UnresolvedVariableError extends Error {
  override readonly name = 'UnresolvedVariableError';
}

/** Each expression replaced by its value. Throws when one has none: an action must not run on a guess. */
export function resolve(configuration: Record<string, string>, values: ReadonlyMap<string, string>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(configuration).map(([key, text]) => [
      key,
      text.replace(EXPRESSION, (_, name: string) => {
        const value = values.get(name);
        if (value === undefined) {
          throw new UnresolvedVariableError(
            `The action configuration ${key} has the variable #{${name}}, which no action before has given a value.`,
          );
        }
        return value;
      }),
    ]),
  );
}
