import {
  chmodSync,
  chownSync,
  closeSync,
  existsSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, posix } from 'node:path';
import type { Site } from './local-driver.ts';
import type { IdMapping } from './users.ts';
import { isWithin, type View } from './view.ts';

/** What a sandbox's file system consists of. The root directory is the machine's own; the rest is laid over it. */
export interface Layout {
  /** The root on the host. */
  root: string;
  /** The host's directories that are shown, read-only, where they are. */
  shown: string[];
  /** Single files that are shown, read-only: what a link in a shown directory leads to, and the machine's own /etc/hosts. */
  files: { source: string; target: string }[];
  hostname: string;
  /** Directories below shown ones that are hidden under an empty one. */
  hidden: string[];
  mounts: { source: string; target: string; readOnly: boolean }[];
}

/**
 * The host's programs and settings. Not /var, /run, /home, /root, /srv, /mnt, /sys: there are data, sockets and secrets. What only root
 * may read in the shown ones stays unreadable when the server is root, since nobody inside is the host's root.
 */
const programDirectories = ['/usr', '/etc', '/opt', '/nix', '/bin', '/sbin', '/lib', '/lib32', '/lib64', '/libx32'];

/** Where commands begin. */
export const workdir = '/work';
/** Commands are root inside, and builds expect root's usual home. */
export const home = '/root';
/** Directories that commands expect to be able to write to, with their permissions. */
const ownDirectories: [string, number][] = [
  [workdir, 0o755],
  [home, 0o700],
  ['/tmp', 0o1777],
  ['/run', 0o755],
  ['/var', 0o755],
  ['/var/tmp', 0o1777],
  ['/var/lib', 0o755],
  ['/var/log', 0o755],
  ['/var/cache', 0o755],
  ['/home', 0o755],
  ['/mnt', 0o755],
  ['/srv', 0o755],
];

/** @param dataDir real path of the server's data directory, which must not be seen even if it is inside a shown directory. */
export function layoutOf(site: Site, dataDir: string): Layout {
  const present = programDirectories.filter((path) => lstatSync(path, { throwIfNoEntry: false })?.isDirectory());
  const mounts = (site.spec.mounts ?? []).map(({ source, target, readOnly }) => ({
    source: realpathSync(source),
    target: posix.resolve(workdir, target),
    readOnly: readOnly ?? false,
  }));
  return {
    root: join(site.directory, 'root'),
    shown: present,
    files: [...resolverFile(present), ...hostsFile(site)],
    hostname: hostnameOf(site),
    hidden: present.some((path) => isWithin(dataDir, path)) ? [dataDir] : [],
    mounts,
  };
}

/** /etc/resolv.conf is often a link into /run. */
function resolverFile(shown: string[]): Layout['files'] {
  if (!existsSync('/etc/resolv.conf')) return [];
  const file = realpathSync('/etc/resolv.conf');
  return shown.some((path) => isWithin(file, path)) ? [] : [{ source: file, target: file }];
}

/** The host's, and the machine's name: Java and others fail where the machine's own name is unknown. */
function hostsFile(site: Site): Layout['files'] {
  return existsSync('/etc/hosts') ? [{ source: join(site.directory, 'hosts'), target: '/etc/hosts' }] : [];
}

/** Names are at most 63 characters long, ids may be longer by one. */
function hostnameOf(site: Site): string {
  return site.id.slice(0, 63);
}

/**
 * Makes the machine's root and the points where the rest is laid over it, all belonging to the user that is root inside.
 * Called before anything runs in the machine, so nobody can have put links in its way.
 */
export function makeRoot(layout: Layout, dataDir: string, mapping: IdMapping): void {
  const { root } = layout;
  own(root, mapping);
  for (const [path, mode] of ownDirectories) makeDirectory(root, path, mapping, mode);
  for (const path of programDirectories) {
    const stat = lstatSync(path, { throwIfNoEntry: false });
    if (stat?.isSymbolicLink()) symlinkSync(readlinkSync(path), join(root, path));
    else if (stat) makeDirectory(root, path, mapping);
  }
  for (const path of ['/proc', '/dev']) makeDirectory(root, path, mapping);
  symlinkSync('../run', join(root, 'var/run'));
  for (const { source, target } of layout.files) {
    if (target === '/etc/hosts')
      writeFileSync(source, `${readFileSync(target, 'utf8').trimEnd()}\n127.0.1.1 ${layout.hostname}\n`, { mode: 0o644 });
    else makeFile(root, target, mapping);
  }
  for (const { source, target, readOnly } of layout.mounts) {
    if (!layout.shown.some((path) => isWithin(target, path))) makeDirectory(root, target, mapping);
    // A cache that the server keeps for machines must belong to who uses it; other directories of the host are left as they are.
    if (!readOnly && isWithin(source, dataDir)) own(source, mapping);
  }
}

function makeDirectory(root: string, path: string, mapping: IdMapping, mode = 0o755): void {
  const directory = join(root, path);
  if (existsSync(directory)) return;
  makeDirectory(root, dirname(path), mapping);
  mkdirSync(directory);
  chmodSync(directory, mode);
  own(directory, mapping);
}

function makeFile(root: string, path: string, mapping: IdMapping): void {
  makeDirectory(root, dirname(path), mapping);
  closeSync(openSync(join(root, path), 'a'));
  own(join(root, path), mapping);
}

function own(path: string, mapping: IdMapping): void {
  chownSync(path, mapping.root, mapping.root);
}

/** The same as the server sees it, to put files in and get files out. */
export function viewOf(layout: Layout, mapping: IdMapping): View {
  return {
    roots: [{ inside: '/', host: layout.root }, ...layout.mounts.map(({ source, target }) => ({ inside: target, host: source }))],
    covered: [...layout.shown, ...layout.files.map(({ target }) => target), '/proc', '/dev'],
    workdir,
    owner: { uid: mapping.root, gid: mapping.root },
  };
}
