/** The condition keys that policies ask for, in conditions and as variables. */
import { AwsError } from '../../../platform/errors.ts';
import { readPolicy } from '../../../platform/policy/document.ts';
import { operation } from '../../../platform/service.ts';
import { checkPolicy, invalidInput } from '../errors.ts';
import { onSource, requireSource } from './principals.ts';
import { givenSources, type PolicySource, policiesOf } from './sources.ts';

export const getContextKeysForCustomPolicy = operation('iam', 'GetContextKeysForCustomPolicy', {
  authorize: () => '*',
  handle: async (_, { PolicyInputList }) => ({ ContextKeyNames: keysOf(requireReadable(givenSources(PolicyInputList))) }),
});

export const getContextKeysForPrincipalPolicy = operation('iam', 'GetContextKeysForPrincipalPolicy', {
  authorize: onSource,
  async handle(ctx, { PolicySourceArn, PolicyInputList }) {
    const own = await policiesOf(ctx, await requireSource(ctx, PolicySourceArn));
    return { ContextKeyNames: keysOf([...own, ...requireReadable(givenSources(PolicyInputList))]) };
  },
});

/** Throws InvalidInput for a text that is no policy. */
export function requireReadable(sources: PolicySource[], use: 'identity' | 'resource' = 'identity'): PolicySource[] {
  for (const { text } of sources) {
    try {
      checkPolicy(text, use);
    } catch (error) {
      throw error instanceof AwsError ? invalidInput(error.message) : error;
    }
  }
  return sources;
}

const VARIABLE = /\$\{\s*([a-zA-Z][\w-]*:[^},]+?)\s*(?:,[^}]*)?\}/g;

function keysOf(sources: PolicySource[]): string[] {
  const found = new Map<string, string>();
  for (const { text } of sources) {
    for (const { conditions, resources = [], notResources = [] } of readPolicy(text).statements) {
      const texts = [...resources, ...notResources, ...conditions.flatMap(({ values }) => values)];
      const variables = texts.flatMap((one) => [...one.matchAll(VARIABLE)].map((match) => match[1]!));
      for (const key of [...conditions.map((condition) => condition.key), ...variables]) {
        if (!found.has(key.toLowerCase())) found.set(key.toLowerCase(), key);
      }
    }
  }
  return [...found.values()];
}
