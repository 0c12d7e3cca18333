import { join, posix } from 'node:path';
import { type Owner, Place } from './place.ts';

/** Which of a machine's files are where on the host. Paths are absolute and normal. */
export interface View {
  /** Directories of the machine, by their path inside. Those at deeper paths lie over the others. */
  roots: { inside: string; host: string }[];
  /** Paths inside where something lies over the roots that is not the machine's: /usr, /proc. */
  covered: string[];
  /** Relative paths begin here. */
  workdir: string;
  owner: Owner | undefined;
}

/** As many symbolic links as the kernel follows in one path; path_resolution(7). */
const mostLinks = 40;

/** The host's path of a path inside, by name only: what is there may be a symbolic link, or become one. */
export function hostPathOf(view: View, path: string): string | undefined {
  const inside = posix.resolve(view.workdir, path);
  if (
    view.covered.some(
      (cover) => isWithin(inside, cover) && !view.roots.some((root) => isWithin(root.inside, cover) && isWithin(inside, root.inside)),
    )
  ) {
    return undefined;
  }
  const root = view.roots.filter((one) => isWithin(inside, one.inside)).sort((a, b) => b.inside.length - a.inside.length)[0];
  return root && join(root.host, posix.relative(root.inside, inside));
}

export function isWithin(path: string, directory: string): boolean {
  return path === directory || path.startsWith(directory === '/' ? '/' : `${directory}/`);
}

/**
 * Opens a directory of the machine by its path inside, following symbolic links as a command inside would, so that none leads out.
 * @throws if the path leads to files that are not the machine's own, or is no directory.
 */
export function openInside(view: View, path: string, make: boolean): Place {
  return new Walk(view, make).to(posix.resolve(view.workdir, path));
}

class Walk {
  readonly #view: View;
  readonly #make: boolean;
  #links = 0;
  /** Where we are, free of links, and its open directory if that is one of the machine's. */
  #at: string[] = [];
  #place: Place | undefined;

  constructor(view: View, make: boolean) {
    this.#view = view;
    this.#make = make;
  }

  to(path: string): Place {
    try {
      let rest = this.#restart(names(path));
      for (let name = rest.shift(); name !== undefined; name = rest.shift()) {
        if (name === '..') rest = this.#restart([...this.#at.slice(0, -1), ...rest]);
        else rest = this.#step(name, rest);
      }
      if (!this.#place) throw new Error(`${path} is not in the machine's own files`);
      return this.#place;
    } catch (error) {
      this.#place?.close();
      throw error;
    }
  }

  #restart(rest: string[]): string[] {
    this.#at = [];
    this.#move(this.#root('/'));
    return rest;
  }

  #step(name: string, rest: string[]): string[] {
    const inside = `/${[...this.#at, name].join('/')}`;
    const root = this.#root(inside);
    if (root) this.#move(root);
    else if (this.#view.covered.includes(inside)) this.#move(undefined);
    else if (this.#place) {
      const linked = this.#follow(name, rest);
      if (linked) return linked;
      this.#move(this.#make ? this.#place.enterOrMake(name, this.#view.owner) : this.#place.enter(name));
    }
    this.#at.push(name);
    return rest;
  }

  #follow(name: string, rest: string[]): string[] | undefined {
    const target = this.#place!.linkTarget(name);
    if (target === undefined) return undefined;
    this.#links += 1;
    if (this.#links > mostLinks) throw new Error('too many symbolic links');
    return target.startsWith('/') ? this.#restart([...names(target), ...rest]) : [...names(target), ...rest];
  }

  #root(inside: string): Place | undefined {
    const root = this.#view.roots.find((one) => one.inside === inside);
    return root && Place.open(root.host);
  }

  #move(to: Place | undefined): void {
    this.#place?.close();
    this.#place = to;
  }
}

function names(path: string): string[] {
  return path.split('/').filter((name) => name !== '' && name !== '.');
}
