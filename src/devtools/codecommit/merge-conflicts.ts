/** What both sides of a merge changed, judged: where it is a conflict, where it is none, and what it looks like line by line. */
import type { Contested } from '../../git/merge.ts';
import type { TextMerge, TextSide } from '../../git/merge-text.ts';
import { isBinary, mergeText } from '../../git/merge-text.ts';
import type { TreeEntry } from '../../git/objects.ts';
import { isSubmodule, isTree, modes } from '../../git/objects.ts';
import { AwsError } from '../../platform/errors.ts';
import type { ConflictLevel, ConflictRules, RelatedTips } from './merge-tips.ts';

/** Contents that one request compares line by line, all versions together. */
const MAX_LOADED = 64 * 1024 * 1024;
/** The limit of one file in this API. */
const MAX_FILE = 6 * 1024 * 1024;

export const versions = ['source', 'destination', 'base'] as const;
export type Version = (typeof versions)[number];
export type EntryType = 'FILE' | 'DIRECTORY' | 'GIT_LINK' | 'SYMBOLIC_LINK';

/** One path, usually one that both sides changed. */
export interface Judged {
  contested: Contested;
  /** One side has a file where the other has a link, folder or submodule. */
  typeConflict: boolean;
  modeConflict: boolean;
  contentConflict: boolean;
  /** Of lines and of metadata; 0: it merges by itself. */
  conflicts: number;
  sizes: Record<Version, number | undefined>;
  binary: Record<Version, boolean | undefined>;
  /** Line by line; undefined where that cannot be: not two files, or one of them binary. */
  text: TextMerge | undefined;
}

/** Judges paths of one merge one after another, and counts what it loads. */
export class Judge {
  readonly #tips: RelatedTips;
  readonly #level: ConflictLevel;
  #loaded = 0;

  constructor(tips: RelatedTips, { conflictDetailLevel, conflictResolutionStrategy }: ConflictRules) {
    this.#tips = tips;
    // An automatic merge is one of lines.
    this.#level = conflictResolutionStrategy === 'AUTOMERGE' ? 'LINE_LEVEL' : (conflictDetailLevel ?? 'FILE_LEVEL');
  }

  /** `MaximumFileContentToLoadExceededException` when the contents are too large to be compared. */
  async judge(contested: Contested): Promise<Judged> {
    const { base, source, destination } = contested;
    const files = await this.#load(contested);
    const text = await this.#mergeText(files);
    const typeConflict = Boolean(source && destination && typeOf(source) !== typeOf(destination));
    const modeConflict = Boolean(source && destination && !typeConflict && differInThree(base?.mode, source.mode, destination.mode));
    const lines = text?.hunks.filter(({ conflict }) => conflict).length;
    const contentDiffers = !typeConflict && differInThree(base?.id, source?.id, destination?.id);
    // Deleted here, changed there: no way of merging can tell what is meant.
    const gone = (!source || !destination) && differInThree(keyOf(base), keyOf(source), keyOf(destination));
    const contentConflict = gone || (contentDiffers && (this.#level === 'FILE_LEVEL' || lines === undefined || lines > 0));
    const ofContent = !contentConflict ? 0 : this.#level === 'FILE_LEVEL' ? 1 : (lines ?? 1);
    const each = <T>(of: (data: Buffer) => T) => ({
      source: files.source && of(files.source.data),
      destination: files.destination && of(files.destination.data),
      base: files.base && of(files.base.data),
    });
    return {
      contested,
      typeConflict,
      modeConflict,
      contentConflict,
      conflicts: ofContent + Number(modeConflict) + Number(typeConflict),
      sizes: each((data) => data.length),
      binary: each(isBinary),
      text,
    };
  }

  async #load(contested: Contested): Promise<Record<Version, { id: string; data: Buffer } | undefined>> {
    const files: Record<Version, { id: string; data: Buffer } | undefined> = { source: undefined, destination: undefined, base: undefined };
    for (const version of versions) {
      const entry = contested[version];
      if (!entry || isTree(entry) || isSubmodule(entry)) continue;
      const { size } = (await this.#tips.open.info(entry.id))!;
      this.#loaded += size;
      if (size > MAX_FILE || this.#loaded > MAX_LOADED) {
        throw new AwsError(
          'MaximumFileContentToLoadExceededException',
          'The files that both branches changed are too large to be loaded and compared.',
        );
      }
      files[version] = { id: entry.id, data: (await this.#tips.open.read(entry.id))!.data };
      if (entry.mode === modes.symlink) files[version] = undefined;
    }
    return files;
  }

  async #mergeText(files: Record<Version, { id: string; data: Buffer } | undefined>): Promise<TextMerge | undefined> {
    const { base, source, destination } = files;
    if (!source || !destination || [base, source, destination].some((file) => file && isBinary(file.data))) return undefined;
    const side = ({ id, data }: { id: string; data: Buffer }): TextSide => ({ id, text: data.toString('latin1') });
    return mergeText(this.#tips.place, base && side(base), side(source), side(destination));
  }
}

function keyOf(entry: TreeEntry | undefined): string | undefined {
  return entry && `${entry.mode} ${entry.id}`;
}

/** Both changed it, and not to the same. */
function differInThree(base: string | undefined, source: string | undefined, destination: string | undefined): boolean {
  return source !== destination && source !== base && destination !== base;
}

/** The value that a three-way merge takes where there is no conflict. */
export function pick<T>(base: T, source: T, destination: T): T {
  return source === base ? destination : source;
}

export function typeOf(entry: TreeEntry): EntryType {
  if (isTree(entry)) return 'DIRECTORY';
  if (isSubmodule(entry)) return 'GIT_LINK';
  return entry.mode === modes.symlink ? 'SYMBOLIC_LINK' : 'FILE';
}
