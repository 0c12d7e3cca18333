import { createWriteStream } from 'node:fs';
import { chmod, link, mkdir, rm, symlink, utimes } from 'node:fs/promises';
import { dirname, join, posix } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { statOf } from './files.ts';

/** One entry of a bundle, as its format describes it. */
export type BundleEntry = { name: string; mode: number; modifiedAt: Date } & (
  | { type: 'file'; content: AsyncIterable<Uint8Array> }
  | { type: 'directory' }
  | { type: 'symlink'; target: string }
  | { type: 'hardlink'; target: string }
);

/** Writes the entries of a bundle, which nobody has looked at, below one new directory and nowhere else. */
export interface TreeWriter {
  add(entry: BundleEntry): Promise<void>;
  /** Makes the symbolic links and sets the directories' modes. */
  finish(): Promise<void>;
}

/**
 * Starts a tree in `directory`, which must be new and empty. While entries are added the tree holds no symbolic links, so no name can
 * lead out of it; links come last. `absoluteLinks`: whether a link may point to an absolute path (a Python virtual environment has
 * some); a relative one must stay in the tree in any case.
 */
export function startTree(directory: string, { absoluteLinks }: { absoluteLinks: boolean }): TreeWriter {
  const links = new Map<string, string>();
  const modes = new Map<string, number>();

  const makeRoomFor = async (name: string): Promise<string> => {
    const path = join(directory, name);
    links.delete(name);
    await mkdir(dirname(path), { recursive: true });
    if (!(await statOf(path))?.isDirectory()) await rm(path, { force: true });
    return path;
  };

  return {
    async add(entry) {
      const name = safeName(entry.name);
      if (name === '.') return;
      // Set-user-id bits do not survive: the files' owners are not taken from the bundle, so such a bit would grant another user's rights.
      const mode = entry.mode & 0o777;
      switch (entry.type) {
        case 'directory':
          await mkdir(join(directory, name), { recursive: true });
          modes.set(name, mode);
          return;
        case 'file': {
          const path = await makeRoomFor(name);
          await pipeline(entry.content, createWriteStream(path, { flags: 'wx', mode: 0o600 }));
          await chmod(path, mode);
          await utimes(path, entry.modifiedAt, entry.modifiedAt);
          return;
        }
        case 'hardlink': {
          const target = safeName(entry.target);
          if (links.has(target) || !(await statOf(join(directory, target)))?.isFile()) {
            throw new Error(`The entry ${printable(name)} is a hard link to ${printable(target)}, which is not a file of the bundle.`);
          }
          if (target !== name) await link(join(directory, target), await makeRoomFor(name));
          return;
        }
        case 'symlink':
          checkLink(name, entry.target, absoluteLinks);
          links.set(name, entry.target);
      }
    },

    async finish() {
      for (const [name, target] of links) {
        const path = join(directory, name);
        if ((await statOf(path))?.isDirectory()) throw new Error(`The entry ${printable(name)} is a directory and a symbolic link.`);
        await rm(path, { force: true });
        await mkdir(dirname(path), { recursive: true });
        await symlink(target, path);
      }
      // Deepest first, since a directory without write permission must not stop what is below it.
      const deepestFirst = [...modes].sort(([a], [b]) => b.length - a.length);
      for (const [name, mode] of deepestFirst) await chmod(join(directory, name), mode);
    },
  };
}

/** The name as a path relative to the tree; throws if it could lead out of it. */
function safeName(name: string): string {
  const refused = (reason: string) => new Error(`The entry ${printable(name)} ${reason}.`);
  if (name.includes('\0')) throw refused('has a NUL character in its name');
  if (name.startsWith('/') || /^[A-Za-z]:/.test(name)) throw refused('has an absolute name');
  if (name.split('/').includes('..')) throw refused('leads out of the bundle by ".."');
  return posix.normalize(name).replace(/\/$/, '');
}

function checkLink(name: string, target: string, absoluteLinks: boolean): void {
  const refused = () => new Error(`The entry ${printable(name)} is a symbolic link to ${printable(target)}, outside of the bundle.`);
  if (target === '' || target.includes('\0')) throw refused();
  if (posix.isAbsolute(target)) {
    if (!absoluteLinks) throw refused();
    return;
  }
  const resolved = posix.join(posix.dirname(name), target);
  if (resolved === '..' || resolved.startsWith('../')) throw refused();
}

function printable(name: string): string {
  return JSON.stringify(name.length > 200 ? `${name.slice(0, 200)}...` : name);
}
