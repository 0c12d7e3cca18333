/** SQS: standard and FIFO queues. A message is a row; a receive claims rows, and whoever waits is woken by a signal. */
import { defineService } from '../../platform/service.ts';
import { cancelMessageMoveTask, listMessageMoveTasks, moveTasks, startMessageMoveTask } from './move-tasks.ts';
import { addPermission, removePermission } from './permissions.ts';
import * as queues from './queues.ts';
import * as receipts from './receipts.ts';
import { receiveMessage } from './receive.ts';
import { sendMessage, sendMessageBatch } from './send.ts';
import { sweep } from './sweep.ts';
import * as tags from './tags.ts';

export const sqs = defineService('sqs', {
  operations: {
    createQueue: queues.createQueue,
    deleteQueue: queues.deleteQueue,
    getQueueUrl: queues.getQueueUrl,
    getQueueAttributes: queues.getQueueAttributes,
    setQueueAttributes: queues.setQueueAttributes,
    listQueues: queues.listQueues,
    listDeadLetterSourceQueues: queues.listDeadLetterSourceQueues,
    purgeQueue: queues.purgeQueue,
    addPermission,
    removePermission,
    tagQueue: tags.tagQueue,
    untagQueue: tags.untagQueue,
    listQueueTags: tags.listQueueTags,
    sendMessage,
    sendMessageBatch,
    receiveMessage,
    deleteMessage: receipts.deleteMessage,
    deleteMessageBatch: receipts.deleteMessageBatch,
    changeMessageVisibility: receipts.changeMessageVisibility,
    changeMessageVisibilityBatch: receipts.changeMessageVisibilityBatch,
    startMessageMoveTask,
    cancelMessageMoveTask,
    listMessageMoveTasks,
  },
  reconcilers: { 'sqs.move': moveTasks, 'sqs.sweep': sweep },
  schema: new URL('./schema/', import.meta.url),
});
