/** What the KMS tests share. */
import { randomBytes } from 'node:crypto';
import { CreateKeyCommand, type CreateKeyCommandInput, type KeyMetadata, KMSClient } from '@aws-sdk/client-kms';
import type { AwsClients } from '../../src/platform/aws.ts';
import { AwsError } from '../../src/platform/errors.ts';
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

/** Stands in for the clients of services where only data keys are asked for: what it sealed it opens again. */
export function dataKeysStandIn(state: { disabled?: boolean } = {}): AwsClients {
  const sealed = new Map<string, Buffer>();
  const kms = {
    async describeKey({ KeyId }: { KeyId: string }) {
      return { KeyMetadata: { Arn: KeyId } };
    },
    async generateDataKey({ KeyId }: { KeyId: string }) {
      const [CiphertextBlob, Plaintext] = [randomBytes(16), randomBytes(32)];
      sealed.set(CiphertextBlob.toString('hex'), Plaintext);
      return { CiphertextBlob, Plaintext, KeyId };
    },
    async decrypt({ CiphertextBlob }: { CiphertextBlob: Uint8Array }) {
      if (state.disabled) throw new AwsError('DisabledException', 'The key is disabled.');
      return { Plaintext: sealed.get(Buffer.from(CiphertextBlob).toString('hex'))! };
    },
  };
  const clients = () => ({ kms });
  return { asPrincipal: clients, asService: clients } as unknown as AwsClients;
}
