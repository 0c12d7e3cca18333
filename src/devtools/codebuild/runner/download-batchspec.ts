/** The first build of a batch: fetches the source and reads the buildspec that has the batch section. No command of the user's runs. */
import { parseBatch } from '../buildspec/batch.ts';
import { BuildspecError } from '../buildspec/yaml-tree.ts';
import { codebuildDirectory } from './layout.ts';
import { readBuildspec } from './load-buildspec.ts';
import { BuildFailure, BuildInterrupt, outcomeOf, type PhaseOutcome, SUCCEEDED } from './outcome.ts';
import type { BuildResult, RunOptions } from './run-build.ts';

/** Begins in phase DOWNLOAD_SOURCE and leaves in FINALIZING, like `runBuild`; with the buildspec's text when there is one that can be read. */
export async function downloadBatchspec(options: RunOptions): Promise<BuildResult & { batchspec?: string }> {
  const { log, signal, world } = options;
  let batchspec: string | undefined;
  let outcome: PhaseOutcome = SUCCEEDED;
  try {
    signal.throwIfAborted();
    batchspec = await fetchBatchspec(options);
  } catch (error) {
    // As in runBuild: a build that is not this process's to go on with is left alone.
    if (signal.aborted && !(signal.reason instanceof BuildInterrupt)) throw signal.reason;
    outcome = outcomeOf(signal.aborted ? signal.reason : error);
  }
  const [context] = outcome.contexts;
  log.agent(`Phase complete: DOWNLOAD_SOURCE State: ${outcome.status}`);
  log.agent(`Phase context status code: ${context?.statusCode ?? ''} Message: ${context?.message ?? ''}`);
  await world.enterPhases([{ outcome, phase: 'FINALIZING' }]);
  return { status: outcome.status, exportedVariables: [], retry: undefined, ...(batchspec === undefined ? {} : { batchspec }) };
}

async function fetchBatchspec(options: RunOptions): Promise<string> {
  const { machine, world, log, signal } = options;
  log.agent('Waiting for DOWNLOAD_SOURCE');
  const sources = await world.fetchSources(machine, `${codebuildDirectory(machine)}/output/src`, log, signal);
  log.agent('Phase is DOWNLOAD_SOURCE');
  const text = await readBuildspec(options, sources.directory);
  try {
    const { builds, warnings } = parseBatch(text);
    for (const warning of warnings) log.agent(warning);
    log.agent(`Builds found in the batch section: ${builds.map(({ identifier }) => identifier).join(', ')}`);
    return text;
  } catch (error) {
    throw error instanceof BuildspecError ? new BuildFailure('YAML_FILE_ERROR', error.message) : error;
  }
}
