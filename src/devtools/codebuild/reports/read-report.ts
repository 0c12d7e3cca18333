/** The files of one report from the machine onto this host, and what is in them. */
import { createWriteStream } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Machine } from '../../../ports/machines/port.ts';
import { packSelected, type Selection } from '../runner/collect.ts';
import type { BuildLog } from '../runner/log.ts';
import { drain, forEachEntry } from '../runner/zip.ts';
import { ReportFailure } from './failure.ts';
import type { FormatName } from './formats/formats.ts';
import { MalformedReport } from './formats/xml-reader.ts';
import { parseFiles } from './parse.ts';
import type { ParsedReport, ReportFile } from './parsed-report.ts';

/** One report as the buildspec describes it. */
export interface CollectedReport {
  /** The ARN of a report group, or a name that becomes one together with the project's. */
  group: string;
  format: FormatName;
  /** Without any files when the base directory is not there, or nothing matches. */
  selections: Selection[];
  discardPaths: boolean;
}

/** Limits of ours: AWS tells none. */
const MAX_FILES = 10_000;
const MAX_FILE_BYTES = 100 * 1024 * 1024;
const MAX_TOTAL_BYTES = 512 * 1024 * 1024;

/** `directory`: on this host, made here; whoever calls removes it. Throws ReportFailure. */
export async function readReport(
  machine: Machine,
  report: CollectedReport,
  directory: string,
  log: BuildLog,
  signal: AbortSignal,
): Promise<{ parsed: ParsedReport; files: ReportFile[] }> {
  const files = await fetchFiles(machine, report, directory, signal);
  const parsed = await parseFiles(report.format, files, signal).catch((error) => {
    throw error instanceof MalformedReport ? new ReportFailure(`error processing ${report.format} report files: ${error.message}`) : error;
  });
  for (const { name, reason } of parsed.skipped) log.agent(`Skipping file ${name}, which is no ${report.format} report: ${reason}`);
  const [broken] = parsed.malformed;
  if (broken) throw new ReportFailure(`error processing ${report.format} report file ${broken.name}: ${broken.reason}`);
  const [other] = parsed.skipped;
  if (other && parsed.skipped.length === files.length) {
    throw new ReportFailure(`error processing ${report.format} report file ${other.name}: ${other.reason}`);
  }
  return { parsed, files };
}

async function fetchFiles(
  machine: Machine,
  { selections, discardPaths }: CollectedReport,
  directory: string,
  signal: AbortSignal,
): Promise<ReportFile[]> {
  const count = selections.reduce((sum, { files }) => sum + files.length, 0);
  if (count === 0) throw new ReportFailure('report files not found in build');
  if (count > MAX_FILES) throw new ReportFailure(`${count} files are more than the ${MAX_FILES} that a report can have`);
  await mkdir(directory, { recursive: true });
  const files: ReportFile[] = [];
  let total = 0;
  const tooMuch = new AbortController();
  for (const selection of selections.filter((each) => each.files.length > 0)) {
    const tar = packSelected(machine, selection, { keepLinks: false, signal: AbortSignal.any([signal, tooMuch.signal]) });
    await forEachEntry(tar, async ({ name: given, type }, stream) => {
      if (type !== 'file') return drain(stream);
      const name = given.replace(/^\.\//, '');
      const limited = new Transform({
        transform(chunk: Buffer, _encoding, done) {
          bytes += chunk.length;
          total += chunk.length;
          done(tooLarge(name, bytes, total), chunk);
        },
      });
      let bytes = 0;
      const file = { name: discardPaths ? path.posix.basename(name) : name, path: path.join(directory, String(files.length)) };
      await pipeline(stream, limited, createWriteStream(file.path));
      files.push(file);
    }).catch((error) => {
      tooMuch.abort();
      signal.throwIfAborted();
      throw error;
    });
  }
  return files;
}

function tooLarge(name: string, bytes: number, total: number): ReportFailure | null {
  if (bytes > MAX_FILE_BYTES) return new ReportFailure(`report file ${name} is larger than ${MAX_FILE_BYTES} bytes`);
  return total > MAX_TOTAL_BYTES ? new ReportFailure(`the report files are larger than ${MAX_TOTAL_BYTES} bytes`) : null;
}
