/** CLOVERXML, as OpenClover, Istanbul and PHPUnit print it. What it counts are statements; they are the API's lines. */
import { countOf, type Findings } from './result.ts';
import type { XmlElement, XmlHandler } from './xml-reader.ts';

export class CloverReader implements XmlHandler {
  readonly #findings: Findings;
  #metrics: Map<string, string> | undefined;

  constructor(findings: Findings) {
    this.#findings = findings;
  }

  open({ name, attributes, parent }: XmlElement): void {
    if (name === 'file') this.#metrics = undefined;
    // Classes in the file have metrics of their own.
    if (name === 'metrics' && parent?.name === 'file') this.#metrics = attributes;
  }

  close({ name, attributes, parent }: XmlElement): void {
    if (name !== 'file' || !this.#metrics || isOfTests(parent)) return;
    const [lines, linesCovered] = [countOf(this.#metrics.get('statements')), countOf(this.#metrics.get('coveredstatements'))];
    const [branches, branchesCovered] = [countOf(this.#metrics.get('conditionals')), countOf(this.#metrics.get('coveredconditionals'))];
    this.#findings.coverage({
      filePath: attributes.get('path') || attributes.get('name') || '',
      linesCovered: Math.min(linesCovered, lines),
      linesMissed: Math.max(0, lines - linesCovered),
      branchesCovered: Math.min(branchesCovered, branches),
      branchesMissed: Math.max(0, branches - branchesCovered),
    });
  }
}

/** OpenClover tells the coverage of the tests themselves too. */
function isOfTests(element: XmlElement | undefined): boolean {
  for (let each = element; each; each = each.parent) if (each.name === 'testproject') return true;
  return false;
}
