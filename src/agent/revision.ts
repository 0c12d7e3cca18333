import { createWriteStream } from 'node:fs';
import { readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { S3Revision } from './deployment-spec.ts';
import { EventFailure, Outcome } from './failure.ts';
import { isMissing } from './files.ts';
import { bodyOf, ServiceError, type Transport } from './http.ts';
import { deploymentDirIn, type Layout } from './layout.ts';
import { encode } from './sigv4.ts';

/** Downloads a bundle from S3 into a file. Throws if it is not the object that the deployment was made for (its ETag differs). */
export async function downloadBundle(revision: S3Revision, file: string, endpoint: URL, transport: Transport): Promise<void> {
  const { bucket, key, version, etag } = revision;
  const url = new URL(endpoint);
  const object = [bucket, ...key.split('/')].map(encode).join('/');
  url.pathname = `${endpoint.pathname.replace(/\/$/, '')}/${object}`;
  if (version !== undefined) url.searchParams.set('versionId', version);

  const response = await transport.send({ service: 's3', method: 'GET', url });
  if (response.statusCode !== 200) {
    const body = await bodyOf(response, 1024 * 1024);
    const code = /<Code>([^<]*)<\/Code>/.exec(body)?.[1] ?? 'UnknownError';
    const message = /<Message>([^<]*)<\/Message>/.exec(body)?.[1] ?? '';
    throw new ServiceError(response.statusCode ?? 0, code, `The bundle s3://${bucket}/${key} could not be downloaded: ${code}: ${message}`);
  }

  const actual = response.headers.etag ?? '';
  if (etag !== undefined && etag !== actual.replaceAll('"', '')) {
    response.destroy();
    throw new EventFailure(Outcome.UnknownError, '', `Expected deployment artifact bundle etag ${etag} but was actually ${actual}`);
  }
  const draft = `${file}.part`;
  try {
    // A body that ends before its announced length makes the pipeline fail.
    await pipeline(response, createWriteStream(draft));
    await rename(draft, file);
  } catch (error) {
    await rm(draft, { force: true });
    throw error;
  }
}

/**
 * Makes room for another revision of a group: keeps the newest `keep - 1` others. The last one that was installed stays in any case,
 * since its scripts stop the application.
 */
export async function pruneRevisions(group: string, current: string, keep: number, layout: Layout): Promise<void> {
  const groupDir = layout.groupDir(group);
  const others = (await listDirectory(groupDir)).map((name) => join(groupDir, name)).filter((path) => path !== current);
  const surplus = others.length - keep + 1;
  if (surplus <= 0) return;

  const lastSuccessful = await deploymentDirIn(layout.lastSuccessfulFile(group));
  const dated = await Promise.all(
    others.filter((path) => path !== lastSuccessful).map(async (path) => ({ path, at: (await stat(path)).mtimeMs })),
  );
  dated.sort((a, b) => a.at - b.at);
  for (const { path } of dated.slice(0, surplus)) await rm(path, { recursive: true, force: true });
}

async function listDirectory(path: string): Promise<string[]> {
  try {
    return await readdir(path);
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}
