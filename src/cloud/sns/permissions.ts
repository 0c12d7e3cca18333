/** AddPermission and RemovePermission: statements of the topic's policy by their label. */
import { operation, type RequestContext } from '../../platform/service.ts';
import { invalid } from './errors.ts';
import type { Topic } from './tables.ts';
import { defaultPolicy, findTopic, lockTopic, onTopic, topicArn } from './topic.ts';

const ACTIONS = [
  'AddPermission',
  'DeleteTopic',
  'GetDataProtectionPolicy',
  'GetTopicAttributes',
  'ListSubscriptionsByTopic',
  'ListTagsForResource',
  'Publish',
  'PutDataProtectionPolicy',
  'RemovePermission',
  'SetTopicAttributes',
  'Subscribe',
];

type Policy = ReturnType<typeof defaultPolicy>;

async function changePolicy(ctx: RequestContext, arn: string, change: (policy: Policy, topic: Topic) => void): Promise<void> {
  const found = await findTopic(ctx, arn);
  await ctx.transaction(async (tx) => {
    const topic = await lockTopic(tx, found);
    const policy = topic.policy === null ? defaultPolicy(topic) : (JSON.parse(topic.policy) as Policy);
    policy.Statement = [policy.Statement].flat();
    change(policy, topic);
    await tx.sql
      .updateTable('sns.topics')
      .set({ policy: JSON.stringify(policy) })
      .where('account', '=', topic.account)
      .where('region', '=', topic.region)
      .where('name', '=', topic.name)
      .execute();
  });
}

function one(values: string[]): string | string[] {
  return values.length === 1 ? values[0]! : values;
}

export const addPermission = operation('sns', 'AddPermission', {
  authorize: onTopic,
  async handle(ctx, { TopicArn, Label, AWSAccountId: accounts, ActionName: actions }) {
    if (Label === '' || Label.length > 100) throw invalid('Label');
    if (accounts.length === 0 || accounts.some((id) => !/^\d{12}$/.test(id))) throw invalid('AWSAccountId');
    const action = actions.find((name) => !ACTIONS.includes(name));
    if (actions.length === 0 || action !== undefined) throw invalid('Policy statement action out of service scope!');
    await changePolicy(ctx, TopicArn, (policy, topic) => {
      if (policy.Statement.some(({ Sid }) => Sid === Label)) throw invalid('Statement already exists');
      const statement = {
        Sid: Label,
        Effect: 'Allow',
        Principal: { AWS: one(accounts.map((id) => `arn:aws:iam::${id}:root`)) },
        Action: one(actions.map((name) => `SNS:${name}`)),
        Resource: topicArn(topic),
      };
      policy.Statement.push(statement);
    });
    return {};
  },
});

export const removePermission = operation('sns', 'RemovePermission', {
  authorize: onTopic,
  async handle(ctx, { TopicArn, Label }) {
    await changePolicy(ctx, TopicArn, (policy) => {
      policy.Statement = policy.Statement.filter(({ Sid }) => Sid !== Label);
    });
    return {};
  },
});
