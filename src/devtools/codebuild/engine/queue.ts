/**
 * The order of the queue: accounts take turns, within an account its projects do, and within a project the oldest build is first. Each
 * question is a look into an index, however many builds wait.
 */
import { type RawBuilder, sql } from 'kysely';
import { AwsError } from '../../../platform/errors.ts';
import type { Platform, Transaction } from '../../../platform/platform.ts';
import { mayBegin, roomInFleets } from '../fleets/room.ts';
import type { BuildRow, ProjectRow } from '../tables.ts';

/** CodeBuild user guide, "Quotas": so many times the builds that may run at once is what may wait. */
const QUEUED_FOR_EACH_RUNNING = 5;

type Settings = Pick<Platform, 'config'>;

/** The turn of a build that joins the queue now; see schema/010-fair-queue.sql. An expression to insert. */
export function nextTurn({ account, id }: Pick<ProjectRow, 'account' | 'id'>): RawBuilder<string> {
  const queued = sql`status = 'IN_PROGRESS' and owner is null`;
  return sql<string>`greatest(0,
    (select turn from codebuild.builds where account = ${account} and ${queued} order by turn limit 1),
    (select turn + 1 from codebuild.builds where project_id = ${id} and ${queued} order by turn desc limit 1))`;
}

export const nextClaim = sql<string>`nextval('codebuild.claim_order')`;

export interface NextBuild {
  row: BuildRow;
  /** It takes one of the places of its fleet. */
  inFleet: boolean;
}

/** The build to run next, locked; undefined when none waits or none may run. Builds that another process is just taking are passed over. */
export async function lockNext(tx: Transaction, platform: Pick<Platform, 'config' | 'now'>): Promise<NextBuild | undefined> {
  for (const account of await waitingAccounts(tx)) {
    if (await isFull(tx, platform, account)) continue;
    const room = await roomInFleets(tx, account);
    const row = await tx.sql
      .selectFrom('codebuild.builds')
      .selectAll()
      .where('account', '=', account)
      .where('status', '=', 'IN_PROGRESS')
      .where('owner', 'is', null)
      .where(mayBegin(room))
      .where('queue_deadline', '>', platform.now())
      .orderBy('turn')
      .orderBy('build_order')
      .limit(1)
      .forUpdate()
      .skipLocked()
      .executeTakeFirst();
    if (row) return { row, inFleet: row.fleet !== null && room?.get(row.fleet) === 'place' };
  }
  return undefined;
}

/** Accounts with queued builds, whoever was served longest ago first. From one account to the next by the index, not by reading all builds. */
async function waitingAccounts(tx: Transaction): Promise<string[]> {
  const { rows } = await sql<{ account: string }>`
    with recursive waiting (account) as (
      select min(account) from codebuild.builds where status = 'IN_PROGRESS' and owner is null
      union all
      select (select min(account) from codebuild.builds where status = 'IN_PROGRESS' and owner is null and account > waiting.account)
      from waiting where account is not null
    )
    select account from waiting where account is not null
    order by (select max(claim_order) from codebuild.builds where builds.account = waiting.account and claim_order is not null) nulls first
  `.execute(tx.sql);
  return rows.map(({ account }) => account);
}

/** Whether the account has as many builds running as it may (`PENSTOCK_CONCURRENT_BUILDS`). Then nobody else counts until we have committed. */
async function isFull(tx: Transaction, { config }: Settings, account: string): Promise<boolean> {
  const limit = config.concurrentBuilds;
  if (!limit) return false;
  await sql`select pg_advisory_xact_lock(hashtextextended(${`codebuild.claim ${account}`}, 0))`.execute(tx.sql);
  const { running } = await tx.sql
    .selectFrom('codebuild.builds')
    .select((eb) => eb.fn.countAll<string>().as('running'))
    .where('account', '=', account)
    .where('status', '=', 'IN_PROGRESS')
    .where('owner', 'is not', null)
    .executeTakeFirstOrThrow();
  return Number(running) >= limit;
}

/** Throws AccountLimitExceededException when no more builds of the account may wait. */
export async function checkQueue(tx: Transaction, { config }: Settings, account: string): Promise<void> {
  const limit = config.concurrentBuilds * QUEUED_FOR_EACH_RUNNING;
  if (!limit) return;
  const { queued } = await tx.sql
    .selectFrom('codebuild.builds')
    .select((eb) => eb.fn.countAll<string>().as('queued'))
    .where('account', '=', account)
    .where('status', '=', 'IN_PROGRESS')
    .where('owner', 'is', null)
    .executeTakeFirstOrThrow();
  if (Number(queued) >= limit) {
    throw new AwsError('AccountLimitExceededException', `Cannot have more than ${limit} builds in queue for the account`);
  }
}

/** Throws AccountLimitExceededException when the project has as many builds as its concurrentBuildLimit says, queued ones among them. */
export async function checkProjectLimit(tx: Transaction, project: ProjectRow): Promise<void> {
  const limit = project.definition.concurrentBuildLimit;
  if (limit === undefined) return;
  const { active } = await tx.sql
    .selectFrom('codebuild.builds')
    .select((eb) => eb.fn.countAll<string>().as('active'))
    .where('project_id', '=', project.id)
    .where('status', '=', 'IN_PROGRESS')
    .executeTakeFirstOrThrow();
  if (Number(active) >= limit) {
    throw new AwsError('AccountLimitExceededException', `Cannot have more than ${limit} active builds for the account`);
  }
}
