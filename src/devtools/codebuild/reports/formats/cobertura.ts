/**
 * COBERTURAXML. Several classes may be of one file, and some tools list a line once for its method and again for its class: lines are counted once
 * for each file.
 */
import { copied, countOf, type FileCoverage, type Findings } from './result.ts';
import { MalformedReport, type XmlElement, type XmlHandler } from './xml-reader.ts';

/** characters */
const MAX_PATH = 5000;
/** All are held until the end. */
const MAX_FILES = 200_000;

interface Lines {
  /** Number → was it run. */
  hit: Map<number, boolean>;
  /** Number → branches covered and all, of lines that have some. */
  branches: Map<number, [covered: number, total: number]>;
}

export class CoberturaReader implements XmlHandler {
  readonly #findings: Findings;
  readonly #files = new Map<string, Lines>();
  #file: Lines | undefined;

  constructor(findings: Findings) {
    this.#findings = findings;
  }

  open({ name, attributes }: XmlElement): void {
    if (name === 'class') {
      const path = copied(attributes.get('filename') || attributes.get('name') || '', MAX_PATH);
      this.#file = this.#files.get(path) ?? { hit: new Map(), branches: new Map() };
      this.#files.set(path, this.#file);
      if (this.#files.size > MAX_FILES) throw new MalformedReport(`it has more than ${MAX_FILES} files`);
    } else if (name === 'line' && this.#file) addLine(this.#file, attributes);
  }

  close({ name }: XmlElement): void {
    if (name === 'class') this.#file = undefined;
    if (name !== 'coverage') return;
    for (const [filePath, lines] of this.#files) this.#findings.coverage(summary(filePath, lines));
  }
}

function addLine({ hit, branches }: Lines, attributes: Map<string, string>): void {
  const number = countOf(attributes.get('number'));
  // Counts of hits may be larger than any integer of ours.
  hit.set(number, hit.get(number) === true || Number(attributes.get('hits') ?? 0) > 0);
  const [, covered, total] = /\((\d{1,9})\/(\d{1,9})\)/.exec(attributes.get('condition-coverage') ?? '') ?? [];
  if (attributes.get('branch')?.toLowerCase() !== 'true' || total === undefined) return;
  const before = branches.get(number) ?? [0, 0];
  branches.set(number, [Math.max(before[0], Number(covered)), Math.max(before[1], Number(total))]);
}

function summary(filePath: string, { hit, branches }: Lines): FileCoverage {
  let linesCovered = 0;
  for (const covered of hit.values()) linesCovered += Number(covered);
  let branchesCovered = 0;
  let allBranches = 0;
  for (const [covered, total] of branches.values()) {
    branchesCovered += Math.min(covered, total);
    allBranches += total;
  }
  return { filePath, linesCovered, linesMissed: hit.size - linesCovered, branchesCovered, branchesMissed: allBranches - branchesCovered };
}
