/** Where the objects of a push wait until they are proven and recorded: indexed, checked and stored from here, then moved into the cache. */
import { createReadStream } from 'node:fs';
import { readFile, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import type { Readable } from 'node:stream';
import { PassThrough } from 'node:stream';
import type { BlobInfo, BlobStore } from '../ports/blobs/port.ts';
import type { ObjectType } from './objects.ts';
import { isObjectId, parseTag } from './objects.ts';
import { largePackedObjects, objectCount, packOffset } from './pack-index.ts';
import { readPackEntries } from './pack-tips.ts';
import type { GitPlace } from './program.ts';
import { runGit } from './program.ts';
import type { GitStore } from './store.ts';

/** CodeCommit's limit of one file in git. */
export const MAX_OBJECT = 2 * 1024 ** 3;
/** Deflate packs at most 1032 to 1, so an object of MAX_OBJECT takes at least this much of a pack, unless it is a delta. */
const SUSPICIOUS = Math.floor(MAX_OBJECT / 1032);
/** What resolving deltas may take: one of MAX_OBJECT at most, so that a delta that claims more ends the program instead of the host. */
const INDEX_MEMORY = MAX_OBJECT + 768 * 1024 ** 2;

const INDEX_SETTINGS = [
  // The blob is what lasts (and is fsynced); these files are a cache of it.
  'core.fsync=none',
  'pack.writeReverseIndex=true',
  // What is larger is checked as it streams past, unless it is a delta: a file of 400 MB takes 13 MB and not as many as it has.
  'core.bigFileThreshold=16m',
  // For each thread. With the usual 96 MB a pack of many versions of large files takes more than all the rest of us.
  'core.deltaBaseCacheLimit=32m',
];
/** Of so many objects most of the time goes into checking them, which git does under one lock: a second thread makes it a fifth slower. */
const MANY_OBJECTS = 50_000;

/** Tags of tags of tags: nobody goes deeper by good will. */
const MAX_TAG_DEPTH = 20;

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
}

/** What a new value of a reference turned out to be. */
export interface Tip {
  type: ObjectType;
  /** For a tag: the object that it, or the tags it points at, finally names. */
  peeled: { id: string; type: ObjectType } | undefined;
}

/** Where a pack shall be kept, known before or while it arrives. */
export interface Keeping {
  blobs: BlobStore;
  key: Promise<string>;
  /** The pack surely needs no completion, so what arrives is stored as it arrives. */
  asItArrives: boolean;
}

interface IndexOptions {
  keeping?: Keeping;
  /** How many objects the pack says it has. */
  announced?: number;
  signal?: AbortSignal;
  /** Gets git's own words for people. */
  onProgress?: (text: Buffer) => void;
}

export class Quarantine {
  readonly #store: GitStore;
  readonly #repository: string;
  readonly #directory: string;
  readonly #place: GitPlace;
  #pack: IndexedPack | undefined;
  #index: Buffer | undefined;
  #stored = false;

  /** The repository must be ready in the cache: its objects complete what arrives here. */
  static async open(store: GitStore, repository: string): Promise<Quarantine> {
    const { directory, place } = await store.cache.incoming(repository);
    return new Quarantine(store, repository, directory, place);
  }

  constructor(store: GitStore, repository: string, directory: string, place: GitPlace) {
    this.#store = store;
    this.#repository = repository;
    this.#directory = directory;
    this.#place = place;
  }

  /**
   * Takes in a pack of any size as it arrives. Every object is unpacked, checked and named by its content; a thin pack is completed from
   * the repository; every object that one of them names must be in the pack or in the repository (with its type). Since that has been so
   * for each pack before, the repository with this pack has all that any of its objects needs: no walk over the history is needed to
   * prove it.
   */
  async index(pack: Readable | Uint8Array, options: IndexOptions = {}): Promise<IndexedPack> {
    const { keeping, signal } = options;
    const copy = keeping?.asItArrives ? new CopyOnTheWay(pack, keeping, signal) : undefined;
    try {
      this.#pack = await this.#runIndexPack(pack, options);
      this.#stored = (await copy?.finish(this.#pack.size)) ?? false;
      return this.#pack;
    } catch (error) {
      copy?.cancel();
      throw error;
    }
  }

  async #runIndexPack(pack: Readable | Uint8Array, { announced = 0, signal, onProgress }: IndexOptions): Promise<IndexedPack> {
    const settings = [...INDEX_SETTINGS, `pack.threads=${announced < MANY_OBJECTS ? 2 : 1}`];
    const args = [...settings.flatMap((setting) => ['-c', setting]), 'index-pack', '--stdin', '--fix-thin', strict];
    // How much was received is what the client shows itself.
    if (onProgress) args.push('--show-resolving-progress');
    const result = await runGit(args, { place: this.#place, input: pack, memoryLimit: INDEX_MEMORY, signal, onStderr: onProgress });
    signal?.throwIfAborted();
    const name = /[0-9a-f]{40}/.exec(result.stdout.toString())?.[0];
    if (result.code !== 0 || !name) throw badPack(result.stderr);
    this.#index = await readFile(this.#file(name, 'idx'));
    const { size } = await stat(this.#file(name, 'pack'));
    if (size >= SUSPICIOUS) {
      const large = await largePackedObjects(this.#index, await readFile(this.#file(name, 'rev')), size, SUSPICIOUS);
      await this.#refuseHugeObjects(large.map((object) => object.id));
    }
    return { name, size, objects: objectCount(this.#index) };
  }

  /**
   * Makes a pack of objects that the repository has: `args` and `input` are pack-objects' own. Undefined when that comes to no object. What
   * the pack leaves out must be in the repository's other packs: nothing is proven here.
   */
  async collect(args: string[], input: Readable | string, signal?: AbortSignal): Promise<IndexedPack | undefined> {
    const prefix = path.join(this.#place.objects, 'pack', 'pack');
    const settings = [
      'core.fsync=none',
      'pack.writeReverseIndex=true',
      'pack.threads=1',
      'pack.windowMemory=128m',
      'pack.deltaCacheSize=64m',
    ];
    const flags = ['pack-objects', '-q', '--delta-base-offset', '--non-empty', ...args, prefix];
    const result = await runGit([...settings.flatMap((setting) => ['-c', setting]), ...flags], {
      place: this.#place,
      input,
      signal,
      background: true,
    });
    signal?.throwIfAborted();
    if (result.code !== 0) throw new Error(`Objects of repository ${this.#repository} could not be packed: ${result.stderr.trim()}`);
    const name = /[0-9a-f]{40}/.exec(result.stdout.toString())?.[0];
    if (name === undefined) return undefined;
    const [index, { size }] = await Promise.all([readFile(this.#file(name, 'idx')), stat(this.#file(name, 'pack'))]);
    this.#pack = { name, size, objects: objectCount(index) };
    return this.#pack;
  }

  /** Looks at the objects that references shall point at; one that is neither here nor in the repository is not in the answer. */
  async tips(ids: string[], depth = 0): Promise<Map<string, Tip>> {
    const tips = new Map<string, Tip>();
    const unknown: string[] = [];
    const tagged = new Map<string, string>();
    const here = [...new Set(ids)].filter((id) => this.#offset(id) !== undefined);
    const entries =
      here.length > 0
        ? await readPackEntries(
            this.#file(this.#pack!.name, 'pack'),
            here.map((id) => this.#offset(id)!),
          )
        : [];
    for (const [index, id] of here.entries()) {
      const { type, head } = entries[index]!;
      if (head) tagged.set(id, parseTag(head).object);
      else if (type) tips.set(id, { type, peeled: undefined });
      else unknown.push(id);
    }
    for (const [id, type] of await this.#askGit(unknown)) tips.set(id, { type, peeled: undefined });
    const elsewhere = [...new Set(ids)].filter((id) => this.#offset(id) === undefined && isObjectId(id));
    for (const [id, object] of await this.#askRepository(elsewhere)) {
      if (object.target !== undefined) tagged.set(id, object.target);
      else tips.set(id, { type: object.type, peeled: undefined });
    }
    if (tagged.size === 0 || depth === MAX_TAG_DEPTH) return tips;
    const targets = await this.tips([...tagged.values()], depth + 1);
    for (const [id, target] of tagged) {
      const tip = targets.get(target);
      if (tip) tips.set(id, { type: 'tag', peeled: tip.peeled ?? { id: target, type: tip.type } });
    }
    return tips;
  }

  /** Stores the pack as a blob, unless that was done as it arrived; it is durable when this resolves. */
  async keep({ blobs, key }: Keeping, signal?: AbortSignal): Promise<void> {
    if (this.#stored) return;
    await blobs.put(await key, createReadStream(this.#file(this.#pack!.name, 'pack'), { highWaterMark: 1024 * 1024 }), signal);
    this.#stored = true;
  }

  /** Makes the pack part of the cached repository. Only after it is recorded. */
  async install(): Promise<void> {
    await this.#store.cache.install(this.#repository, this.#pack!.name, path.join(this.#place.objects, 'pack'));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#directory, { recursive: true, force: true });
  }

  #file(name: string, extension: string): string {
    return path.join(this.#place.objects, 'pack', `pack-${name}.${extension}`);
  }

  #offset(id: string): number | undefined {
    return this.#index && packOffset(this.#index, id);
  }

  /** Types of objects that are deltas in the pack. A tag among them is taken for what it points at by nobody: git makes no such packs. */
  async #askGit(ids: string[]): Promise<Map<string, ObjectType>> {
    const types = new Map<string, ObjectType>();
    if (ids.length === 0) return types;
    const result = await runGit(['cat-file', '--batch-check=%(objectname) %(objecttype)'], { place: this.#place, input: lines(ids) });
    for (const line of result.stdout.toString().split('\n')) {
      const [id, type] = line.split(' ');
      if (id && isType(type) && type !== 'tag') types.set(id, type);
    }
    return types;
  }

  async #askRepository(ids: string[]): Promise<Map<string, { type: ObjectType; target: string | undefined }>> {
    const { readers } = this.#store;
    const found = await Promise.all(
      ids.map(async (id) => {
        const info = await readers.info(this.#repository, id);
        if (!info) return undefined;
        const target = info.type === 'tag' ? parseTag((await readers.read(this.#repository, id))!.data).object : undefined;
        return [id, { type: info.type, target }] as const;
      }),
    );
    return new Map(found.filter((each) => each !== undefined));
  }

  async #refuseHugeObjects(ids: string[]): Promise<void> {
    if (ids.length === 0) return;
    const result = await runGit(['cat-file', '--batch-check=%(objectname) %(objectsize)'], { place: this.#place, input: lines(ids) });
    for (const line of result.stdout.toString().split('\n')) {
      const [id, size] = line.split(' ');
      if (Number(size) > MAX_OBJECT) throw new BadPackError(`object ${id} has ${size} bytes; a file may have at most ${MAX_OBJECT}`);
    }
  }
}

/** Stores the bytes of a pack while git indexes them. */
class CopyOnTheWay {
  readonly #through = new PassThrough({ highWaterMark: 1024 * 1024 });
  readonly #keeping: Keeping;
  readonly #put: Promise<BlobInfo>;
  readonly #source: Readable | undefined;

  constructor(pack: Readable | Uint8Array, keeping: Keeping, signal: AbortSignal | undefined) {
    const { blobs, key } = keeping;
    this.#keeping = keeping;
    if (pack instanceof Uint8Array) {
      this.#put = key.then((name) => blobs.put(name, pack, signal));
    } else {
      this.#source = pack;
      this.#put = key.then((name) => blobs.put(name, this.#through, signal));
      pack.pipe(this.#through);
    }
    // It may be cancelled before the store has begun to read it, which must not end the process.
    this.#through.on('error', () => {});
    // Whoever waits for it, if anybody does, hears of the failure.
    this.#put.catch(() => this.cancel());
  }

  /** True when the blob is the pack as git has it, byte for byte. */
  async finish(size: number): Promise<boolean> {
    return (await this.#put).size === size;
  }

  cancel(): void {
    this.#source?.unpipe(this.#through);
    this.#through.destroy(new Error('The pack was refused.'));
    // It may have been whole before it was found to be bad. Should this fail too, the announcement is still there.
    this.#put.then((info) => this.#keeping.blobs.delete(info.key)).catch(() => {});
  }
}

/** The reason among what index-pack said: its last fatal line, else its last. */
function badPack(stderr: string): BadPackError {
  const lines = stderr.split(/[\r\n]+/).filter((line) => line !== '');
  const reason = lines.findLast((line) => /^(fatal|error): /.test(line)) ?? lines.at(-1) ?? 'index-pack abnormal exit';
  const incomplete = /expected type not found|unresolved delta|did not receive expected object|missing/.test(reason);
  return new BadPackError(reason.replace(/^(fatal|error): /, ''), incomplete);
}

function lines(ids: string[]): string {
  return ids.map((id) => `${id}\n`).join('');
}

function isType(text: string | undefined): text is ObjectType {
  return text === 'blob' || text === 'tree' || text === 'commit' || text === 'tag';
}
