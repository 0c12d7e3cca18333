/** An artifact from the machine into S3, as the service role. */
import { createReadStream, createWriteStream } from 'node:fs';
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { Clients } from '../../../platform/aws.ts';
import type { Machine } from '../../../ports/machines/port.ts';
import { buildArn } from '../names.ts';
import { packSelected } from '../runner/collect.ts';
import type { CollectedArtifact } from '../runner/world.ts';
import { digesting, drain, forEachEntry, tarsToZip } from '../runner/zip.ts';
import type { BuildDefinition, BuildRow, StoredArtifact } from '../tables.ts';
import { artifactKey } from './artifact-key.ts';
import { parseS3Location } from './s3-location.ts';

export interface ArtifactUpload {
  clients: Clients;
  machine: Machine;
  row: BuildRow;
  settings: BuildDefinition['artifacts'];
  artifact: CollectedArtifact;
  /** On the host, of this build alone. */
  directory: string;
  signal: AbortSignal;
}

export async function uploadArtifact(upload: ArtifactUpload): Promise<StoredArtifact> {
  const { settings, artifact, row } = upload;
  const { bucket, key: prefix } = parseS3Location(settings.location ?? '');
  const settingsHere = prefix ? { ...settings, path: `${prefix}/${settings.path ?? ''}` } : settings;
  const key = artifactKey(settingsHere, row, { name: artifact.name, s3Prefix: artifact.s3Prefix });
  // CodePipeline moves artifacts as zips whatever packaging says.
  const zipped = settings.packaging === 'ZIP' || settings.type === 'CODEPIPELINE';
  const digest = zipped ? await uploadZip(upload, bucket, key) : await uploadFiles(upload, bucket, key);
  return {
    location: `arn:aws:s3:::${bucket}/${key}`,
    ...digest,
    overrideArtifactName: settings.overrideArtifactName,
    encryptionDisabled: settings.encryptionDisabled,
    artifactIdentifier: settings.artifactIdentifier,
    bucketOwnerAccess: settings.bucketOwnerAccess,
  };
}

async function uploadZip(upload: ArtifactUpload, bucket: string, key: string): Promise<{ sha256sum: string; md5sum: string }> {
  const file = path.join(upload.directory, `artifact-${upload.artifact.identifier ?? 'primary'}.zip`);
  const rename = renaming(upload.artifact);
  // Several base directories become one archive.
  const digest = await tarsToZip(tars(upload), file, rename);
  try {
    await upload.clients.s3.putObject({
      Bucket: bucket,
      Key: key,
      Body: createReadStream(file),
      ContentLength: digest.size,
      ContentType: 'application/zip',
      ...common(upload, { 'codebuild-content-sha256': digest.sha256, 'codebuild-content-md5': digest.md5 }),
    });
  } finally {
    await rm(file, { force: true });
  }
  return { sha256sum: digest.sha256, md5sum: digest.md5 };
}

/** Packaging NONE: each file an object below `key`. */
async function uploadFiles(upload: ArtifactUpload, bucket: string, key: string): Promise<object> {
  const rename = renaming(upload.artifact);
  for (const tar of tars(upload)) {
    await forEachEntry(tar, async (header, stream) => {
      const name = rename(header.name.replace(/^\.\//, ''));
      if (!name || header.type !== 'file') return drain(stream);
      const file = path.join(upload.directory, 'artifact-file');
      const { stream: counting, result } = digesting();
      await pipeline(stream, counting, createWriteStream(file));
      const digest = result();
      await upload.clients.s3.putObject({
        Bucket: bucket,
        Key: key ? `${key}/${name}` : name,
        Body: createReadStream(file),
        ContentLength: digest.size,
        ...common(upload, { 'codebuild-content-sha256': digest.sha256, 'codebuild-content-md5': digest.md5 }),
      });
    });
  }
  await rm(path.join(upload.directory, 'artifact-file'), { force: true });
  return {};
}

function common({ row, settings }: ArtifactUpload, metadata: Record<string, string>) {
  return {
    Metadata: { 'codebuild-buildarn': buildArn(row), ...metadata },
    ...(settings.encryptionDisabled ? {} : encryption(row.definition.encryptionKey)),
    ...(settings.bucketOwnerAccess === 'FULL' ? { ACL: 'bucket-owner-full-control' as const } : {}),
  };
}

/** The default key alias/aws/s3 is S3's own affair; a key of the user's is named. */
export function encryption(key: string | undefined) {
  if (!key || key.endsWith(':alias/aws/s3')) return {};
  return { ServerSideEncryption: 'aws:kms' as const, SSEKMSKeyId: key };
}

function renaming(artifact: CollectedArtifact): (name: string) => string | undefined {
  const taken = new Set<string>();
  return (name) => {
    const shown = artifact.discardPaths ? path.posix.basename(name) : name;
    if (taken.has(shown)) return undefined;
    taken.add(shown);
    return shown;
  };
}

function* tars({ machine, artifact, signal }: ArtifactUpload) {
  for (const selection of artifact.selections) {
    if (selection.files.length > 0) yield packSelected(machine, selection, { keepLinks: artifact.keepLinks, signal });
  }
}
