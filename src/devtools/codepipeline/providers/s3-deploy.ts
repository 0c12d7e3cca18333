/** Deploy, S3: the artifact as one object, or its files one by one. */
import { createWriteStream } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { type Entry, openPromise, type ZipFile } from 'yauzl';
import { AwsError } from '../../../platform/errors.ts';
import type { ActionJob, Provider } from './provider.ts';

const MAX_FILES = 100_000;
/** Files on their way at once: each waits for the disk most of its time. */
const PARALLEL = 8;

export const s3Deploy: Provider = {
  async advance(job) {
    const { clients, configuration, run } = job;
    const { BucketName: Bucket = '', Extract, ObjectKey = '' } = configuration;
    const [artifact] = run.input_artifacts;
    const { Body } = await clients.s3.getObject({ Bucket: artifact!.bucket, Key: artifact!.key });
    const source = Body instanceof Readable ? Body : Readable.from([Body]);
    if (Extract === 'true') {
      const count = await extract(job, source, (name, body, size) => put(job, Bucket, joinKey(ObjectKey, name), body, size));
      return { state: 'Succeeded', summary: `Deployment Succeeded: ${count} files` };
    }
    await put(job, Bucket, ObjectKey, source, undefined);
    return { state: 'Succeeded', summary: 'Deployment Succeeded' };
  },
};

function joinKey(prefix: string, name: string): string {
  return prefix === '' ? name : `${prefix.replace(/\/$/, '')}/${name}`;
}

async function put(
  { clients, configuration }: ActionJob,
  Bucket: string,
  Key: string,
  Body: Readable,
  ContentLength: number | undefined,
): Promise<void> {
  const { KMSEncryptionKeyARN, CannedACL, CacheControl } = configuration;
  await clients.s3.putObject({
    Bucket,
    Key,
    Body,
    ContentLength,
    ContentType: contentType(Key),
    ...(KMSEncryptionKeyARN ? { ServerSideEncryption: 'aws:kms', SSEKMSKeyId: KMSEncryptionKeyARN } : {}),
    ...(CannedACL ? { ACL: CannedACL as 'private' } : {}),
    ...(CacheControl ? { CacheControl } : {}),
  });
}

/** A zip can be read only from its end: it goes to a temporary file, its entries straight to the bucket. */
async function extract(
  job: ActionJob,
  source: Readable,
  use: (name: string, body: Readable, size: number) => Promise<void>,
): Promise<number> {
  const directory = await mkdtemp(path.join(tmpdir(), 'penstock-artifact-'));
  try {
    const file = path.join(directory, 'artifact.zip');
    await pipeline(source, createWriteStream(file), { signal: job.signal });
    const zip = await reading(openPromise(file, { autoClose: false }));
    try {
      // All names before the first file: an artifact with a bad one is not deployed by halves.
      const entries = await reading(filesIn(zip));
      await inParallel(entries, async (entry) => {
        job.signal.throwIfAborted();
        const body = await reading(zip.openReadStreamPromise(entry));
        let broken: Error | undefined;
        body.once('error', (error) => {
          broken = error;
        });
        await use(entry.fileName, body, entry.uncompressedSize).catch((error) => {
          throw broken ? unreadable(broken) : error;
        });
      });
      return entries.length;
    } finally {
      zip.close();
    }
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** yauzl refuses absolute names and `..` by itself. */
async function filesIn(zip: ZipFile): Promise<Entry[]> {
  const files: Entry[] = [];
  for await (const entry of zip.eachEntry()) {
    if (entry.fileName.endsWith('/')) continue;
    if (files.length === MAX_FILES) throw new Error(`it has more than ${MAX_FILES} files`);
    files.push(entry);
  }
  return files;
}

/** What is wrong with a zip stays wrong: it ends the action. */
function unreadable(cause: Error): AwsError {
  return new AwsError('InvalidArtifact', `The input artifact cannot be read as a zip file: ${cause.message}`, { cause });
}

async function reading<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (cause) {
    throw unreadable(cause as Error);
  }
}

/** Ends when nothing runs any more, also after a failure; the first failure is thrown. */
async function inParallel<T>(items: T[], work: (item: T) => Promise<void>): Promise<void> {
  const waiting = items.values();
  let failed = false;
  const worker = async (): Promise<void> => {
    for (const item of waiting) {
      if (failed) return;
      try {
        await work(item);
      } catch (error) {
        failed = true;
        throw error;
      }
    }
  };
  const results = await Promise.allSettled(Array.from({ length: PARALLEL }, worker));
  const failure = results.find((result) => result.status === 'rejected');
  if (failure) throw failure.reason;
}

const TYPES: Record<string, string> = {
  css: 'text/css',
  csv: 'text/csv',
  gif: 'image/gif',
  htm: 'text/html',
  html: 'text/html',
  ico: 'image/x-icon',
  jpeg: 'image/jpeg',
  jpg: 'image/jpeg',
  js: 'text/javascript',
  json: 'application/json',
  map: 'application/json',
  md: 'text/markdown',
  mjs: 'text/javascript',
  pdf: 'application/pdf',
  png: 'image/png',
  svg: 'image/svg+xml',
  txt: 'text/plain',
  wasm: 'application/wasm',
  webp: 'image/webp',
  woff2: 'font/woff2',
  xml: 'application/xml',
  yaml: 'application/yaml',
  yml: 'application/yaml',
  zip: 'application/zip',
};

function contentType(key: string): string {
  return TYPES[key.slice(key.lastIndexOf('.') + 1).toLowerCase()] ?? 'application/octet-stream';
}
