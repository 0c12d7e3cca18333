/** COMBINE_ARTIFACTS: the primary artifacts of all builds in one place, a folder for each build. */
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import path from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { ZipFile } from 'yazl';
import type { Clients } from '../../../platform/aws.ts';
import { AwsError } from '../../../platform/errors.ts';
import type { Platform } from '../../../platform/platform.ts';
import { type Digest, digesting } from '../runner/zip.ts';
import { asStream } from '../sources/s3.ts';
import { forEachZipped, UnsafeArchive } from '../sources/unzip.ts';
import { artifactKey } from '../storage/artifact-key.ts';
import { joinKey, parseS3Location } from '../storage/s3-location.ts';
import { encryption } from '../storage/upload-artifact.ts';
import type { StoredArtifact } from '../tables.ts';
import { isArchive } from './artifacts.ts';
import { batchArn, DOWNLOAD_SOURCE } from './names.ts';
import type { BatchRow } from './tables.ts';

interface Part {
  identifier: string;
  bucket: string;
  key: string;
}

/**
 * Undefined when the batch does not combine, or has nothing to. As the project's service role, like its builds. May be repeated after a
 * crash: the archive is written anew.
 */
export async function combineArtifacts(platform: Platform, batch: BatchRow, signal: AbortSignal): Promise<StoredArtifact | undefined> {
  const { artifacts, serviceRole, encryptionKey } = batch.definition;
  const parts = partsOf(batch);
  if (!batch.config.combineArtifacts || artifacts.type === 'NO_ARTIFACTS' || parts.length === 0) return undefined;
  const { bucket, key: prefix } = parseS3Location(artifacts.location ?? '');
  const key = joinKey(prefix, artifactKey(artifacts, batch, {}));
  const combined = { location: `arn:aws:s3:::${bucket}/${key}`, encryptionDisabled: artifacts.encryptionDisabled };
  if (!isArchive(artifacts)) return combined;
  const clients = await platform.aws.as({
    role: serviceRole ?? '',
    service: 'codebuild',
    sessionName: `AWSCodeBuild-${batch.id}`,
    region: batch.region,
  });
  const directory = path.join(platform.config.dataDir, 'tmp', `batch-${batch.id}`);
  await mkdir(directory, { recursive: true });
  try {
    const file = path.join(directory, 'combined.zip');
    const { size, sha256, md5 } = await mergeParts(clients, parts, file, signal);
    await clients.s3.putObject({
      Bucket: bucket,
      Key: key,
      Body: createReadStream(file),
      ContentLength: size,
      ContentType: 'application/zip',
      Metadata: { 'codebuild-buildarn': batchArn(batch), 'codebuild-content-sha256': sha256, 'codebuild-content-md5': md5 },
      ...(artifacts.encryptionDisabled ? {} : encryption(encryptionKey)),
      ...(artifacts.bucketOwnerAccess === 'FULL' ? { ACL: 'bucket-owner-full-control' as const } : {}),
    });
    return { ...combined, sha256sum: sha256, md5sum: md5 };
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** Builds whose failure was ignored have none. */
function partsOf({ groups }: BatchRow): Part[] {
  return groups.flatMap(({ identifier, build }) => {
    if (identifier === DOWNLOAD_SOURCE || !build.artifact) return [];
    return [{ identifier, ...parseS3Location(build.artifact.location) }];
  });
}

/** One archive out of all, without any of them in memory. */
async function mergeParts(clients: Clients, parts: Part[], target: string, signal: AbortSignal): Promise<Digest> {
  const zip = new ZipFile();
  const digest = digesting();
  const filling = fill(zip, clients, parts, target, signal);
  const writing = pipeline(zip.outputStream as Readable, digest.stream, createWriteStream(target), { signal });
  // If a part cannot be read the archive never ends: whichever fails first ends the other.
  filling.catch((error) => digest.stream.destroy(error));
  await writing;
  await filling;
  return digest.result();
}

async function fill(zip: ZipFile, clients: Clients, parts: Part[], target: string, signal: AbortSignal): Promise<void> {
  for (const { identifier, bucket, key } of parts) {
    const file = `${target}.${identifier}`;
    const object = await clients.s3.getObject({ Bucket: bucket, Key: key });
    await pipeline(asStream(object.Body), createWriteStream(file), { signal });
    try {
      await addAll(zip, file, identifier);
    } catch (error) {
      throw error instanceof UnsafeArchive ? new AwsError('InvalidInputException', `${error.message} in ${bucket}/${key}`) : error;
    }
    await rm(file);
  }
  zip.end();
}

function addAll(zip: ZipFile, file: string, folder: string): Promise<void> {
  return forEachZipped(file, async (source, entry, name) => {
    const options = { mtime: entry.getLastModDate(), mode: entry.externalFileAttributes >>> 16 || 0o644 };
    if (name.endsWith('/')) return zip.addEmptyDirectory(`${folder}/${name}`, { mtime: options.mtime });
    const content = await source.openReadStreamPromise(entry);
    await new Promise<void>((resolve, reject) => {
      content.once('end', resolve);
      content.once('error', reject);
      zip.addReadStream(content, `${folder}/${name}`, options);
    });
  });
}
