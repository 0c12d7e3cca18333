/**
 * Three versions of a text, line by line: what each side changed since the base, and where both changed the same lines. Which lines changed
 * says git's own diff; regions that touch are one, as in `git merge-file`. Texts are latin1 strings, so that all bytes survive.
 */
import type { GitPlace } from './program.ts';
import { runGit } from './program.ts';

/** Git's rule: a NUL among the first 8000 bytes. */
export function isBinary(data: Uint8Array): boolean {
  return data.subarray(0, 8000).includes(0);
}

/** `count` lines from `start` (counted from 0) of the old text became `newCount` lines. */
interface Change {
  start: number;
  count: number;
  newCount: number;
}

/** Lines of one side that belong to a hunk, from `start` (counted from 0). */
export interface HunkSide {
  start: number;
  lines: string[];
}

/** A region where at least one side differs from the base. */
export interface Hunk {
  conflict: boolean;
  base: HunkSide;
  source: HunkSide;
  destination: HunkSide;
}

export interface TextMerge {
  hunks: Hunk[];
  /** The merged text, where each conflict is settled by `choice`; undefined without a choice when there is a conflict. */
  merged(choice: 'source' | 'destination' | undefined): string | undefined;
}

export interface TextSide {
  id: string;
  text: string;
}

/** Merges three blobs of the repository at `place`; none of them may be binary. Without a base both sides made the file anew. */
export async function mergeText(place: GitPlace, base: TextSide | undefined, source: TextSide, destination: TextSide): Promise<TextMerge> {
  const lines = { base: splitLines(base?.text ?? ''), source: splitLines(source.text), destination: splitLines(destination.text) };
  const since = (side: TextSide, count: number) =>
    base ? changesBetween(place, base.id, side.id) : [{ start: 0, count: 0, newCount: count }];
  const [theirs, ours] = await Promise.all([since(source, lines.source.length), since(destination, lines.destination.length)]);
  const hunks = regionsOf(theirs, ours).map((region) => toHunk(region, lines));
  return {
    hunks,
    merged(choice) {
      if (choice === undefined && hunks.some(({ conflict }) => conflict)) return undefined;
      return assemble(lines.base, hunks, choice);
    },
  };
}

const header = /^@@ -(\d+)(?:,(\d+))? \+\d+(?:,(\d+))? @@/;

async function changesBetween(place: GitPlace, before: string, after: string): Promise<Change[]> {
  if (before === after) return [];
  const args = ['diff', '--no-ext-diff', '--no-textconv', '--no-color', '--text', '-U0', before, after];
  const result = await runGit(args, { place });
  if (result.code !== 0) throw new Error(`Comparing ${before} with ${after} failed: ${result.stderr.trim()}`);
  // Split at line feeds only: a carriage return in a file's text must not begin what looks like a header.
  const headers = result.stdout
    .toString('latin1')
    .split('\n')
    .flatMap((line) => {
      const found = header.exec(line);
      return found ? [found] : [];
    });
  return headers.map(([, start, count = '1', newCount = '1']) => ({
    // Diff counts lines from 1, but names the line before where there are none.
    start: Number(start) - (count === '0' ? 0 : 1),
    count: Number(count),
    newCount: Number(newCount),
  }));
}

interface Region {
  start: number;
  end: number;
  source: Change[];
  destination: Change[];
  /** How many more lines than the base each side has before this region. */
  shift: { source: number; destination: number };
}

/** Changes of both sides in the order of the base, those that overlap or touch taken together. */
function regionsOf(source: Change[], destination: Change[]): Region[] {
  const all = [
    ...source.map((change) => ({ change, side: 'source' as const })),
    ...destination.map((change) => ({ change, side: 'destination' as const })),
  ].sort((a, b) => a.change.start - b.change.start || a.change.count - b.change.count);
  const regions: Region[] = [];
  const shift = { source: 0, destination: 0 };
  for (const { change, side } of all) {
    let region = regions.at(-1);
    // Two changes of one side never touch; what touches is a change of the other.
    if (!region || change.start > region.end) {
      region = { start: change.start, end: change.start + change.count, source: [], destination: [], shift: { ...shift } };
      regions.push(region);
    }
    region.end = Math.max(region.end, change.start + change.count);
    region[side].push(change);
    shift[side] += change.newCount - change.count;
  }
  return regions;
}

function toHunk(region: Region, lines: Record<'base' | 'source' | 'destination', string[]>): Hunk {
  const sideOf = (side: 'source' | 'destination'): HunkSide => {
    const start = region.start + region.shift[side];
    const grown = region[side].reduce((sum, change) => sum + change.newCount - change.count, 0);
    return { start, lines: lines[side].slice(start, region.end + region.shift[side] + grown) };
  };
  const [source, destination] = [sideOf('source'), sideOf('destination')];
  const both = region.source.length > 0 && region.destination.length > 0;
  return {
    conflict: both && source.lines.join('') !== destination.lines.join(''),
    base: { start: region.start, lines: lines.base.slice(region.start, region.end) },
    source,
    destination,
  };
}

function assemble(base: string[], hunks: Hunk[], choice: 'source' | 'destination' | undefined): string {
  const parts: string[] = [];
  let at = 0;
  for (const hunk of hunks) {
    parts.push(...base.slice(at, hunk.base.start), ...settle(hunk, choice));
    at = hunk.base.start + hunk.base.lines.length;
  }
  return [...parts, ...base.slice(at)].join('');
}

function settle(hunk: Hunk, choice: 'source' | 'destination' | undefined): string[] {
  if (hunk.conflict && choice) return hunk[choice].lines;
  const unchanged = hunk.source.lines.join('') === hunk.base.lines.join('');
  return unchanged ? hunk.destination.lines : hunk.source.lines;
}

/** Lines with their ends; the last one may have none. */
function splitLines(text: string): string[] {
  return text.match(/[^\n]*\n|[^\n]+$/g) ?? [];
}
