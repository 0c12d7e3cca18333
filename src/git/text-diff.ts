/** Two texts line by line, by git's own diff, a page at a time: a text may have millions of lines, and as many differences. */
import type { GitPlace } from './program.ts';
import { exitOf, spawnGit } from './program.ts';

export interface TextHunk {
  /** Counted from 1; where a side has no lines, the line before, as git names it. */
  beforeStart: number;
  beforeCount: number;
  afterStart: number;
  afterCount: number;
  lines: DiffLine[];
}

export interface DiffLine {
  sign: ' ' | '+' | '-';
  /** Without its line feed. */
  text: string;
}

export interface PageOptions {
  /** The first hunk that is wanted, counted from 0. */
  from: number;
  /** How many are wanted; there are fewer where they are long. */
  limit: number;
  /** A hunk with more lines is given in parts, which count as hunks. */
  maxLines: number;
  /** With more lines than this the page takes no further hunk. */
  maxPageLines: number;
}

export interface HunkPage {
  hunks: TextHunk[];
  /** There are hunks behind these. */
  more: boolean;
}

const LINE_FEED = 0x0a;
const header = /^@@ -(\d+)(?:,\d+)? \+(\d+)(?:,\d+)? @@/;

/** Hunks from the top of the file to its end, with `context` unchanged lines around each change. Both blobs must be there. */
export async function diffText(
  place: GitPlace,
  before: string,
  after: string,
  options: PageOptions & { context: number; ignoreWhitespace: boolean },
): Promise<HunkPage> {
  const page = new PageReader(options);
  if (before === after) return page;
  const { context, ignoreWhitespace } = options;
  const args = ['diff', '--no-ext-diff', '--no-textconv', '--no-color', '--text', `-U${context}`, ...(ignoreWhitespace ? ['-w'] : [])];
  const child = spawnGit([...args, before, after], { place });
  const exit = exitOf(child);
  child.stdin!.end();
  let complaint = '';
  child.stderr!.on('data', (chunk: Buffer) => {
    complaint = (complaint + chunk).slice(-2000);
  });
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of child.stdout! as AsyncIterable<Buffer>) {
    const data = rest.length > 0 ? Buffer.concat([rest, chunk]) : chunk;
    let start = 0;
    for (let end = data.indexOf(LINE_FEED); end >= 0 && !page.more; end = data.indexOf(LINE_FEED, start)) {
      page.read(data.subarray(start, end));
      start = end + 1;
    }
    // Leaving the loop closes the pipe.
    if (page.more) break;
    rest = data.subarray(start);
  }
  if (page.more) child.kill();
  const { code } = await exit;
  if (code !== 0 && !page.more) throw new Error(`Comparing ${before} with ${after} failed: ${complaint.trim()}`);
  return page;
}

/** All lines of a file that was not there before. */
export function addedText(text: Buffer, options: PageOptions): HunkPage {
  const page = new PageReader(options);
  if (text.length > 0) page.begin(0, 1);
  for (let start = 0; start < text.length && !page.more; ) {
    const feed = text.indexOf(LINE_FEED, start);
    const end = feed < 0 ? text.length : feed;
    page.add('+', text, start, end);
    start = end + 1;
  }
  return page;
}

/** Takes the lines of a patch and keeps those of one page. */
class PageReader implements HunkPage {
  readonly hunks: TextHunk[] = [];
  more = false;
  readonly #options: PageOptions;
  /** The hunk being read; before the first one there is none. */
  #current: (TextHunk & { count: number }) | undefined;
  #index = -1;
  #pageLines = 0;

  constructor(options: PageOptions) {
    this.#options = options;
  }

  /** One line of git's patch. */
  read(line: Buffer): void {
    const sign = String.fromCharCode(line[0] ?? 0);
    if (sign === '@') {
      const [, before, after] = header.exec(line.toString('latin1', 0, 80))!;
      this.begin(Number(before), Number(after));
    } else if ((sign === ' ' || sign === '+' || sign === '-') && this.#current) {
      // Before the first hunk these are the names of the files. What begins otherwise is a remark on a missing line feed.
      this.add(sign, line, 1, line.length);
    }
  }

  begin(beforeStart: number, afterStart: number): void {
    this.#index++;
    this.#current = { beforeStart, beforeCount: 0, afterStart, afterCount: 0, lines: [], count: 0 };
    const { from, limit, maxPageLines } = this.#options;
    if (this.#index < from) return;
    if (this.hunks.length === limit || this.#pageLines > maxPageLines) this.more = true;
    else this.hunks.push(this.#current);
  }

  add(sign: DiffLine['sign'], data: Buffer, start: number, end: number): void {
    let hunk = this.#current!;
    if (hunk.count >= this.#options.maxLines) {
      this.begin(hunk.beforeStart + hunk.beforeCount, hunk.afterStart + hunk.afterCount);
      hunk = this.#current!;
    }
    hunk.count++;
    if (sign !== '+') hunk.beforeCount++;
    if (sign !== '-') hunk.afterCount++;
    if (this.#index < this.#options.from || this.more) return;
    hunk.lines.push({ sign, text: data.toString('utf8', start, end) });
    this.#pageLines++;
  }
}
