/** A claimed build from PROVISIONING to its end. */
import { mkdir, rm } from 'node:fs/promises';
import type { Clients } from '../../../platform/aws.ts';
import { AwsError } from '../../../platform/errors.ts';
import type { Platform } from '../../../platform/platform.ts';
import type { Machine } from '../../../ports/machines/port.ts';
import { DOWNLOAD_SOURCE } from '../batches/names.ts';
import { isInline } from '../rules.ts';
import { downloadBatchspec } from '../runner/download-batchspec.ts';
import { BuildLog } from '../runner/log.ts';
import { BuildFailure, BuildInterrupt, outcomeOf, type PhaseOutcome, SUCCEEDED } from '../runner/outcome.ts';
import { type BuildResult, runBuild } from '../runner/run-build.ts';
import type { BuildRequest, PhaseStep } from '../runner/world.ts';
import type { BuildRow } from '../tables.ts';
import { AwsWorld } from './aws-world.ts';
import type { ClaimedBuild } from './claim.ts';
import { awsVariables, buildVariables, limitsOf } from './environment.ts';
import { hostTools } from './host-tools.ts';
import { buildDirectory } from './leftovers.ts';
import { openCloudWatchSink, openS3Log, type S3Log } from './logs.ts';
import { LostBuild } from './persist.ts';
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
  readonly #log: BuildLog;
  #machine: Machine | undefined;
  #s3Log: S3Log | undefined;

  constructor(platform: Platform, claimed: ClaimedBuild, signal: AbortSignal, directory: string) {
    this.#platform = platform;
    this.#claimed = claimed;
    this.#signal = signal;
    this.#directory = directory;
    this.#log = new BuildLog(
      () => platform.now(),
      (error) => platform.log.warn({ build: claimed.row.id, error: error.message }, 'lines of a build log were lost'),
    );
  }

  async run(): Promise<void> {
    const { row, owner } = this.#claimed;
    try {
      const clients = await this.#provision();
      if ('status' in clients) return await this.#end(clients, { status: clients.status, exportedVariables: [], retry: undefined });
      const machine = this.#machine as Machine;
      const provisioned = { phase: 'DOWNLOAD_SOURCE', outcome: { status: 'SUCCEEDED' as const, contexts: [] } } satisfies PhaseStep;
      await enterPhases(this.#platform, { id: row.id, owner }, [provisioned], { isolation: machine.isolation });
      const result = await this.#runOn(machine, clients);
      await this.#end(SUCCEEDED, result);
    } finally {
      await this.#removeMachine();
    }
  }

  /** The role's clients, with log and machine ready; or how provisioning failed. */
  async #provision(): Promise<Clients | PhaseOutcome> {
    const { row } = this.#claimed;
    try {
      checkEnvironment(row);
      const [clients] = await Promise.all([this.#openLogs(), this.#createMachine()]);
      this.#signal.throwIfAborted();
      return clients;
    } catch (error) {
      const reason = this.#signal.aborted ? this.#signal.reason : error;
      if (reason instanceof LostBuild) throw reason;
      return outcomeOf(reason);
    }
  }

  async #openLogs(): Promise<Clients> {
    const { row } = this.#claimed;
    const clients = await this.#serviceRole();
    const sink = await openCloudWatchSink(clients, row);
    if (sink) this.#log.addSink(sink);
    this.#s3Log = openS3Log(clients, row, this.#directory);
    if (this.#s3Log) this.#log.addSink(this.#s3Log.sink);
    // A log that goes nowhere must not wait for a place to go.
    if (!sink && !this.#s3Log) this.#log.addSink(async () => {});
    return clients;
  }

  async #serviceRole(): Promise<Clients> {
    const { row } = this.#claimed;
    try {
      return await this.#platform.aws.as({
        role: row.definition.serviceRole ?? '',
        service: 'codebuild',
        sessionName: `AWSCodeBuild-${row.id}`,
        region: row.region,
      });
    } catch (error) {
      if (error instanceof AwsError)
        throw new BuildFailure(
          'CLIENT_ERROR',
          `CodeBuild is not authorized to perform: sts:AssumeRole on ${row.definition.serviceRole}: ${error.message}`,
        );
      throw error;
    }
  }

  async #createMachine(): Promise<void> {
    const { row } = this.#claimed;
    const tools = hostTools(this.#platform.config.dataDir);
    const limits = limitsOf(row.definition.environment);
    const { machines } = this.#platform;
    // A plain process sees all of the host anyway.
    const mounts = machines.name === 'sandbox' ? tools.mounts : [];
    const spec = { id: row.machine ?? '', env: { PATH: tools.path }, limits, mounts, network: 'host' as const };
    this.#machine = await machines.create(spec, this.#signal);
  }

  async #runOn(machine: Machine, clients: Clients): Promise<BuildResult & { batchspec?: string }> {
    const { row, owner, credentialToken } = this.#claimed;
    this.#log.agent(`Running on Penstock, ${machine.isolation}`);
    for (const line of notInEffect(row)) this.#log.agent(line);
    this.#log.masker.add(credentialToken);
    const context = { platform: this.#platform, clients, machine, row, log: this.#log, signal: this.#signal, directory: this.#directory };
    const request = requestOf(row, buildVariables(this.#platform, row), awsVariables(this.#platform, row, credentialToken));
    const world = new AwsWorld(context, owner);
    const options = { machine, request, world, log: this.#log, signal: this.#signal, graceMs: STOP_GRACE_MS };
    return row.batch_build?.identifier === DOWNLOAD_SOURCE ? downloadBatchspec(options) : runBuild(options);
  }

  /** The machine goes before the record says that the build is over, so that nothing of it runs on afterwards. */
  async #end(outcome: PhaseOutcome, result: BuildResult & { batchspec?: string }): Promise<void> {
    const { row, owner } = this.#claimed;
    if (this.#signal.reason instanceof LostBuild) throw this.#signal.reason;
    await this.#log.end();
    await this.#s3Log
      ?.upload()
      .catch((error) => this.#platform.log.warn({ build: row.id, error: error.message }, 'a build log could not be stored in S3'));
    await this.#removeMachine();
    await endBuild(this.#platform, { id: row.id, owner }, { outcome, ...result });
  }

  async #removeMachine(): Promise<void> {
    const machine = this.#machine;
    this.#machine = undefined;
    await machine
      ?.remove()
      .catch((error) => this.#platform.log.error({ build: this.#claimed.row.id, error }, 'a machine could not be removed'));
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
    cache: cache?.type === 'S3' || (cache?.type === 'LOCAL' && (cache.modes ?? []).includes('LOCAL_CUSTOM_CACHE')),
  };
}

function buildspecOf(text: string | undefined): BuildRequest['buildspec'] {
  if (!text) return { kind: 'default' };
  if (text.startsWith('arn:')) return { kind: 's3', arn: text };
  return isInline(text) ? { kind: 'inline', text } : { kind: 'path', path: text };
}

function checkEnvironment(row: BuildRow): void {
  const type = row.definition.environment?.type ?? 'LINUX_CONTAINER';
  if (/^(WINDOWS|MAC)/.test(type)) throw new BuildFailure('CLIENT_ERROR', `Environment type ${type} is not available in this installation`);
  if (row.definition.fileSystemLocations?.length)
    throw new BuildFailure('CLIENT_ERROR', 'File systems are not available in this installation');
  if (row.definition.vpcConfig?.vpcId) throw new BuildFailure('CLIENT_ERROR', 'VPC access is not available in this installation');
}

/** Settings that this installation does not carry out; the log of each build that has them says so. */
function notInEffect(row: BuildRow): string[] {
  const { environment, cache } = row.definition;
  const lines = environment?.image ? [`Commands run with the tools of this host; the image ${environment.image} is not used`] : [];
  if (environment?.privilegedMode) lines.push('Privileged mode has no effect in this installation');
  if (cache?.type === 'LOCAL' && cache.modes?.includes('LOCAL_DOCKER_LAYER_CACHE'))
    lines.push('Docker layers are not kept for the next build');
  return lines;
}
