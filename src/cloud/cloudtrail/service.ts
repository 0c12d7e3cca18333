/** CloudTrail: what was asked of every service, by whom, and how it ended; kept for 90 days, and delivered by trails. */
import { defineService } from '../../platform/service.ts';
import { deliveries } from './delivery.ts';
import { digests } from './digest.ts';
import * as selectors from './event-selectors.ts';
import { listPublicKeys } from './keys.ts';
import { lookupEvents } from './lookup.ts';
import { keepPurging } from './purge.ts';
import * as tags from './tags.ts';
import * as trails from './trails.ts';

export const cloudtrail = defineService('cloudtrail', {
  operations: {
    lookupEvents,
    createTrail: trails.createTrail,
    updateTrail: trails.updateTrail,
    deleteTrail: trails.deleteTrail,
    getTrail: trails.getTrail,
    describeTrails: trails.describeTrails,
    listTrails: trails.listTrails,
    getTrailStatus: trails.getTrailStatus,
    startLogging: trails.startLogging,
    stopLogging: trails.stopLogging,
    putEventSelectors: selectors.putEventSelectors,
    getEventSelectors: selectors.getEventSelectors,
    putInsightSelectors: selectors.putInsightSelectors,
    getInsightSelectors: selectors.getInsightSelectors,
    addTags: tags.addTags,
    removeTags: tags.removeTags,
    listTags: tags.listTags,
    listPublicKeys,
  },
  reconcilers: { 'cloudtrail.deliver': deliveries, 'cloudtrail.digest': digests },
  schema: new URL('./schema/', import.meta.url),
  validationErrors: 'named',
  start: async (platform, signal) => void keepPurging(platform, signal),
});
