import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import {
  CreateEventBusCommand,
  DeleteRuleCommand,
  DescribeEventBusCommand,
  DescribeRuleCommand,
  EventBridgeClient,
  ListEventBusesCommand,
  ListRulesCommand,
  ListTagsForResourceCommand,
  ListTargetsByRuleCommand,
  PutEventsCommand,
  PutPermissionCommand,
  PutRuleCommand,
  PutTargetsCommand,
  RemoveTargetsCommand,
  TestEventPatternCommand,
} from '@aws-sdk/client-eventbridge';
import { startServer, type TestServer } from '../support/server.ts';

let server: TestServer;
let events: EventBridgeClient;

before(async () => {
  server = await startServer();
  events = new EventBridgeClient(server.client);
});
after(() => server?.stop());

const pattern = JSON.stringify({ source: ['my.app'] });

describe('EventBridge by the SDK', () => {
  test('a rule is put, described, listed, tagged and deleted', async () => {
    const { RuleArn } = await events.send(
      new PutRuleCommand({ Name: 'first', EventPattern: pattern, Tags: [{ Key: 'team', Value: 'a' }] }),
    );
    assert.equal(RuleArn, `arn:aws:events:${server.region}:${server.account}:rule/first`);
    const described = await events.send(new DescribeRuleCommand({ Name: 'first' }));
    assert.deepEqual(
      { state: described.State, pattern: described.EventPattern, bus: described.EventBusName },
      { state: 'ENABLED', pattern, bus: 'default' },
    );
    const { Tags } = await events.send(new ListTagsForResourceCommand({ ResourceARN: RuleArn }));
    assert.deepEqual(Tags, [{ Key: 'team', Value: 'a' }]);
    await events.send(new DeleteRuleCommand({ Name: 'first' }));
    await assert.rejects(events.send(new DescribeRuleCommand({ Name: 'first' })), {
      name: 'ResourceNotFoundException',
      message: 'Rule first does not exist on EventBus default.',
    });
  });

  test('rules are listed in pages', async () => {
    const names = ['page-a', 'page-b', 'page-c'];
    for (const Name of names) await events.send(new PutRuleCommand({ Name, EventPattern: pattern }));
    const seen: string[] = [];
    let NextToken: string | undefined;
    do {
      const page = await events.send(new ListRulesCommand({ NamePrefix: 'page-', Limit: 2, NextToken }));
      seen.push(...page.Rules!.map((rule) => rule.Name!));
      NextToken = page.NextToken;
    } while (NextToken);
    assert.deepEqual(seen, names);
    await assert.rejects(events.send(new ListRulesCommand({ NextToken: 'forged' })), { name: 'ValidationException' });
  });

  test('broken patterns and schedules are refused', async () => {
    await assert.rejects(events.send(new PutRuleCommand({ Name: 'bad', EventPattern: '{"source":"x"}' })), {
      name: 'InvalidEventPatternException',
      message: 'Event pattern is not valid. Reason: "source" must be an object or an array',
    });
    await assert.rejects(events.send(new PutRuleCommand({ Name: 'bad', ScheduleExpression: 'rate(1 minutes)' })), {
      name: 'ValidationException',
    });
    await assert.rejects(events.send(new PutRuleCommand({ Name: 'bad' })), { name: 'ValidationException' });
  });

  test('targets are checked, kept and removed', async () => {
    await events.send(new PutRuleCommand({ Name: 'with-targets', EventPattern: pattern }));
    const Arn = `arn:aws:logs:${server.region}:${server.account}:log-group:somewhere`;
    const put = await events.send(new PutTargetsCommand({ Rule: 'with-targets', Targets: [{ Id: 'one', Arn }] }));
    assert.equal(put.FailedEntryCount, 0);
    const { Targets } = await events.send(new ListTargetsByRuleCommand({ Rule: 'with-targets' }));
    assert.deepEqual(Targets, [{ Id: 'one', Arn }]);
    await assert.rejects(events.send(new DeleteRuleCommand({ Name: 'with-targets' })), {
      message: "Rule can't be deleted since it has targets.",
    });
    const pipeline = `arn:aws:codepipeline:${server.region}:${server.account}:release`;
    await assert.rejects(events.send(new PutTargetsCommand({ Rule: 'with-targets', Targets: [{ Id: 'two', Arn: pipeline }] })), {
      name: 'ValidationException',
      message: `RoleArn is required for target ${pipeline}.`,
    });
    const removed = await events.send(new RemoveTargetsCommand({ Rule: 'with-targets', Ids: ['one', 'gone'] }));
    assert.equal(removed.FailedEntryCount, 1);
    assert.equal(removed.FailedEntries![0]!.TargetId, 'gone');
  });

  test('entries of PutEvents succeed and fail one by one', async () => {
    const good = { Source: 'my.app', DetailType: 'Test', Detail: '{"a":1}' };
    const answer = await events.send(
      new PutEventsCommand({
        Entries: [good, { ...good, Source: 'aws.s3' }, { ...good, Detail: '[1]' }, { Source: 'my.app', Detail: '{}' }],
      }),
    );
    assert.equal(answer.FailedEntryCount, 3);
    assert.match(answer.Entries![0]!.EventId!, /^[0-9a-f-]{36}$/);
    assert.deepEqual(
      answer.Entries!.map((entry) => entry.ErrorCode),
      [undefined, 'NotAuthorizedForSourceException', 'MalformedDetail', 'InvalidArgument'],
    );
  });

  test('a pattern is tried on an event', async () => {
    const event = {
      id: '1',
      account: '1',
      source: 'my.app',
      time: '2026-11-22T00:00:00Z',
      region: 'us-east-1',
      resources: [],
      'detail-type': 'x',
      detail: {},
    };
    const tryOn = (EventPattern: string) => events.send(new TestEventPatternCommand({ EventPattern, Event: JSON.stringify(event) }));
    assert.equal((await tryOn(pattern)).Result, true);
    assert.equal((await tryOn('{"source":["other"]}')).Result, false);
    await assert.rejects(events.send(new TestEventPatternCommand({ EventPattern: pattern, Event: '{"source":"x"}' })), {
      name: 'ValidationException',
    });
  });

  test('buses are made, permitted and listed', async () => {
    const { EventBusArn } = await events.send(new CreateEventBusCommand({ Name: 'mine' }));
    assert.equal(EventBusArn, `arn:aws:events:${server.region}:${server.account}:event-bus/mine`);
    await assert.rejects(events.send(new CreateEventBusCommand({ Name: 'mine' })), { name: 'ResourceAlreadyExistsException' });
    const { EventBuses } = await events.send(new ListEventBusesCommand({}));
    assert.deepEqual(
      EventBuses!.map((bus) => bus.Name),
      ['default', 'mine'],
    );
    await events.send(
      new PutPermissionCommand({ EventBusName: 'mine', Action: 'events:PutEvents', Principal: '111122223333', StatementId: 'them' }),
    );
    const { Policy } = await events.send(new DescribeEventBusCommand({ Name: 'mine' }));
    assert.equal(JSON.parse(Policy!).Statement[0].Sid, 'them');
    await assert.rejects(
      events.send(new PutEventsCommand({ Entries: [{ Source: 'a', DetailType: 'b', Detail: '{}', EventBusName: 'none' }] })),
      {
        name: 'ResourceNotFoundException',
      },
    );
  });
});
