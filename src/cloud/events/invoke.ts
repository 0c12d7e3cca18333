/** Hands one event to one target, by the target's own API, as the role that the user gave the rule. */
import type { Platform } from '../../platform/platform.ts';
import type { DeliveredEvent } from './inputs.ts';
import type { Target } from './tables.ts';

export interface Delivery {
  account: string;
  region: string;
  rule: { name: string; arn: string };
  target: Target;
  /** What the target gets; for a bus the event itself. */
  input: string;
  event: DeliveredEvent;
}

interface Kind {
  pattern: RegExp;
  needsRole: boolean;
  invoke(platform: Platform, delivery: Delivery): Promise<void>;
}

/** Also of dead-letter queues. */
export const QUEUE_ARN = /^arn:aws:sqs:[a-z0-9-]+:\d{12}:[\w-]{1,80}(\.fifo)?$/;

const KINDS: Kind[] = [
  {
    pattern: /^arn:aws:codepipeline:[a-z0-9-]+:\d{12}:[A-Za-z0-9.@\-_]+$/,
    needsRole: true,
    async invoke(platform, delivery) {
      const clients = await roleClients(platform, delivery);
      await clients.codepipeline.startPipelineExecution({ name: lastPart(delivery.target.Arn), clientRequestToken: token(delivery) });
    },
  },
  {
    pattern: /^arn:aws:codebuild:[a-z0-9-]+:\d{12}:project\/[A-Za-z0-9][A-Za-z0-9\-_]+$/,
    needsRole: true,
    async invoke(platform, delivery) {
      const clients = await roleClients(platform, delivery);
      // A constant or transformed input is StartBuild's own parameters; the plain event has none of their names.
      const overrides = delivery.target.Input || delivery.target.InputTransformer ? JSON.parse(delivery.input) : {};
      await clients.codebuild.startBuild({ ...overrides, projectName: lastPart(delivery.target.Arn), idempotencyToken: token(delivery) });
    },
  },
  {
    pattern: /^arn:aws:logs:[a-z0-9-]+:\d{12}:log-group:[^:*]+(:\*)?$/,
    needsRole: false,
    async invoke(platform, delivery) {
      const [, , , region, account, , group] = delivery.target.Arn.split(':') as string[];
      const { logs } = platform.aws.asService('events', { account: account!, region: region! });
      const place = { logGroupName: group!, logStreamName: delivery.rule.name };
      const logEvents = [{ timestamp: platform.now().getTime(), message: delivery.input }];
      try {
        await logs.putLogEvents({ ...place, logEvents });
      } catch (error) {
        if ((error as { code?: string }).code !== 'ResourceNotFoundException') throw error;
        await logs.createLogStream(place).catch(ignoreExisting);
        await logs.putLogEvents({ ...place, logEvents });
      }
    },
  },
  {
    pattern: QUEUE_ARN,
    needsRole: false,
    async invoke(platform, delivery) {
      const { target, input } = delivery;
      const clients = target.RoleArn ? await roleClients(platform, delivery) : undefined;
      const { sqs, QueueUrl } = queueClient(platform, delivery, target.Arn);
      await (clients?.sqs ?? sqs).sendMessage({
        QueueUrl,
        MessageBody: input,
        MessageGroupId: target.SqsParameters?.MessageGroupId,
        MessageDeduplicationId: target.Arn.endsWith('.fifo') ? token(delivery) : undefined,
      });
    },
  },
  {
    pattern: /^arn:aws:sns:[a-z0-9-]+:\d{12}:[\w-]{1,256}$/,
    needsRole: false,
    async invoke(platform, delivery) {
      const { target, input, account, region, rule } = delivery;
      const where = { account, region: target.Arn.split(':')[3] || region, sourceArn: rule.arn };
      const clients = target.RoleArn ? await roleClients(platform, delivery) : platform.aws.asService('events', where);
      await clients.sns.publish({ TopicArn: target.Arn, Message: input });
    },
  },
  {
    pattern: /^arn:aws:events:[a-z0-9-]+:\d{12}:event-bus\/[\w./-]+$/,
    needsRole: false,
    async invoke(platform, { target, event, account }) {
      const [, , , region, owner] = target.Arn.split(':') as string[];
      const bus = target.Arn.slice(target.Arn.indexOf('event-bus/') + 'event-bus/'.length);
      if (owner !== account) throw new Error(`${target.Arn} belongs to another account: Penstock does not deliver across accounts yet.`);
      await platform.transaction((tx) => tx.enqueue('events.deliver', { ...toQueued(event), account: owner, region, bus }));
    },
  },
];

/** A queue's client as EventBridge on behalf of the rule: the queue's policy decides, with `aws:SourceArn` the rule's. */
export function queueClient(platform: Platform, { account, rule }: Pick<Delivery, 'account' | 'rule'>, arn: string) {
  const [, , , region, owner, name] = arn.split(':') as string[];
  const { sqs } = platform.aws.asService('events', { account, region: region!, sourceArn: rule.arn });
  return { sqs, QueueUrl: `${platform.config.serviceEndpoints.sqs ?? platform.config.endpoints.http}/${owner}/${name}` };
}

export function targetKind(arn: string): Kind | undefined {
  return KINDS.find(({ pattern }) => pattern.test(arn));
}

function toQueued({ 'detail-type': detailType, id, source, time, resources, detail }: DeliveredEvent) {
  // A new id: one event may reach the same bus by two rules, and both count.
  return { id: `${id}+`, source, detailType, time, resources, detail };
}

function ignoreExisting(error: { code?: string }): void {
  if (error.code !== 'ResourceAlreadyExistsException') throw error;
}

function lastPart(arn: string): string {
  return arn.slice(Math.max(arn.lastIndexOf(':'), arn.lastIndexOf('/')) + 1);
}

/** The same for every attempt of one delivery: a retry after a lost answer starts nothing twice. */
function token({ event, rule, target }: Delivery): string {
  return `${event.id}-${rule.name}-${target.Id}`.replace(/[^A-Za-z0-9-]/g, '-').slice(0, 64);
}

function roleClients(platform: Platform, { target, rule, region }: Delivery) {
  return platform.aws.as({ role: target.RoleArn!, service: 'events', sessionName: rule.name, region: target.Arn.split(':')[3] || region });
}
