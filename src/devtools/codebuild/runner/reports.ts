/** UPLOAD_ARTIFACTS: which files each report has. Also a failed build's reports are collected: they tell why. */
import { ReportFailure } from '../reports/failure.ts';
import type { CollectedReport } from '../reports/read-report.ts';
import { assembleFiles, type UploadOptions } from './artifacts.ts';
import { discoverReports } from './discover-reports.ts';

/** What went wrong, one text for each report of the buildspec that could not be made, as CodeBuild words it. */
export async function collectReports(options: UploadOptions): Promise<string[]> {
  const failures: string[] = [];
  /** Absolute paths. */
  const named = new Set<string>();
  for (const [group, { files, format, baseDirectory, discardPaths }] of options.spec.reports) {
    const { selections } = await assembleFiles(options, { files, baseDirectory, excludePaths: [], enableSymlinks: false });
    for (const selection of selections) for (const file of selection.files) named.add(`${selection.baseDirectory}/${file}`);
    const failure = await store(options, { group, format, discardPaths, selections });
    if (failure !== undefined) failures.push(`${group}: [${failure}]`);
  }
  await collectDiscovered(options, named);
  return failures;
}

/** Those that nobody asked for do not fail a build: its role may well not be allowed to make them. */
async function collectDiscovered(options: UploadOptions, named: Set<string>): Promise<void> {
  const { sourceDirectory, log, signal } = options;
  const discovered = await discoverReports(options).catch((error: Error) => {
    // A disk that the build has filled, for one.
    signal.throwIfAborted();
    log.agent(`Reports could not be looked for: ${error.message}`);
    return new Map<never, never>();
  });
  for (const [format, found] of discovered) {
    const files = found.filter((file) => !named.has(`${sourceDirectory}/${file}`));
    if (files.length === 0) continue;
    log.agent(`Found ${files.length} ${format} report file(s) that the buildspec does not name`);
    const selection = { baseDirectory: sourceDirectory, files, unmatched: [], skippedLinks: [], skippedNames: [] };
    await store(options, { group: `${format}-AutoDiscovered`, format, discardPaths: false, selections: [selection] });
  }
}

/** Why it could not be made, if so. */
async function store({ machine, world, log, signal }: UploadOptions, report: CollectedReport): Promise<string | undefined> {
  try {
    await world.storeReport(machine, report, log, signal);
    return undefined;
  } catch (error) {
    if (!(error instanceof ReportFailure)) throw error;
    log.agent(`Report ${report.group} could not be made: ${error.message}`);
    return error.message;
  }
}
