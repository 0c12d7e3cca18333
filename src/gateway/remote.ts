/**
 * A service that lives elsewhere (real AWS, another Penstock): `PENSTOCK_ENDPOINT_<SERVICE>` sends its calls there with the AWS SDK, and with
 * the credentials that the SDK finds in the server's own environment: sessions of our STS mean nothing there.
 */
import { AwsError } from '../platform/errors.ts';

const PACKAGES: Record<string, string> = { logs: 'cloudwatch-logs', events: 'eventbridge', secretsmanager: 'secrets-manager' };

export function remoteClients(
  service: string,
  target: { endpoint: string; region: string },
): (operationName: string, input: Record<string, unknown>) => Promise<unknown> {
  return async (operationName, input) => {
    const sdk = await importSdk(`@aws-sdk/client-${PACKAGES[service] ?? service}`);
    const clientClass = Object.entries(sdk).find(([name]) => name.endsWith('Client') && !name.startsWith('__'))?.[1] as any;
    const client = new clientClass({ ...target, forcePathStyle: true });
    try {
      return await client.send(new (sdk[`${operationName}Command`] as any)(input));
    } catch (error) {
      const { name, message, $metadata } = error as { name: string; message: string; $metadata?: { httpStatusCode?: number } };
      // No answer at all is not the service's error: it is retried by whoever called.
      if ($metadata?.httpStatusCode === undefined) throw error;
      throw new AwsError(name, message, { status: $metadata.httpStatusCode, cause: error });
    } finally {
      client.destroy();
    }
  };
}

async function importSdk(name: string): Promise<Record<string, unknown>> {
  try {
    return await import(name);
  } catch (cause) {
    throw new Error(`Calls to another endpoint need the npm package ${name}: npm install ${name}`, { cause });
  }
}
