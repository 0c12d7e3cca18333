/** One build of a folder, with the runner that the server uses and without a server. */
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { MachineDriver, MachineSpec } from '../../../ports/machines/port.ts';
import { asBuildFailure, imageName } from '../engine/image.ts';
import { hostTooling } from '../engine/machine-spec.ts';
import { BuildLog, type LogSink } from '../runner/log.ts';
import { type BuildResult, runBuild } from '../runner/run-build.ts';
import type { EnvironmentVariable } from '../runner/secrets.ts';
import { type LocalFolders, type LocalListener, LocalWorld } from './local-world.ts';

/** Between TERM and KILL of commands when the build is stopped. */
const STOP_GRACE_MS = 1_000;

export interface LocalBuild extends Omit<LocalFolders, 'temporary'>, LocalListener {
  /** Relative to the source; undefined: `buildspec.yml`. */
  buildspec: string | undefined;
  variables: EnvironmentVariable[];
  /** What the machine is made of, for a driver with images. */
  image: string | undefined;
  /** See {@link imageName}. */
  imageMap: string;
  /** Makes the driver of the build's machine, which keeps its files in this folder. */
  machines(dataDir: string): Promise<MachineDriver>;
  onLog: LogSink;
  /** Aborted with a BuildInterrupt. */
  signal: AbortSignal;
}

/** Nothing is left behind, however it ends. */
export async function runLocalBuild(build: LocalBuild): Promise<BuildResult> {
  const directory = await mkdtemp(path.join(tmpdir(), 'penstock-build-'));
  try {
    const driver = await build.machines(directory);
    const log = new BuildLog(
      () => new Date(),
      (error) => process.stderr.write(`lines of the log were lost: ${error.message}\n`),
    );
    log.addSink(build.onLog);
    const machine = await driver.create(specOf(build, driver, directory, log), build.signal).catch((error) => {
      throw asBuildFailure(error);
    });
    try {
      log.agent(`Running on Penstock, ${machine.isolation}`);
      return await runBuild({
        machine,
        log,
        world: new LocalWorld({ ...build, temporary: directory }, build),
        signal: build.signal,
        graceMs: STOP_GRACE_MS,
        request: {
          buildspec: build.buildspec === undefined ? { kind: 'default' } : { kind: 'path', path: build.buildspec },
          env: variablesOf(build.source),
          defaults: {},
          variables: build.variables,
          primaryArtifact: build.artifacts !== undefined,
          secondaryArtifacts: build.artifacts === undefined ? [] : 'all',
          cache: false,
        },
      });
    } finally {
      await log.end();
      await machine.remove();
    }
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

function specOf({ image, imageMap }: LocalBuild, driver: MachineDriver, directory: string, log: BuildLog): MachineSpec {
  const common = { id: `local-${randomUUID()}`, network: 'host' as const };
  if (image === undefined) return { ...common, ...hostTooling(driver, directory) };
  const name = imageName(image, imageMap);
  return { ...common, env: {}, image: { name, onPull: (line) => log.agent(`Pulling ${name}: ${line}`) } };
}

/** What every build has, as far as it makes sense without a project. */
function variablesOf(source: string): Record<string, string> {
  const id = `${path.basename(source) || 'local'}:${randomUUID()}`;
  return {
    CI: 'true',
    CODEBUILD_CI: 'true',
    CODEBUILD_BUILD_ID: id,
    CODEBUILD_BUILD_NUMBER: '1',
    CODEBUILD_INITIATOR: 'local',
    CODEBUILD_SOURCE_REPO_URL: source,
    CODEBUILD_START_TIME: String(Date.now()),
  };
}
