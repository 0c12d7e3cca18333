/**
 * Local caches: archives of directories that a project's builds left on this worker, for its next build here (CodeBuild user guide, "Local
 * caching"). `<data directory>/cache/builds/<project's uuid>-<generation>/<name>.tar`; a project is of one account, so nothing is shared.
 *
 * Every build gets a copy of its own. An archive is written aside, synced and then renamed into its place: whoever reads sees an old one
 * or a new one, whole, however many builds write and whatever is killed. The least recently used ones go when there is too much.
 */
import { createWriteStream } from 'node:fs';
import { type FileHandle, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { type Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Platform } from '../../../platform/platform.ts';
import type { BuildRow } from '../tables.ts';
import { CACHE_TOPIC } from '../topics.ts';

type Owner = Pick<BuildRow, 'project_id' | 'definition'>;

function folderOf(platform: Platform): string {
  return path.join(platform.config.dataDir, 'cache', 'builds');
}

function fileOf(platform: Platform, { project_id, definition }: Owner, name: string): string {
  return path.join(folderOf(platform), `${project_id}-${definition.cacheGeneration}`, `${name}.tar`);
}

/** The archive of that name, from its beginning; undefined when there is none. It stays readable whatever happens to its file. */
export async function openArchive(platform: Platform, build: Owner, name: string): Promise<Readable | undefined> {
  let file: FileHandle | undefined;
  try {
    file = await open(fileOf(platform, build, name));
    // What was used last is told by the time of change.
    const now = platform.now();
    await file.utimes(now, now);
    return file.createReadStream();
  } catch (error) {
    await file?.close();
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** For one that turned out to be of no use. */
export async function dropArchive(platform: Platform, build: Owner, name: string): Promise<void> {
  await rm(fileOf(platform, build, name), { force: true });
}

/** The message says why, for the build's log. */
export class NotKept extends Error {
  override readonly name = 'NotKept';
}

/** `directory`: on the host, of this build alone. Throws NotKept. */
export async function keepArchive(platform: Platform, build: Owner, name: string, tar: Readable, directory: string): Promise<void> {
  const aside = path.join(directory, `${name}.tar`);
  try {
    await pipeline(tar, bounded(platform.config.buildCacheBytes), createWriteStream(aside, { flush: true }));
    if (!(await isCurrent(platform, build))) throw new NotKept('the project is gone, or its cache was invalidated meanwhile');
    const file = fileOf(platform, build, name);
    await mkdir(path.dirname(file), { recursive: true });
    await rename(aside, file);
    await trim(platform);
  } finally {
    await rm(aside, { force: true });
  }
}

function bounded(limit: number): Transform {
  let size = 0;
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      size += chunk.length;
      if (size > limit) done(new NotKept(limit === 0 ? 'this installation keeps none' : `it is larger than ${limit} bytes`));
      else done(null, chunk);
    },
  });
}

async function isCurrent({ read }: Platform, { project_id, definition }: Owner): Promise<boolean> {
  const project = await read.selectFrom('codebuild.projects').select('cache_generation').where('id', '=', project_id).executeTakeFirst();
  return project?.cache_generation === definition.cacheGeneration;
}

/** Drops what was not used for the longest time until the rest is within the limit. */
async function trim(platform: Platform): Promise<void> {
  const archives = await listArchives(folderOf(platform));
  let total = archives.reduce((sum, { size }) => sum + size, 0);
  for (const { file, size } of archives.sort((a, b) => a.usedMs - b.usedMs)) {
    if (total <= platform.config.buildCacheBytes) return;
    await rm(file, { force: true });
    total -= size;
  }
}

async function listArchives(folder: string): Promise<{ file: string; size: number; usedMs: number }[]> {
  const archives = [];
  for (const owner of await readdir(folder)) {
    // Others drop what they find too many meanwhile.
    for (const name of await readdir(path.join(folder, owner)).catch(() => [])) {
      const file = path.join(folder, owner, name);
      const found = await stat(file).catch(() => undefined);
      if (found) archives.push({ file, size: found.size, usedMs: found.mtimeMs });
    }
  }
  return archives;
}

/** Drops the caches of projects that are gone or whose caches were invalidated: now, and whenever that is told. */
export function startLocalCaches(platform: Platform, signal: AbortSignal): void {
  let sweeping = Promise.resolve();
  const sweep = (): void => {
    sweeping = sweeping
      .then(() => dropForeign(platform))
      .catch((error) => platform.log.warn({ error: (error as Error).message }, 'could not look through the local caches of builds'));
  };
  const stop = platform.signals.on(CACHE_TOPIC, sweep);
  signal.addEventListener('abort', stop);
  sweep();
}

async function dropForeign(platform: Platform): Promise<void> {
  const folder = folderOf(platform);
  const owners = await readdir(folder).catch(() => []);
  if (owners.length === 0) return;
  const projects = await platform.read
    .selectFrom('codebuild.projects')
    .select(['id', 'cache_generation'])
    .where(
      'id',
      'in',
      owners.map((name) => name.slice(0, UUID_LENGTH)),
    )
    .execute();
  const current = new Set(projects.map(({ id, cache_generation }) => `${id}-${cache_generation}`));
  for (const name of owners) if (!current.has(name)) await rm(path.join(folder, name), { recursive: true, force: true });
}

const UUID_LENGTH = 36;
