/** A source in S3: a zip file that is unpacked, or a folder (a location that ends with `/`) whose objects are the files. */
import { createWriteStream } from 'node:fs';
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { AwsError } from '../../../platform/errors.ts';
import { tarPack } from '../runner/files.ts';
import { BuildFailure } from '../runner/outcome.ts';
import { parseS3Location } from '../storage/s3-location.ts';
import type { OneSource, SourceContext } from './fetch.ts';
import { putZip, UnsafeArchive } from './unzip.ts';

/** The object's version, if its bucket has versions. */
export async function fetchS3(
  context: SourceContext,
  one: OneSource,
  location: string,
  version: string | undefined,
): Promise<string | undefined> {
  const { bucket, key } = parseS3Location(location);
  try {
    if (key.endsWith('/')) return await fetchFolder(context, one, bucket, key);
    return await fetchZip(context, one, bucket, key, version);
  } catch (error) {
    if (error instanceof AwsError)
      throw new BuildFailure('CLIENT_ERROR', `${error.code}: ${error.message} for ${one.label} ${bucket}/${key}`);
    if (error instanceof UnsafeArchive) throw new BuildFailure('CLIENT_ERROR', `${error.message} for ${one.label} ${bucket}/${key}`);
    throw error;
  }
}

async function fetchZip(
  { clients, machine, directory, signal }: SourceContext,
  one: OneSource,
  bucket: string,
  key: string,
  version: string | undefined,
): Promise<string | undefined> {
  const object = await clients.s3.getObject({ Bucket: bucket, Key: key, ...(version ? { VersionId: version } : {}) });
  const file = path.join(directory, 'source.zip');
  try {
    await pipeline(asStream(object.Body), createWriteStream(file), { signal });
    await putZip(machine, file, one.target);
  } finally {
    await rm(file, { force: true });
  }
  // An artifact of a pipeline says which commit or version its source action took.
  const revision = one.source.type === 'CODEPIPELINE' ? object.Metadata?.['codepipeline-revision-id'] : undefined;
  return revision ?? object.VersionId ?? version ?? object.ETag?.replaceAll('"', '');
}

async function fetchFolder(
  { clients, machine, signal }: SourceContext,
  one: OneSource,
  bucket: string,
  prefix: string,
): Promise<undefined> {
  const tar = tarPack();
  const putting = machine.put(one.target, tar as unknown as Readable);
  putting.catch((error) => tar.destroy(error));
  let found = false;
  let token: string | undefined;
  do {
    const page = await clients.s3.listObjectsV2({ Bucket: bucket, Prefix: prefix, ...(token ? { ContinuationToken: token } : {}) });
    for (const item of page.Contents ?? []) {
      signal.throwIfAborted();
      const name = (item.Key ?? '').slice(prefix.length);
      if (name === '' || name.endsWith('/')) continue;
      if (name.split('/').some((part) => part === '..'))
        throw new UnsafeArchive(`the object ${item.Key} would lie outside of the source directory`);
      found = true;
      const object = await clients.s3.getObject({ Bucket: bucket, Key: item.Key ?? '' });
      await pipeline(
        asStream(object.Body),
        tar.entry({ name, size: object.ContentLength ?? item.Size ?? 0, mode: 0o644 }) as unknown as NodeJS.WritableStream,
      );
    }
    token = page.NextContinuationToken;
  } while (token);
  tar.finalize();
  await putting;
  if (!found) throw new BuildFailure('CLIENT_ERROR', `NoSuchKey: The specified key does not exist. for ${one.label} ${bucket}/${prefix}`);
  return undefined;
}

export function asStream(body: Readable | Uint8Array | undefined): Readable {
  return body instanceof Readable ? body : Readable.from([Buffer.from(body ?? [])]);
}
