/** What the S3 tests share: a client, a bucket, and errors as `code status`. */
import { CreateBucketCommand, S3Client, type S3ClientConfig } from '@aws-sdk/client-s3';
import type { TestServer } from './server.ts';

export function s3Client(server: TestServer, options: S3ClientConfig = {}): S3Client {
  return new S3Client({ ...server.client, ...options });
}

let made = 0;

/** A new bucket, named after what is tried in it. */
export async function newBucket(client: S3Client, what: string): Promise<string> {
  const Bucket = `${what}-${++made}`;
  await client.send(new CreateBucketCommand({ Bucket }));
  return Bucket;
}

/** `NoSuchKey 404` of a call that fails; throws when it succeeds. */
export async function failure(call: Promise<unknown>): Promise<string> {
  try {
    await call;
  } catch (error) {
    const { name, $metadata, $response } = error as {
      name: string;
      $metadata?: { httpStatusCode?: number };
      $response?: { statusCode: number };
    };
    return `${name} ${$metadata?.httpStatusCode ?? $response?.statusCode}`;
  }
  throw new Error('The call succeeded.');
}

export async function text(output: { Body?: { transformToString(): Promise<string> } | undefined }): Promise<string> {
  return output.Body!.transformToString();
}
