/** CloudWatch Logs: groups of streams of events, appended in batches, read by position or by pattern. */
import { defineService } from '../../platform/service.ts';
import { associateKmsKey, disassociateKmsKey } from './encryption.ts';
import { filterLogEvents } from './filter-events.ts';
import { getLogEvents } from './get-events.ts';
import * as groups from './groups.ts';
import * as queries from './insights/queries.ts';
import * as records from './insights/records.ts';
import { QUERY_KIND, queryReconciler } from './insights/run-query.ts';
import { startLiveTail } from './live-tail.ts';
import { purge, retention } from './purge.ts';
import { putLogEvents } from './put-events.ts';
import * as streams from './streams.ts';
import * as tags from './tags.ts';

export const logs = defineService('logs', {
  operations: {
    createLogGroup: groups.createLogGroup,
    deleteLogGroup: groups.deleteLogGroup,
    describeLogGroups: groups.describeLogGroups,
    putRetentionPolicy: groups.putRetentionPolicy,
    deleteRetentionPolicy: groups.deleteRetentionPolicy,
    createLogStream: streams.createLogStream,
    deleteLogStream: streams.deleteLogStream,
    describeLogStreams: streams.describeLogStreams,
    associateKmsKey,
    disassociateKmsKey,
    putLogEvents,
    getLogEvents,
    filterLogEvents,
    startLiveTail,
    startQuery: queries.startQuery,
    getQueryResults: queries.getQueryResults,
    stopQuery: queries.stopQuery,
    describeQueries: queries.describeQueries,
    getLogRecord: records.getLogRecord,
    getLogGroupFields: records.getLogGroupFields,
    tagResource: tags.tagResource,
    untagResource: tags.untagResource,
    listTagsForResource: tags.listTagsForResource,
    tagLogGroup: tags.tagLogGroup,
    untagLogGroup: tags.untagLogGroup,
    listTagsLogGroup: tags.listTagsLogGroup,
  },
  reconcilers: { 'logs.purge': purge, 'logs.retention': retention, [QUERY_KIND]: queryReconciler },
  schema: new URL('./schema/', import.meta.url),
  validationErrors: 'InvalidParameterException',
});
