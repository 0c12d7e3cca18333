import type { Readable } from 'node:stream';
import { pack } from 'tar-stream';
import { sift } from '../sift.ts';
import { type Engine, EngineError, textOf } from './engine.ts';

/** What the engine says of a path in a container; Engine API, ContainerArchiveInfo. */
interface PathStat {
  name: string;
  size: number;
  /** Of Go's FileMode. */
  mode: number;
  /** Where it leads if it is a symbolic link: absolute, inside, all links of it followed. */
  linkTarget: string;
}

const goDirectory = 2 ** 31;
const goSymlink = 2 ** 27;

async function statOf(engine: Engine, container: string, path: string): Promise<PathStat | undefined> {
  const headers = await engine.head(`/containers/${container}/archive`, { query: { path } });
  const encoded = headers?.['x-docker-container-path-stat'];
  return typeof encoded === 'string' ? JSON.parse(Buffer.from(encoded, 'base64').toString()) : undefined;
}

/** Whether there is a file, directory or link of that absolute path, whether the container runs or not. */
export async function isInContainer(engine: Engine, container: string, path: string): Promise<boolean> {
  return (await statOf(engine, container, path)) !== undefined;
}

const isDirectory = (stat: PathStat): boolean => stat.mode >= goDirectory;
const isSymlink = (stat: PathStat): boolean => (stat.mode & goSymlink) !== 0;

/**
 * See {@link import('../port.ts').Machine.put}. The engine unpacks with the container's root as its own, so no link leads to the host. It is
 * always told to unpack there: below another directory it would refuse symbolic links that lead out of that one, which are allowed.
 */
export async function putArchive(engine: Engine, container: string, path: string, archive: Readable): Promise<void> {
  const { there, missing } = await walk(engine, container, path);
  const known = new Map<string, Promise<boolean>>();
  /** Whether a directory that entries lie in is there already. What is there as anything else, a link too, is not written through. */
  const isThere = async (names: string[]): Promise<boolean> => {
    if (missing.length > 0 || (names.length > 1 && !(await look(names.slice(0, -1))))) return false;
    const stat = await statOf(engine, container, `/${[...there, ...names].join('/')}`);
    if (stat && !isDirectory(stat))
      throw new Error(`the archive's ${JSON.stringify(names.join('/'))} is not a directory that can be written to`);
    return stat !== undefined;
  };
  const look = (names: string[]): Promise<boolean> => {
    const key = names.join('/');
    const answer = known.get(key) ?? isThere(names);
    known.set(key, answer);
    return answer;
  };
  const below = { there, missing };
  await upload(engine, container, sift(archive, { below, onDirectory: async (names) => void (await look(names)) }));
}

/** With what is above it. Nothing happens when it is there. */
export async function makeDirectory(engine: Engine, container: string, path: string): Promise<void> {
  const nothing = pack();
  nothing.finalize();
  await putArchive(engine, container, path, nothing as unknown as Readable);
}

/** As far as a path leads to directories that are there, free of links, which are followed as inside; and the names that are not there. */
async function walk(engine: Engine, container: string, path: string): Promise<{ there: string[]; missing: string[] }> {
  let there: string[] = [];
  let missing = path.split('/').filter(Boolean);
  while (missing.length > 0) {
    const inner = [...there, missing[0]!];
    const stat = await statOf(engine, container, `/${inner.join('/')}`);
    if (!stat) break;
    if (isSymlink(stat)) there = stat.linkTarget.split('/').filter(Boolean);
    else if (isDirectory(stat)) there = inner;
    else throw new Error(`/${inner.join('/')} is not a directory`);
    missing = missing.slice(1);
  }
  return { there, missing };
}

async function upload(engine: Engine, container: string, archive: Readable): Promise<void> {
  const stop = new AbortController();
  let refused: Error | undefined;
  archive.on('error', (error) => {
    refused = error;
    stop.abort();
  });
  try {
    const query = { path: '/', noOverwriteDirNonDir: 'true' };
    const content = { type: 'application/x-tar', body: archive };
    await textOf(await engine.stream('PUT', `/containers/${container}/archive`, { query, signal: stop.signal }, content));
  } catch (error) {
    throw refused ?? error;
  } finally {
    archive.destroy();
  }
  if (refused) throw refused;
}

/** See {@link import('../port.ts').Machine.get}. */
export async function getArchive(engine: Engine, container: string, path: string): Promise<Readable> {
  const stat = await statOf(engine, container, path);
  if (!stat) throw new Error(`there is no ${path} in the machine`);
  const real = isSymlink(stat) ? stat.linkTarget : path;
  const target = real === path ? stat : await statOf(engine, container, real);
  if (!target || isSymlink(target)) throw new Error(`${path} leads nowhere, or through too many symbolic links`);
  try {
    const answer = await engine.stream('GET', `/containers/${container}/archive`, { query: { path: real } });
    return isDirectory(target) ? sift(answer, { strip: 1, lenient: true }) : sift(answer, { lenient: true });
  } catch (error) {
    if (error instanceof EngineError) throw new Error(`${path} cannot be read: ${error.message}`);
    throw error;
  }
}
