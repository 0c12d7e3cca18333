/** Finds and reads the buildspec of a build. */
import type { Machine } from '../../../ports/machines/port.ts';
import type { Buildspec } from '../buildspec/buildspec.ts';
import { BuildspecError, parseBuildspec } from '../buildspec/parse.ts';
import type { BuildLog } from './log.ts';
import { runScript } from './machine-tools.ts';
import { BuildFailure } from './outcome.ts';
import type { BuildRequest, World } from './world.ts';

interface Options {
  machine: Machine;
  request: BuildRequest;
  world: World;
  log: BuildLog;
  signal: AbortSignal;
}

const DEFAULT_PATH = 'buildspec.yml';
const MAX_BYTES = 2 * 1024 * 1024;

export async function loadBuildspec(options: Options, sourceDirectory: string): Promise<Buildspec> {
  const text = await readBuildspec(options, sourceDirectory);
  try {
    return parseBuildspec(text);
  } catch (error) {
    if (error instanceof BuildspecError) throw new BuildFailure('YAML_FILE_ERROR', error.message);
    throw error;
  }
}

export async function readBuildspec(options: Options, sourceDirectory: string): Promise<string> {
  const { request, world, log, signal } = options;
  const location = request.buildspec;
  switch (location.kind) {
    case 'inline':
      log.agent('YAML location is /codebuild/readonly/buildspec.yml');
      return location.text;
    case 's3':
      log.agent(`YAML location is ${location.arn}`);
      return world.fetchBuildspec(location.arn, signal);
    case 'default':
      return readSourceFile(options, `${sourceDirectory}/${DEFAULT_PATH}`, 'YAML file does not exist');
    case 'path': {
      const path = location.path.startsWith('/') ? location.path : `${sourceDirectory}/${location.path}`;
      return readSourceFile(options, path, `stat ${path}: no such file or directory`);
    }
  }
}

/** Read inside the machine, so that a path or link shows only what the build may see. */
async function readSourceFile({ machine, log, signal }: Options, path: string, missing: string): Promise<string> {
  const output = await runScript(machine, '[ -f "$1" ] || exit 3; exec cat "$1"', [path], { signal, limit: MAX_BYTES });
  if (output.exitCode !== 0) throw new BuildFailure('YAML_FILE_ERROR', missing);
  log.agent(`YAML location is ${path}`);
  return output.stdout.toString('utf8');
}
