/** Metrics and alarms on a real database, with the time in our hands: what takes from minutes to a year. */
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { openPlatform, type TestPlatform } from '../../../test/support/platform.ts';
import { ALARM_KIND } from './alarms/alarm.ts';
import { alarmReconciler } from './alarms/reconcile.ts';
import { onBuildEnd } from './codebuild-metrics.ts';
import { retention } from './retention.ts';
import { cloudwatch } from './service.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const MINUTE = 60_000;
const BEGIN = new Date('2026-01-05T10:00:00Z');
let opened: TestPlatform;
let now = BEGIN;

before(async () => {
  opened = await openPlatform(cloudwatch, { now: () => now });
});
after(() => opened?.[Symbol.asyncDispose]());

const signal = AbortSignal.timeout(60_000);
const call: TestPlatform['call'] = (service, operation, input) => opened.call(service, operation, input);
const later = (ms: number): void => {
  now = new Date(now.getTime() + ms);
};
const put = (MetricName: string, value: object, at = now) =>
  call('cloudwatch', 'PutMetricData', { Namespace: 'App', MetricData: [{ MetricName, Timestamp: at, ...value }] });

/** `minute:sum/count` of each period, minutes counted from the range's beginning. */
async function periods(MetricName: string, from: Date, Period: number, length: number): Promise<string> {
  const EndTime = new Date(from.getTime() + length);
  const { Datapoints } = await call('cloudwatch', 'GetMetricStatistics', {
    ...{ Namespace: 'App', MetricName, StartTime: from, EndTime, Period, Statistics: ['Sum', 'SampleCount'] },
  });
  return Datapoints!
    .map(({ Timestamp, Sum, SampleCount }) => `${(Timestamp!.getTime() - from.getTime()) / MINUTE}:${Sum}/${SampleCount}`)
    .join(' ');
}

async function percentile(MetricName: string, from: Date, Period: number, name: string): Promise<number | undefined> {
  const EndTime = new Date(from.getTime() + Period * 1000);
  const range = { StartTime: from, EndTime, Period, ExtendedStatistics: [name] };
  const { Datapoints } = await call('cloudwatch', 'GetMetricStatistics', { Namespace: 'App', MetricName, ...range });
  return Datapoints![0]?.ExtendedStatistics?.[name];
}

describe('retention', () => {
  beforeEach(() => {
    now = BEGIN;
  });

  test('seconds become minutes after three hours, then five minutes, hours, nothing; sums and distributions stay', async () => {
    for (const [second, value] of [1, 2, 70, 400].entries())
      await put('kept', { Value: value, StorageResolution: 1 }, new Date(BEGIN.getTime() + second * 1000));
    await put('kept', { Values: [5, 9], Counts: [2, 1] }, new Date(BEGIN.getTime() + 6 * MINUTE));
    assert.equal(await periods('kept', BEGIN, 60, 10 * MINUTE), '0:473/4 6:19/3');
    assert.equal(await periods('kept', BEGIN, 1, 2_000), '0:1/1 0.016666666666666666:2/1');

    later(5 * HOUR);
    assert.deepEqual(await retention.pending(opened.platform), ['all']);
    await retention.run(opened.platform, 'all', signal);
    assert.deepEqual(await retention.pending(opened.platform), []);
    assert.equal(await periods('kept', BEGIN, 1, 2_000), '');
    assert.equal(await periods('kept', BEGIN, 60, 10 * MINUTE), '0:473/4 6:19/3');

    later(16 * DAY);
    await retention.run(opened.platform, 'all', signal);
    assert.equal(await periods('kept', BEGIN, 60, 10 * MINUTE), '');
    assert.equal(await periods('kept', BEGIN, 300, 10 * MINUTE), '0:473/4 5:19/3');
    assert.equal(await percentile('kept', BEGIN, 600, 'p50'), 5);

    later(60 * DAY);
    await retention.run(opened.platform, 'all', signal);
    assert.equal(await periods('kept', BEGIN, 300, 10 * MINUTE), '');
    assert.equal(await periods('kept', BEGIN, 3_600, HOUR), '0:492/7');
    assert.equal(await percentile('kept', BEGIN, 3_600, 'p100'), 400);

    later(400 * DAY);
    await retention.run(opened.platform, 'all', signal);
    assert.equal(await periods('kept', BEGIN, 3_600, HOUR), '');
    assert.deepEqual(await opened.platform.read.selectFrom('cloudwatch.metrics').selectAll().execute(), []);
  });

  test('metrics that had no values for two weeks are not listed', async () => {
    await put('silent', { Value: 1 });
    later(13 * DAY);
    assert.equal((await call('cloudwatch', 'ListMetrics', { MetricName: 'silent' })).Metrics!.length, 1);
    assert.equal((await call('cloudwatch', 'ListMetrics', { MetricName: 'silent', RecentlyActive: 'PT3H' })).Metrics!.length, 0);
    later(2 * DAY);
    assert.equal((await call('cloudwatch', 'ListMetrics', { MetricName: 'silent' })).Metrics!.length, 0);
  });

  test('a distribution of many values stays bounded, and near the truth', async () => {
    for (let round = 0; round < 10; round += 1) {
      const Values = Array.from({ length: 150 }, (_, index) => 1 + (round * 150 + index) * 3);
      await put('wide', { Values });
    }
    const [row] = await opened.platform.read
      .selectFrom('cloudwatch.points')
      .selectAll()
      .where('max', '=', 1 + 1499 * 3)
      .execute();
    assert.ok(row!.distribution!.length <= 1_600, String(row!.distribution!.length));
    const median = (await percentile('wide', new Date(now.getTime() - (now.getTime() % MINUTE)), 60, 'p50'))!;
    assert.ok(Math.abs(median / 2_249.5 - 1) < 0.02, String(median));
  });

  test('zeros are values like others, however many', async () => {
    const zeros = Array.from({ length: 150 }, () => 0);
    for (let round = 0; round < 8; round += 1) await put('zeros', { Values: zeros });
    assert.deepEqual([await percentile('zeros', BEGIN, 60, 'p99'), await percentile('zeros', BEGIN, 60, 'tm90')], [0, 0]);
    for (let round = 0; round < 8; round += 1) await put('zeros', { Values: zeros.map((_, index) => (round * 150 + index) / 7) });
    assert.ok((await percentile('zeros', BEGIN, 60, 'p50'))! < 0.2);
  });

  test('values whose distribution is not known, or that are negative, have no percentiles', async () => {
    await put('set', { StatisticValues: { SampleCount: 3, Sum: 9, Minimum: 1, Maximum: 5 } });
    await put('same', { StatisticValues: { SampleCount: 3, Sum: 9, Minimum: 3, Maximum: 3 } });
    await put('below', { Values: [-1, 4] });
    assert.deepEqual(await Promise.all(['set', 'same', 'below'].map((name) => percentile(name, BEGIN, 60, 'p50'))), [
      undefined,
      3,
      undefined,
    ]);
  });
});

describe('alarms', () => {
  const state = async (name: string) => {
    const { MetricAlarms, CompositeAlarms } = await call('cloudwatch', 'DescribeAlarms', {
      ...{ AlarmNames: [name], AlarmTypes: ['MetricAlarm', 'CompositeAlarm'] },
    });
    return [...MetricAlarms!, ...CompositeAlarms!][0]!;
  };
  const putAlarm = (AlarmName: string, more: object) =>
    call('cloudwatch', 'PutMetricAlarm', {
      ...{ AlarmName, Namespace: 'App', MetricName: AlarmName, Statistic: 'Average', Period: 60, EvaluationPeriods: 1 },
      ...{ Threshold: 5, ComparisonOperator: 'GreaterThanThreshold', ...more },
    });
  /** What its timer, or the wake-up that waits, would do now. */
  async function look(name: string): Promise<string> {
    const { id } = await opened.platform.read
      .selectFrom('cloudwatch.alarms')
      .select('id')
      .where('name', '=', name)
      .executeTakeFirstOrThrow();
    await alarmReconciler.run(opened.platform, id, signal);
    return (await state(name)).StateValue!;
  }
  /** Alarms that are to be looked at as soon as can be. */
  const woken = async () => (await opened.jobs()).filter(({ payload }) => payload.kind === ALARM_KIND).length;

  beforeEach(async () => {
    now = BEGIN;
    await opened.clearJobs();
  });

  test('an average is judged when its minute has ended, a maximum as soon as it breaches', async () => {
    await putAlarm('average', {});
    await putAlarm('maximum', { Statistic: 'Maximum' });
    assert.deepEqual([await look('average'), await look('maximum')], ['INSUFFICIENT_DATA', 'INSUFFICIENT_DATA']);
    await opened.clearJobs();
    await put('average', { Value: 9 });
    assert.equal(await woken(), 0);
    await put('maximum', { Value: 9 });
    assert.equal(await woken(), 1);
    assert.deepEqual([await look('average'), await look('maximum')], ['INSUFFICIENT_DATA', 'ALARM']);
    later(MINUTE);
    assert.deepEqual([await look('average'), await look('maximum')], ['ALARM', 'ALARM']);
    const { StateReason, StateReasonData } = await state('average');
    assert.equal(
      StateReason,
      'Threshold Crossed: 1 out of the last 1 datapoints [9.0 (05/01/26 10:00:00)] was greater than the threshold (5.0) (minimum 1 datapoint for INSUFFICIENT_DATA -> ALARM transition).',
    );
    assert.deepEqual(JSON.parse(StateReasonData!).recentDatapoints, [9]);
    await put('average', { Value: 1 });
    later(MINUTE);
    assert.equal(await look('average'), 'OK');
    later(10 * MINUTE);
    assert.equal(await look('average'), 'INSUFFICIENT_DATA');
  });

  test('values that come late are looked at at once', async () => {
    await putAlarm('late', { EvaluationPeriods: 3, DatapointsToAlarm: 2 });
    later(5 * MINUTE);
    await look('late');
    await opened.clearJobs();
    for (const minutes of [1, 3]) await put('late', { Value: 6 }, new Date(now.getTime() - minutes * MINUTE));
    assert.equal(await woken(), 1);
    assert.equal(await look('late'), 'ALARM');
  });

  test('metric math, percentiles and other treatments of what is missing', async () => {
    const stat = (Id: string, MetricName: string, ReturnData = false) => ({
      ...{ Id, ReturnData, MetricStat: { Metric: { Namespace: 'App', MetricName }, Period: 60, Stat: 'Sum' } },
    });
    const own = { Namespace: undefined, MetricName: undefined, Statistic: undefined, Period: undefined };
    await putAlarm('ratio', {
      ...own,
      Metrics: [{ Id: 'e', Expression: 'errors / all * 100' }, stat('errors', 'errors'), stat('all', 'all')],
    });
    await putAlarm('slow', { Statistic: undefined, ExtendedStatistic: 'p90', Threshold: 80 });
    await putAlarm('quiet', { TreatMissingData: 'breaching' });
    await put('errors', { Value: 3 });
    await put('all', { Value: 20 });
    await put('slow', { Values: Array.from({ length: 100 }, (_, index) => index) });
    later(MINUTE);
    assert.deepEqual([await look('ratio'), await look('slow'), await look('quiet')], ['ALARM', 'ALARM', 'ALARM']);
    assert.match(
      (await state('quiet')).StateReason!,
      /no datapoints were received for 1 period and 1 missing datapoint was treated as \[Breaching\]/,
    );
  });

  test('a state that was set lasts until the next look; timers are kept', async () => {
    await putAlarm('set', { TreatMissingData: 'notBreaching' });
    assert.equal(await look('set'), 'OK');
    await call('cloudwatch', 'SetAlarmState', { AlarmName: 'set', StateValue: 'ALARM', StateReason: 'a test' });
    assert.equal((await state('set')).StateReason, 'a test');
    assert.equal((await alarmReconciler.pending(opened.platform)).length, 0);
    later(MINUTE + 1_000);
    assert.ok((await alarmReconciler.pending(opened.platform)).length > 0);
    assert.equal(await look('set'), 'OK');
    const { AlarmHistoryItems } = await call('cloudwatch', 'DescribeAlarmHistory', { AlarmName: 'set', ScanBy: 'TimestampAscending' });
    assert.deepEqual(
      AlarmHistoryItems!.map(({ HistorySummary }) => HistorySummary),
      [
        'Alarm "set" created',
        'Alarm updated from INSUFFICIENT_DATA to OK',
        'Alarm updated from OK to ALARM',
        'Alarm updated from ALARM to OK',
      ],
    );
    later(31 * DAY);
    await retention.run(opened.platform, 'all', signal);
    assert.equal((await call('cloudwatch', 'DescribeAlarmHistory', { AlarmName: 'set' })).AlarmHistoryItems!.length, 0);
  });
});

test('a build is counted once, however often its event is handed over', async () => {
  now = new Date('2026-02-01T12:00:30Z');
  const phases = [
    { 'phase-type': 'SUBMITTED', 'duration-in-seconds': 0 },
    { 'phase-type': 'BUILD', 'duration-in-seconds': 7 },
    { 'phase-type': 'COMPLETED' },
  ];
  const information = { 'build-complete': true, 'build-start-time': 'Feb 1, 2026 12:00:10 PM', phases };
  const detail = { 'build-status': 'FAILED', 'project-name': 'site', 'additional-information': information };
  const event = {
    id: '7b4a1d0e-3c79-4f0e-9d0a-5a8b3c1d2e3f',
    account: '123456789012',
    region: 'us-east-1',
    time: now.toISOString(),
    detail,
  };
  const job = { attempt: 1, maxAttempts: 1, signal };
  for (let round = 0; round < 3; round += 1) await onBuildEnd(opened.platform, event, job);
  const { Metrics } = await call('cloudwatch', 'ListMetrics', {
    Namespace: 'AWS/CodeBuild',
    Dimensions: [{ Name: 'ProjectName', Value: 'site' }],
  });
  assert.deepEqual(Metrics!.map(({ MetricName }) => MetricName).sort(), [
    'BuildDuration',
    'Builds',
    'Duration',
    'FailedBuilds',
    'SubmittedDuration',
  ]);
  const sum = async (MetricName: string, Dimensions?: { Name: string; Value: string }[]) => {
    const range = { StartTime: new Date('2026-02-01T12:00:00Z'), EndTime: new Date('2026-02-01T12:01:00Z'), Period: 60 };
    const { Datapoints } = await call('cloudwatch', 'GetMetricStatistics', {
      ...{ Namespace: 'AWS/CodeBuild', MetricName, Dimensions, ...range, Statistics: ['Sum'] },
    });
    return [Datapoints![0]?.Sum, Datapoints![0]?.Unit];
  };
  assert.deepEqual(await sum('Builds'), [1, 'Count']);
  assert.deepEqual(await sum('Duration', [{ Name: 'ProjectName', Value: 'site' }]), [20, 'Seconds']);
  assert.deepEqual(await sum('BuildDuration'), [7, 'Seconds']);
});
