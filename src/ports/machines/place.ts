import {
  closeSync,
  constants,
  existsSync,
  fchownSync,
  lchownSync,
  linkSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  openSync,
  readdirSync,
  readlinkSync,
  type Stats,
  symlinkSync,
  unlinkSync,
} from 'node:fs';
import { join } from 'node:path';

/** Ids that new files get; undefined leaves them to the process's own. */
export interface Owner {
  uid: number;
  gid: number;
}

const openDirectory = constants.O_RDONLY | constants.O_DIRECTORY;
const anchored = existsSync('/proc/self/fd');

/**
 * A directory in a tree that somebody hostile may be changing at this moment.
 *
 * Everything is named relative to an open directory and the last name is never followed if it is a symbolic link, so that no exchange of
 * a directory for a link can lead out of the tree. Node has no openat; a path through /proc/self/fd is the same. Where there is no
 * /proc (macOS), only the process driver runs, whose commands have the server's own rights anyway, and plain paths are used.
 */
export class Place {
  readonly fd: number;
  readonly #path: string;

  private constructor(fd: number, path: string) {
    this.fd = fd;
    this.#path = anchored ? `/proc/self/fd/${fd}` : path;
  }

  /** Opens a directory whose path is trusted. */
  static open(path: string): Place {
    return new Place(openSync(path, openDirectory), path);
  }

  /** @throws ENOTDIR or ELOOP if it is not a real directory. */
  enter(name: string): Place {
    const path = this.at(name);
    return new Place(openSync(path, openDirectory | constants.O_NOFOLLOW), path);
  }

  enterOrMake(name: string, owner: Owner | undefined): Place {
    try {
      return this.enter(name);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
    mkdirSync(this.at(name), { mode: 0o755 });
    const made = this.enter(name);
    if (owner) fchownSync(made.fd, owner.uid, owner.gid);
    return made;
  }

  /** The same directory, to be closed on its own. */
  reopen(): Place {
    return new Place(openSync(this.#path, openDirectory), this.#path);
  }

  names(): string[] {
    return readdirSync(this.#path).sort();
  }

  stat(name: string): Stats {
    return lstatSync(this.at(name));
  }

  statOrNothing(name: string): Stats | undefined {
    return lstatSync(this.at(name), { throwIfNoEntry: false });
  }

  /** Target of a symbolic link; undefined if it is something else. */
  linkTarget(name: string): string | undefined {
    try {
      return readlinkSync(this.at(name));
    } catch {
      return undefined;
    }
  }

  /** Never waits, even if the name is a named pipe; the caller looks at what it got. */
  openForReading(name: string): number {
    return openSync(this.at(name), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  }

  /** A new file, in place of what had the name before. */
  create(name: string): number {
    this.clear(name);
    return openSync(this.at(name), constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW, 0o600);
  }

  symlink(name: string, target: string, owner: Owner | undefined): void {
    this.clear(name);
    symlinkSync(target, this.at(name));
    if (owner) lchownSync(this.at(name), owner.uid, owner.gid);
  }

  /** A second name for a file; a symbolic link as the old name would itself get the second name. */
  link(name: string, from: Place, oldName: string): void {
    this.clear(name);
    linkSync(from.at(oldName), this.at(name));
  }

  touch(name: string, modified: Date): void {
    lutimesSync(this.at(name), modified, modified);
  }

  /** Frees a name for something that is not a directory. @throws if a directory has it. */
  clear(name: string): void {
    try {
      unlinkSync(this.at(name));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  }

  close(): void {
    closeSync(this.fd);
  }

  private at(name: string): string {
    if (name === '' || name === '.' || name === '..' || name.includes('/') || name.includes('\0'))
      throw new Error(`bad file name ${JSON.stringify(name)}`);
    return join(this.#path, name);
  }
}
