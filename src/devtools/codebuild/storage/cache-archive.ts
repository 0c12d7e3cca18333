/**
 * Trees of a machine as one gzipped tar, whose first entry tells where each of them belongs. Paths are kept relative to source and home,
 * since both lie elsewhere on every machine.
 */
import { createReadStream, createWriteStream } from 'node:fs';
import path from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip, createGzip } from 'node:zlib';
import type { Machine } from '../../../ports/machines/port.ts';
import { packSelected, type Selection } from '../runner/collect.ts';
import { tarPack } from '../runner/files.ts';
import { codebuildDirectory } from '../runner/layout.ts';
import { runScript, unpackTar } from '../runner/machine-tools.ts';
import { drain, forEachEntry } from '../runner/zip.ts';

/** Where a directory belongs, whichever machine it is on. */
export interface CachePlace {
  root: 'source' | 'home' | 'absolute';
  path: string;
}

const MANIFEST = 'manifest.json';
/** A cache carries no set-user-id bits from one build to the next. */
export const PERMISSIONS = 0o777;

/** Files and links of the selections into `file`, on the host. */
export async function archive(machine: Machine, selections: Selection[], source: string, file: string, signal: AbortSignal): Promise<void> {
  const tar = tarPack();
  const home = await homeOf(machine);
  const manifest = selections.map((selection) => placeOf(selection.baseDirectory, source, home));
  const fill = async (): Promise<void> => {
    tar.entry({ name: MANIFEST }, JSON.stringify(manifest));
    for (const [index, selection] of selections.entries()) {
      await forEachEntry(packSelected(machine, selection, { keepLinks: true, signal }), async (header, stream) => {
        const named = { ...header, name: `${index}/${header.name.replace(/^\.\//, '')}`, mode: (header.mode ?? 0o644) & PERMISSIONS };
        if (header.type !== 'file') {
          tar.entry(named);
          return drain(stream);
        }
        await pipeline(stream, tar.entry(named) as unknown as NodeJS.WritableStream);
      });
    }
    tar.finalize();
  };
  const filling = fill();
  filling.catch((error) => tar.destroy(error));
  await pipeline(tar as unknown as Readable, createGzip({ level: 1 }), createWriteStream(file));
  await filling;
}

/** The place of an absolute path inside. */
export function placeOf(directory: string, source: string, home: string): CachePlace {
  for (const [root, top] of [
    ['source', source],
    ['home', home],
  ] as const) {
    if (directory === top) return { root, path: '' };
    if (directory.startsWith(`${top}/`)) return { root, path: directory.slice(top.length + 1) };
  }
  return { root: 'absolute', path: directory };
}

export async function homeOf(machine: Machine): Promise<string> {
  return (await runScript(machine, 'printf %s "$HOME"', [])).stdout.toString();
}

/**
 * `$1` the unpacked archive; then for each tree its number and where it belongs. Moved or copied by the machine itself, wherever it may
 * write: at once where nothing is there yet, else file by file.
 */
const PUT_BACK = `stage=$1
shift
while [ $# -gt 0 ]; do
  if [ -d "$stage/$1" ]; then
    if [ -e "$2" ]; then cp -a "$stage/$1/." "$2/" || exit; else mkdir -p "\${2%/*}/" && mv "$stage/$1" "$2" || exit; fi
  fi
  shift 2
done
rm -rf "$stage"`;

/** The trees of an archive to where they belong; throws when it is damaged or cannot be written. */
export async function unpack(machine: Machine, file: string, source: string, signal: AbortSignal): Promise<void> {
  const stage = `${codebuildDirectory(machine)}/output/cache`;
  const tar = createGunzip();
  await Promise.all([pipeline(createReadStream(file), tar), unpackTar(machine, stage, tar, { signal })]);
  const { stdout } = await runScript(machine, 'cat "$1"', [`${stage}/${MANIFEST}`], { signal });
  const manifest = JSON.parse(stdout.toString()) as CachePlace[];
  const home = await homeOf(machine);
  const places = manifest.flatMap((place, index) => [String(index), target(place, source, home)]);
  const output = await runScript(machine, PUT_BACK, [stage, ...places], { signal });
  if (output.exitCode !== 0) throw new Error(output.stderr || `copying ended with ${output.exitCode}`);
}

function target(place: CachePlace, source: string, home: string): string {
  if (place.root === 'absolute') return place.path;
  return path.posix.join(place.root === 'source' ? source : home, place.path);
}
