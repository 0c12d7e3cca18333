/** What the KMS tests share. */
import { CreateKeyCommand, type CreateKeyCommandInput, type KeyMetadata, KMSClient } from '@aws-sdk/client-kms';
import type { TestServer } from './server.ts';

export function kmsClient(server: Pick<TestServer, 'client'>): KMSClient {
  return new KMSClient(server.client);
}

export async function newKey(client: KMSClient, input: CreateKeyCommandInput = {}): Promise<KeyMetadata> {
  return (await client.send(new CreateKeyCommand(input))).KeyMetadata!;
}

/** `NotFoundException: its message` of a call that fails; throws when it succeeds. */
export async function failure(call: Promise<unknown>): Promise<string> {
  try {
    await call;
  } catch (error) {
    const { name, message } = error as Error;
    return `${name}: ${message}`;
  }
  throw new Error('The call succeeded.');
}
