/** `runtime-versions`: which language runtimes the machine really has. Nothing is installed; what is missing is said. */
import type { Machine } from '../../../ports/machines/port.ts';
import type { BuildLog } from './log.ts';
import { runScript } from './machine-tools.ts';
import { BuildFailure } from './outcome.ts';

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

/** Throws BuildFailure (YAML_FILE_ERROR) naming what there is, when a runtime or its version is not on this machine. */
export async function selectRuntimes(
  machine: Machine,
  wanted: Map<string, string>,
  env: Record<string, string>,
  log: BuildLog,
  signal: AbortSignal,
): Promise<void> {
  if (wanted.size === 0) {
    log.agent('No runtime version selected in buildspec.');
    return;
  }
  for (const [runtime, written] of wanted) {
    const version = written.replace(/\$\{?(\w+)\}?/g, (_, name: string) => env[name] ?? '');
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
  const command = PROBES[runtime];
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
