/**
 * The S3 cache of a project: one gzipped tar per key (or per project), whose first entry tells where each following tree belongs. Paths are
 * kept relative to source and home, since both lie elsewhere on every machine.
 */
import { createReadStream, createWriteStream } from 'node:fs';
import { rm, stat } from 'node:fs/promises';
import path from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip, createGzip } from 'node:zlib';
import { AwsError } from '../../../platform/errors.ts';
import type { Machine } from '../../../ports/machines/port.ts';
import { packSelected, type Selection } from '../runner/collect.ts';
import { tarPack } from '../runner/files.ts';
import { runScript } from '../runner/machine-tools.ts';
import type { CacheKeys } from '../runner/world.ts';
import { drain, forEachEntry } from '../runner/zip.ts';
import type { SourceContext } from '../sources/fetch.ts';
import { asStream } from '../sources/s3.ts';
import { joinKey, parseS3Location } from './s3-location.ts';

type Root = 'source' | 'home' | 'absolute';
type Manifest = { root: Root; path: string }[];

const MANIFEST = 'manifest.json';
const DEFAULT_KEY = 'cache';

export class S3Cache {
  readonly #context: SourceContext;
  readonly #bucket: string;
  readonly #prefix: string;

  constructor(context: SourceContext) {
    const { row } = context;
    const { bucket, key } = parseS3Location(row.definition.cache?.location ?? '');
    this.#context = context;
    this.#bucket = bucket;
    // A namespace is shared by all projects that name it; a cache that was invalidated is never looked at again.
    const owner = row.definition.cache?.cacheNamespace ?? row.project_id;
    const generation = row.definition.cacheGeneration;
    this.#prefix = joinKey(key, owner, generation > 0 ? String(generation) : undefined);
  }

  /** Best effort, as on AWS: a cache that is not there or cannot be read is a line in the log. */
  async restore(keys: CacheKeys, sourceDirectory: string): Promise<void> {
    const { log, clients, directory } = this.#context;
    const key = await this.#find(keys);
    if (!key) return log.agent('Unable to download cache: no cache was found');
    const file = path.join(directory, 'cache.tar.gz');
    try {
      const object = await clients.s3.getObject({ Bucket: this.#bucket, Key: key });
      await pipeline(asStream(object.Body), createWriteStream(file));
      await unpack(this.#context.machine, file, sourceDirectory);
      log.agent(`Restored the cache from s3://${this.#bucket}/${key}`);
    } catch (error) {
      this.#context.signal.throwIfAborted();
      log.agent(`Unable to download cache: ${(error as Error).message}`);
    } finally {
      await rm(file, { force: true });
    }
  }

  async save(keys: CacheKeys, selections: Selection[], sourceDirectory: string): Promise<void> {
    const { log, clients, machine, directory, signal } = this.#context;
    const key = this.#key(keys.key);
    if (selections.length === 0) return log.agent('Unable to upload cache: no file matches the cache paths');
    if (keys.key !== undefined && (await this.#exists(key))) return log.agent(`Cache ${keys.key} exists already and is kept as it is`);
    const file = path.join(directory, 'cache.tar.gz');
    try {
      await archive(machine, selections, sourceDirectory, file, signal);
      const { size } = await stat(file);
      await clients.s3.putObject({ Bucket: this.#bucket, Key: key, Body: createReadStream(file), ContentLength: size });
      log.agent(`Stored the cache as s3://${this.#bucket}/${key}`);
    } catch (error) {
      signal.throwIfAborted();
      log.agent(`Unable to upload cache: ${(error as Error).message}`);
    } finally {
      await rm(file, { force: true });
    }
  }

  #key(key: string | undefined): string {
    return joinKey(this.#prefix, key ?? DEFAULT_KEY);
  }

  async #find(keys: CacheKeys): Promise<string | undefined> {
    const exact = this.#key(keys.key);
    if (await this.#exists(exact)) return exact;
    for (const fallback of keys.fallbackKeys) {
      const found = await this.#latest(this.#key(fallback));
      if (found) return found;
    }
    return undefined;
  }

  async #exists(key: string): Promise<boolean> {
    try {
      await this.#context.clients.s3.headObject({ Bucket: this.#bucket, Key: key });
      return true;
    } catch (error) {
      if (error instanceof AwsError) return false;
      throw error;
    }
  }

  /** The newest archive whose key begins so. */
  async #latest(prefix: string): Promise<string | undefined> {
    try {
      const { Contents = [] } = await this.#context.clients.s3.listObjectsV2({ Bucket: this.#bucket, Prefix: prefix });
      return Contents.sort((a, b) => (b.LastModified?.getTime() ?? 0) - (a.LastModified?.getTime() ?? 0))[0]?.Key;
    } catch (error) {
      if (error instanceof AwsError) return undefined;
      throw error;
    }
  }
}

async function archive(machine: Machine, selections: Selection[], source: string, file: string, signal: AbortSignal): Promise<void> {
  const tar = tarPack();
  const home = await homeOf(machine);
  const manifest = selections.map((selection) => placeOf(selection.baseDirectory, source, home));
  const fill = async (): Promise<void> => {
    tar.entry({ name: MANIFEST }, JSON.stringify(manifest));
    for (const [index, selection] of selections.entries()) {
      await forEachEntry(packSelected(machine, selection, { keepLinks: true, signal }), async (header, stream) => {
        const named = { ...header, name: `${index}/${header.name.replace(/^\.\//, '')}` };
        if (header.type !== 'file') {
          tar.entry(named);
          return drain(stream);
        }
        await pipeline(stream, tar.entry(named) as unknown as NodeJS.WritableStream);
      });
    }
    tar.finalize();
  };
  const filling = fill();
  filling.catch((error) => tar.destroy(error));
  await pipeline(tar as unknown as Readable, createGzip({ level: 1 }), createWriteStream(file));
  await filling;
}

function placeOf(base: string, source: string, home: string): Manifest[number] {
  for (const [root, directory] of [
    ['source', source],
    ['home', home],
  ] as const) {
    if (base === directory) return { root, path: '' };
    if (base.startsWith(`${directory}/`)) return { root, path: base.slice(directory.length + 1) };
  }
  return { root: 'absolute', path: base };
}

async function homeOf(machine: Machine): Promise<string> {
  return (await runScript(machine, 'printf %s "$HOME"', [])).stdout.toString();
}

/** `$1` the unpacked archive; then for each tree its number and where it belongs. Copied by the machine itself, wherever it may write. */
const PUT_BACK = `stage=$1
shift
while [ $# -gt 0 ]; do
  if [ -d "$stage/$1" ]; then mkdir -p "$2" && cp -a "$stage/$1/." "$2/" || exit; fi
  shift 2
done
rm -rf "$stage"`;

async function unpack(machine: Machine, file: string, source: string): Promise<void> {
  const stage = `${machine.workdir}/codebuild/output/cache`;
  const archive = createGunzip();
  await Promise.all([pipeline(createReadStream(file), archive), machine.put(stage, archive)]);
  const { stdout } = await runScript(machine, 'cat "$1"', [`${stage}/${MANIFEST}`]);
  const manifest = JSON.parse(stdout.toString()) as Manifest;
  const home = await homeOf(machine);
  const places = manifest.flatMap((place, index) => [String(index), target(place, source, home)]);
  const output = await runScript(machine, PUT_BACK, [stage, ...places]);
  if (output.exitCode !== 0) throw new Error(output.stderr || `copying ended with ${output.exitCode}`);
}

function target(place: Manifest[number], source: string, home: string): string {
  if (place.root === 'absolute') return place.path;
  return path.posix.join(place.root === 'source' ? source : home, place.path);
}
