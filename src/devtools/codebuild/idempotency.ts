/** Idempotency tokens of StartBuild, StartBuildBatch and their retries: valid for five minutes. */
import { createHash, randomUUID } from 'node:crypto';
import type { Transaction } from '../../platform/platform.ts';
import type { RequestContext } from '../../platform/service.ts';
import { invalid } from './rules.ts';
import './tables.ts';

const TOKEN_MS = 5 * 60_000;

/** What a call begins; its id is what the token stands for. */
interface Begun<Row> {
  start(): Promise<Row>;
  /** Undefined when it was deleted since. */
  find(id: string): Promise<Row | undefined>;
}

/** With a token that was used in the last five minutes the same call gives the same build, another call is an error. */
export async function once<Row extends { id: string }>(
  tx: Transaction,
  ctx: Pick<RequestContext, 'account' | 'region' | 'now'>,
  token: string | undefined,
  request: object,
  { start, find }: Begun<Row>,
): Promise<Row> {
  if (token === undefined) return start();
  const now = ctx.now();
  const request_hash = digest(JSON.stringify(request));
  // A token may be longer than what a key of the database can be.
  const key = { account: ctx.account, region: ctx.region, token: digest(token) };
  await tx.sql
    .deleteFrom('codebuild.start_tokens')
    .where('created_at', '<', new Date(now.getTime() - TOKEN_MS))
    .execute();
  const claimed = await tx.sql
    .insertInto('codebuild.start_tokens')
    .values({ ...key, request_hash, build: randomUUID(), created_at: now })
    .onConflict((conflict) => conflict.doNothing())
    .returning('token')
    .executeTakeFirst();
  const row = await tx.sql
    .selectFrom('codebuild.start_tokens')
    .selectAll()
    .where((eb) => eb.and(key))
    .executeTakeFirstOrThrow();
  if (!claimed) {
    if (row.request_hash !== request_hash) throw invalid('The idempotency token was used by another request with different parameters');
    const known = await find(row.build);
    // Beginning once more would do what the token is there to prevent.
    if (!known) throw invalid('The idempotency token was used by a request that began what has been deleted since');
    return known;
  }
  const begun = await start();
  await tx.sql
    .updateTable('codebuild.start_tokens')
    .set({ build: begun.id })
    .where((eb) => eb.and(key))
    .execute();
  return begun;
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
