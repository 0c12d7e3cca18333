/** VISUALSTUDIOTRX: results come first, and the classes of the tests they are of only after them. */
import { type CaseStatus, type Findings, type TestCase, toNs } from './result.ts';
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

interface Result {
  found: TestCase;
  testId: string;
  /** One of several runs of a test with data; then only those count. */
  hasInner: boolean;
}

export class TrxReader implements XmlHandler {
  readonly #findings: Findings;
  readonly #open: Result[] = [];
  readonly #results: Result[] = [];
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
      this.#classes.set(element.parent.attributes.get('id') ?? '', attributes.get('className') ?? '');
    }
    if (name !== 'UnitTestResult') return;
    for (const outer of this.#open) outer.hasInner = true;
    this.#message = '';
    this.#trace = '';
    this.#open.push({ testId: attributes.get('testId') ?? '', hasInner: false, found: caseOf(attributes) });
  }

  close({ name, parent }: XmlElement, text: string): void {
    if (name === 'Message' && parent?.name === 'ErrorInfo') this.#message = text.trim();
    else if (name === 'StackTrace' && parent?.name === 'ErrorInfo') this.#trace = text.trim();
    else if (name === 'UnitTestResult') this.#end();
    else if (name === 'TestRun') this.#tell();
  }

  #end(): void {
    const result = this.#open.pop()!;
    if (result.hasInner) return;
    result.found.message = `${this.#message}\n${this.#trace}`.trim();
    this.#results.push(result);
  }

  #tell(): void {
    for (const { found, testId } of this.#results) {
      const prefix = this.#classes.get(testId) ?? '';
      this.#findings.testCase({ ...found, prefix, suite: prefix });
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
