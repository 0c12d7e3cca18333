/** A platform without a server: a real database and a service's operations, for tests that choose the blobs, the time and who asks. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { sql } from 'kysely';
import { startEmbedded } from '../../src/platform/database/embedded.ts';
import { createDatabase } from '../../src/platform/database/kysely.ts';
import { migrate } from '../../src/platform/database/migrate.ts';
import { connect } from '../../src/platform/database/pool.ts';
import { inTransaction } from '../../src/platform/database/transaction.ts';
import { AwsError } from '../../src/platform/errors.ts';
import { prepareJobs } from '../../src/platform/jobs.ts';
import { createKeyring } from '../../src/platform/keyring.ts';
import { createLogger } from '../../src/platform/log.ts';
import { createPaging } from '../../src/platform/paging.ts';
import type { Platform } from '../../src/platform/platform.ts';
import type { Input, OperationContext, OperationName, Output, Service, ServiceName } from '../../src/platform/service.ts';

export interface QueuedJob {
  task: string;
  payload: any;
}

export interface TestPlatform extends AsyncDisposable {
  readonly platform: Platform;
  /** Calls a handler, without validation or authorization. */
  call<S extends ServiceName, O extends OperationName<S>>(service: S, operation: O, input: Input<S, O>): Promise<Output<S, O>>;
  /** Jobs that wait, in the order they were queued. They are not run. */
  jobs(): Promise<QueuedJob[]>;
  clearJobs(): Promise<void>;
}

/** What the service asks of the platform beyond the database comes from `parts`; asking for more than they give is a TypeError. */
export async function openPlatform(service: Service, parts: Partial<Platform>): Promise<TestPlatform> {
  const dataDir = await mkdtemp(path.join(tmpdir(), 'penstock-platform-'));
  const log = createLogger('silent');
  const embedded = await startEmbedded(dataDir, log);
  const connections = connect({ embedded }, log, 10);
  await prepareJobs(connections.pool, log);
  await migrate(connections.pool, service.schema ? [{ owner: service.name, folder: service.schema }] : []);
  const read = createDatabase(connections.pool);
  const keyring = createKeyring(Buffer.alloc(32, 1));
  const platform = {
    log,
    now: () => new Date(),
    read,
    transaction: (work) => inTransaction(read, work),
    keyring,
    paging: createPaging(keyring),
    ...parts,
  } as Platform;
  const account = '123456789012';
  const context = (): OperationContext<string> => ({
    ...platform,
    account,
    region: 'us-east-1',
    principal: { type: 'User', account, arn: `arn:aws:iam::${account}:user/tester`, id: 'AIDATESTER', name: 'tester' },
    requestId: 'request',
    sourceIp: '127.0.0.1',
    userAgent: 'test',
    authorize: async () => {},
    error: (code, message, fields) => new AwsError(code, message, { fields }),
  });
  return {
    platform,
    call: (_service, operation, input) => service.operations[operation]!.handle(context(), input),
    async jobs() {
      const { rows } = await sql<QueuedJob>`
        select tasks.identifier as task, jobs.payload from graphile_worker._private_jobs jobs
        join graphile_worker._private_tasks tasks on tasks.id = jobs.task_id order by jobs.id`.execute(read);
      return rows;
    },
    async clearJobs() {
      await sql`delete from graphile_worker._private_jobs`.execute(read);
    },
    async [Symbol.asyncDispose]() {
      await connections.close();
      await embedded.stop();
      await rm(dataDir, { recursive: true });
    },
  };
}
