/** Variables whose values live in Parameter Store or Secrets Manager: fetched as the service role, and hidden in the log. */
import { AwsError } from '../../../platform/errors.ts';
import type { Buildspec, SecretReference } from '../buildspec/buildspec.ts';
import { parseSecretReference, SECRET_FORM } from '../buildspec/secret-reference.ts';
import { BuildFailure } from './outcome.ts';
import type { World } from './world.ts';

export interface EnvironmentVariable {
  name: string;
  value: string;
  type?: 'PLAINTEXT' | 'PARAMETER_STORE' | 'SECRETS_MANAGER' | undefined;
}

/** GetParameters takes no more at once. */
const PARAMETERS_AT_ONCE = 10;

/**
 * Variable → value. What project or start request say of a variable stands before the buildspec, whatever its type. Throws BuildFailure with
 * the status codes of CodeBuild's log.
 */
export async function fetchSecrets(
  spec: { env: Pick<Buildspec['env'], 'parameterStore' | 'secretsManager'> },
  projectVariables: EnvironmentVariable[],
  world: Pick<World, 'fetchParameters' | 'fetchSecret'>,
): Promise<Record<string, string>> {
  const parameters = new Map(spec.env.parameterStore);
  const secrets = new Map(spec.env.secretsManager);
  for (const { name, value, type } of projectVariables) {
    parameters.delete(name);
    secrets.delete(name);
    if (type === 'PARAMETER_STORE') parameters.set(name, value);
    if (type === 'SECRETS_MANAGER') {
      const reference = parseSecretReference(value);
      if (!reference) throw new BuildFailure('Secrets Manager Error', `${value} is no reference to a secret (${SECRET_FORM}), for ${name}`);
      secrets.set(name, reference);
    }
  }
  return { ...(await valuesOfParameters(parameters, world)), ...(await valuesOfSecrets(secrets, world)) };
}

async function valuesOfParameters(parameters: Map<string, string>, world: Pick<World, 'fetchParameters'>): Promise<Record<string, string>> {
  const names = [...new Set(parameters.values())];
  const found = new Map<string, string>();
  try {
    for (let start = 0; start < names.length; start += PARAMETERS_AT_ONCE) {
      for (const [name, value] of await world.fetchParameters(names.slice(start, start + PARAMETERS_AT_ONCE))) found.set(name, value);
    }
  } catch (error) {
    throw failure('Decrypted Variables Error', error);
  }
  const missing = names.filter((name) => !found.has(name));
  if (missing.length > 0) throw new BuildFailure('Decrypted Variables Error', `parameter does not exist: ${missing.join(', ')}`);
  return Object.fromEntries([...parameters].map(([variable, name]) => [variable, found.get(name)!]));
}

async function valuesOfSecrets(secrets: Map<string, SecretReference>, world: Pick<World, 'fetchSecret'>): Promise<Record<string, string>> {
  // Several variables mostly name keys of one secret.
  const fetched = new Map<string, Promise<string>>();
  const values: Record<string, string> = {};
  for (const [variable, reference] of secrets) {
    const which = [reference.id, reference.versionStage, reference.versionId].join(':');
    if (!fetched.has(which)) fetched.set(which, world.fetchSecret(reference));
    try {
      values[variable] = valueIn(await fetched.get(which)!, reference);
    } catch (error) {
      throw failure('Secrets Manager Error', error);
    }
  }
  return values;
}

function valueIn(secret: string, { id, jsonKey }: SecretReference): string {
  if (jsonKey === undefined) return secret;
  let json: unknown;
  try {
    json = JSON.parse(secret);
  } catch {
    throw new BuildFailure('Secrets Manager Error', `the secret ${id} is not JSON, so it has no key ${jsonKey}`);
  }
  const value =
    typeof json === 'object' && json !== null && Object.hasOwn(json, jsonKey) ? (json as Record<string, unknown>)[jsonKey] : undefined;
  if (value === undefined) throw new BuildFailure('Secrets Manager Error', `the secret ${id} has no key ${jsonKey}`);
  return typeof value === 'string' ? value : JSON.stringify(value);
}

function failure(statusCode: string, error: unknown): unknown {
  return error instanceof AwsError ? new BuildFailure(statusCode, `${error.code}: ${error.message}`) : error;
}
