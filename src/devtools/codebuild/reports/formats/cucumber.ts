/** CUCUMBERJSON: a list of features, each with its scenarios; a test case is a scenario. Times of steps are in ns. */
import { type CaseStatus, type Findings, OtherFormat, toNs } from './result.ts';

interface Step {
  keyword: string;
  name: string;
  status: string;
  duration: number;
  message: string;
}

export function readCucumber(document: unknown, findings: Findings): void {
  if (
    !Array.isArray(document) ||
    !document.every((feature) => isObject(feature) && (feature.elements === undefined || Array.isArray(feature.elements)))
  ) {
    throw new OtherFormat('it is no list of features');
  }
  for (const feature of document) readFeature(feature, findings);
}

function readFeature(feature: Record<string, unknown>, findings: Findings): void {
  const name = textOf(feature.name) || textOf(feature.uri);
  /** The background stands before each scenario, and its steps are steps of that scenario. */
  let background: Step[] = [];
  for (const element of listOf(feature.elements)) {
    const steps = [...listOf(element.before), ...listOf(element.steps), ...listOf(element.after)].map(stepOf);
    if (element.type === 'background') {
      background = steps;
      continue;
    }
    const all = [...background, ...steps];
    background = [];
    findings.testCase({
      prefix: name,
      name: textOf(element.name),
      suite: name,
      status: statusOf(all),
      duration: all.reduce((sum, step) => sum + step.duration, 0),
      message: messageOf(all),
    });
  }
}

function stepOf(step: Record<string, unknown>): Step {
  const result = isObject(step.result) ? step.result : {};
  return {
    keyword: textOf(step.keyword),
    name: textOf(step.name),
    status: textOf(result.status).toLowerCase(),
    duration: toNs(Number(result.duration ?? 0), 1),
    message: textOf(result.error_message),
  };
}

/** A scenario whose steps are not all there has shown nothing: its status is unknown. */
function statusOf(steps: Step[]): CaseStatus {
  const has = (...statuses: string[]) => steps.some((step) => statuses.includes(step.status));
  if (has('failed')) return 'FAILED';
  if (has('undefined', 'ambiguous', 'unknown')) return 'UNKNOWN';
  if (has('skipped', 'pending', 'disabled')) return 'SKIPPED';
  return steps.length > 0 && steps.every((step) => step.status === 'passed') ? 'SUCCEEDED' : 'UNKNOWN';
}

function messageOf(steps: Step[]): string {
  const told = steps.find((step) => step.status === 'failed') ?? steps.find((step) => !['passed', 'skipped'].includes(step.status));
  if (!told) return '';
  return told.message || `${told.keyword.trim()} ${told.name}: ${told.status || 'no result'}`.trim();
}

function listOf(value: unknown): Record<string, unknown>[] {
  return Array.isArray(value) ? value.filter(isObject) : [];
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
