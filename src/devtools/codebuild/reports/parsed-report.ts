/** Report files put together to what is stored of them, within the limits of the service (CodeBuild user guide, "Quotas" and "Test report statuses"). */
import { FORMATS, type FormatName, readReportFile } from './formats/formats.ts';
import {
  CASE_STATUSES,
  type CaseStatus,
  copied,
  type FileCoverage,
  type Findings,
  OtherFormat,
  type ReportType,
  type TestCase,
} from './formats/result.ts';
import { MalformedReport } from './formats/xml-reader.ts';

/** One of the files of a report. */
export interface ReportFile {
  /** As the build named it. */
  name: string;
  /** Where it is on this host. */
  path: string;
}

export type StoredCase = TestCase & { file: string };

export interface ParsedReport {
  type: ReportType;
  /** Those that are kept, in the order of the files. */
  cases: StoredCase[];
  /** All, also those that are not kept. */
  statusCounts: Record<CaseStatus, number>;
  /** ns */
  duration: number;
  coverage: FileCoverage[];
  /** There was more than is kept. */
  truncated: boolean;
  /** Files that are not of this format at all. */
  skipped: { name: string; reason: string }[];
  /** Files that are, but cannot be read to their end. */
  malformed: { name: string; reason: string }[];
}

const MAX_CASES = 500;
const MAX_NAME = 1000;
const MAX_MESSAGE = 5000;
/** Not a limit of AWS's: what a report of a file per line of a listing would come to. */
const MAX_COVERED_FILES = 100_000;

export async function parseReport(format: FormatName, files: ReportFile[]): Promise<ParsedReport> {
  const collector = new Collector();
  const skipped: ParsedReport['skipped'] = [];
  const malformed: ParsedReport['malformed'] = [];
  for (const { name, path } of files) {
    collector.file = name;
    try {
      await readReportFile(format, path, collector);
    } catch (error) {
      if (error instanceof OtherFormat) skipped.push({ name, reason: error.message });
      else if (error instanceof MalformedReport) malformed.push({ name, reason: error.message });
      else throw error;
    }
  }
  return { type: FORMATS[format].type, ...collector.result(), skipped, malformed };
}

class Collector implements Findings {
  file = '';
  readonly #counts = Object.fromEntries(CASE_STATUSES.map((status) => [status, 0])) as Record<CaseStatus, number>;
  #duration = 0;
  /** Those that did not go well are kept before all others. */
  readonly #failed: (StoredCase & { order: number })[] = [];
  readonly #others: (StoredCase & { order: number })[] = [];
  readonly #coverage: FileCoverage[] = [];
  #coveredFiles = 0;
  #cases = 0;

  testCase(found: TestCase): StoredCase | undefined {
    const order = this.#cases++;
    this.#counts[found.status] += 1;
    this.#duration = Math.min(this.#duration + found.duration, Number.MAX_SAFE_INTEGER);
    const kept = found.status === 'FAILED' || found.status === 'ERROR' ? this.#failed : this.#others;
    if (kept.length >= MAX_CASES) return undefined;
    const { status, duration } = found;
    const stored = {
      order,
      file: this.file,
      prefix: copied(found.prefix, MAX_NAME),
      name: copied(found.name, MAX_NAME),
      suite: copied(found.suite, MAX_NAME),
      message: copied(found.message, MAX_MESSAGE),
      status,
      duration,
    };
    kept.push(stored);
    return stored;
  }

  coverage(found: FileCoverage): void {
    this.#coveredFiles++;
    if (found.filePath === '') found.filePath = this.file;
    if (this.#coverage.length < MAX_COVERED_FILES) this.#coverage.push({ ...found, filePath: copied(found.filePath, MAX_MESSAGE) });
  }

  result(): Pick<ParsedReport, 'cases' | 'statusCounts' | 'duration' | 'coverage' | 'truncated'> {
    const kept = [...this.#failed, ...this.#others].slice(0, MAX_CASES).sort((a, b) => a.order - b.order);
    return {
      cases: kept.map(({ order: _, ...found }) => found),
      statusCounts: this.#counts,
      duration: this.#duration,
      coverage: this.#coverage,
      truncated: this.#cases > MAX_CASES || this.#coveredFiles > this.#coverage.length,
    };
  }
}
