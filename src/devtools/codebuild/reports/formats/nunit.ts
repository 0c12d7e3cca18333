/**
 * NUNITXML and NUNIT3XML. How results of version 2 map to statuses is taken from AWS's own example of a report, which shows NUnit's mock assembly:
 * inconclusive and not runnable tests are errors there.
 */
import { type CaseStatus, type Findings, secondsToNs } from './result.ts';
import type { XmlElement, XmlHandler } from './xml-reader.ts';

const STATUSES_2: Record<string, CaseStatus> = {
  Success: 'SUCCEEDED',
  Failure: 'FAILED',
  Error: 'ERROR',
  Inconclusive: 'ERROR',
  NotRunnable: 'ERROR',
  Invalid: 'ERROR',
  Cancelled: 'ERROR',
  Ignored: 'SKIPPED',
  Skipped: 'SKIPPED',
};
const STATUSES_3: Record<string, CaseStatus> = {
  Passed: 'SUCCEEDED',
  Warning: 'SUCCEEDED',
  Failed: 'FAILED',
  Skipped: 'SKIPPED',
  Inconclusive: 'UNKNOWN',
};
/** With `Failed`: not an assertion that failed, but something else. */
const ERROR_LABELS = new Set(['Error', 'Invalid', 'Cancelled']);

interface Case {
  attributes: Map<string, string>;
  message: string | undefined;
  trace: string;
}

class NUnitReader implements XmlHandler {
  readonly #found: (found: Case, suite: string) => void;
  readonly #suites: string[] = [];
  #case: Case | undefined;

  constructor(found: (found: Case, suite: string) => void) {
    this.#found = found;
  }

  open({ name, attributes }: XmlElement): void {
    if (name === 'test-suite') this.#suites.push(attributes.get('fullname') ?? attributes.get('name') ?? '');
    if (name === 'test-case') this.#case = { attributes, message: undefined, trace: '' };
  }

  close({ name, parent }: XmlElement, text: string): void {
    if (name === 'test-suite') this.#suites.pop();
    else if (name === 'test-case') this.#end();
    else if (this.#case && parent?.parent?.name === 'test-case' && (parent.name === 'failure' || parent.name === 'reason')) {
      if (name === 'message') this.#case.message = text;
      if (name === 'stack-trace') this.#case.trace = text;
    }
  }

  #end(): void {
    if (this.#case) this.#found(this.#case, this.#suites.at(-1) ?? '');
    this.#case = undefined;
  }
}

export function nunit2Reader(findings: Findings): XmlHandler {
  return new NUnitReader((found, suite) => {
    const { attributes } = found;
    const name = attributes.get('name') ?? '';
    findings.testCase({
      prefix: prefixOf(name),
      name,
      suite,
      status: STATUSES_2[attributes.get('result') ?? ''] ?? old(attributes),
      duration: secondsToNs(attributes.get('time')),
      message: messageOf(found),
    });
  });
}

export function nunit3Reader(findings: Findings): XmlHandler {
  return new NUnitReader((found, suite) => {
    const { attributes } = found;
    const name = attributes.get('fullname') ?? attributes.get('name') ?? '';
    const failed = attributes.get('result') === 'Failed' && ERROR_LABELS.has(attributes.get('label') ?? '');
    findings.testCase({
      prefix: attributes.get('classname') ?? prefixOf(name),
      name,
      suite,
      status: failed ? 'ERROR' : (STATUSES_3[attributes.get('result') ?? ''] ?? 'UNKNOWN'),
      duration: secondsToNs(attributes.get('duration')),
      message: messageOf(found),
    });
  });
}

/** Before version 2.5 there was no `result`. */
function old(attributes: Map<string, string>): CaseStatus {
  if (attributes.get('executed') === 'False') return 'SKIPPED';
  const success = attributes.get('success');
  if (success === undefined) return 'UNKNOWN';
  return success === 'True' ? 'SUCCEEDED' : 'FAILED';
}

/** `Space.Fixture` of `Space.Fixture.Method(1.5,"a.b")`. */
function prefixOf(name: string): string {
  const plain = name.split('(', 1)[0]!;
  return plain.slice(0, Math.max(0, plain.lastIndexOf('.')));
}

function messageOf({ message, trace }: Case): string {
  return message === undefined ? '' : `${message.trim()}\n${trace}`;
}
