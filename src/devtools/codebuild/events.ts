/** The events of a build, in the shape of the samples in the CodeBuild user guide ("Build notifications input format reference"). */
import type { AwsEvent, Transaction } from '../../platform/platform.ts';
import { buildArn, logsLink, logsOf } from './names.ts';
import type { BuildRow, StoredPhase } from './tables.ts';

/** Of the build as it is after the change. */
export async function emitStateChange(tx: Transaction, build: BuildRow): Promise<void> {
  await tx.emit({
    ...envelope(build),
    detailType: 'CodeBuild Build State Change',
    detail: {
      'build-status': build.status,
      'project-name': build.project,
      'build-id': buildArn(build),
      'additional-information': information(build),
      'current-phase': build.phases.at(-1)?.phaseType,
      'current-phase-context': contextText(build.phases.at(-1)),
      version: '1',
    },
  });
}

export async function emitPhaseChange(tx: Transaction, build: BuildRow, completed: StoredPhase): Promise<void> {
  await tx.emit({
    ...envelope(build),
    detailType: 'CodeBuild Build Phase Change',
    detail: {
      'completed-phase': completed.phaseType,
      'project-name': build.project,
      'build-id': buildArn(build),
      'completed-phase-context': contextText(completed),
      'additional-information': information(build),
      'completed-phase-status': completed.phaseStatus,
      'completed-phase-duration-seconds': completed.durationInSeconds,
      version: '1',
      'completed-phase-start': eventTime(completed.startTime),
      'completed-phase-end': completed.endTime && eventTime(completed.endTime),
    },
  });
}

function envelope(build: BuildRow): Pick<AwsEvent, 'account' | 'region' | 'source' | 'resources'> {
  return { account: build.account, region: build.region, source: 'aws.codebuild', resources: [buildArn(build)] };
}

function information(build: BuildRow): Record<string, unknown> {
  const { environment, source, timeoutInMinutes, queuedTimeoutInMinutes, sourceVersion } = build.definition;
  const logs = logsOf(build, build.definition.logsConfig);
  return {
    cache: { type: build.definition.cache?.type ?? 'NO_CACHE' },
    'build-number': build.number,
    ...(build.artifacts
      ? { artifact: { md5sum: build.artifacts.md5sum, sha256sum: build.artifacts.sha256sum, location: build.artifacts.location } }
      : {}),
    environment: {
      image: environment?.image,
      'privileged-mode': environment?.privilegedMode ?? false,
      'compute-type': environment?.computeType,
      type: environment?.type,
      'image-pull-credentials-type': environment?.imagePullCredentialsType,
      'environment-variables': (environment?.environmentVariables ?? []).map(({ name, type, value }) => ({
        name,
        type: type ?? 'PLAINTEXT',
        value,
      })),
    },
    'timeout-in-minutes': timeoutInMinutes,
    'queued-timeout-in-minutes': queuedTimeoutInMinutes,
    'build-complete': build.status !== 'IN_PROGRESS',
    initiator: build.initiator,
    'build-start-time': eventTime(build.started_at),
    source: { buildspec: source?.buildspec, location: source?.location, type: source?.type },
    'source-version': sourceVersion,
    ...(logs
      ? {
          logs: {
            'group-name': logs.groupName,
            'stream-name': logs.streamName,
            'deep-link': logsLink(build.region, logs),
          },
        }
      : {}),
    phases: build.phases.map((phase) => ({
      ...(phase.contexts ? { 'phase-context': phase.contexts.map(({ statusCode, message }) => `${statusCode}: ${message}`) } : {}),
      'start-time': eventTime(phase.startTime),
      ...(phase.endTime === undefined ? {} : { 'end-time': eventTime(phase.endTime), 'duration-in-seconds': phase.durationInSeconds }),
      'phase-type': phase.phaseType,
      ...(phase.phaseStatus ? { 'phase-status': phase.phaseStatus } : {}),
    })),
    ...(build.exported_variables
      ? { 'exported-environment-variables': build.exported_variables.map(({ name, value }) => ({ name, value })) }
      : {}),
  };
}

function contextText(phase: StoredPhase | undefined): string {
  return `[${(phase?.contexts ?? []).map(({ statusCode, message }) => `${statusCode}: ${message}`).join(', ')}]`;
}

const FORMAT = new Intl.DateTimeFormat('en-US', {
  timeZone: 'UTC',
  year: 'numeric',
  month: 'short',
  day: 'numeric',
  hour: 'numeric',
  minute: '2-digit',
  second: '2-digit',
});

/** `Sep 1, 2017 4:12:29 PM` */
export function eventTime(time: Date | string): string {
  const parts = Object.fromEntries(FORMAT.formatToParts(new Date(time)).map(({ type, value }) => [type, value]));
  return `${parts.month} ${parts.day}, ${parts.year} ${parts.hour}:${parts.minute}:${parts.second} ${parts.dayPeriod}`;
}
