/** LOCAL_CUSTOM_CACHE: the directories of the buildspec's cache section, kept on the worker. */
import { createHash } from 'node:crypto';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Machine } from '../../../ports/machines/port.ts';
import type { CachePath } from '../runner/caching.ts';
import { packDirectory } from '../runner/collect.ts';
import { tarPack } from '../runner/files.ts';
import { runScript, unpackTar } from '../runner/machine-tools.ts';
import { drain, forEachEntry } from '../runner/zip.ts';
import type { SourceContext } from '../sources/fetch.ts';
import { homeOf, PERMISSIONS, placeOf } from './cache-archive.ts';
import { dropArchive, keepArchive, openArchive } from './local-cache.ts';

/** Of one build. */
export class CustomCache {
  readonly #context: SourceContext;
  /** Directory → what it held right after it was restored. */
  readonly #restored = new Map<string, string>();

  constructor(context: SourceContext) {
    this.#context = context;
  }

  /** Files of the source stand before those of the cache, as on AWS. */
  async restore(paths: CachePath[], source: string): Promise<void> {
    const { platform, machine, row, log, signal } = this.#context;
    for (const [directory, name] of await namesOf(machine, paths, source)) {
      const archive = await openArchive(platform, row, name);
      if (!archive) {
        log.agent(`There is no local cache of ${directory} on this host yet`);
        continue;
      }
      try {
        await unpackTar(machine, directory, archive, { keepExisting: true, signal });
        const inventory = await inventoryOf(machine, directory, signal);
        if (inventory !== undefined) this.#restored.set(directory, inventory);
        log.agent(`Restored ${directory} from the local cache`);
      } catch (error) {
        signal.throwIfAborted();
        log.agent(`Unable to restore ${directory} from the local cache: ${(error as Error).message}`);
        await dropArchive(platform, row, name);
      } finally {
        archive.destroy();
      }
    }
  }

  async save(paths: CachePath[], source: string): Promise<void> {
    const { machine, log, signal } = this.#context;
    for (const [directory, name] of await namesOf(machine, paths, source)) {
      try {
        log.agent(await this.#saveOne(directory, name));
      } catch (error) {
        signal.throwIfAborted();
        log.agent(`Unable to store ${directory} in the local cache: ${(error as Error).message}`);
      }
    }
  }

  async #saveOne(directory: string, name: string): Promise<string> {
    const { platform, machine, row, directory: aside, signal } = this.#context;
    const kind = await kindOf(machine, directory, signal);
    if (kind === 'nothing') return `There is no directory ${directory} to keep in the local cache`;
    if (kind === 'file' || KERNEL.test(directory)) return `Skip cache due to: only directories can be cached locally: ${directory}`;
    const before = this.#restored.get(directory);
    if (before !== undefined && before === (await inventoryOf(machine, directory, signal)))
      return `${directory} is in the local cache as it is`;
    await keepArchive(platform, row, name, packTree(machine, directory, signal), aside);
    return `Stored ${directory} in the local cache`;
  }
}

export function keepsDirectories({ definition }: Pick<SourceContext['row'], 'definition'>): boolean {
  return definition.cache?.type === 'LOCAL' && (definition.cache.modes?.includes('LOCAL_CUSTOM_CACHE') ?? false);
}

/** Each name with its size and the time of its last change of any kind, which no program can set; for machines with GNU's find. */
const INVENTORY = `cd "$1" && find . -printf '%p %y %s %C@\\0' 2>/dev/null | sort -z | cksum`;

/** Told so that two answers can be compared; undefined where it cannot be told. */
async function inventoryOf(machine: Machine, directory: string, signal: AbortSignal): Promise<string | undefined> {
  const { stdout } = await runScript(machine, INVENTORY, [directory], { signal });
  const inventory = stdout.toString().trim();
  // The sum of nothing.
  return inventory === '' || inventory.endsWith(' 0') ? undefined : inventory;
}

/** Not files that anybody wrote. */
const KERNEL = /^\/(?:$|(?:proc|sys|dev)(?:\/|$))/;

/** Directory inside → name of its archive. */
async function namesOf(machine: Machine, paths: CachePath[], source: string): Promise<Map<string, string>> {
  const home = await homeOf(machine);
  return new Map(
    paths.map(({ base }) => {
      const digest = createHash('sha256')
        .update(JSON.stringify(placeOf(base, source, home)))
        .digest('hex');
      return [base, `custom-${digest.slice(0, 32)}`];
    }),
  );
}

async function kindOf(machine: Machine, directory: string, signal: AbortSignal): Promise<'directory' | 'file' | 'nothing'> {
  const output = await runScript(machine, '[ -d "$1" ] || { [ -e "$1" ] && exit 3; exit 4; }', [directory], { signal });
  if (output.exitCode === 0) return 'directory';
  return output.exitCode === 3 ? 'file' : 'nothing';
}

/** The tree without what the next build must not get from this one: devices, pipes, sockets, set-user-id bits. */
function packTree(machine: Machine, directory: string, signal: AbortSignal): Readable {
  const tar = tarPack();
  const kept = new Set(['file', 'directory', 'symlink', 'link']);
  forEachEntry(packDirectory(machine, directory, signal), async (header, stream) => {
    if (!kept.has(header.type ?? '')) return drain(stream);
    const harmless = { ...header, mode: (header.mode ?? 0o644) & PERMISSIONS };
    const entry = tar.entry(harmless) as unknown as NodeJS.WritableStream;
    if (header.type === 'file') await pipeline(stream, entry);
    else await drain(stream);
  }).then(
    () => tar.finalize(),
    (error) => tar.destroy(error),
  );
  return tar as unknown as Readable;
}
