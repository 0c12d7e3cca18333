/** The services that this program is put together from. */
import { eventsService } from './cloud/events/service.ts';
import { logs } from './cloud/logs/service.ts';
import { s3 } from './cloud/s3/service.ts';
import { codecommit } from './devtools/codecommit/service.ts';
import type { Service } from './platform/service.ts';

export const services: Service[] = [codecommit, s3, eventsService, logs];
