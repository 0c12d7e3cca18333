/** A claimed build from PROVISIONING to its end. */
import { mkdir, rm } from 'node:fs/promises';
import type { Clients } from '../../../platform/aws.ts';
import type { Platform } from '../../../platform/platform.ts';
import type { Machine } from '../../../ports/machines/port.ts';
import { DOWNLOAD_SOURCE } from '../batches/names.ts';
import { isInline } from '../rules.ts';
import { downloadBatchspec } from '../runner/download-batchspec.ts';
import { BuildInterrupt, outcomeOf, type PhaseOutcome, SUCCEEDED } from '../runner/outcome.ts';
import { type BuildResult, runBuild } from '../runner/run-build.ts';
import type { BuildRequest, PhaseStep } from '../runner/world.ts';
import { keepsDirectories } from '../storage/custom-cache.ts';
import type { BuildRow } from '../tables.ts';
import { AwsWorld } from './aws-world.ts';
import type { ClaimedBuild } from './claim.ts';
import { awsVariables, buildVariables } from './environment.ts';
import { buildDirectory } from './leftovers.ts';
import { LostBuild } from './persist.ts';
import { notInEffect, Workplace } from './provision.ts';
import { endBuild, enterPhases } from './record.ts';

/** Between TERM and KILL of a stopped build's commands; StopBuild must be through in two seconds. */
const STOP_GRACE_MS = 1_000;

/** Comes back when the build is over and its machine gone. A build that is no longer ours is left as it is. */
export async function executeBuild(platform: Platform, claimed: ClaimedBuild, abort: AbortController): Promise<void> {
  const { row } = claimed;
  const timeLeft = (row.deadline?.getTime() ?? 0) - platform.now().getTime();
  const timer = setTimeout(() => abort.abort(new BuildInterrupt('TIMED_OUT')), Math.max(0, timeLeft));
  const directory = buildDirectory(platform, row.machine ?? '');
  try {
    await mkdir(directory, { recursive: true });
    await new Execution(platform, claimed, abort.signal, directory).run();
  } catch (error) {
    await endFaulty(platform, claimed, error);
  } finally {
    clearTimeout(timer);
    await rm(directory, { recursive: true, force: true });
  }
}

/** What nobody foresaw ends the build too: one that stays in progress for ever helps nobody. */
async function endFaulty(platform: Platform, { row, owner }: ClaimedBuild, error: unknown): Promise<void> {
  if (!(error instanceof LostBuild)) {
    platform.log.error({ build: row.id, error }, 'a build failed unexpectedly');
    try {
      await endBuild(platform, { id: row.id, owner }, { outcome: outcomeOf(error), status: 'FAULT' });
      return;
    } catch (second) {
      if (!(second instanceof LostBuild)) throw second;
    }
  }
  platform.log.warn({ build: row.id }, 'a build is no longer owned by this process');
}

class Execution {
  readonly #platform: Platform;
  readonly #claimed: ClaimedBuild;
  readonly #signal: AbortSignal;
  readonly #directory: string;
  readonly #place: Workplace;

  constructor(platform: Platform, claimed: ClaimedBuild, signal: AbortSignal, directory: string) {
    this.#platform = platform;
    this.#claimed = claimed;
    this.#signal = signal;
    this.#directory = directory;
    this.#place = new Workplace(platform, claimed.row, signal, directory);
  }

  async run(): Promise<void> {
    const { row, owner } = this.#claimed;
    try {
      const clients = await this.#place.provision();
      if ('status' in clients) return await this.#end(clients, { status: clients.status, exportedVariables: [], retry: undefined });
      const { machine } = this.#place;
      const provisioned = { phase: 'DOWNLOAD_SOURCE', outcome: { status: 'SUCCEEDED' as const, contexts: [] } } satisfies PhaseStep;
      await enterPhases(this.#platform, { id: row.id, owner }, [provisioned], { isolation: machine.isolation });
      const result = await this.#runOn(machine, clients);
      await this.#end(SUCCEEDED, result);
    } finally {
      await this.#place.removeMachine();
    }
  }

  async #runOn(machine: Machine, clients: Clients): Promise<BuildResult & { batchspec?: string }> {
    const { row, owner, credentialToken } = this.#claimed;
    const { log } = this.#place;
    log.agent(`Running on Penstock, ${machine.isolation}`);
    for (const line of notInEffect(row, machine)) log.agent(line);
    log.masker.add(credentialToken);
    const context = { platform: this.#platform, clients, machine, row, log, signal: this.#signal, directory: this.#directory };
    const request = requestOf(row, buildVariables(this.#platform, row), awsVariables(this.#platform, row, credentialToken));
    const world = new AwsWorld(context, owner);
    const options = { machine, request, world, log, signal: this.#signal, graceMs: STOP_GRACE_MS };
    return row.batch_build?.identifier === DOWNLOAD_SOURCE ? downloadBatchspec(options) : runBuild(options);
  }

  async #end(outcome: PhaseOutcome, result: BuildResult & { batchspec?: string }): Promise<void> {
    const { row, owner } = this.#claimed;
    if (this.#signal.reason instanceof LostBuild) throw this.#signal.reason;
    await this.#place.close();
    await endBuild(this.#platform, { id: row.id, owner }, { outcome, ...result });
  }
}

function requestOf(row: BuildRow, env: Record<string, string>, defaults: Record<string, string>): BuildRequest {
  const { source, artifacts, secondaryArtifacts, cache, environment } = row.definition;
  return {
    buildspec: buildspecOf(source?.buildspec),
    env,
    defaults,
    variables: environment?.environmentVariables ?? [],
    primaryArtifact: artifacts.type === 'S3' || (artifacts.type === 'CODEPIPELINE' && Boolean(artifacts.location)),
    secondaryArtifacts: secondaryArtifacts.map((item) => item.artifactIdentifier ?? ''),
    cache: cache?.type === 'S3' || keepsDirectories(row),
  };
}

function buildspecOf(text: string | undefined): BuildRequest['buildspec'] {
  if (!text) return { kind: 'default' };
  if (text.startsWith('arn:')) return { kind: 's3', arn: text };
  return isInline(text) ? { kind: 'inline', text } : { kind: 'path', path: text };
}
