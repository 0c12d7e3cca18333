/** The S3 cache of a project: one archive per key, never changed, or one per project, overwritten by each build. */
import { createReadStream, createWriteStream } from 'node:fs';
import { rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import { AwsError } from '../../../platform/errors.ts';
import { type CacheKeys, type CachePath, cacheSelections } from '../runner/caching.ts';
import type { SourceContext } from '../sources/fetch.ts';
import { asStream } from '../sources/s3.ts';
import { archive, unpack } from './cache-archive.ts';
import { joinKey, parseS3Location } from './s3-location.ts';

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
      await unpack(this.#context.machine, file, sourceDirectory, this.#context.signal);
      log.agent(`Restored the cache from s3://${this.#bucket}/${key}`);
    } catch (error) {
      this.#context.signal.throwIfAborted();
      log.agent(`Unable to download cache: ${(error as Error).message}`);
    } finally {
      await rm(file, { force: true });
    }
  }

  async save(keys: CacheKeys, paths: CachePath[], sourceDirectory: string): Promise<void> {
    const { log, clients, machine, directory, signal } = this.#context;
    const key = this.#key(keys);
    if (keys.key !== undefined && (await this.#exists(key))) return log.agent(`Cache ${keys.key} exists already and is kept as it is`);
    const selections = await cacheSelections(machine, paths, sourceDirectory, signal);
    if (selections.length === 0) return log.agent('Unable to upload cache: no file matches the cache paths');
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

  #key({ key, version }: Pick<CacheKeys, 'key' | 'version'>): string {
    return key === undefined ? joinKey(this.#prefix, DEFAULT_KEY) : joinKey(this.#prefix, version, key);
  }

  async #find(keys: CacheKeys): Promise<string | undefined> {
    const exact = this.#key(keys);
    if (await this.#exists(exact)) return exact;
    for (const fallback of keys.fallbackKeys) {
      const found = await this.#latest(this.#key({ key: fallback, version: keys.version }));
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
