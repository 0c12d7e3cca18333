/** One build on one machine, from DOWNLOAD_SOURCE to FINALIZING. */
import type { Machine } from '../../../ports/machines/port.ts';
import { type Buildspec, PHASE_NAMES, type PhaseName } from '../buildspec/buildspec.ts';
import { uploadArtifacts } from './artifacts.ts';
import { type CacheKeys, cacheKeys, cachePaths } from './caching.ts';
import { afterFailure, commandFiles, PHASE_TYPE, runCommandPhase } from './commands.ts';
import { codebuildDirectory } from './layout.ts';
import { loadBuildspec } from './load-buildspec.ts';
import type { BuildLog } from './log.ts';
import { BuildFailure, BuildInterrupt, type FinalStatus, outcomeOf, type PhaseOutcome, type PhaseType, SUCCEEDED } from './outcome.ts';
import { collectReports } from './reports.ts';
import { selectRuntimes } from './runtimes.ts';
import { fetchSecrets } from './secrets.ts';
import { BuildShell } from './shell.ts';
import type { BuildRequest, PhaseStep, World } from './world.ts';

export interface RunOptions {
  machine: Machine;
  request: BuildRequest;
  world: World;
  log: BuildLog;
  /** Aborted with a BuildInterrupt, or with another error when the build is lost to this process; `runBuild` then throws that error. */
  signal: AbortSignal;
  /** Between TERM and KILL of commands when interrupted. */
  graceMs: number;
}

export interface BuildResult {
  status: FinalStatus;
  exportedVariables: { name: string; value: string }[];
  /** A phase with on-failure RETRY failed, and its message is of the kind to retry. */
  retry: { count: number; pattern: string; message: string } | undefined;
}

interface Prepared {
  spec: Buildspec;
  shell: BuildShell;
  sourceDirectory: string;
  /** Variables that are never told outside the build. */
  secretNames: string[];
  /** Undefined: this build has no cache. */
  cacheKeys?: CacheKeys;
}

/** Begins in phase DOWNLOAD_SOURCE and leaves in FINALIZING. Throws only when the world does (the database is gone, the lease is lost). */
export async function runBuild(options: RunOptions): Promise<BuildResult> {
  return new BuildRun(options).run();
}

class BuildRun {
  readonly #options: RunOptions;
  #status: FinalStatus = 'SUCCEEDED';
  #retry: BuildResult['retry'];

  constructor(options: RunOptions) {
    this.#options = options;
  }

  async run(): Promise<BuildResult> {
    let prepared: Prepared | undefined;
    const download = await this.#attempt(async () => {
      prepared = await this.#prepare();
    });
    this.#logEnd('DOWNLOAD_SOURCE', download);
    if (!prepared) {
      await this.#finalize(download);
      return { status: download.status, exportedVariables: [], retry: undefined };
    }
    try {
      const last = await this.#runPhases(prepared);
      const exportedVariables = await this.#exportedVariables(prepared);
      await this.#finalize(last);
      return { status: this.#status, exportedVariables, retry: this.#retry };
    } finally {
      await prepared.shell.close();
    }
  }

  async #prepare(): Promise<Prepared> {
    const { machine, request, world, log, signal } = this.#options;
    log.agent('Waiting for agent ping');
    log.agent('Waiting for DOWNLOAD_SOURCE');
    const root = `${codebuildDirectory(machine)}/output/src${sourceNumber()}`;
    const sources = await world.fetchSources(machine, root, log, signal);
    log.agent('Phase is DOWNLOAD_SOURCE');
    log.agent(`CODEBUILD_SRC_DIR=${sources.directory}`);
    const spec = await loadBuildspec(this.#options, sources.directory);
    for (const warning of spec.warnings) log.agent(warning);
    if (spec.proxy.uploadArtifacts || spec.proxy.logs)
      log.agent('The proxy section of the buildspec has no effect: artifacts and logs do not leave through the network of the build');
    log.agent('Processing environment variables');
    const secrets = await fetchSecrets(spec, request.variables, world);
    for (const secret of Object.values(secrets)) log.masker.add(secret);
    const helper = spec.env.gitCredentialHelper ? await world.gitCredentialHelper(log) : {};
    const env = { ...helper, ...this.#environment(spec, sources.env, sources.directory), ...secrets };
    const shell = await BuildShell.open(
      {
        machine,
        directory: `${codebuildDirectory(machine)}/output/tmp`,
        source: sources.directory,
        env,
        shell: spec.env.shell,
        keepState: spec.version === '0.2',
        onOutput: (chunk) => log.output(chunk),
        signal,
        graceMs: this.#options.graceMs,
      },
      commandFiles(spec),
    );
    const prepared: Prepared = { spec, shell, sourceDirectory: sources.directory, secretNames: Object.keys(secrets) };
    try {
      await selectRuntimes({ machine, log, signal, shell, env, wanted: spec.phases.install?.runtimeVersions ?? new Map() });
      log.agent(`Moving to directory ${sources.directory}`);
      await this.#restoreCache(prepared);
      log.agent('Registering with agent');
      this.#logPhases(spec);
    } catch (error) {
      await shell.close();
      throw error;
    }
    return prepared;
  }

  #environment(spec: Buildspec, sourceEnv: Record<string, string>, directory: string): Record<string, string> {
    const { request } = this.#options;
    const own: Record<string, string> = {};
    for (const variable of request.variables)
      if (variable.type === undefined || variable.type === 'PLAINTEXT') own[variable.name] = variable.value;
    const { env, defaults } = request;
    return {
      ...defaults,
      ...Object.fromEntries(spec.env.variables),
      ...own,
      ...env,
      ...sourceEnv,
      CODEBUILD_SRC_DIR: directory,
    };
  }

  #logPhases(spec: Buildspec): void {
    const { log } = this.#options;
    const found = PHASE_NAMES.filter((name) => spec.phases[name]);
    log.agent(`Phases found in YAML: ${found.length}`);
    for (const name of found) log.agent(` ${PHASE_TYPE[name]}: ${spec.phases[name]?.commands.length ?? 0} commands`);
  }

  /** The command phases and UPLOAD_ARTIFACTS; comes back with the outcome of the last one entered. */
  async #runPhases(prepared: Prepared): Promise<PhaseOutcome> {
    const { world } = this.#options;
    let previous = SUCCEEDED;
    // Phases without commands take no time: they are recorded together with the next that has some.
    let steps: PhaseStep[] = [];
    for (const name of PHASE_NAMES) {
      steps.push({ outcome: previous, phase: PHASE_TYPE[name] });
      if (hasCommands(prepared.spec, name)) {
        await world.enterPhases(steps, true);
        steps = [];
      }
      this.#options.log.agent(`Entering phase ${PHASE_TYPE[name]}`);
      previous = await runCommandPhase({ ...this.#options, spec: prepared.spec, shell: prepared.shell, phase: name });
      this.#throwIfLost();
      this.#logEnd(PHASE_TYPE[name], previous);
      if (previous.status === 'SUCCEEDED') continue;
      if (previous.status !== 'FAILED') return this.#end(previous);
      if (this.#noteFailure(prepared, name, previous) === 'finish') return previous;
    }
    await world.enterPhases([...steps, { outcome: previous, phase: 'UPLOAD_ARTIFACTS' }]);
    const upload = await this.#attempt(() => this.#upload(prepared));
    this.#logEnd('UPLOAD_ARTIFACTS', upload);
    return upload.status === 'SUCCEEDED' ? upload : this.#end(upload);
  }

  #noteFailure(prepared: Prepared, name: PhaseName, outcome: PhaseOutcome): 'next' | 'finish' {
    const onFailure = prepared.spec.phases[name]?.onFailure;
    // CONTINUE tolerates the failure: the phase shows FAILED, the build goes on as if it had not.
    if (onFailure?.action === 'CONTINUE') return 'next';
    this.#status = 'FAILED';
    prepared.shell.succeeding = false;
    if (onFailure?.action === 'RETRY') {
      this.#retry ??= { count: onFailure.count, pattern: onFailure.pattern, message: outcome.contexts[0]?.message ?? '' };
    }
    return afterFailure(prepared.spec, name);
  }

  #end(outcome: PhaseOutcome): PhaseOutcome {
    // The first failure decides: artifacts that cannot be uploaded do not change a failed build.
    if (this.#status === 'SUCCEEDED' || outcome.status !== 'FAILED') this.#status = outcome.status;
    return outcome;
  }

  async #upload(prepared: Prepared): Promise<void> {
    const failures = await collectReports({ ...this.#options, ...prepared });
    await uploadArtifacts({ ...this.#options, ...prepared });
    await this.#saveCache(prepared);
    if (failures.length > 0) throw new BuildFailure('CLIENT_ERROR', `Error in UPLOAD_ARTIFACTS phase: [${failures.join(' ')}]`);
  }

  async #restoreCache(prepared: Prepared): Promise<void> {
    const { machine, request, world, log, signal } = this.#options;
    const { cache } = prepared.spec;
    if (!cache) return log.agent('Cache is not defined in the buildspec');
    if (cache.paths.length === 0) return log.agent('Skip cache due to: no paths specified to be cached');
    if (!request.cache) return;
    // Told once: a key that names the hash of a file must not change because a command did change the file.
    prepared.cacheKeys = await cacheKeys(cache, prepared.shell);
    if (cache.action === 'save') return;
    const paths = await cachePaths(cache, prepared.sourceDirectory, prepared.shell);
    await world.restoreCache(machine, prepared.cacheKeys, paths, log, signal);
  }

  async #saveCache({ spec, shell, sourceDirectory, cacheKeys: keys }: Prepared): Promise<void> {
    const { machine, world, log, signal } = this.#options;
    if (!spec.cache || !keys || spec.cache.action === 'restore') return;
    // It could never be replaced.
    if (keys.key !== undefined && this.#status !== 'SUCCEEDED') {
      return log.agent(`Skip cache due to: the build failed, and the cache ${keys.key} would stay as it is`);
    }
    await world.saveCache(machine, keys, await cachePaths(spec.cache, sourceDirectory, shell), log, signal);
  }

  async #exportedVariables(prepared: Prepared): Promise<BuildResult['exportedVariables']> {
    const names: string[] = [];
    for (const name of prepared.spec.env.exportedVariables) {
      if (!name.startsWith('AWS_') && !prepared.secretNames.includes(name)) names.push(name);
      else this.#options.log.agent(`The variable ${name} is not exported: it holds a secret, or its name begins with AWS_`);
    }
    if (names.length === 0 || this.#options.signal.aborted || this.#status === 'FAULT') return [];
    // Each value ends at the mark that follows it, since values may hold anything but NUL, which `$( )` would drop.
    const script = names.map((name) => `printf '%s\\036' "\${${name}-}"`).join('\n');
    const values = (await prepared.shell.capture(script))?.split('\x1e') ?? [];
    return names.map((name, index) => ({ name, value: values[index] ?? '' }));
  }

  async #finalize(outcome: PhaseOutcome): Promise<void> {
    await this.#options.world.enterPhases([{ outcome, phase: 'FINALIZING' }]);
  }

  async #attempt(work: () => Promise<void>): Promise<PhaseOutcome> {
    const { signal } = this.#options;
    try {
      signal.throwIfAborted();
      await work();
      return SUCCEEDED;
    } catch (error) {
      this.#throwIfLost();
      // Whatever an interruption made fail, the interruption is the reason.
      return outcomeOf(signal.aborted ? signal.reason : error);
    }
  }

  /** Anything but a stop or a time-out means that the build is not this process's to go on with: nothing more is recorded. */
  #throwIfLost(): void {
    const { signal } = this.#options;
    if (signal.aborted && !(signal.reason instanceof BuildInterrupt)) throw signal.reason;
  }

  #logEnd(phase: PhaseType, outcome: PhaseOutcome): void {
    const { log } = this.#options;
    log.agent(`Phase complete: ${phase} State: ${outcome.status}`);
    const [context] = outcome.contexts;
    log.agent(`Phase context status code: ${context?.statusCode ?? ''} Message: ${context?.message ?? ''}`);
  }
}

function hasCommands(spec: Buildspec, name: PhaseName): boolean {
  const phase = spec.phases[name];
  return phase !== undefined && phase.commands.length + phase.finally.length > 0;
}

/** CodeBuild's source directories look like /codebuild/output/src416057865/src. */
function sourceNumber(): string {
  return String(Math.floor(Math.random() * 1e9)).padStart(9, '0');
}
