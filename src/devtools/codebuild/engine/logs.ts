/** Where a build's log goes: CloudWatch Logs and S3, both as the service role. */

import { once } from 'node:events';
import { createReadStream, createWriteStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { finished } from 'node:stream/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { createGzip } from 'node:zlib';
import type { Clients } from '../../../platform/aws.ts';
import { AwsError } from '../../../platform/errors.ts';
import { s3LogLocation } from '../describe.ts';
import { buildArn, logsOf } from '../names.ts';
import type { LogSink } from '../runner/log.ts';
import { BuildFailure } from '../runner/outcome.ts';
import type { Work } from '../tables.ts';

const RETRY_PAUSES_MS = [100, 500, 2_000, 5_000, undefined];

/** Undefined when the project has CloudWatch Logs disabled. Throws BuildFailure when the role may not write. */
export async function openCloudWatchSink(clients: Clients, row: Work): Promise<LogSink | undefined> {
  const place = logsOf(row, row.definition.logsConfig);
  if (!place) return undefined;
  const { groupName: logGroupName, streamName: logStreamName } = place;
  try {
    // Most builds find their group there: ask for the stream first.
    await createStream(clients, logGroupName, logStreamName).catch(async (error) => {
      if (!isCode(error, 'ResourceNotFoundException')) throw error;
      await ignore('ResourceAlreadyExistsException', clients.logs.createLogGroup({ logGroupName }));
      await createStream(clients, logGroupName, logStreamName);
    });
  } catch (error) {
    if (!(error instanceof AwsError)) throw error;
    throw new BuildFailure(
      'ACCESS_DENIED',
      `Service role ${row.definition.serviceRole} does not allow AWS CodeBuild to create Amazon CloudWatch Logs log streams for build ` +
        `${buildArn(row)}. Error message: ${error.message}`,
    );
  }
  return async (events) => {
    for (const pause of RETRY_PAUSES_MS) {
      try {
        return void (await clients.logs.putLogEvents({ logGroupName, logStreamName, logEvents: events.map((event) => ({ ...event })) }));
      } catch (error) {
        // No permission stays no permission; a database that is away comes back.
        if (error instanceof AwsError && error.code !== 'InternalFailure' && error.code !== 'ServiceUnavailableException') throw error;
        if (pause === undefined) throw error;
        await delay(pause);
      }
    }
  };
}

function createStream(clients: Clients, logGroupName: string, logStreamName: string): Promise<unknown> {
  return ignore('ResourceAlreadyExistsException', clients.logs.createLogStream({ logGroupName, logStreamName }));
}

async function ignore(code: string, work: Promise<unknown>): Promise<void> {
  await work.catch((error) => {
    if (!isCode(error, code)) throw error;
  });
}

function isCode(error: unknown, code: string): boolean {
  return error instanceof AwsError && error.code === code;
}

export interface S3Log {
  sink: LogSink;
  /** Uploads what was written. */
  upload(): Promise<void>;
}

/** Gathered in a file and stored when the build ends, as CodeBuild does it. */
export function openS3Log(clients: Clients, row: Work, directory: string): S3Log | undefined {
  const wanted = row.definition.logsConfig?.s3Logs;
  if (wanted?.status !== 'ENABLED' || !wanted.location) return undefined;
  const file = `${directory}/log.gz`;
  const gzip = createGzip();
  const written = finished(gzip.pipe(createWriteStream(file)));
  written.catch(() => {});
  const [bucket = '', ...key] = s3LogLocation(row, wanted.location).split('/');
  return {
    sink: async (events) => {
      for (const event of events) if (!gzip.write(event.message)) await once(gzip, 'drain');
    },
    async upload() {
      gzip.end();
      await written;
      const { size } = await stat(file);
      await clients.s3.putObject({
        Bucket: bucket,
        Key: key.join('/'),
        Body: createReadStream(file),
        ContentLength: size,
        ContentType: 'application/gzip',
      });
    },
  };
}
