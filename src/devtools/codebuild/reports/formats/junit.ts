/** JUNITXML: what Surefire, Gradle, pytest, jest-junit, Go's and many others print. There is no one schema; this reads what they have in common. */
import { type CaseStatus, type Findings, secondsToNs } from './result.ts';
import type { XmlElement, XmlHandler } from './xml-reader.ts';

/** The worst one of a test counts. */
const OUTCOMES: Record<string, CaseStatus> = { error: 'ERROR', failure: 'FAILED', skipped: 'SKIPPED' };
/** What GoogleTest and CTest say of tests that did not run, in `status` or `result`. */
const NOT_RUN = new Set(['notrun', 'disabled', 'suppressed', 'skipped']);
const RANK: CaseStatus[] = ['SUCCEEDED', 'SKIPPED', 'FAILED', 'ERROR'];

export class JUnitReader implements XmlHandler {
  readonly #findings: Findings;
  readonly #suites: string[] = [];
  #status: CaseStatus = 'SUCCEEDED';
  #message = '';

  constructor(findings: Findings) {
    this.#findings = findings;
  }

  open({ name, attributes }: XmlElement): void {
    if (name === 'testsuite') this.#suites.push(attributes.get('name') ?? '');
    if (name !== 'testcase') return;
    const notRun = [attributes.get('status'), attributes.get('result')].some((text) => NOT_RUN.has(text ?? ''));
    this.#status = notRun ? 'SKIPPED' : 'SUCCEEDED';
    this.#message = '';
  }

  close({ name, attributes, parent }: XmlElement, text: string): void {
    if (name === 'testsuite') this.#suites.pop();
    else if (name === 'testcase') this.#found(attributes);
    else if (parent?.name === 'testcase' && Object.hasOwn(OUTCOMES, name)) this.#outcome(OUTCOMES[name]!, attributes, text.trim());
  }

  #outcome(status: CaseStatus, attributes: Map<string, string>, text: string): void {
    const worse = RANK.indexOf(status) - RANK.indexOf(this.#status);
    if (worse < 0 || (worse === 0 && this.#message !== '')) return;
    this.#status = status;
    const message = attributes.get('message') ?? '';
    // Many repeat the message at the head of the trace.
    this.#message = text.includes(message) ? text : `${message}\n${text}`.trim();
  }

  #found(attributes: Map<string, string>): void {
    const suite = this.#suites.at(-1) ?? '';
    this.#findings.testCase({
      prefix: attributes.get('classname') || suite,
      name: attributes.get('name') ?? '',
      suite,
      status: this.#status,
      duration: secondsToNs(attributes.get('time')),
      message: this.#message,
    });
  }
}
