/** A claimed sandbox from PROVISIONING to its end: a machine with the project's sources, which runs commands until it is stopped. */
import { mkdir, rm } from 'node:fs/promises';
import type { Clients } from '../../../platform/aws.ts';
import type { Platform } from '../../../platform/platform.ts';
import { awsVariables, workVariables } from '../engine/environment.ts';
import { buildDirectory } from '../engine/leftovers.ts';
import { LostBuild, persist } from '../engine/persist.ts';
import { notInEffect, Workplace } from '../engine/provision.ts';
import { fetchParameters, fetchSecret } from '../engine/secret-values.ts';
import { codebuildDirectory } from '../runner/layout.ts';
import { BuildInterrupt, outcomeOf, type PhaseOutcome } from '../runner/outcome.ts';
import { fetchSecrets } from '../runner/secrets.ts';
import { fetchSources, type SourceContext } from '../sources/fetch.ts';
import { type ClaimedSandbox, credentialToken } from './claim.ts';
import { workOf } from './describe.ts';
import { enliven } from './live.ts';
import { endSandbox, enterPhase, failUnfinished, lockOwned } from './record.ts';
import { putPrograms, runCommand, type Surroundings } from './run-command.ts';
import { type CommandRow, commandTopic, type EndStatus, type Workspace } from './tables.ts';

/** The net under the notifications. */
const LOOK_MS = 2_000;
/** Commands of one sandbox at once; more wait. */
const MAX_COMMANDS = 16;

/** Comes back when the sandbox is over and its machine gone, or when it is not this process's any more. */
export async function runSandbox(platform: Platform, claimed: ClaimedSandbox, abort: AbortController): Promise<void> {
  const { row } = claimed;
  const timeLeft = (row.deadline?.getTime() ?? 0) - platform.now().getTime();
  const timer = setTimeout(() => abort.abort(new BuildInterrupt('TIMED_OUT')), Math.max(0, timeLeft));
  const directory = buildDirectory(platform, row.machine ?? '');
  try {
    await mkdir(directory, { recursive: true });
    await new SandboxRun(platform, claimed, abort.signal, directory).run();
  } catch (error) {
    // Whoever has it now uses the directory, too.
    if (error instanceof LostBuild) return platform.log.info({ sandbox: row.id }, 'a sandbox is no longer owned by this process');
    platform.log.error({ sandbox: row.id, error }, 'a sandbox failed unexpectedly');
    await endSandbox(platform, { id: row.id, owner: claimed.owner }, { status: 'FAULT', outcome: outcomeOf(error) });
  } finally {
    clearTimeout(timer);
  }
  await rm(directory, { recursive: true, force: true });
}

class SandboxRun {
  readonly #platform: Platform;
  readonly #claimed: ClaimedSandbox;
  readonly #signal: AbortSignal;
  readonly #directory: string;
  readonly #place: Workplace;
  readonly #token: string;

  constructor(platform: Platform, claimed: ClaimedSandbox, signal: AbortSignal, directory: string) {
    this.#platform = platform;
    this.#claimed = claimed;
    this.#signal = signal;
    this.#directory = directory;
    this.#place = new Workplace(platform, workOf(claimed.row), signal, directory);
    this.#token = credentialToken(platform, claimed.row);
  }

  async run(): Promise<void> {
    const { row, adopted } = this.#claimed;
    const machine = adopted ? await this.#platform.machines.adopt(row.machine ?? '') : undefined;
    if (adopted && !machine) throw new Error('The machine of this sandbox is gone.');
    try {
      const clients = await this.#place.provision(machine);
      if ('status' in clients) return await this.#end(clients);
      await this.#end(await this.#live(clients));
    } finally {
      // A machine that is still there then is left for whoever adopts it.
      if (!(this.#signal.reason instanceof LostBuild)) await this.#place.removeMachine();
    }
  }

  /** How it ended: by a stop, by time, or because its sources could not be had. */
  async #live(clients: Clients): Promise<PhaseOutcome> {
    const { log, machine } = this.#place;
    const { row, owner } = this.#claimed;
    log.masker.add(this.#token);
    const context = { platform: this.#platform, clients, machine, row: workOf(row), log, signal: this.#signal, directory: this.#directory };
    try {
      const { resolved, ...workspace } = row.workspace ? { ...row.workspace, resolved: undefined } : await this.#fetch(context);
      const secrets = await this.#secrets(clients);
      for (const secret of Object.values(secrets)) log.masker.add(secret);
      if (this.#claimed.adopted) await this.#takeUp();
      else await enterPhase(this.#platform, { id: row.id, owner }, 'RUN_SANDBOX', { workspace, resolved_source_version: resolved });
      const around = {
        platform: this.#platform,
        sandbox: { id: row.id, owner },
        machine,
        directory: workspace.directory,
        env: { ...this.#variables(), ...workspace.env, CODEBUILD_SRC_DIR: workspace.directory, ...secrets },
        secrets: [this.#token, ...Object.values(secrets)],
        log,
        signal: this.#signal,
      };
      const leave = enliven(around);
      await this.#serve(around).finally(leave);
      throw this.#signal.reason;
    } catch (error) {
      const reason = this.#signal.aborted ? this.#signal.reason : error;
      if (reason instanceof LostBuild) throw reason;
      return outcomeOf(reason);
    }
  }

  #secrets(clients: Clients): Promise<Record<string, string>> {
    const ofBuildspec = { env: { parameterStore: new Map(), secretsManager: new Map() } };
    return fetchSecrets(ofBuildspec, this.#claimed.row.definition.environment?.environmentVariables ?? [], {
      fetchParameters: (names) => fetchParameters(clients, names),
      fetchSecret: (reference) => fetchSecret(clients, reference),
    });
  }

  async #fetch(context: SourceContext): Promise<Workspace & { resolved: string | undefined }> {
    const { log, machine } = this.#place;
    const { row, owner } = this.#claimed;
    log.agent(`Running a sandbox on Penstock, ${machine.isolation}`);
    for (const line of notInEffect(workOf(row), machine)) log.agent(line);
    await enterPhase(this.#platform, { id: row.id, owner }, 'DOWNLOAD_SOURCE');
    const sources = await fetchSources(context, `${codebuildDirectory(machine)}/output/src${row.attempts}`);
    log.agent(`CODEBUILD_SRC_DIR=${sources.directory}`);
    await putPrograms(machine);
    return sources;
  }

  /** Commands that ran when the former process died cannot be resumed; adopting the machine ended what was left of them. */
  async #takeUp(): Promise<void> {
    const { row, owner } = this.#claimed;
    this.#place.log.agent('Another process took over this sandbox; commands that were running were ended');
    await persist(this.#platform, async (tx) => {
      await lockOwned(tx, { id: row.id, owner });
      const reason = 'The process that ran this command ended before the command did.\n';
      await failUnfinished(tx, this.#platform, row.id, ['IN_PROGRESS'], reason);
    });
  }

  #variables(): Record<string, string> {
    const { row } = this.#claimed;
    const plain = (row.definition.environment?.environmentVariables ?? []).filter(({ type }) => type === undefined || type === 'PLAINTEXT');
    return {
      ...awsVariables(this.#platform, row, this.#token),
      ...Object.fromEntries(plain.map(({ name, value }) => [name, value])),
      ...workVariables(workOf(row)),
    };
  }

  /** Runs commands as they come, several at once, until the signal is aborted and all of them have ended. */
  async #serve(around: Surroundings): Promise<void> {
    const running = new Map<string, Promise<void>>();
    const failure = Promise.withResolvers<never>();
    failure.promise.catch(() => {});
    while (!this.#signal.aborted) {
      const { signals } = this.#platform;
      const woken = signals.wait(commandTopic(this.#claimed.row.id), LOOK_MS, this.#signal);
      for (const command of await this.#submitted(MAX_COMMANDS - running.size)) {
        // Told already, but not begun yet.
        if (running.has(command.id)) continue;
        const run = runCommand(around, command)
          .catch(failure.reject)
          .finally(() => running.delete(command.id));
        running.set(command.id, run);
      }
      const full = running.size >= MAX_COMMANDS ? [...running.values()] : [];
      await Promise.race([woken, failure.promise, ...full]);
    }
    await Promise.all(running.values());
  }

  #submitted(room: number): Promise<CommandRow[]> {
    if (room <= 0) return Promise.resolve([]);
    return this.#platform.read
      .selectFrom('codebuild.command_executions')
      .selectAll()
      .where('sandbox', '=', this.#claimed.row.id)
      .where('status', '=', 'SUBMITTED')
      .orderBy('command_order')
      .limit(room)
      .execute()
      .catch((error) => {
        this.#platform.log.warn({ error: (error as Error).message }, 'could not look for commands of a sandbox; tried again later');
        return [];
      });
  }

  async #end(outcome: PhaseOutcome): Promise<void> {
    const { row, owner } = this.#claimed;
    await this.#place.close();
    await endSandbox(this.#platform, { id: row.id, owner }, { status: STATUS[outcome.status], outcome });
  }
}

/** A sandbox whose time is up shows STOPPED, and its phase that it timed out (CodeBuild user guide, "Get information about the sandbox status"). */
const STATUS: Record<PhaseOutcome['status'], EndStatus> = {
  SUCCEEDED: 'STOPPED',
  STOPPED: 'STOPPED',
  TIMED_OUT: 'STOPPED',
  FAILED: 'FAILED',
  FAULT: 'FAULT',
};
