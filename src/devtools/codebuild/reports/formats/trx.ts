/** VISUALSTUDIOTRX: results come first, and the classes of the tests they are of only after them. */
import { type CaseStatus, copied, type Findings, type TestCase, toNs } from './result.ts';
import type { XmlElement, XmlHandler } from './xml-reader.ts';

const STATUSES: Record<string, CaseStatus> = {
  Passed: 'SUCCEEDED',
  Completed: 'SUCCEEDED',
  Warning: 'SUCCEEDED',
  Failed: 'FAILED',
  Error: 'ERROR',
  Timeout: 'ERROR',
  Aborted: 'ERROR',
  NotRunnable: 'ERROR',
  Disconnected: 'ERROR',
  PassedButRunAborted: 'ERROR',
  NotExecuted: 'SKIPPED',
};

/** characters, as for all prefixes. */
const MAX_CLASS = 1000;

interface Result {
  attributes: Map<string, string>;
  /** One of several runs of a test with data; then only those count. */
  hasInner: boolean;
}

export class TrxReader implements XmlHandler {
  readonly #findings: Findings;
  readonly #open: Result[] = [];
  /** Those that are kept wait for their classes. */
  readonly #waiting: { found: TestCase; testId: string }[] = [];
  /** By the test's id. */
  readonly #classes = new Map<string, string>();
  #message = '';
  #trace = '';

  constructor(findings: Findings) {
    this.#findings = findings;
  }

  open(element: XmlElement): void {
    const { name, attributes } = element;
    if (name === 'TestMethod' && element.parent?.name === 'UnitTest') {
      const id = element.parent.attributes.get('id') ?? '';
      this.#classes.set(copied(id, MAX_CLASS), copied(attributes.get('className') ?? '', MAX_CLASS));
    }
    if (name !== 'UnitTestResult') return;
    for (const outer of this.#open) outer.hasInner = true;
    this.#message = '';
    this.#trace = '';
    this.#open.push({ attributes, hasInner: false });
  }

  close({ name, parent }: XmlElement, text: string): void {
    if (name === 'Message' && parent?.name === 'ErrorInfo') this.#message = text.trim();
    else if (name === 'StackTrace' && parent?.name === 'ErrorInfo') this.#trace = text.trim();
    else if (name === 'UnitTestResult') this.#end();
    else if (name === 'TestRun') this.#tell();
  }

  #end(): void {
    const { attributes, hasInner } = this.#open.pop()!;
    if (hasInner) return;
    const found = this.#findings.testCase({ ...caseOf(attributes), message: `${this.#message}\n${this.#trace}`.trim() });
    if (found) this.#waiting.push({ found, testId: attributes.get('testId') ?? '' });
  }

  #tell(): void {
    for (const { found, testId } of this.#waiting) {
      found.prefix = this.#classes.get(testId) ?? '';
      found.suite = found.prefix;
    }
  }
}

function caseOf(attributes: Map<string, string>): TestCase {
  return {
    prefix: '',
    suite: '',
    name: attributes.get('testName') ?? '',
    status: STATUSES[attributes.get('outcome') ?? ''] ?? 'UNKNOWN',
    duration: timeSpan(attributes.get('duration')),
    message: '',
  };
}

/** ns of .NET's `[days.]hours:minutes:seconds[.fraction]` */
function timeSpan(text: string | undefined): number {
  const [, days = '0', hours, minutes, seconds] = /^(?:(\d{1,8})\.)?(\d{1,3}):(\d{1,2}):(\d{1,2}(?:\.\d{1,9})?)$/.exec(text ?? '') ?? [];
  if (hours === undefined) return 0;
  return toNs(((Number(days) * 24 + Number(hours)) * 60 + Number(minutes)) * 60 + Number(seconds), 1e9);
}
