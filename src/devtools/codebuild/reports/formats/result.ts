/** What is read out of report files, whatever their format. */
export type ReportType = 'TEST' | 'CODE_COVERAGE';

export const CASE_STATUSES = ['SUCCEEDED', 'FAILED', 'ERROR', 'SKIPPED', 'UNKNOWN'] as const;
export type CaseStatus = (typeof CASE_STATUSES)[number];

export interface TestCase {
  /** What the test belongs to: its class, fixture or feature. */
  prefix: string;
  name: string;
  suite: string;
  status: CaseStatus;
  /** ns */
  duration: number;
  message: string;
}

export interface FileCoverage {
  filePath: string;
  linesCovered: number;
  linesMissed: number;
  branchesCovered: number;
  branchesMissed: number;
}

/** Where a format's reader puts what it finds, in the order of the file. */
export interface Findings {
  /** What is kept of it, for whoever learns more of it later; undefined when nothing is. */
  testCase(found: TestCase): TestCase | undefined;
  coverage(found: FileCoverage): void;
}

/** The file may be well formed but is no report of this kind: its root element or its outermost shape is another. */
export class OtherFormat extends Error {
  override readonly name = 'OtherFormat';
}

/**
 * ns of seconds as tools print them: `0.012`, `1,234.5` with groups, `0,012` where the decimal mark is a comma, `1e-05`. What is no time is 0.
 */
export function secondsToNs(text: string | undefined): number {
  const given = (text ?? '').trim();
  const plain = given.includes('.') || given.split(',').length > 2 ? given.replaceAll(',', '') : given.replace(',', '.');
  return toNs(Number(plain), 1e9);
}

export function msToNs(text: string | undefined): number {
  return toNs(Number(text ?? ''), 1e6);
}

export function toNs(value: number, unit: number): number {
  const ns = Math.round(value * unit);
  return Number.isSafeInteger(ns) && ns > 0 ? ns : 0;
}

/** A number of things, as tools write it; what is none is 0. */
export function countOf(text: string | undefined): number {
  const count = Number(text ?? '');
  return Number.isInteger(count) && count > 0 ? Math.min(count, MAX_COUNT) : 0;
}

/**
 * At most so many characters, such as any row and any JSON can hold. A copy: a part of a string would keep alive all of what was read with it.
 */
export function copied(text: string, length: number): string {
  return Buffer.from(text.slice(0, length)).toString().replaceAll('\0', '\uFFFD');
}

/** What the API's integers hold. */
const MAX_COUNT = 2 ** 31 - 1;
