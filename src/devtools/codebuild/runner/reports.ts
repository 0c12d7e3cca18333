/** UPLOAD_ARTIFACTS: which files each report of the buildspec has. Also a failed build's reports are collected: they tell why. */
import { ReportFailure } from '../reports/failure.ts';
import { assembleFiles, type UploadOptions } from './artifacts.ts';

/** What went wrong, one text for each report that could not be made, as CodeBuild words it. */
export async function collectReports(options: UploadOptions): Promise<string[]> {
  const { machine, world, spec, log, signal } = options;
  const failures: string[] = [];
  for (const [group, { files, format, baseDirectory, discardPaths }] of spec.reports) {
    try {
      const { selections } = await assembleFiles(options, { files, baseDirectory, excludePaths: [], enableSymlinks: false });
      await world.storeReport(machine, { group, format, discardPaths, selections }, log, signal);
    } catch (error) {
      if (!(error instanceof ReportFailure)) throw error;
      log.agent(`Report ${group} could not be made: ${error.message}`);
      failures.push(`${group}: [${error.message}]`);
    }
  }
  return failures;
}
