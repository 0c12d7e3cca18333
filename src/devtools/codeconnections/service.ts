/** CodeConnections: connections to git providers, as far as sources of builds need them. */
import { defineService } from '../../platform/service.ts';
import { createConnection, deleteConnection, getConnection, getConnectionToken, listConnections } from './connections.ts';
import { createHost, deleteHost, getHost, listHosts, updateHost } from './hosts.ts';
import { listTagsForResource, tagResource, untagResource } from './tags.ts';

export const codeconnections = defineService('codeconnections', {
  operations: {
    createConnection,
    getConnection,
    listConnections,
    deleteConnection,
    getConnectionToken,
    createHost,
    getHost,
    listHosts,
    updateHost,
    deleteHost,
    tagResource,
    untagResource,
    listTagsForResource,
  },
  schema: new URL('./schema/', import.meta.url),
});
