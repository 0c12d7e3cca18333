/**
 * Which files of a build become an artifact or a cache, and their bytes. Both are found out inside the machine, with its own `find` and
 * `tar`: so a link can lead only to what the build itself could read, on every driver, even while background jobs still change the tree.
 */
import { isUtf8 } from 'node:buffer';
import { PassThrough, type Readable } from 'node:stream';
import type { ExecSpec, Machine } from '../../../ports/machines/port.ts';
import { globMatcher } from './glob.ts';
import { runScript } from './machine-tools.ts';

export interface Selection {
  /** Absolute, inside the machine. */
  baseDirectory: string;
  /** Relative to the base directory, `/` as separator. */
  files: string[];
  /** Patterns that matched nothing. */
  unmatched: string[];
  /** Links that were left out because they lead out of the source or to no file. */
  skippedLinks: string[];
  /** Files whose names a zip cannot hold: not UTF-8, or with a backslash. */
  skippedNames: string[];
}

export interface SelectOptions {
  files: string[];
  exclude: string[];
  /** Links are kept as links; else a link to a file stands for the file. */
  keepLinks: boolean;
  /** Absolute, inside; links must lead to somewhere in it or in the base directory. */
  sourceDirectory: string;
  signal?: AbortSignal;
}

interface Entry {
  path: string;
  link: boolean;
  allowed: boolean;
}

/** Files as `path NUL`, then a lone `/`, then links as `path NUL resolved-or-empty NUL`. */
const LIST = `cd "$1" 2>/dev/null || exit 3
find . -type f -print0
printf '/\\0'
find . -type l -exec sh -c 'for l; do if [ -f "$l" ]; then t=$(readlink -f "$l"); else t=; fi; printf "%s\\0%s\\0" "$l" "$t"; done' sh {} +
printf '/\\0'
pwd -P`;

/** Directories inside `directory`, one level, for base directories given as globs. */
export async function listDirectories(machine: Machine, directory: string, signal?: AbortSignal): Promise<string[]> {
  const output = await runScript(machine, 'cd "$1" && find . -type d -print0', [directory], { signal });
  return output.stdout
    .toString()
    .split('\0')
    .map((name) => name.replace(/^\.\/?/, ''))
    .filter(Boolean)
    .sort();
}

/** Undefined when the base directory does not exist. */
export async function selectFiles(machine: Machine, baseDirectory: string, options: SelectOptions): Promise<Selection | undefined> {
  const listed = await runScript(machine, LIST, [baseDirectory], { signal: options.signal });
  if (listed.exitCode === 3) return undefined;
  if (listed.exitCode === null) throw new Error(`listing ${baseDirectory} was ended by a signal`);
  const all = readListing(listed.stdout.toString('latin1'), options);
  const entries = all.filter((entry) => isNameable(entry.path)).map((entry) => ({ ...entry, path: utf8(entry.path) }));
  const excluded = options.exclude.map((pattern) => globMatcher(pattern));
  const chosen = new Set<string>();
  const unmatched: string[] = [];
  for (const pattern of options.files) {
    const matches = globMatcher(pattern);
    const found = entries.filter((entry) => entry.allowed && matches(entry.path));
    if (found.length === 0) unmatched.push(pattern);
    for (const entry of found) chosen.add(entry.path);
  }
  const files = [...chosen].filter((file) => !excluded.some((matches) => matches(file))).sort();
  return {
    baseDirectory,
    files,
    unmatched,
    skippedLinks: entries.filter((entry) => !entry.allowed).map((entry) => entry.path),
    skippedNames: all.filter((entry) => !isNameable(entry.path)).map((entry) => utf8(entry.path)),
  };
}

/** Every reader of a zip takes a backslash for the separator of folders, so it cannot be in a name there. */
function isNameable(path: string): boolean {
  return isUtf8(Buffer.from(path, 'latin1')) && !path.includes('\\');
}

/** Names are bytes: `text` has one character for each. */
function readListing(text: string, options: SelectOptions): Entry[] {
  const fields = text.split('\0');
  const end = fields.indexOf('/');
  const entries: Entry[] = fields.slice(0, end).map((name) => ({ path: relative(name), link: false, allowed: true }));
  const real = (fields.at(-1) ?? '').replace(/\n$/, '');
  const roots = [real, Buffer.from(options.sourceDirectory).toString('latin1')];
  for (let index = end + 1; fields[index] !== '/' && index + 1 < fields.length; index += 2) {
    const target = fields[index + 1] ?? '';
    entries.push({ path: relative(fields[index] ?? ''), link: true, allowed: options.keepLinks || leadsInto(target, roots) });
  }
  return entries;
}

function utf8(bytes: string): string {
  return Buffer.from(bytes, 'latin1').toString('utf8');
}

function leadsInto(target: string, roots: string[]): boolean {
  return target !== '' && roots.some((root) => target.startsWith(`${root}/`));
}

function relative(name: string): string {
  return name.replace(/^\.\//, '');
}

/** The chosen files as a tar stream, in order. Errors of tar that lose files fail the stream. */
export function packSelected(
  machine: Machine,
  selection: Pick<Selection, 'baseDirectory' | 'files'>,
  options: { keepLinks: boolean; signal?: AbortSignal },
): Readable {
  const follow = options.keepLinks ? '' : '-h';
  const stdin = Buffer.from(selection.files.map((file) => `./${file}\0`).join(''));
  return packedBy(machine, { argv: ['sh', '-c', PACK, 'sh', selection.baseDirectory, follow], stdin, signal: options.signal });
}

/**
 * `$1` the directory, `$2` -h or nothing; names with NUL behind each by standard input. GNU's tar ends with 1 when a file changed as it was read:
 * the bytes are whole, if not of one moment. Others, as in small images, take no list: xargs makes several archives in a row, and one for each
 * file where some are linked to each other, since they would have only one of them with its content.
 */
const PACK = `cd "$1" || exit
case $(tar --version 2>/dev/null) in
  *GNU*)
    tar -c $2 --hard-dereference --null --no-recursion -T - -f -
    status=$?
    [ "$status" = 1 ] || exit "$status"
    exit 0 ;;
esac
each=
[ -z "$(find . -type f -links +1 | head -n 1)" ] || each='-n 1'
exec xargs -0 $each tar -c $2 -f -`;

/** As above, of all that there is. */
const PACK_ALL = `cd "$1" || exit
tar -c -f - .
status=$?
case $status-$(tar --version 2>/dev/null) in 1-*GNU*) exit 0 ;; esac
exit "$status"`;

/** All of a directory as a tar stream: its directories and hard links as they are, and whatever else it holds. */
export function packDirectory(machine: Machine, directory: string, signal: AbortSignal): Readable {
  return packedBy(machine, { argv: ['sh', '-c', PACK_ALL, 'sh', directory], signal });
}

function packedBy(machine: Machine, command: Pick<ExecSpec, 'argv' | 'stdin' | 'signal'>): Readable {
  const output = new PassThrough();
  // Its reader learns of an error; when there is none any more, it must not end the process.
  output.on('error', () => {});
  const closed = once(output, 'close');
  let stderr = '';
  machine
    .exec({
      ...command,
      onOutput: async (chunk, stream) => {
        if (stream === 'stderr') stderr = (stderr + chunk.toString()).slice(-4096);
        else if (!output.write(chunk) && !output.destroyed) await Promise.race([once(output, 'drain'), closed]);
      },
    })
    .then(
      (result) =>
        result.exitCode === 0
          ? output.end()
          : output.destroy(new Error(`tar failed: ${stderr.trim() || `exit status ${result.exitCode}`}`)),
      (error) => output.destroy(error),
    );
  return output;
}

function once(stream: PassThrough, event: string): Promise<void> {
  return new Promise((resolve) => stream.once(event, () => resolve()));
}
