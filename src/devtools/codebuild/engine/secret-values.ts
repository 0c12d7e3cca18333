/** Values of variables that live in Parameter Store and Secrets Manager, asked for as the service role. */
import type { Clients } from '../../../platform/aws.ts';
import type { SecretReference } from '../buildspec/buildspec.ts';

/** Decrypted, at most ten at once; those that are not there are left out. */
export async function fetchParameters(clients: Clients, names: string[]): Promise<Map<string, string>> {
  const { Parameters = [] } = await clients.ssm.getParameters({ Names: names, WithDecryption: true });
  // The names as they were asked for: with a version or label, or as an ARN.
  const asked = ({ Name, ARN, Selector = '' }: (typeof Parameters)[number]) =>
    names.filter((name) => name === `${Name}${Selector}` || name === `${ARN}${Selector}`);
  return new Map(Parameters.flatMap((parameter) => asked(parameter).map((name) => [name, parameter.Value!] as const)));
}

/** The whole text of a secret. */
export async function fetchSecret(clients: Clients, { id, versionStage, versionId }: SecretReference): Promise<string> {
  const { SecretString, SecretBinary } = await clients.secretsmanager.getSecretValue({
    SecretId: id,
    VersionStage: versionStage,
    VersionId: versionId,
  });
  return SecretString ?? Buffer.from(SecretBinary!).toString();
}
