/**
 * LOCAL_SOURCE_CACHE: the git objects of a source, kept on the worker, so that the next build fetches only what is new. They are kept right
 * after the fetch, before any command of the build has run: no build can leave anything in them for the next.
 */
import { createHash } from 'node:crypto';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Machine } from '../../../ports/machines/port.ts';
import { packDirectory } from '../runner/collect.ts';
import { tarPack } from '../runner/files.ts';
import { runScript, unpackTar } from '../runner/machine-tools.ts';
import { drain, forEachEntry } from '../runner/zip.ts';
import type { OneSource, SourceContext } from '../sources/fetch.ts';
import { dropArchive, keepArchive, openArchive } from './local-cache.ts';

/** Where the kept commits are named while git asks for what is new; gone before the build begins. */
const REFS = 'refs/codebuild-cache';

/**
 * `fetch` makes a git repository at the source's target, where one with objects, but without branches and a work tree, may be already. When it
 * fails, what was kept is dropped, in case that it was the reason.
 */
export async function withSourceCache<T>(context: SourceContext, one: OneSource, fetch: () => Promise<T>): Promise<T> {
  const { platform, machine, row, log, signal } = context;
  if (!row.definition.cache?.modes?.includes('LOCAL_SOURCE_CACHE') || row.definition.cache.type !== 'LOCAL') return fetch();
  const name = nameOf(one);
  const before = await restore(context, one, name);
  let result: T;
  try {
    result = await fetch();
  } catch (error) {
    if (before !== undefined && !signal.aborted) await dropArchive(platform, row, name);
    throw error;
  }
  try {
    const after = await tidy(machine, one.target, signal);
    if (after !== before) await keepArchive(platform, row, name, await packObjects(context, one.target), context.directory);
  } catch (error) {
    signal.throwIfAborted();
    log.agent(`Unable to store the local cache of ${one.label}: ${(error as Error).message}`);
  }
  return result;
}

function nameOf({ source }: OneSource): string {
  const identity = [source.type, source.location, source.sourceIdentifier];
  return `source-${createHash('sha256').update(JSON.stringify(identity)).digest('hex').slice(0, 32)}`;
}

/** What objects there are now, told so that two answers can be compared; undefined when nothing was restored. */
async function restore({ platform, machine, row, log, signal }: SourceContext, one: OneSource, name: string): Promise<string | undefined> {
  const archive = await openArchive(platform, row, name);
  if (!archive) return undefined;
  try {
    await unpackTar(machine, `${one.target}/.git`, archive, { signal });
    log.agent(`Restored the git objects of ${one.label} from the local cache`);
    return await inventory(machine, one.target, signal);
  } catch (error) {
    signal.throwIfAborted();
    log.agent(`Unable to restore the local cache of ${one.label}: ${(error as Error).message}`);
    await dropArchive(platform, row, name);
    await runScript(machine, 'rm -rf "$1"', [one.target], { signal });
    return undefined;
  } finally {
    archive.destroy();
  }
}

const INVENTORY = `cd "$1/.git/objects" && find . -type f | LC_ALL=C sort && cat ../shallow 2>/dev/null; :`;

async function inventory(machine: Machine, repository: string, signal: AbortSignal): Promise<string> {
  const { stdout } = await runScript(machine, INVENTORY, [repository], { signal });
  return createHash('sha256').update(stdout).digest('hex');
}

/** Each fetch adds a pack or some loose objects; now and then they are put together, and what nothing needs any more goes. */
const TIDY = `cd "$1" || exit
git for-each-ref --format='delete %(refname)' ${REFS} | git update-ref --stdin || exit
packs=$(ls .git/objects/pack/*.pack 2>/dev/null | wc -l)
loose=$(git count-objects | cut -d' ' -f1)
if [ "$packs" -gt 20 ] || [ "$loose" -gt 2000 ]; then git repack -adq && git prune --expire=now; fi`;

async function tidy(machine: Machine, repository: string, signal: AbortSignal): Promise<string> {
  const output = await runScript(machine, TIDY, [repository], { signal });
  if (output.exitCode !== 0) throw new Error(output.stderr);
  return inventory(machine, repository, signal);
}

/** The objects, and names for their commits: git tells a server what it has by its references. */
async function packObjects({ machine, signal }: SourceContext, repository: string): Promise<Readable> {
  const listed = await runScript(machine, `cd "$1" && git for-each-ref --format='%(objectname)' && git rev-parse HEAD`, [repository], {
    signal,
  });
  const commits = [...new Set(listed.stdout.toString().split('\n').filter(Boolean))].sort();
  const shallow = await runScript(machine, 'cat "$1/.git/shallow" 2>/dev/null', [repository], { signal });
  const tar = tarPack();
  const fill = async (): Promise<void> => {
    tar.entry({ name: 'packed-refs' }, commits.map((commit, index) => `${commit} ${REFS}/${index}\n`).join(''));
    if (shallow.stdout.length > 0) tar.entry({ name: 'shallow' }, shallow.stdout);
    await forEachEntry(packDirectory(machine, `${repository}/.git/objects`, signal), async (header, stream) => {
      const entry = tar.entry({ ...header, name: `objects/${header.name}` }) as unknown as NodeJS.WritableStream;
      if (header.type === 'file') await pipeline(stream, entry);
      else await drain(stream);
    });
    tar.finalize();
  };
  fill().catch((error) => tar.destroy(error));
  return tar as unknown as Readable;
}
