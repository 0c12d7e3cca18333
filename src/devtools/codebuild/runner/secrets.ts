/**
 * Variables whose values live in Parameter Store or Secrets Manager. Neither service is here yet, so such a build fails where CodeBuild
 * would fail for a value that it cannot get, and with the status codes of its log.
 */
import type { Buildspec } from '../buildspec/buildspec.ts';
import { BuildFailure } from './outcome.ts';

export interface EnvironmentVariable {
  name: string;
  value: string;
  type?: 'PLAINTEXT' | 'PARAMETER_STORE' | 'SECRETS_MANAGER' | undefined;
}

export function refuseSecrets(spec: Buildspec, projectVariables: EnvironmentVariable[]): void {
  const overridden = new Set(projectVariables.map((variable) => variable.name));
  const parameters = projectVariables.filter((variable) => variable.type === 'PARAMETER_STORE').map((variable) => variable.value);
  for (const [name, parameter] of spec.env.parameterStore) if (!overridden.has(name)) parameters.push(parameter);
  if (parameters.length > 0) {
    throw new BuildFailure(
      'Decrypted Variables Error',
      `parameter does not exist: ${parameters.join(', ')} (this installation has no Systems Manager Parameter Store)`,
    );
  }
  const secrets = projectVariables.filter((variable) => variable.type === 'SECRETS_MANAGER').map((variable) => variable.value);
  for (const [name, secret] of spec.env.secretsManager) if (!overridden.has(name)) secrets.push(secret.id);
  if (secrets.length > 0) {
    throw new BuildFailure(
      'Secrets Manager Error',
      `ResourceNotFoundException: Secrets Manager can't find the specified secret: ${secrets.join(', ')} (this installation has no Secrets Manager)`,
    );
  }
}
