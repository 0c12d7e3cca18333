/** What alarms do when their state changes: they tell topics. */
import { AwsError } from '../../../platform/errors.ts';
import type { JobHandler } from '../../../platform/service.ts';
import { invalid, notThere } from '../errors.ts';
import type { Alarm, CompositeDefinition, MetricDefinition } from '../tables.ts';
import { alarmArn } from './alarm.ts';
import { remember } from './history.ts';

const TOPIC = /^arn:aws[\w-]*:sns:([a-z0-9-]+):(\d{12}):[\w-]{1,256}(?:\.fifo)?$/;

/** Only what can be done is taken. */
export function checkActions(definition: MetricDefinition | CompositeDefinition, region: string): void {
  const { OKActions = [], AlarmActions = [], InsufficientDataActions = [] } = definition;
  for (const arn of [...OKActions, ...AlarmActions, ...InsufficientDataActions]) {
    if (!/^arn:[^:]+:[^:]+:[^:]*:[^:]*:.+$/.test(arn)) throw invalid(`Invalid arn syntax: ${arn}`);
    const topic = TOPIC.exec(arn);
    if (!topic) throw notThere(`alarm actions other than SNS topics: ${arn}`);
    if (topic[1] !== region) throw invalid(`Invalid region ${topic[1]} specified. Only ${region} is supported.`);
  }
}

interface ActionJob {
  alarm: Pick<Alarm, 'account' | 'region' | 'name' | 'type'>;
  action: string;
  subject: string;
  message: string;
}

/** Job `cloudwatch.action`. A topic that is gone or closed is noted in the history; anything else is tried again. */
export const runAction: JobHandler = async (platform, { alarm, action, subject, message }: ActionJob) => {
  const sourceArn = alarmArn(alarm, alarm.name);
  const { sns } = platform.aws.asService('cloudwatch', { account: alarm.account, region: alarm.region, sourceArn });
  let problem: string | undefined;
  try {
    const fifo = action.endsWith('.fifo') ? { MessageGroupId: alarm.name.replace(/[^\x21-\x7e]/g, '-').slice(0, 128) } : {};
    await sns.publish({ TopicArn: action, Subject: subject, Message: message, ...fifo });
  } catch (error) {
    if (!(error instanceof AwsError)) throw error;
    problem = error.message;
  }
  const summary = problem === undefined ? `Successfully executed action ${action}` : `Failed to execute action ${action}`;
  const data = {
    actionState: problem === undefined ? 'Succeeded' : 'Failed',
    notificationResource: action,
    ...(problem && { error: problem }),
  };
  await platform.transaction((tx) => remember(tx, alarm, { at: platform.now(), item: 'Action', summary }, data));
};
