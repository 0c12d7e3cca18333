/** CodeConnections: connections to git providers, as far as sources of builds need them. */
import { defineService, type Operation } from '../../platform/service.ts';
import {
  createConnection,
  createConnectionOfOldName,
  deleteConnection,
  getConnection,
  getConnectionToken,
  listConnections,
} from './connections.ts';
import { createHost, createHostOfOldName, deleteHost, getHost, listHosts, updateHost } from './hosts.ts';
import { listTagsForResource, tagResource, untagResource } from './tags.ts';

const shared = {
  getConnection,
  listConnections,
  deleteConnection,
  getHost,
  listHosts,
  updateHost,
  deleteHost,
  tagResource,
  untagResource,
  listTagsForResource,
};

export const codeconnections = defineService('codeconnections', {
  operations: { createConnection, createHost, ...shared, getConnectionToken },
  schema: new URL('./schema/', import.meta.url),
});

/** The same under the name that it had until 2024, which many tools still use. */
export const codestarConnections = defineService('codestar-connections', {
  operations: Object.fromEntries(
    Object.entries({ createConnection: createConnectionOfOldName, createHost: createHostOfOldName, ...shared }).map(([name, operation]) => [
      name,
      { ...operation, service: 'codestar-connections' } satisfies Operation,
    ]),
  ),
});
