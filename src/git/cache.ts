/**
 * Repositories as git's own programs can read them. Rows and blobs are the truth; a directory here is only a cache that any process can
 * make again, and several processes of one host may share it without locks, because nothing in it ever changes:
 *
 *     <id>/base/               a git directory without references, to read objects by id
 *     <id>/objects/            the packs of the repository, named by content, moved in whole; and indexes over them (see cache-upkeep.ts)
 *     <id>/objects-<epoch>/    the same, once objects were dropped from the repository: those who ask now must not find them any more
 *     <id>/views/<generation>/ a git directory with HEAD and all references as they were in that generation
 *     <id>/incoming/           quarantines of pushes under way
 *
 * Each change of a repository's references or packs has its own generation (a number in its row, never given twice), so a reader who knows the
 * number knows whether the view is there, and a view once there is right for ever.
 */
import { randomBytes } from 'node:crypto';
import { access, mkdir, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import path from 'node:path';
import type { BlobStore } from '../ports/blobs/port.ts';
import { CacheUpkeep, REPLACED_MS } from './cache-upkeep.ts';
import { linkPack } from './pack-files.ts';
import type { GitPlace } from './program.ts';
import { isAlive, runGit } from './program.ts';

/** What names a state of a repository. */
export interface Moment {
  generation: number;
  /** How often objects were dropped from it. */
  epoch: number;
}

/** A repository at one moment: everything that a view is made of. Read in one statement, so that its parts belong together. */
export interface RepositoryState extends Moment {
  /** What HEAD points at, e.g. `refs/heads/main`; it need not exist. */
  head: string;
  /** Sorted by the bytes of their names. */
  refs: { name: string; objectId: string; peeledId: string | null }[];
  /** `name` is git's checksum of the pack. */
  packs: { name: string; blobKey: string; objects: number }[];
}

/** A git directory that shows one generation. */
export interface View extends GitPlace {
  generation: number;
}

type Load = () => Promise<RepositoryState | undefined>;

const config = `[core]
	repositoryformatversion = 0
	bare = true
[uploadpack]
	allowFilter = true
	allowTipSHA1InWant = true
	allowReachableSHA1InWant = true
[repack]
	writeBitmaps = false
`;

/** A view is deleted this long after a newer one was seen: whoever still opens it has long read its references. */
const SUPERSEDED_MS = 60_000;
/** Quarantines of dead processes of other hosts, of which nobody knows. */
const ABANDONED_MS = 24 * 3_600_000;

export class GitCache {
  readonly #root: string;
  readonly #blobs: BlobStore;
  /** Work under way, by what it is for, so that requests at the same time share it. */
  readonly #opening = new Map<string, Promise<RepositoryState | undefined>>();
  /** The generation whose packs are known to be all here. */
  readonly #complete = new Map<string, number>();
  /** The latest epoch that we heard of; 0 when none. */
  readonly #epochs = new Map<string, number>();
  readonly #superseded = new Map<string, number>();
  readonly #swept = new Set<string>();
  readonly #upkeep = new CacheUpkeep();

  /** `root` is a directory of this cache's own, on the disk where quarantines may grow. */
  constructor(root: string, blobs: BlobStore) {
    this.#root = root;
    this.#blobs = blobs;
  }

  /**
   * Makes sure that all objects of `generation` can be read by id (see `base`). `load` is asked only when that is not known; false when
   * the repository is gone.
   */
  async ready(id: string, { generation }: Moment, load: Load): Promise<boolean> {
    const known = this.#complete.get(id) ?? -1;
    if (known >= generation && (await exists(path.join(this.#root, id, 'base', 'HEAD')))) return true;
    return (await this.#refresh(id, generation, load)) !== undefined;
  }

  /** A git directory with the references as they are in `generation` or later; undefined when the repository is gone. */
  async open(id: string, { generation, epoch }: Moment, load: Load): Promise<View | undefined> {
    this.#learnEpoch(id, epoch);
    const view = this.#view(id, generation);
    if ((await exists(path.join(view.gitDir, 'HEAD'))) && (await exists(view.objects))) return view;
    const state = await this.#refresh(id, generation, load);
    if (!state) return undefined;
    const latest = this.#view(id, state.generation);
    if (!(await exists(path.join(latest.gitDir, 'HEAD')))) await this.#writeView(latest, state);
    await this.#dropOldViews(id, state.generation);
    await this.#dropOldEpochs(id);
    this.#upkeep.consider(latest, state.packs);
    return latest;
  }

  /** Ends what goes on behind the requests. */
  close(): void {
    this.#upkeep.close();
  }

  /** A push of this process made a generation out of the one before; its pack, if it had one, is installed. */
  advance(id: string, generations: { before: number; after: number }): void {
    if (this.#complete.get(id) === generations.before) this.#complete.set(id, generations.after);
  }

  /** For reading objects by id; valid as soon as `ready` or `open` has resolved for a generation that has them. */
  base(id: string): GitPlace {
    const home = path.join(this.#root, id);
    return { gitDir: path.join(home, 'base'), objects: this.#objects(id) };
  }

  /** An empty place for objects that are not yet the repository's, which reads the repository's as well. */
  async incoming(id: string): Promise<{ directory: string; place: GitPlace }> {
    await this.#prepare(id);
    const name = `${hostname()}.${process.pid}.${randomBytes(8).toString('hex')}`;
    const directory = path.join(this.#root, id, 'incoming', name);
    const objects = path.join(directory, 'objects');
    await mkdir(path.join(objects, 'pack'), { recursive: true });
    const base = this.base(id);
    return { directory, place: { gitDir: base.gitDir, objects, alternates: [base.objects] } };
  }

  /** Moves a pack and its index in. The index last: git finds packs by their index. */
  async install(id: string, name: string, from: string): Promise<void> {
    const pack = path.join(this.#objects(id), 'pack');
    await rename(path.join(from, `pack-${name}.pack`), path.join(pack, `pack-${name}.pack`));
    await rename(path.join(from, `pack-${name}.rev`), path.join(pack, `pack-${name}.rev`)).catch(() => {});
    await rename(path.join(from, `pack-${name}.idx`), path.join(pack, `pack-${name}.idx`));
  }

  /** Forgets a repository on this host. */
  async remove(id: string): Promise<void> {
    this.#swept.delete(id);
    this.#complete.delete(id);
    this.#epochs.delete(id);
    await rm(path.join(this.#root, id), { recursive: true, force: true });
  }

  /** Ids of all repositories that have something here. */
  async list(): Promise<string[]> {
    return (await readdir(this.#root).catch(() => [])).filter((name) => !name.startsWith('.'));
  }

  #view(id: string, generation: number): View {
    return { gitDir: path.join(this.#root, id, 'views', String(generation)), objects: this.#objects(id), generation };
  }

  #objects(id: string): string {
    const epoch = this.#epochs.get(id) ?? 0;
    return path.join(this.#root, id, epoch === 0 ? 'objects' : `objects-${epoch}`);
  }

  #learnEpoch(id: string, epoch: number): void {
    if (epoch > (this.#epochs.get(id) ?? 0)) this.#epochs.set(id, epoch);
  }

  #refresh(id: string, generation: number, load: Load): Promise<RepositoryState | undefined> {
    const key = `${id}/${generation}`;
    const running = this.#opening.get(key) ?? this.#fetchAll(id, load).finally(() => this.#opening.delete(key));
    this.#opening.set(key, running);
    return running;
  }

  async #fetchAll(id: string, load: Load): Promise<RepositoryState | undefined> {
    const state = await load();
    if (!state) return undefined;
    this.#learnEpoch(id, state.epoch);
    await this.#prepare(id);
    await this.#prepareObjects(id, state.packs);
    await this.#fetchPacks(id, state.packs);
    this.#complete.set(id, Math.max(this.#complete.get(id) ?? -1, state.generation));
    return state;
  }

  async #writeView(view: View, state: RepositoryState): Promise<void> {
    await createWhole(view.gitDir, async (directory) => {
      await mkdir(path.join(directory, 'refs'));
      await writeFile(path.join(directory, 'config'), config);
      await writeFile(path.join(directory, 'packed-refs'), listReferences(state.refs));
      await writeFile(path.join(directory, 'HEAD'), `ref: ${state.head}\n`);
    });
  }

  async #prepare(id: string): Promise<void> {
    const home = path.join(this.#root, id);
    if (!(await exists(path.join(home, 'base', 'HEAD')))) {
      await createWhole(home, async (directory) => {
        await mkdir(path.join(directory, 'base', 'refs'), { recursive: true });
        await mkdir(path.join(directory, 'objects', 'pack'), { recursive: true });
        await mkdir(path.join(directory, 'views'));
        await mkdir(path.join(directory, 'incoming'));
        await writeFile(path.join(directory, 'base', 'config'), config);
        await writeFile(path.join(directory, 'base', 'HEAD'), 'ref: refs/heads/main\n');
      });
    }
    if (!this.#swept.has(id)) {
      this.#swept.add(id);
      await this.#sweepIncoming(id);
    }
  }

  /** The first time in an epoch: its objects are those of the packs that it still has. */
  async #prepareObjects(id: string, packs: RepositoryState['packs']): Promise<void> {
    const objects = this.#objects(id);
    if (await exists(objects)) return;
    const home = path.join(this.#root, id);
    const earlier = (await readdir(home)).filter(isObjects);
    await createWhole(objects, async (directory) => {
      await mkdir(path.join(directory, 'pack'));
      for (const from of earlier) {
        for (const { name } of packs) await linkPack(path.join(home, from, 'pack'), path.join(directory, 'pack'), name);
      }
    });
  }

  /** Fetches what is missing; a pack is checked whole while its index is made. */
  async #fetchPacks(id: string, packs: RepositoryState['packs']): Promise<void> {
    const present = new Set(await readdir(path.join(this.#objects(id), 'pack')));
    const missing = packs.filter(({ name }) => !present.has(`pack-${name}.idx`));
    const fetchOthers = async () => {
      for (let next = missing.pop(); next; next = missing.pop()) await this.fetchPack(id, next);
    };
    await Promise.all([fetchOthers(), fetchOthers()]);
  }

  /** Brings one pack here from its blob. Fails when it is not the pack that it should be, to the last byte. */
  async fetchPack(id: string, { name, blobKey }: { name: string; blobKey: string }): Promise<void> {
    const { directory, place } = await this.incoming(id);
    try {
      const pack = await this.#blobs.get(blobKey);
      let broken: Error | undefined;
      pack.once('error', (error) => {
        broken = error;
      });
      const result = await runGit(['index-pack', '--stdin'], { place, input: pack });
      const found = /[0-9a-f]{40}/.exec(result.stdout.toString())?.[0];
      if (broken) throw broken;
      if (result.code !== 0) throw new Error(`Blob ${blobKey} is no good pack: ${result.stderr.trim()}`);
      if (found !== name) throw new Error(`Blob ${blobKey} is pack ${found}, not ${name}.`);
      await this.install(id, name, path.join(place.objects, 'pack'));
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  }

  async #dropOldViews(id: string, current: number): Promise<void> {
    const views = path.join(this.#root, id, 'views');
    const now = Date.now();
    for (const name of await readdir(views)) {
      if (!/^\d+$/.test(name) || Number(name) >= current) continue;
      const directory = path.join(views, name);
      const since = this.#superseded.get(directory) ?? now;
      this.#superseded.set(directory, since);
      if (now - since < SUPERSEDED_MS) continue;
      this.#superseded.delete(directory);
      await removeWhole(directory);
    }
  }

  /** Requests that began in an earlier epoch may go on in it for an hour. */
  async #dropOldEpochs(id: string): Promise<void> {
    const home = path.join(this.#root, id);
    const current = path.basename(this.#objects(id));
    const now = Date.now();
    for (const name of (await readdir(home)).filter(isObjects)) {
      const directory = path.join(home, name);
      if (name === current || epochOf(name) > epochOf(current)) continue;
      const since = this.#superseded.get(directory) ?? now;
      this.#superseded.set(directory, since);
      if (now - since < REPLACED_MS) continue;
      this.#superseded.delete(directory);
      await removeWhole(directory);
    }
  }

  /** Quarantines that a killed process left behind. */
  async #sweepIncoming(id: string): Promise<void> {
    const incoming = path.join(this.#root, id, 'incoming');
    for (const name of await readdir(incoming)) {
      const directory = path.join(incoming, name);
      const [host, pid] = name.split(/\.(?=\d+\.[0-9a-f]+$)/);
      const dead = host === hostname() && !isAlive(Number.parseInt(pid ?? '', 10));
      const age = Date.now() - ((await stat(directory).catch(() => undefined))?.mtimeMs ?? 0);
      if (dead || age > ABANDONED_MS) await rm(directory, { recursive: true, force: true });
    }
  }
}

/** The content of git's file `packed-refs`. */
export function listReferences(refs: RepositoryState['refs']): string {
  const lines = refs.map((ref) => `${ref.objectId} ${ref.name}\n${ref.peeledId ? `^${ref.peeledId}\n` : ''}`);
  return `# pack-refs with: peeled fully-peeled sorted \n${lines.join('')}`;
}

function isObjects(name: string): boolean {
  return /^objects(-\d+)?$/.test(name);
}

function epochOf(name: string): number {
  return Number(name.split('-')[1] ?? 0);
}

async function exists(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false,
  );
}

/** Makes a directory appear at once with all that `fill` puts into it; when another process was first, its directory stays. */
async function createWhole(directory: string, fill: (temporary: string) => Promise<void>): Promise<void> {
  const parent = path.dirname(directory);
  const temporary = path.join(parent, `.${path.basename(directory)}.${randomBytes(6).toString('hex')}`);
  await mkdir(temporary, { recursive: true });
  try {
    await fill(temporary);
    await rename(temporary, directory);
  } catch (error) {
    await rm(temporary, { recursive: true, force: true });
    const code = (error as NodeJS.ErrnoException).code;
    if (code !== 'ENOTEMPTY' && code !== 'EEXIST') throw error;
  }
}

/** Takes a directory away at once: nobody sees it half deleted. */
async function removeWhole(directory: string): Promise<void> {
  const away = path.join(path.dirname(directory), `.${path.basename(directory)}.${randomBytes(6).toString('hex')}`);
  await rename(directory, away).catch(() => {});
  await rm(away, { recursive: true, force: true });
}
