/** Two texts line by line, by git's own diff. Lines are looked at only as they are asked for: a text may have millions of them. */
import type { GitPlace } from './program.ts';
import { runGit } from './program.ts';

export interface TextHunk {
  /** Counted from 1; where a side has no lines, the line before, as git names it. */
  beforeStart: number;
  beforeCount: number;
  afterStart: number;
  afterCount: number;
  lines(): DiffLine[];
}

export interface DiffLine {
  sign: ' ' | '+' | '-';
  /** Without its line feed. */
  text: string;
}

const LINE_FEED = 0x0a;
const header = /^@@ -(\d+)(?:,\d+)? \+(\d+)(?:,\d+)? @@/;

export interface DiffOptions {
  /** Unchanged lines around each change. */
  context: number;
  ignoreWhitespace: boolean;
  /** A hunk with more lines is given in parts. */
  maxLines: number;
}

/** Hunks from the top of the file to its end. Both blobs must be there. */
export async function diffText(place: GitPlace, before: string, after: string, options: DiffOptions): Promise<TextHunk[]> {
  if (before === after) return [];
  const { context, ignoreWhitespace, maxLines } = options;
  const args = ['diff', '--no-ext-diff', '--no-textconv', '--no-color', '--text', `-U${context}`, ...(ignoreWhitespace ? ['-w'] : [])];
  const result = await runGit([...args, before, after], { place });
  if (result.code !== 0) throw new Error(`Comparing ${before} with ${after} failed: ${result.stderr.trim()}`);
  const patch = result.stdout;
  const hunks: Hunk[] = [];
  for (let start = 0; start < patch.length; ) {
    const end = lineEnd(patch, start);
    const sign = patch[start];
    if (sign === 0x40) {
      const [, beforeStart, afterStart] = header.exec(patch.toString('latin1', start, Math.min(end, start + 80)))!;
      hunks.push(new Hunk(patch, undefined, Number(beforeStart), Number(afterStart), end));
    } else if (sign === 0x20 || sign === 0x2b || sign === 0x2d) {
      // Before the first hunk these are the names of the files. What begins otherwise is a remark on a missing line feed.
      addLine(hunks, sign, end, maxLines);
    } else hunks.at(-1)?.skipTo(end);
    start = end;
  }
  return hunks;
}

/** All lines of a file that was not there before. */
export function addedText(text: Buffer, maxLines: number): TextHunk[] {
  const hunks: Hunk[] = text.length > 0 ? [new Hunk(text, '+', 0, 1, 0)] : [];
  for (let start = 0; start < text.length; start = lineEnd(text, start)) addLine(hunks, 0x2b, lineEnd(text, start), maxLines);
  return hunks;
}

function lineEnd(data: Buffer, start: number): number {
  const feed = data.indexOf(LINE_FEED, start);
  return feed < 0 ? data.length : feed + 1;
}

function addLine(hunks: Hunk[], sign: number, end: number, maxLines: number): void {
  let hunk = hunks.at(-1);
  if (!hunk) return;
  if (hunk.count >= maxLines) {
    hunk = hunk.continued();
    hunks.push(hunk);
  }
  hunk.add(sign, end);
}

class Hunk implements TextHunk {
  readonly beforeStart: number;
  readonly afterStart: number;
  beforeCount = 0;
  afterCount = 0;
  count = 0;
  readonly #data: Buffer;
  /** Of every line, where the data has no signs. */
  readonly #sign: '+' | undefined;
  readonly #from: number;
  #to: number;

  constructor(data: Buffer, sign: '+' | undefined, beforeStart: number, afterStart: number, from: number) {
    this.#data = data;
    this.#sign = sign;
    this.beforeStart = beforeStart;
    this.afterStart = afterStart;
    this.#from = from;
    this.#to = from;
  }

  add(sign: number, end: number): void {
    this.count++;
    if (sign !== 0x2b) this.beforeCount++;
    if (sign !== 0x2d) this.afterCount++;
    this.#to = end;
  }

  skipTo(end: number): void {
    this.#to = end;
  }

  /** The empty hunk that comes right behind. */
  continued(): Hunk {
    return new Hunk(this.#data, this.#sign, this.beforeStart + this.beforeCount, this.afterStart + this.afterCount, this.#to);
  }

  lines(): DiffLine[] {
    const lines = this.#data.toString('utf8', this.#from, this.#to).split('\n');
    if (lines.at(-1) === '') lines.pop();
    if (this.#sign) return lines.map((text) => ({ sign: this.#sign!, text }));
    return lines.filter((line) => /^[ +-]/.test(line)).map((line) => ({ sign: line[0] as DiffLine['sign'], text: line.slice(1) }));
  }
}
