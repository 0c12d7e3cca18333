/** The metrics of CodeBuild (user guide, "CodeBuild CloudWatch metrics"), made of the event with which a build ends: for its project, and for all. */
import type { JobHandler } from '../../platform/service.ts';
import type { Metric } from './metric.ts';
import { type Sample, store } from './put-metric-data.ts';

interface BuildEvent {
  id: string;
  account: string;
  region: string;
  /** When it was sent: the end of the build. */
  time: string;
  detail: {
    'build-status': string;
    'project-name': string;
    'additional-information': {
      'build-complete': boolean;
      'build-start-time': string;
      phases: { 'phase-type': string; 'duration-in-seconds'?: number }[];
    };
  };
}

const PHASES: Record<string, string> = {
  SUBMITTED: 'SubmittedDuration',
  QUEUED: 'QueuedDuration',
  PROVISIONING: 'ProvisioningDuration',
  DOWNLOAD_SOURCE: 'DownloadSourceDuration',
  INSTALL: 'InstallDuration',
  PRE_BUILD: 'PreBuildDuration',
  BUILD: 'BuildDuration',
  POST_BUILD: 'PostBuildDuration',
  UPLOAD_ARTIFACTS: 'UploadArtifactsDuration',
  FINALIZING: 'FinalizingDuration',
};

/** Builds that were stopped neither succeeded nor failed. */
const OUTCOMES: Record<string, string> = {
  SUCCEEDED: 'SucceededBuilds',
  FAILED: 'FailedBuilds',
  FAULT: 'FailedBuilds',
  TIMED_OUT: 'FailedBuilds',
};

/** Once for each build, however often the event is handed over. */
export const onBuildEnd: JobHandler = async (platform, event: BuildEvent) => {
  if (!event.detail['additional-information']['build-complete']) return;
  const samples = samplesOf(event);
  const now = platform.now();
  await platform.transaction(async (tx) => {
    const first = await tx.sql
      .insertInto('cloudwatch.counted_events')
      .values({ id: event.id, at: now })
      .onConflict((conflict) => conflict.doNothing())
      .returning('id')
      .executeTakeFirst();
    if (first) await store(tx, samples, Math.floor(now.getTime() / 1000));
  });
};

function samplesOf({ account, region, time, detail }: BuildEvent): Sample[] {
  const information = detail['additional-information'];
  const end = Date.parse(time);
  const outcome = OUTCOMES[detail['build-status']];
  // The beginning is told in whole seconds of UTC, as in `Sep 1, 2017 4:12:29 PM`.
  const seconds = Math.max(0, (end - Date.parse(`${information['build-start-time']} UTC`)) / 1000);
  const values: [name: string, value: number, unit: string][] = [
    ['Builds', 1, 'Count'],
    ...(outcome ? [[outcome, 1, 'Count'] as [string, number, string]] : []),
    ['Duration', Math.floor(seconds), 'Seconds'],
    ...information.phases.flatMap((phase): [string, number, string][] => {
      const name = PHASES[phase['phase-type']];
      const duration = phase['duration-in-seconds'];
      return name === undefined || duration === undefined ? [] : [[name, duration, 'Seconds']];
    }),
  ];
  const at = Math.floor(end / 1000);
  return values.flatMap(([name, value, unit]) =>
    [[], [{ Name: 'ProjectName', Value: detail['project-name'] }]].map((dimensions): Sample => {
      const metric: Metric = { namespace: 'AWS/CodeBuild', name, dimensions };
      const numbers = { count: 1, sum: value, min: value, max: value, distribution: [value, 1] };
      return { place: { account, region }, metric, at: at - (at % 60), unit, resolution: 60, ...numbers };
    }),
  );
}
