/** What a build or a sandbox has as long as a process runs it: a machine, a log, and the service role's clients. */
import type { Clients } from '../../../platform/aws.ts';
import { AwsError } from '../../../platform/errors.ts';
import type { Platform } from '../../../platform/platform.ts';
import type { Machine } from '../../../ports/machines/port.ts';
import { BuildLog } from '../runner/log.ts';
import { BuildFailure, outcomeOf, type PhaseOutcome } from '../runner/outcome.ts';
import type { Work } from '../tables.ts';
import { asBuildFailure } from './image.ts';
import { leaveForLater } from './leftovers.ts';
import { openCloudWatchSink, openS3Log, type S3Log } from './logs.ts';
import { machineSpec } from './machine-spec.ts';
import { LostBuild } from './persist.ts';

export class Workplace {
  readonly log: BuildLog;
  readonly #platform: Platform;
  readonly #work: Work;
  readonly #signal: AbortSignal;
  readonly #directory: string;
  #machine: Machine | undefined;
  #s3Log: S3Log | undefined;

  /** `directory`: on the host, of this work alone. */
  constructor(platform: Platform, work: Work, signal: AbortSignal, directory: string) {
    this.#platform = platform;
    this.#work = work;
    this.#signal = signal;
    this.#directory = directory;
    this.log = new BuildLog(
      () => platform.now(),
      (error) => platform.log.warn({ build: work.id, error: error.message }, 'lines of a build log were lost'),
    );
  }

  /** From `provision` on. */
  get machine(): Machine {
    if (!this.#machine) throw new Error('There is no machine.');
    return this.#machine;
  }

  /** The role's clients, with log and machine ready; or how provisioning failed. `adopted`: the machine that another process had for it. */
  async provision(adopted?: Machine): Promise<Clients | PhaseOutcome> {
    this.#machine = adopted;
    try {
      checkEnvironment(this.#work);
      const failed = new AbortController();
      const opened = this.#openLogs();
      opened.catch((error) => failed.abort(error));
      const made = adopted ?? this.#createMachine(opened, AbortSignal.any([this.#signal, failed.signal]));
      // It is waited for whatever becomes of the logs: a machine that came afterwards would be nobody's.
      await Promise.allSettled([made]);
      const [clients] = await Promise.all([opened, made]);
      this.#signal.throwIfAborted();
      return clients;
    } catch (error) {
      const reason = this.#signal.aborted ? this.#signal.reason : error;
      if (reason instanceof LostBuild) throw reason;
      return outcomeOf(reason);
    }
  }

  /** The machine goes before anybody says that the work is over, so that nothing of it runs on afterwards. */
  async close(): Promise<void> {
    await this.log.end();
    await this.#s3Log
      ?.upload()
      .catch((error) => this.#platform.log.warn({ build: this.#work.id, error: error.message }, 'a build log could not be stored in S3'));
    await this.removeMachine();
  }

  async removeMachine(): Promise<void> {
    const machine = this.#machine;
    this.#machine = undefined;
    await machine?.remove().catch(async (error) => {
      this.#platform.log.error({ build: this.#work.id, error }, 'a machine could not be removed; it is tried again later');
      await leaveForLater(this.#platform, machine.id);
    });
  }

  async #openLogs(): Promise<Clients> {
    const clients = await this.#serviceRole();
    const sink = await openCloudWatchSink(clients, this.#work);
    if (sink) this.log.addSink(sink);
    this.#s3Log = openS3Log(clients, this.#work, this.#directory);
    if (this.#s3Log) this.log.addSink(this.#s3Log.sink);
    // A log that goes nowhere must not wait for a place to go.
    if (!sink && !this.#s3Log) this.log.addSink(async () => {});
    return clients;
  }

  async #serviceRole(): Promise<Clients> {
    const { id, region, definition } = this.#work;
    const role = definition.serviceRole ?? '';
    try {
      return await this.#platform.aws.as({ role, service: 'codebuild', sessionName: `AWSCodeBuild-${id}`, region });
    } catch (error) {
      if (error instanceof AwsError)
        throw new BuildFailure('CLIENT_ERROR', `CodeBuild is not authorized to perform: sts:AssumeRole on ${role}: ${error.message}`);
      throw error;
    }
  }

  async #createMachine(clients: Promise<Clients>, signal: AbortSignal): Promise<void> {
    const spec = await machineSpec(this.#platform, this.#work, () => clients, this.log);
    try {
      this.#machine = await this.#platform.machines.create(spec, signal);
    } catch (error) {
      throw asBuildFailure(error);
    }
  }
}

function checkEnvironment({ definition }: Work): void {
  const type = definition.environment?.type ?? 'LINUX_CONTAINER';
  if (/^(WINDOWS|MAC)/.test(type)) throw new BuildFailure('CLIENT_ERROR', `Environment type ${type} is not available in this installation`);
  if (definition.fileSystemLocations?.length) throw new BuildFailure('CLIENT_ERROR', 'File systems are not available in this installation');
  if (definition.vpcConfig?.vpcId) throw new BuildFailure('CLIENT_ERROR', 'VPC access is not available in this installation');
}

/** Settings that this installation does not carry out; the log of each build that has them says so. */
export function notInEffect({ definition }: Work, { image }: Machine): string[] {
  const { environment, cache } = definition;
  const lines =
    environment?.image && image === undefined
      ? [`Commands run with the tools of this host; the image ${environment.image} is not used`]
      : [];
  if (environment?.privilegedMode && image === undefined) lines.push('Privileged mode has no effect in this installation');
  if (environment?.certificate) lines.push('The certificate of the project is not installed');
  if (cache?.type === 'LOCAL' && cache.modes?.includes('LOCAL_DOCKER_LAYER_CACHE'))
    lines.push('Docker layers are not kept for the next build');
  return lines;
}
