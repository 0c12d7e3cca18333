/** A process of its own for jobs.test.ts, to be killed: it says what it took and never finishes it. */
import { connect } from './database/pool.ts';
import { startJobs } from './jobs.ts';
import { createLogger } from './log.ts';
import type { Platform } from './platform.ts';
import { ProcessRegistry } from './processes.ts';
import { defineService, type JobHandler } from './service.ts';

const log = createLogger('silent');
const host = process.argv[2]!;
const connections = connect({ url: `postgres://penstock@${encodeURIComponent(host)}/postgres` }, log, 10);
const registry = new ProcessRegistry({ connections, role: 'worker', log, onNotify: () => {}, onReconnect: () => {} });
await registry.open();
const hold =
  (what: string): JobHandler =>
  async () => {
    process.stdout.write(`${what}\n`);
    await new Promise(() => {});
  };
const service = defineService('logs', {
  operations: {},
  jobs: { work: hold('job') },
  reconcilers: { thing: { run: hold('reconciler') as never, pending: async () => [] } },
  subscriptions: { 'test/happened': hold('event') },
});
await startJobs({ log, processes: registry } as unknown as Platform, connections.pool, [service], registry);
process.stdout.write('ready\n');
