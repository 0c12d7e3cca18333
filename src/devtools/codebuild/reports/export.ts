/** The files of a report into the bucket of its group, as the build's service role. */
import { createReadStream, createWriteStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import path from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { ZipFile } from 'yazl';
import type { Clients } from '../../../platform/aws.ts';
import { joinKey } from '../storage/s3-location.ts';
import type { ReportFile } from './parsed-report.ts';
import type { ExportConfig } from './tables.ts';

type Destination = NonNullable<ExportConfig['s3Destination']>;

/**
 * `PATH/REPORT-ID/FILE` for each file, or `PATH/REPORT-ID.zip`: where below the path AWS puts them is not documented. `directory`: on this host.
 * Throws AwsError.
 */
export async function exportFiles(
  s3: Clients['s3'],
  destination: Destination,
  report: string,
  files: ReportFile[],
  directory: string,
): Promise<void> {
  const put = async (key: string, file: string, contentType?: string) => {
    const { size } = await stat(file);
    await s3.putObject({
      Bucket: destination.bucket!,
      Key: key,
      Body: createReadStream(file),
      ContentLength: size,
      ...(contentType ? { ContentType: contentType } : {}),
      ...(destination.bucketOwner ? { ExpectedBucketOwner: destination.bucketOwner } : {}),
      ...encryption(destination),
    });
  };
  if (destination.packaging === 'ZIP') {
    const archive = path.join(directory, 'export.zip');
    await zipFiles(files, archive);
    await put(joinKey(destination.path, `${report}.zip`), archive, 'application/zip');
    return;
  }
  for (const { name, path: file } of onceByName(files)) await put(joinKey(destination.path, report, name), file);
}

async function zipFiles(files: ReportFile[], target: string): Promise<void> {
  const zip = new ZipFile();
  const output = zip.outputStream as Readable;
  zip.on('error', (error) => output.destroy(error));
  for (const { name, path: file } of onceByName(files)) zip.addFile(file, name);
  zip.end();
  await pipeline(output, createWriteStream(target));
}

/** Without their paths, files of several directories may have one name: the first one stays, as with artifacts. */
function onceByName(files: ReportFile[]): ReportFile[] {
  const seen = new Set<string>();
  return files.filter(({ name }) => !seen.has(name) && seen.add(name));
}

/** The default key alias/aws/s3 is S3's own affair; a key of the user's is named. */
function encryption({ encryptionDisabled, encryptionKey }: Destination) {
  if (encryptionDisabled || !encryptionKey || encryptionKey.endsWith(':alias/aws/s3')) return {};
  return { ServerSideEncryption: 'aws:kms' as const, SSEKMSKeyId: encryptionKey };
}
