/** CloudTrail: what was asked of every service, by whom, and how it ended. */
import { defineService } from '../../platform/service.ts';
import { lookupEvents } from './lookup.ts';
import { keepPurging } from './purge.ts';

export const cloudtrail = defineService('cloudtrail', {
  operations: { lookupEvents },
  schema: new URL('./schema/', import.meta.url),
  validationErrors: 'named',
  start: async (platform, signal) => void keepPurging(platform, signal),
});
