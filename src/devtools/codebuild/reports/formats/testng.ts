/** TESTNGXML: `testng-results.xml`. Methods that only prepare tests (`is-config`) are no test cases, unless they fail: then they are why tests are missing. */
import { type CaseStatus, type Findings, msToNs } from './result.ts';
import type { XmlElement, XmlHandler } from './xml-reader.ts';

const STATUSES: Record<string, CaseStatus> = { PASS: 'SUCCEEDED', FAIL: 'FAILED', SKIP: 'SKIPPED' };

export class TestNgReader implements XmlHandler {
  readonly #findings: Findings;
  #message = '';
  #trace = '';

  constructor(findings: Findings) {
    this.#findings = findings;
  }

  open({ name }: XmlElement): void {
    if (name !== 'test-method') return;
    this.#message = '';
    this.#trace = '';
  }

  close(element: XmlElement, text: string): void {
    const { name, parent } = element;
    if (name === 'message' && parent?.name === 'exception') this.#message = text.trim();
    else if (name === 'full-stacktrace' && parent?.name === 'exception') this.#trace = text.trim();
    else if (name === 'test-method') this.#found(element);
  }

  #found({ attributes, parent }: XmlElement): void {
    const status = STATUSES[attributes.get('status') ?? ''] ?? 'UNKNOWN';
    if (attributes.get('is-config') === 'true' && status !== 'FAILED') return;
    this.#findings.testCase({
      prefix: (parent?.name === 'class' && parent.attributes.get('name')) || '',
      name: attributes.get('name') ?? '',
      suite: outer(parent, 'test')?.attributes.get('name') ?? outer(parent, 'suite')?.attributes.get('name') ?? '',
      status,
      duration: msToNs(attributes.get('duration-ms')),
      message: this.#trace.includes(this.#message) ? this.#trace || this.#message : `${this.#message}\n${this.#trace}`,
    });
  }
}

function outer(from: XmlElement | undefined, name: string): XmlElement | undefined {
  for (let element = from; element; element = element.parent) if (element.name === name) return element;
  return undefined;
}
