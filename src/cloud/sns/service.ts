/** SNS: topics hand each message to every subscription that wants it. Publishing is a row; delivering it is jobs. */
import { defineService } from '../../platform/service.ts';
import { confirmSubscription, sendConfirmation } from './confirmation.ts';
import { deliverLane, deliverOne } from './deliver.ts';
import { fanOutMessage } from './fan-out.ts';
import { addPermission, removePermission } from './permissions.ts';
import { publish, publishBatch } from './publish.ts';
import * as subscriptions from './subscriptions.ts';
import { sweep } from './sweep.ts';
import * as tags from './tags.ts';
import * as topics from './topics.ts';

export const sns = defineService('sns', {
  operations: {
    createTopic: topics.createTopic,
    deleteTopic: topics.deleteTopic,
    getTopicAttributes: topics.getTopicAttributes,
    setTopicAttributes: topics.setTopicAttributes,
    listTopics: topics.listTopics,
    addPermission,
    removePermission,
    tagResource: tags.tagResource,
    untagResource: tags.untagResource,
    listTagsForResource: tags.listTagsForResource,
    subscribe: subscriptions.subscribe,
    confirmSubscription,
    unsubscribe: subscriptions.unsubscribe,
    getSubscriptionAttributes: subscriptions.getSubscriptionAttributes,
    setSubscriptionAttributes: subscriptions.setSubscriptionAttributes,
    listSubscriptions: subscriptions.listSubscriptions,
    listSubscriptionsByTopic: subscriptions.listSubscriptionsByTopic,
    publish,
    publishBatch,
  },
  jobs: { 'sns.fan-out': fanOutMessage, 'sns.deliver': deliverOne, 'sns.deliver-lane': deliverLane, 'sns.confirm': sendConfirmation },
  reconcilers: { 'sns.sweep': sweep },
  schema: new URL('./schema/', import.meta.url),
  validationErrors: 'InvalidParameterException',
});
