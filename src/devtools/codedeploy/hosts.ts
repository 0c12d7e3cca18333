/** The hosts that ask for commands: who they are, when they were last heard of, and what they have to do. */
import { sql } from 'kysely';
import { AwsError } from '../../platform/errors.ts';
import type { RequestContext } from '../../platform/service.ts';
import { hostKey, hostTopic } from './names.ts';

/** AWS's agent gives up reading after 80 s; proxies often after 60 s. */
const HOLD_MS = 55_000;
/**
 * A command that was handed out but not acknowledged is handed out again after this time: the answer may never have arrived. Not sooner,
 * since agents go on polling while they look at a command.
 */
const AGAIN_MS = 15_000;
/** How exactly it is known when an agent was last seen: not every poll is a write. */
const SEEN_EVERY_MS = 10_000;

export interface HandedOut {
  command_id: string;
  name: string;
  deployment_id: string;
  target: number;
}

/** The host that signed the request. `claimed` is what it says that it is. */
export function callingHost(ctx: RequestContext, claimed?: string): string {
  const identity = ctx.principal.arn;
  if (claimed !== undefined && claimed !== identity) {
    throw new AwsError('AccessDeniedException', `${identity} is not authorized to act as the host ${claimed}`);
  }
  return hostKey(ctx, identity);
}

/** Only registered hosts get commands; what they got they may report as long as the command is open. */
export async function requireRegistered(ctx: RequestContext): Promise<void> {
  const identity = ctx.principal.arn;
  const registered = await ctx.read
    .selectFrom('codedeploy.instances')
    .select('name')
    .where('account', '=', ctx.account)
    .where('region', '=', ctx.region)
    .where(({ fn }) => fn.coalesce('iam_user_arn', 'iam_session_arn'), '=', identity)
    .where('deregistered_at', 'is', null)
    .executeTakeFirst();
  if (!registered) throw new AwsError('ClientException', `No on-premises instance is registered for ${identity} in ${ctx.region}.`);
}

const lastWritten = new Map<string, number>();
const MAX_REMEMBERED = 10_000;

/** Notes that the host's agent lives. */
export async function sawAgent(ctx: RequestContext, host: string): Promise<void> {
  const now = ctx.now();
  if (now.getTime() - (lastWritten.get(host) ?? Number.NEGATIVE_INFINITY) < SEEN_EVERY_MS) return;
  if (lastWritten.size >= MAX_REMEMBERED) lastWritten.clear();
  lastWritten.set(host, now.getTime());
  const seen = { last_seen_at: now, version: ctx.http?.headers['x-amz-codedeploy-agent-version']?.slice(0, 100) ?? null };
  await ctx.transaction((tx) =>
    tx.sql
      .insertInto('codedeploy.agents')
      .values({ host, ...seen })
      .onConflict((conflict) => conflict.column('host').doUpdateSet(seen))
      .execute(),
  );
}

/** The newest poll of each host in this process: an older one belongs to a connection that has most likely gone. */
const newest = new Map<string, symbol>();

/** Waits for the next command of a host and hands it out; undefined when there was none in all the time that a poll is held. */
export async function nextCommand(ctx: RequestContext, host: string, closing: AbortSignal): Promise<HandedOut | undefined> {
  const me = Symbol(host);
  newest.set(host, me);
  const until = performance.now() + HOLD_MS;
  // An agent that was killed must not be handed what its successor is waiting for.
  const gone = new AbortController();
  const stopWatching = ctx.http?.onGone(() => gone.abort());
  const over = AbortSignal.any([gone.signal, closing]);
  try {
    for (;;) {
      const left = until - performance.now();
      if (left <= 0 || over.aborted) return undefined;
      const looked = new AbortController();
      const signal = AbortSignal.any([looked.signal, over]);
      // Listens first and looks then: what is queued in between is not missed.
      const woken = ctx.signals.wait(hostTopic(host), Math.min(left, AGAIN_MS), signal);
      try {
        const command = newest.get(host) === me ? await handOut(ctx, host) : undefined;
        if (command) return command;
        await woken;
      } finally {
        looked.abort();
      }
    }
  } finally {
    stopWatching?.();
    if (newest.get(host) === me) newest.delete(host);
  }
}

/**
 * The oldest command of the host that it has not begun, unless it is at another: a host does one thing at a time, whichever deployments
 * are on their way to it.
 */
async function handOut(ctx: RequestContext, host: string): Promise<HandedOut | undefined> {
  const open = await ctx.read
    .selectFrom('codedeploy.events')
    .select(['command_id', 'delivered_at', 'started_at'])
    .where('host', '=', host)
    .where('queued_at', 'is not', null)
    .where('ended_at', 'is', null)
    .orderBy('queued_at')
    .execute();
  const first = open[0];
  if (!first || open.some(({ started_at }) => started_at !== null)) return undefined;
  const now = ctx.now();
  const lost = new Date(now.getTime() - AGAIN_MS);
  if (first.delivered_at && first.delivered_at > lost) return undefined;
  // Two polls at the same moment, perhaps at two processes: only one gets it.
  return ctx.transaction((tx) =>
    tx.sql
      .updateTable('codedeploy.events')
      .set({ delivered_at: now })
      .where('command_id', '=', first.command_id)
      .where('started_at', 'is', null)
      .where('ended_at', 'is', null)
      .where(sql<boolean>`(delivered_at is null or delivered_at <= ${lost})`)
      .returning(['command_id', 'name', 'deployment_id', 'target'])
      .executeTakeFirst(),
  );
}
