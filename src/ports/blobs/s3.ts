/**
 * Blobs as objects of one bucket of any S3-compatible store, named PREFIX/<blob key> and sealed as on disk: the store sees no plain bytes.
 *
 * The store must show a write to every read that begins after it, as S3 does, and list keys in order. Its client is loaded when this driver is
 * opened, so that others pay nothing for it.
 */
import { addAbortSignal, Readable } from 'node:stream';
import type { ListMultipartUploadsCommandOutput, MultipartUpload, S3Client } from '@aws-sdk/client-s3';
import { type BlobEntry, BlobNotFoundError, type BlobStore, checkBlobKey } from './port.ts';
import { readBlob, readFooter } from './s3-reading.ts';
import { putSealed } from './s3-writing.ts';

export interface S3BlobSettings {
  bucket: string;
  /** Without a slash at its end; may be empty. */
  prefix: string;
  region: string;
  /** Undefined: AWS's own. */
  endpoint: string | undefined;
  /** Whether a URL names the bucket in its path instead of in its host. */
  pathStyle: boolean;
}

/** What the halves of the driver work with. */
export interface Objects {
  sdk: typeof import('@aws-sdk/client-s3');
  client: S3Client;
  bucket: string;
  /** Ends in a slash, or is empty. */
  prefix: string;
  /** 32 bytes that wrap the blobs' own keys. */
  storeKey: Buffer;
}

const TRIES = 5;
const CONNECT_MS = 5_000;
/** A connection on which nothing moves for so long is given up; a reader that was slow goes on with another one. */
const SILENCE_MS = 60_000;
/** Slow readers hold one each. */
const CONNECTIONS = 500;

/** Credentials come from where AWS's clients look for them. Fails when the bucket cannot be listed. `storeKey`: see {@link Objects}. */
export async function openS3Blobs(settings: S3BlobSettings, storeKey: Buffer): Promise<BlobStore> {
  const sdk = await import('@aws-sdk/client-s3');
  const agent = { keepAlive: true, maxSockets: CONNECTIONS };
  const client = new sdk.S3Client({
    region: settings.region,
    ...(settings.endpoint && { endpoint: settings.endpoint }),
    forcePathStyle: settings.pathStyle,
    maxAttempts: TRIES,
    // Requests are signed with the digest of their bytes, and each chunk proves itself; not every store knows S3's newer checksums.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    requestHandler: { httpAgent: agent, httpsAgent: agent, connectionTimeout: CONNECT_MS, socketTimeout: SILENCE_MS },
  });
  const prefix = settings.prefix && `${settings.prefix}/`;
  try {
    await client.send(new sdk.ListObjectsV2Command({ Bucket: settings.bucket, Prefix: prefix, MaxKeys: 1 }));
  } catch (cause) {
    const { name, message } = cause as Error;
    throw new Error(`The blob store s3://${settings.bucket}/${prefix} cannot be used (${name}: ${message}).`, { cause });
  }
  return s3Blobs({ sdk, client, bucket: settings.bucket, prefix, storeKey });
}

function s3Blobs(objects: Objects, wrappingKey?: Uint8Array): BlobStore {
  const { sdk, client, bucket, prefix } = objects;
  return {
    async put(blobKey, body, signal) {
      checkBlobKey(blobKey);
      if (body instanceof Readable && signal) addAbortSignal(signal, body);
      try {
        signal?.throwIfAborted();
        return { key: blobKey, ...(await putSealed(objects, { blobKey, wrappingKey }, body, signal)) };
      } finally {
        if (body instanceof Readable) body.destroy();
      }
    },
    async get(blobKey, range) {
      checkBlobKey(blobKey);
      return readBlob(objects, { blobKey, wrappingKey }, range);
    },
    async head(blobKey) {
      checkBlobKey(blobKey);
      try {
        return { key: blobKey, ...(await readFooter(objects, blobKey)) };
      } catch (error) {
        if (error instanceof BlobNotFoundError) return undefined;
        throw error;
      }
    },
    async delete(blobKey) {
      checkBlobKey(blobKey);
      await client.send(new sdk.DeleteObjectCommand({ Bucket: bucket, Key: prefix + blobKey }));
    },
    list: (start, after = '') => listed(objects, start, after),
    under: (otherKey) => s3Blobs(objects, otherKey),
    async sweep(olderThan) {
      for await (const { Key, UploadId, Initiated } of uploads(objects)) {
        if (Initiated && Initiated < olderThan) await client.send(new sdk.AbortMultipartUploadCommand({ Bucket: bucket, Key, UploadId }));
      }
    },
  };
}

async function* listed({ sdk, client, bucket, prefix }: Objects, start: string, after: string): AsyncGenerator<BlobEntry> {
  const input = { Bucket: bucket, Prefix: prefix + start, ...(after && { StartAfter: prefix + after }) };
  for await (const { Contents = [] } of sdk.paginateListObjectsV2({ client }, input)) {
    for (const { Key = '', LastModified } of Contents) yield { key: Key.slice(prefix.length), storedAt: LastModified! };
  }
}

/** Multipart uploads that were neither completed nor aborted. */
async function* uploads({ sdk, client, bucket, prefix }: Objects): AsyncGenerator<MultipartUpload> {
  let KeyMarker: string | undefined;
  let UploadIdMarker: string | undefined;
  do {
    const page: ListMultipartUploadsCommandOutput = await client.send(
      new sdk.ListMultipartUploadsCommand({ Bucket: bucket, Prefix: prefix, KeyMarker, UploadIdMarker }),
    );
    yield* page.Uploads ?? [];
    KeyMarker = page.IsTruncated ? page.NextKeyMarker : undefined;
    UploadIdMarker = page.NextUploadIdMarker;
  } while (KeyMarker);
}
