/**
 * `runtime-versions`: images for CodeBuild say in a file which runtimes they have and by which commands each is chosen. Where there is no such
 * file, what is on the machine is all there is: nothing is installed, and what is missing is said.
 */
import type { Machine } from '../../../ports/machines/port.ts';
import { BuildspecError } from '../buildspec/yaml-tree.ts';
import type { BuildLog } from './log.ts';
import { runScript } from './machine-tools.ts';
import { BuildFailure } from './outcome.ts';
import { type ImageRuntimes, parseImageRuntimes, type RuntimeChoice, whichVersion } from './runtimes-of-image.ts';
import type { BuildShell } from './shell.ts';

/** Runtime → command that prints a version. Java prints it on standard error. */
const PROBES: Record<string, string> = {
  dotnet: 'dotnet --version',
  golang: 'go version',
  java: 'java -version 2>&1',
  nodejs: 'node --version',
  php: 'php --version',
  python: 'python3 --version || python --version',
  ruby: 'ruby --version',
  rust: 'rustc --version',
};
const IMAGE_FILE = '/codebuild/image/config/runtimes.yml';

export interface RuntimeSelection {
  machine: Machine;
  log: BuildLog;
  signal: AbortSignal;
  /** Where an image's commands run: what they export is there for the build's own. */
  shell: BuildShell;
  env: Record<string, string>;
  /** Runtime → version, unexpanded. */
  wanted: Map<string, string>;
}

/** Throws BuildFailure, naming what there is, when a runtime or its version is not on this machine or cannot be chosen. */
export async function selectRuntimes(selection: RuntimeSelection): Promise<void> {
  const { machine, log, signal, env, wanted } = selection;
  if (wanted.size === 0) return log.agent('No runtime version selected in buildspec.');
  const versions = new Map([...wanted].map(([name, text]) => [name, text.replace(/\$\{?(\w+)\}?/g, (_, one: string) => env[one] ?? '')]));
  const file = await runScript(machine, 'cat "$1"', [IMAGE_FILE], { signal });
  if (file.exitCode === 0) return chooseInImage(selection, readImageFile(file.stdout.toString()), versions);
  for (const [runtime, version] of versions) await findOnMachine(selection, runtime, version);
}

function readImageFile(text: string): ImageRuntimes {
  try {
    return parseImageRuntimes(text);
  } catch (error) {
    if (error instanceof BuildspecError) throw new BuildFailure('YAML_FILE_ERROR', `${IMAGE_FILE} of this build image: ${error.message}`);
    throw error;
  }
}

async function chooseInImage({ log, shell, env }: RuntimeSelection, image: ImageRuntimes, versions: Map<string, string>): Promise<void> {
  const choices = [...versions].map(([runtime, version]) => whichVersion(image, runtime, version));
  checkRequirements(choices);
  for (const { runtime, version, commands, ownVersion } of choices) {
    log.agent(`Selecting '${runtime}' runtime version '${version}' based on manual selections...`);
    if (ownVersion !== undefined) await shell.runScript(`VERSION='${ownVersion}'`);
    for (const command of commands) await runCommand(shell, log, command);
    // The build's own variable of that name, if it has one, is its own again.
    if (ownVersion !== undefined) await shell.runScript(env.VERSION === undefined ? 'unset VERSION' : `VERSION=${quoted(env.VERSION)}`);
  }
}

async function runCommand(shell: BuildShell, log: BuildLog, command: string): Promise<void> {
  log.agent(`Running command ${command}`);
  const result = await shell.runScript(command);
  log.endCommand();
  if (result.kind === 'exited' && result.status === 0) return;
  const reason = result.kind === 'exited' ? `exit status ${result.status}` : result.reason;
  throw new BuildFailure('COMMAND_EXECUTION_ERROR', `Error while executing command: ${command}. Reason: ${reason}`);
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

/** Some runtimes work with certain versions of others only. */
function checkRequirements(choices: RuntimeChoice[]): void {
  for (const { runtime, version, requires } of choices) {
    for (const [other, allowed] of requires) {
      const chosen = choices.find((choice) => choice.runtime === other);
      if (chosen && allowed.includes(chosen.version)) continue;
      throw new BuildFailure(
        'YAML_FILE_ERROR',
        `Runtime ${runtime} version ${version} requires ${other} version ${allowed.join(' or ')}, ${chosen ? `not ${chosen.version}` : 'which is not selected'}`,
      );
    }
  }
}

async function findOnMachine({ machine, log, signal, env }: RuntimeSelection, runtime: string, version: string): Promise<void> {
  const found = await probe(machine, runtime, env, signal);
  if (found === undefined) throw await unknownRuntime(machine, runtime, env, signal);
  if (!satisfies(version, found)) {
    throw new BuildFailure(
      'YAML_FILE_ERROR',
      `Unknown runtime version named '${version}' of ${runtime}. This build image has the following versions: ${found}`,
    );
  }
  log.agent(`Selecting '${runtime}' runtime version '${found}' based on manual selections...`);
}

async function unknownRuntime(machine: Machine, runtime: string, env: Record<string, string>, signal: AbortSignal): Promise<BuildFailure> {
  const there: string[] = [];
  for (const name of Object.keys(PROBES)) if ((await probe(machine, name, env, signal)) !== undefined) there.push(name);
  return new BuildFailure(
    'YAML_FILE_ERROR',
    `Unknown runtime named '${runtime}'. This build image has the following runtimes: ${there.join(', ') || 'none'}`,
  );
}

async function probe(machine: Machine, runtime: string, env: Record<string, string>, signal: AbortSignal): Promise<string | undefined> {
  const command = Object.hasOwn(PROBES, runtime) ? PROBES[runtime] : undefined;
  if (!command) return undefined;
  const output = await runScript(machine, command, [], { env, signal });
  if (output.exitCode !== 0) return undefined;
  return /\d+(?:\.\d+)*/.exec(output.stdout.toString())?.[0];
}

/** `18`, `3.11`, `18.x`, `latest`, `corretto21`, `openjdk11`. */
export function satisfies(wanted: string, found: string): boolean {
  const version = wanted.replace(/^(corretto|openjdk)/, '').replace(/(\.x)+$/, '');
  return wanted === 'latest' || found === version || found.startsWith(`${version}.`);
}
