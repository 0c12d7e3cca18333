/** CloudWatch by the AWS SDK (CBOR), boto3 (JSON and forms) and the AWS CLI: metrics, alarms and what they tell, and what CodeBuild publishes. */
import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import { CloudWatch, type PutMetricAlarmCommandInput } from '@aws-sdk/client-cloudwatch';
import { EventBridgeClient, PutRuleCommand, PutTargetsCommand } from '@aws-sdk/client-eventbridge';
import { IAM } from '@aws-sdk/client-iam';
import { CreateTopicCommand, SNSClient, SubscribeCommand } from '@aws-sdk/client-sns';
import { SQSClient } from '@aws-sdk/client-sqs';
import { installedClis, openCli } from '../support/aws-cli.ts';
import { buildBench } from '../support/codebuild.ts';
import { queueFor, receiveAll } from '../support/messaging.ts';
import { refused } from '../support/refused.ts';
import { startServer, type TestServer } from '../support/server.ts';

// Its clients speak JSON unless told otherwise; which of the two is the next version's affair.
const { AwsSmithyRpcV2CborProtocol } = createRequire(import.meta.resolve('@aws-sdk/client-cloudwatch'))('@aws-sdk/core/protocols');
const run = promisify(execFile);
const hasBoto = spawnSync('python3', ['-c', 'import boto3']).status === 0;
const MINUTE = 60_000;
let server: TestServer;
let cloudwatch: CloudWatch;
let sqs: SQSClient;

before(async () => {
  server = await startServer();
  // Compressed in CBOR it announces the length of what it compressed.
  cloudwatch = new CloudWatch({ ...server.client, protocol: AwsSmithyRpcV2CborProtocol, disableRequestCompression: true });
  sqs = new SQSClient(server.client);
});
after(async () => {
  cloudwatch?.destroy();
  sqs?.destroy();
  await server?.stop();
});

/** The hour before and after now. */
const span = () => ({ StartTime: new Date(Date.now() - 60 * MINUTE), EndTime: new Date(Date.now() + 60 * MINUTE) });
const total = async (Namespace: string, MetricName: string, Dimensions?: { Name: string; Value: string }[]) => {
  const { Datapoints } = await cloudwatch.getMetricStatistics({
    Namespace,
    MetricName,
    Dimensions,
    ...span(),
    Period: 7200,
    Statistics: ['Sum', 'SampleCount'],
  });
  return Datapoints!.reduce((sum, point) => [sum[0]! + point.Sum!, sum[1]! + point.SampleCount!], [0, 0]);
};

describe('metrics', () => {
  test('values of many writers at once add up', async () => {
    const writers = Array.from({ length: 40 }, (_, writer) =>
      cloudwatch.putMetricData({
        Namespace: 'Busy',
        MetricData: [
          { MetricName: 'a', Values: [writer, 1], Counts: [1, 2] },
          {
            MetricName: 'b',
            Value: 0.5,
            Dimensions: [
              { Name: 'x', Value: '1' },
              { Name: 'w', Value: '2' },
            ],
          },
        ],
      }),
    );
    await Promise.all(writers);
    assert.deepEqual(await total('Busy', 'a'), [(39 * 40) / 2 + 80, 120]);
    // The order of dimensions says nothing.
    assert.deepEqual(
      await total('Busy', 'b', [
        { Name: 'w', Value: '2' },
        { Name: 'x', Value: '1' },
      ]),
      [20, 40],
    );
    assert.deepEqual(await total('Busy', 'b', [{ Name: 'w', Value: '2' }]), [0, 0]);
  });

  test('are listed by what names them, page by page', async () => {
    const many = Array.from({ length: 600 }, (_, index) => ({
      ...{
        MetricName: `m${index}`,
        Value: 1,
        Dimensions: [
          { Name: 'Half', Value: String(index % 2) },
          { Name: 'All', Value: 'x' },
        ],
      },
    }));
    await cloudwatch.putMetricData({ Namespace: 'Many', MetricData: many });
    const first = await cloudwatch.listMetrics({ Namespace: 'Many', Dimensions: [{ Name: 'All' }] });
    const second = await cloudwatch.listMetrics({ Namespace: 'Many', Dimensions: [{ Name: 'All' }], NextToken: first.NextToken });
    assert.deepEqual([first.Metrics!.length, second.Metrics!.length, second.NextToken], [500, 100, undefined]);
    assert.equal(new Set([...first.Metrics!, ...second.Metrics!].map(({ MetricName }) => MetricName)).size, 600);
    const half = await cloudwatch.listMetrics({ Namespace: 'Many', Dimensions: [{ Name: 'Half', Value: '1' }] });
    assert.equal(half.Metrics!.length, 300);
    await refused(cloudwatch.listMetrics({ NextToken: 'forged' }), 'InvalidParameterValueException');
  });

  test('expressions over them come page by page, newest or oldest first', async () => {
    const begin = new Date(Math.floor(Date.now() / MINUTE) * MINUTE - 10 * MINUTE);
    const at = (minute: number) => new Date(begin.getTime() + minute * MINUTE);
    const MetricData = [1, 2, 3, 4].map((Value, index) => ({ MetricName: 'n', Value, Timestamp: at(index) }));
    await cloudwatch.putMetricData({ Namespace: 'Math', MetricData });
    const MetricDataQueries = [
      {
        Id: 'n',
        MetricStat: { Metric: { Namespace: 'Math', MetricName: 'n' }, Period: 60, Stat: 'Maximum' },
        Label: "${PROP('Stat')} of ${LABEL}, up to ${MAX}",
      },
      { Id: 'twice', Expression: 'n * 2' },
    ];
    const range = { StartTime: begin, EndTime: at(10), MetricDataQueries };
    const all = await cloudwatch.getMetricData(range);
    assert.deepEqual(
      all.MetricDataResults!.map(({ Values }) => Values),
      [
        [4, 3, 2, 1],
        [8, 6, 4, 2],
      ],
    );
    assert.equal(all.MetricDataResults![0]!.Label, 'Maximum of n, up to 4');
    const pages: number[][] = [];
    let NextToken: string | undefined;
    do {
      const page = await cloudwatch.getMetricData({ ...range, ScanBy: 'TimestampAscending', MaxDatapoints: 3, NextToken });
      pages.push(page.MetricDataResults!.flatMap(({ Values }) => Values!));
      NextToken = page.NextToken;
    } while (NextToken);
    assert.deepEqual(pages, [
      [1, 2, 3],
      [4, 2, 4],
      [6, 8],
    ]);
    const wrong = async (Expression: string, message: RegExp) =>
      refused(cloudwatch.getMetricData({ ...range, MetricDataQueries: [{ Id: 'e', Expression }] }), 'ValidationException', message, 400);
    await wrong('SEARCH("{Math} n", "Sum")', /does not have the function SEARCH/);
    await wrong('n + 1', /Undefined variable n/);
    await wrong('SELECT SUM(n) FROM Math', /Metrics Insights/);
  });

  test('what cannot be a value is refused, by the name of its place', async () => {
    const put = (datum: object, Namespace = 'Bad') => cloudwatch.putMetricData({ Namespace, MetricData: [{ MetricName: 'm', ...datum }] });
    await refused(put({ Value: Number.NaN }), 'InvalidParameterValueException', /MetricData\.member\.1\.Value/, 400);
    await refused(put({ Value: 2 ** 361 }), 'InvalidParameterValueException');
    await refused(put({}), 'InvalidParameterCombinationException');
    await refused(put({ Value: 1, Values: [1] }), 'InvalidParameterCombinationException', /mutually exclusive/);
    await refused(put({ Values: [1, 2], Counts: [1] }), 'InvalidParameterValueException', /same size/);
    await refused(
      put({ Value: 1, Timestamp: new Date(Date.now() - 15 * 24 * 60 * MINUTE) }),
      'InvalidParameterValueException',
      /two weeks/,
    );
    await refused(put({ Value: 1, Timestamp: new Date(Date.now() + 3 * 60 * MINUTE) }), 'InvalidParameterValueException', /two hours/);
    await refused(put({ Value: 1, Dimensions: [{ Name: 'a', Value: '\0' }] }), 'InvalidParameterValueException');
    await refused(put({ Value: 1 }, 'AWS/CodeBuild'), 'InvalidParameterValueException', /Namespace/);
    await refused(cloudwatch.putMetricData({ Namespace: 'Bad' }), 'MissingRequiredParameterException');
    const many = Array.from({ length: 1_001 }, () => ({ MetricName: 'm', Value: 1 }));
    await refused(cloudwatch.putMetricData({ Namespace: 'Bad', MetricData: many }), 'InvalidParameterValueException', /1000/);
    const range = { Namespace: 'Bad', MetricName: 'm', StartTime: new Date(0), EndTime: new Date() };
    await refused(
      cloudwatch.getMetricStatistics({ ...range, Period: 60, Statistics: ['Sum'] }),
      'InvalidParameterCombinationException',
      /1,?440/,
    );
  });
});

describe('the wire', () => {
  /** A call whose body is changed before it is signed. */
  async function sent(body: Buffer, encoding?: string): Promise<{ name: string; status: number | undefined }> {
    const client = new CloudWatch({ ...server.client, protocol: AwsSmithyRpcV2CborProtocol });
    client.middlewareStack.add(
      (next) => async (args) => {
        const request = args.request as { body: Buffer; headers: Record<string, string> };
        request.body = body;
        request.headers['content-length'] = String(body.length);
        if (encoding) request.headers['content-encoding'] = encoding;
        return next(args);
      },
      { step: 'build', priority: 'low' },
    );
    try {
      await client.putMetricData({ Namespace: 'Wire', MetricData: [{ MetricName: 'm', Value: 1 }] });
      return { name: 'none', status: 200 };
    } catch (error) {
      const { name, $metadata } = error as { name: string; $metadata?: { httpStatusCode?: number } };
      return { name, status: $metadata?.httpStatusCode };
    } finally {
      client.destroy();
    }
  }

  test('hostile bodies are refused, and cost nobody else anything', async () => {
    const broken = { name: 'SerializationException', status: 400 };
    assert.deepEqual(await sent(Buffer.from('not cbor')), broken);
    assert.deepEqual(await sent(Buffer.alloc(100_000, 0x81)), broken);
    assert.deepEqual(await sent(Buffer.from('bf6a4d657472696344617461bfffff', 'hex')), broken);
    assert.deepEqual(await sent(Buffer.from('no gzip'), 'gzip'), broken);
    assert.deepEqual(await sent(gzipSync(Buffer.alloc(64 * 1024 * 1024)), 'gzip'), { name: 'RequestEntityTooLargeException', status: 413 });
    assert.deepEqual(await total('Wire', 'm'), [0, 0]);
    const datum = Buffer.from('a26a4d65747269634e616d65616d6556616c756502', 'hex');
    const whole = Buffer.concat([Buffer.from('a2694e616d65737061636564576972656a4d65747269634461746181', 'hex'), datum]);
    assert.deepEqual(await sent(gzipSync(whole), 'gzip'), { name: 'none', status: 200 });
    assert.deepEqual(await total('Wire', 'm'), [2, 1]);
  });

  test('boto3 and the query form speak of the same metrics', {
    skip: hasBoto ? false : 'python3 with boto3 is not installed',
  }, async () => {
    const { stdout } = await run('python3', [path.join(import.meta.dirname, 'cloudwatch_client.py')], { env: server.env });
    const { sdk, query } = JSON.parse(stdout);
    assert.deepEqual(sdk, { sum: (499 * 500) / 2, status: 'Complete', error: 'ResourceNotFound' });
    assert.deepEqual(query, { dimension: ['a', 'b'], failure: [400, 'InvalidParameterValue'], missing: 400 });
  });

  for (const cli of installedClis()) {
    test(`the AWS CLI version ${cli.version}`, async () => {
      const opened = openCli(cli, server);
      const aws = async (...args: string[]): Promise<any> => {
        const { status, output, error } = await opened.run(['cloudwatch', ...args]);
        assert.equal(status, 0, error);
        return output.trim() === '' ? undefined : JSON.parse(output);
      };
      try {
        const name = `cli-${cli.version}`;
        await aws('put-metric-data', '--namespace', 'Cli', '--metric-name', name, '--value', '7', '--dimensions', 'a=1,b=2');
        const { Metrics } = await aws('list-metrics', '--namespace', 'Cli', '--metric-name', name);
        assert.deepEqual(Metrics[0].Dimensions, [
          { Name: 'a', Value: '1' },
          { Name: 'b', Value: '2' },
        ]);
        const watched = ['--namespace', 'Cli', '--metric-name', name, '--statistic', 'Sum', '--period', '60', '--evaluation-periods', '2'];
        await aws('put-metric-alarm', '--alarm-name', name, ...watched, '--threshold', '1', '--comparison-operator', 'LessThanThreshold');
        const { MetricAlarms } = await aws('describe-alarms', '--alarm-name-prefix', name);
        const [{ Threshold, EvaluationPeriods, StateValue, ActionsEnabled }] = MetricAlarms;
        assert.deepEqual([Threshold, EvaluationPeriods, StateValue, ActionsEnabled], [1, 2, 'INSUFFICIENT_DATA', true]);
        const missing = await opened.run([
          'cloudwatch',
          'set-alarm-state',
          '--alarm-name',
          'none',
          '--state-value',
          'OK',
          '--state-reason',
          'x',
        ]);
        assert.match(missing.error, /\(ResourceNotFound\)/);
      } finally {
        await opened.close();
      }
    });
  }
});

describe('alarms', () => {
  const put = (AlarmName: string, more: Partial<PutMetricAlarmCommandInput> = {}) =>
    cloudwatch.putMetricAlarm({
      ...{ AlarmName, Namespace: 'Alarms', MetricName: AlarmName, Statistic: 'Maximum', Period: 60, EvaluationPeriods: 1 },
      ...{ Threshold: 5, ComparisonOperator: 'GreaterThanThreshold', ...more },
    });
  const state = async (name: string, wanted: string): Promise<void> => {
    for (const until = Date.now() + 30_000; ; await delay(50)) {
      const { MetricAlarms, CompositeAlarms } = await cloudwatch.describeAlarms({
        AlarmNames: [name],
        AlarmTypes: ['MetricAlarm', 'CompositeAlarm'],
      });
      const found = [...MetricAlarms!, ...CompositeAlarms!][0]?.StateValue;
      if (found === wanted) return;
      if (Date.now() > until) assert.equal(found, wanted);
    }
  };

  test('tell topics and the event bus; composite alarms follow; all is remembered', async () => {
    const sns = new SNSClient(server.client);
    const events = new EventBridgeClient(server.client);
    const { TopicArn } = await sns.send(new CreateTopicCommand({ Name: 'alarms' }));
    const queue = await queueFor(sqs, 'alarms', { from: TopicArn! });
    await sns.send(new SubscribeCommand({ TopicArn, Protocol: 'sqs', Endpoint: queue.arn, Attributes: { RawMessageDelivery: 'true' } }));
    const heard = await queueFor(sqs, 'alarm-events', { from: `arn:aws:events:${server.region}:${server.account}:rule/alarms` });
    const EventPattern = JSON.stringify({
      source: ['aws.cloudwatch'],
      'detail-type': ['CloudWatch Alarm State Change'],
      detail: { state: { value: ['ALARM'] } },
    });
    await events.send(new PutRuleCommand({ Name: 'alarms', EventPattern }));
    await events.send(new PutTargetsCommand({ Rule: 'alarms', Targets: [{ Id: 'queue', Arn: heard.arn }] }));

    await put('errors', {
      AlarmActions: [TopicArn!],
      TreatMissingData: 'notBreaching',
      AlarmDescription: 'too many',
      Tags: [{ Key: 'team', Value: 'x' }],
    });
    await cloudwatch.putCompositeAlarm({ AlarmName: 'any', AlarmRule: 'ALARM("errors") AND NOT (FALSE OR INSUFFICIENT_DATA(errors))' });
    await state('any', 'OK');
    await cloudwatch.putMetricData({ Namespace: 'Alarms', MetricData: [{ MetricName: 'errors', Value: 6 }] });
    const told = JSON.parse((await receiveAll(sqs, queue.url, 1))[0]!.Body!);
    assert.deepEqual(
      [told.AlarmName, told.AlarmDescription, told.OldStateValue, told.NewStateValue, told.AWSAccountId],
      ['errors', 'too many', 'OK', 'ALARM', server.account],
    );
    assert.deepEqual([told.Trigger.MetricName, told.Trigger.Statistic, told.Trigger.Threshold], ['errors', 'MAXIMUM', 5]);
    await state('any', 'ALARM');
    const details = (await receiveAll(sqs, heard.url, 2)).map(({ Body }) => JSON.parse(Body!));
    const event = details.find(({ detail }) => detail.alarmName === 'errors');
    assert.deepEqual(event.resources, [`arn:aws:cloudwatch:${server.region}:${server.account}:alarm:errors`]);
    assert.deepEqual([event.detail.previousState.value, event.detail.state.value], ['OK', 'ALARM']);
    assert.deepEqual(event.detail.configuration.metrics[0].metricStat.metric, { namespace: 'Alarms', name: 'errors', dimensions: {} });
    const composite = details.find(({ detail }) => detail.alarmName === 'any');
    assert.match(composite.detail.configuration.alarmRule, /^ALARM\("errors"\)/);

    for (const until = Date.now() + 30_000; ; await delay(50)) {
      const { AlarmHistoryItems } = await cloudwatch.describeAlarmHistory({ AlarmName: 'errors', HistoryItemType: 'Action' });
      if (AlarmHistoryItems!.length === 1) {
        assert.equal(AlarmHistoryItems![0]!.HistorySummary, `Successfully executed action ${TopicArn}`);
        break;
      }
      assert.ok(Date.now() < until, 'the action is in the history');
    }
    await refused(cloudwatch.deleteAlarms({ AlarmNames: ['errors'] }), 'ResourceConflict', /composite alarm any/);
    await cloudwatch.deleteAlarms({ AlarmNames: ['any'] });
    await cloudwatch.deleteAlarms({ AlarmNames: ['errors', 'never there'] });
    assert.equal((await cloudwatch.describeAlarms({})).MetricAlarms!.filter(({ AlarmName }) => AlarmName === 'errors').length, 0);
    sns.destroy();
    events.destroy();
  });

  test('a topic that does not let CloudWatch in is noted in the history', async () => {
    await put('nobody', { OKActions: [`arn:aws:sns:${server.region}:${server.account}:missing`] });
    await cloudwatch.setAlarmState({ AlarmName: 'nobody', StateValue: 'OK', StateReason: 'a test', StateReasonData: '{"a":1}' });
    for (const until = Date.now() + 30_000; ; await delay(50)) {
      const { AlarmHistoryItems } = await cloudwatch.describeAlarmHistory({ AlarmName: 'nobody', HistoryItemType: 'Action' });
      if (AlarmHistoryItems!.length > 0) {
        assert.match(AlarmHistoryItems![0]!.HistorySummary!, /^Failed to execute action/);
        break;
      }
      assert.ok(Date.now() < until);
    }
  });

  test('are found by name, state, action and metric; actions can be switched off', async () => {
    const topic = `arn:aws:sns:${server.region}:${server.account}:found`;
    for (const name of ['find-a', 'find-b', 'find-c']) await put(name, { AlarmActions: name === 'find-b' ? [topic] : [] });
    const names = async (input: object) => {
      const { MetricAlarms } = await cloudwatch.describeAlarms(input);
      return MetricAlarms!.map(({ AlarmName }) => AlarmName).filter((name) => name!.startsWith('find-'));
    };
    assert.deepEqual(await names({ AlarmNamePrefix: 'find-' }), ['find-a', 'find-b', 'find-c']);
    assert.deepEqual(await names({ ActionPrefix: `${topic.slice(0, -2)}` }), ['find-b']);
    assert.deepEqual(await names({ StateValue: 'ALARM' }), []);
    const page = await cloudwatch.describeAlarms({ AlarmNamePrefix: 'find-', MaxRecords: 2 });
    const rest = await cloudwatch.describeAlarms({ AlarmNamePrefix: 'find-', MaxRecords: 2, NextToken: page.NextToken });
    assert.deepEqual([page.MetricAlarms!.length, rest.MetricAlarms!.length, rest.NextToken], [2, 1, undefined]);
    const watching = await cloudwatch.describeAlarmsForMetric({ Namespace: 'Alarms', MetricName: 'find-a', Statistic: 'Maximum' });
    assert.deepEqual(
      watching.MetricAlarms!.map(({ AlarmName }) => AlarmName),
      ['find-a'],
    );
    assert.equal(
      (await cloudwatch.describeAlarmsForMetric({ Namespace: 'Alarms', MetricName: 'find-a', Period: 300 })).MetricAlarms!.length,
      0,
    );
    await cloudwatch.disableAlarmActions({ AlarmNames: ['find-a', 'nothing'] });
    const enabled = async () => (await cloudwatch.describeAlarms({ AlarmNames: ['find-a'] })).MetricAlarms![0]!.ActionsEnabled;
    assert.equal(await enabled(), false);
    await cloudwatch.enableAlarmActions({ AlarmNames: ['find-a'] });
    assert.equal(await enabled(), true);
    await refused(cloudwatch.describeAlarms({ NextToken: 'forged' }), 'InvalidNextToken');
    await refused(cloudwatch.describeAlarms({ AlarmNames: ['a'], AlarmNamePrefix: 'a' }), 'ValidationException');
  });

  test('have tags, which policies can name', async () => {
    await put('tagged', { Tags: [{ Key: 'team', Value: 'x' }] });
    const ResourceARN = `arn:aws:cloudwatch:${server.region}:${server.account}:alarm:tagged`;
    await cloudwatch.tagResource({ ResourceARN, Tags: [{ Key: 'more', Value: 'y' }] });
    await cloudwatch.untagResource({ ResourceARN, TagKeys: ['team'] });
    assert.deepEqual((await cloudwatch.listTagsForResource({ ResourceARN })).Tags, [{ Key: 'more', Value: 'y' }]);
    await refused(cloudwatch.listTagsForResource({ ResourceARN: `${ResourceARN}-not` }), 'ResourceNotFoundException');
    const iam = new IAM(server.client);
    await iam.createUser({ UserName: 'watcher' });
    const statement = {
      Effect: 'Allow',
      Action: 'cloudwatch:SetAlarmState',
      Resource: '*',
      Condition: { StringEquals: { 'aws:ResourceTag/more': 'y' } },
    };
    const put2 = {
      Effect: 'Allow',
      Action: 'cloudwatch:PutMetricData',
      Resource: '*',
      Condition: { StringEquals: { 'cloudwatch:namespace': 'Mine' } },
    };
    await iam.putUserPolicy({
      UserName: 'watcher',
      PolicyName: 'p',
      PolicyDocument: JSON.stringify({ Version: '2012-10-17', Statement: [statement, put2] }),
    });
    const { AccessKey } = await iam.createAccessKey({ UserName: 'watcher' });
    const theirs = new CloudWatch({
      ...server.client,
      credentials: { accessKeyId: AccessKey!.AccessKeyId!, secretAccessKey: AccessKey!.SecretAccessKey! },
    });
    const change = { StateValue: 'OK', StateReason: 'by a watcher' } as const;
    await theirs.setAlarmState({ AlarmName: 'tagged', ...change });
    await refused(theirs.setAlarmState({ AlarmName: 'find-a', ...change }), 'AccessDenied', /cloudwatch:SetAlarmState/);
    await theirs.putMetricData({ Namespace: 'Mine', MetricData: [{ MetricName: 'm', Value: 1 }] });
    await refused(theirs.putMetricData({ Namespace: 'Other', MetricData: [{ MetricName: 'm', Value: 1 }] }), 'AccessDenied');
    theirs.destroy();
    iam.destroy();
  });

  test('put by many at once are one', async () => {
    await Promise.all(Array.from({ length: 10 }, (_, index) => put('contested', { Threshold: index })));
    const { MetricAlarms } = await cloudwatch.describeAlarms({ AlarmNames: ['contested'] });
    assert.equal(MetricAlarms!.length, 1);
    const { AlarmHistoryItems } = await cloudwatch.describeAlarmHistory({ AlarmName: 'contested', HistoryItemType: 'ConfigurationUpdate' });
    assert.equal(AlarmHistoryItems!.filter(({ HistorySummary }) => HistorySummary!.endsWith('created')).length, 1);
    assert.equal(AlarmHistoryItems!.length, 10);
  });

  test('that could not be watched are refused', async () => {
    const bad = (message: RegExp, more: object) => refused(put('bad', more), 'ValidationException', message, 400);
    await bad(/Period/, { Period: 61 });
    await bad(/DatapointsToAlarm/, { DatapointsToAlarm: 2 });
    await bad(/TreatMissingData/, { TreatMissingData: 'maybe' });
    await bad(/across more than/, { Period: 60, EvaluationPeriods: 2_000 });
    await bad(/anomaly detection/, { ComparisonOperator: 'GreaterThanUpperThreshold', ThresholdMetricId: 'a' });
    await bad(/other than SNS/, { AlarmActions: [`arn:aws:lambda:${server.region}:${server.account}:function:f`] });
    await bad(/Invalid arn/, { OKActions: ['nonsense'] });
    await bad(/Exactly one/, { ExtendedStatistic: 'p90' });
    await bad(/PromQL/, { EvaluationCriteria: { PromQLCriteria: { Query: 'up' } } });
    await refused(put('bad\u0007', { MetricName: 'm' }), 'ValidationException', /control characters/);
    await refused(cloudwatch.setAlarmState({ AlarmName: 'none', StateValue: 'OK', StateReason: 'x' }), 'ResourceNotFound', undefined, 404);
    await refused(
      cloudwatch.setAlarmState({ AlarmName: 'none', StateValue: 'OK', StateReason: 'x', StateReasonData: '{' }),
      'InvalidFormatFault',
    );
    const rule = (AlarmRule: string) => cloudwatch.putCompositeAlarm({ AlarmName: 'bad-rule', AlarmRule });
    await refused(rule('ALARM('), 'ValidationException', /AlarmRule is not valid/);
    await refused(rule('ALARM(unknown-alarm)'), 'ValidationException', /do not exist/);
    await refused(rule(`${'('.repeat(200)}TRUE`), 'ValidationException', /nested too deeply/);
    await rule('TRUE');
    await refused(rule('ALARM("bad-rule")'), 'ValidationException', /depends on/);
    await state('bad-rule', 'ALARM');
  });
});

test('CodeBuild publishes how its builds went, for each project and for all', async () => {
  const bench = await buildBench(server);
  await bench.project('measured', 'version: 0.2\nphases: { build: { commands: ["exit $CODE"] } }\n');
  for (const value of ['0', '1']) await bench.build('measured', { environmentVariablesOverride: [{ name: 'CODE', value }] });
  const dimensions = [{ Name: 'ProjectName', Value: 'measured' }];
  for (const until = Date.now() + 30_000; (await total('AWS/CodeBuild', 'Builds', dimensions))[0] !== 2; await delay(50))
    assert.ok(Date.now() < until);
  assert.deepEqual(await total('AWS/CodeBuild', 'SucceededBuilds', dimensions), [1, 1]);
  assert.deepEqual(await total('AWS/CodeBuild', 'FailedBuilds', dimensions), [1, 1]);
  assert.equal((await total('AWS/CodeBuild', 'Duration'))[1], 2);
  assert.equal((await total('AWS/CodeBuild', 'BuildDuration', dimensions))[1], 2);
});
