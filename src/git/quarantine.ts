/** Where the objects of a push wait until they are proven and recorded: indexed, checked and stored from here, then moved into the cache. */
import { createReadStream } from 'node:fs';
import { readFile, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import type { Readable } from 'node:stream';
import type { BlobStore } from '../ports/blobs/port.ts';
import type { GitCache } from './cache.ts';
import type { ObjectType } from './objects.ts';
import { isObjectId } from './objects.ts';
import { indexHas, largePackedObjects, objectCount } from './pack-index.ts';
import type { GitPlace } from './program.ts';
import { runGit } from './program.ts';

/** CodeCommit's limit of one file in git. */
export const MAX_OBJECT = 2 * 1024 ** 3;
/** Deflate packs at most 1032 to 1, so an object of MAX_OBJECT takes at least this much of a pack, unless it is a delta. */
const SUSPICIOUS = Math.floor(MAX_OBJECT / 1032);
/** What resolving deltas may take: one of MAX_OBJECT at most, so that a delta that claims more ends the program instead of the host. */
const INDEX_MEMORY = MAX_OBJECT + 768 * 1024 ** 2;

/**
 * Faults of old git versions that histories of real projects carry and every host accepts; all other faults that fsck calls errors are
 * refused, among them those that attack clients (`.git` as a file name, `..`, submodule addresses that are options).
 */
const tolerated = [
  'missingSpaceBeforeDate',
  'missingSpaceBeforeEmail',
  'missingNameBeforeEmail',
  'missingEmail',
  'badEmail',
  'badName',
  'badDate',
  'badDateOverflow',
  'badTimezone',
  'zeroPaddedDate',
  'zeroPaddedFilemode',
  'missingTaggerEntry',
];
const strict = `--strict=${tolerated.map((fault) => `${fault}=ignore`).join(',')}`;

/** The pack is not one, or its objects are broken or incomplete: told to the client. */
export class BadPackError extends Error {
  override readonly name = 'BadPackError';
  /** Objects that the pack's objects name are neither in it nor in the repository. */
  readonly incomplete: boolean;

  constructor(message: string, incomplete = false) {
    super(message);
    this.incomplete = incomplete;
  }
}

export interface IndexedPack {
  /** Git's checksum of the pack, 40 hex digits. */
  name: string;
  /** bytes */
  size: number;
  objects: number;
  /** No object names one outside of the pack. */
  selfContained: boolean;
}

/** What a new value of a reference turned out to be. */
export interface Tip {
  type: ObjectType;
  /** For a tag: the object that it, or the tags it points at, finally names. */
  peeled: { id: string; type: ObjectType } | undefined;
}

export class Quarantine {
  readonly #cache: GitCache;
  readonly #repository: string;
  readonly #directory: string;
  readonly #place: GitPlace;
  #pack: IndexedPack | undefined;
  #index: Buffer | undefined;

  static async open(cache: GitCache, repository: string): Promise<Quarantine> {
    const { directory, place } = await cache.incoming(repository);
    return new Quarantine(cache, repository, directory, place);
  }

  constructor(cache: GitCache, repository: string, directory: string, place: GitPlace) {
    this.#cache = cache;
    this.#repository = repository;
    this.#directory = directory;
    this.#place = place;
  }

  /**
   * Takes in a pack of any size as it arrives. Every object is unpacked, checked and named by its content; a thin pack is completed from
   * the repository. `onProgress` gets git's own words for people.
   */
  async index(
    pack: Readable | Uint8Array,
    options: { signal?: AbortSignal; onProgress?: (text: Buffer) => void } = {},
  ): Promise<IndexedPack> {
    // The blob is what lasts (and is fsynced); these files are a cache of it.
    const args = ['-c', 'core.fsync=none', 'index-pack', '--stdin', '--fix-thin', strict, '--check-self-contained-and-connected'];
    if (options.onProgress) args.push('--show-resolving-progress');
    const result = await runGit(args, {
      place: this.#place,
      input: pack,
      memoryLimit: INDEX_MEMORY,
      signal: options.signal,
      onStderr: options.onProgress,
    });
    options.signal?.throwIfAborted();
    const name = /[0-9a-f]{40}/.exec(result.stdout.toString())?.[0];
    // 1 says that the pack is good and names objects outside of it.
    if ((result.code !== 0 && result.code !== 1) || !name) throw badPack(result.stderr);
    const index = await readFile(this.#file(name, 'idx'));
    this.#index = index;
    const { size } = await stat(this.#file(name, 'pack'));
    this.#pack = { name, size, objects: objectCount(index), selfContained: result.code === 0 };
    await this.#refuseHugeObjects(largePackedObjects(index, size, SUSPICIOUS).map((object) => object.id));
    return this.#pack;
  }

  /**
   * Looks at the objects that references shall point at: undefined for one that is neither here nor in the repository.
   * With `connected`, also proves that everything they need is there (`git rev-list --objects --not --all`).
   */
  async tips(ids: string[], view: GitPlace): Promise<Map<string, Tip>> {
    const unique = [...new Set(ids)].filter(isObjectId);
    if (unique.length === 0) return new Map();
    const place = { ...this.#place, gitDir: view.gitDir };
    const result = await runGit(['cat-file', '--batch-check=%(objectname) %(objecttype)'], {
      place,
      input: `${unique.flatMap((id) => [id, `${id}^{}`]).join('\n')}\n`,
    });
    if (result.code !== 0) throw new Error(`git cat-file failed: ${result.stderr.trim()}`);
    const lines = result.stdout.toString().split('\n');
    const tips = new Map<string, Tip>();
    for (const [index, id] of unique.entries()) {
      const [, type] = (lines[index * 2] ?? '').split(' ');
      const [peeledId, peeledType] = (lines[index * 2 + 1] ?? '').split(' ');
      if (!isType(type) || !isType(peeledType)) continue;
      tips.set(id, { type, peeled: type === 'tag' ? { id: peeledId!, type: peeledType } : undefined });
    }
    return tips;
  }

  /** Is everything there that `ids` need, directly and indirectly? What the repository's references have is known to be whole. */
  async isConnected(ids: string[], view: GitPlace, signal?: AbortSignal): Promise<boolean> {
    if (this.#pack?.selfContained && ids.every((id) => indexHas(this.#index!, id))) return true;
    const place = { ...this.#place, gitDir: view.gitDir };
    const args = ['rev-list', '--objects', '--stdin', '--quiet', '--not', '--all'];
    const result = await runGit(args, { place, input: ids.map((id) => `${id}\n`).join(''), signal });
    signal?.throwIfAborted();
    return result.code === 0;
  }

  /** Stores the pack as a blob; it is durable when this resolves. */
  async store(blobs: BlobStore, key: string, signal?: AbortSignal): Promise<void> {
    await blobs.put(key, createReadStream(this.#file(this.#pack!.name, 'pack'), { highWaterMark: 1024 * 1024 }), signal);
  }

  /** Makes the pack part of the cached repository. Only after it is recorded. */
  async install(): Promise<void> {
    await this.#cache.install(this.#repository, this.#pack!.name, path.join(this.#place.objects, 'pack'));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#directory, { recursive: true, force: true });
  }

  #file(name: string, extension: string): string {
    return path.join(this.#place.objects, 'pack', `pack-${name}.${extension}`);
  }

  async #refuseHugeObjects(ids: string[]): Promise<void> {
    if (ids.length === 0) return;
    const result = await runGit(['cat-file', '--batch-check=%(objectname) %(objectsize)'], {
      place: this.#place,
      input: ids.map((id) => `${id}\n`).join(''),
    });
    for (const line of result.stdout.toString().split('\n')) {
      const [id, size] = line.split(' ');
      if (Number(size) > MAX_OBJECT) throw new BadPackError(`object ${id} has ${size} bytes; a file may have at most ${MAX_OBJECT}`);
    }
  }
}

/** The reason among what index-pack said: its last fatal line, else its last. */
function badPack(stderr: string): BadPackError {
  const lines = stderr.split(/[\r\n]+/).filter((line) => line !== '');
  const reason = lines.findLast((line) => /^(fatal|error): /.test(line)) ?? lines.at(-1) ?? 'index-pack abnormal exit';
  const incomplete = /expected type not found|unresolved delta|did not receive expected object|missing/.test(reason);
  return new BadPackError(reason.replace(/^(fatal|error): /, ''), incomplete);
}

function isType(text: string | undefined): text is ObjectType {
  return text === 'blob' || text === 'tree' || text === 'commit' || text === 'tag';
}
