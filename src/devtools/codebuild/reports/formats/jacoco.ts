/** JACOCOXML: the counters of each source file; those of its classes and methods say the same again. */
import { countOf, type FileCoverage, type Findings } from './result.ts';
import type { XmlElement, XmlHandler } from './xml-reader.ts';

export class JacocoReader implements XmlHandler {
  readonly #findings: Findings;
  #file: FileCoverage | undefined;

  constructor(findings: Findings) {
    this.#findings = findings;
  }

  open({ name, attributes, parent }: XmlElement): void {
    if (name === 'sourcefile') {
      const folder = parent?.name === 'package' ? parent.attributes.get('name') : undefined;
      const filePath = [folder, attributes.get('name')].filter(Boolean).join('/');
      this.#file = { filePath, linesCovered: 0, linesMissed: 0, branchesCovered: 0, branchesMissed: 0 };
    } else if (name === 'counter' && parent?.name === 'sourcefile' && this.#file) {
      const [missed, covered] = [countOf(attributes.get('missed')), countOf(attributes.get('covered'))];
      if (attributes.get('type') === 'LINE') Object.assign(this.#file, { linesCovered: covered, linesMissed: missed });
      if (attributes.get('type') === 'BRANCH') Object.assign(this.#file, { branchesCovered: covered, branchesMissed: missed });
    }
  }

  close({ name }: XmlElement): void {
    if (name !== 'sourcefile' || !this.#file) return;
    this.#findings.coverage(this.#file);
    this.#file = undefined;
  }
}
