/** GetLogEvents: one stream, page by page in both directions, with tokens that stand still at its ends. */
import { operation, type RequestContext } from '../../platform/service.ts';
import { keyOpener } from './encryption.ts';
import { expiry, findGroup, findStream, groupName, namedGroup, onStream } from './group.ts';
import { before, END, type Position } from './position.ts';
import { type Page, scan } from './scan.ts';

const MAX_EVENTS = 10_000;

interface Cursor {
  backward: boolean;
  from: Position;
}

export const getLogEvents = operation('logs', 'GetLogEvents', {
  authorize: ({ logGroupName, logGroupIdentifier, logStreamName }, ctx) =>
    onStream(ctx, groupName(ctx, logGroupName ?? logGroupIdentifier ?? ''), logStreamName),
  async handle(ctx, input) {
    const { logStreamName, nextToken, startTime = 0, endTime, startFromHead = false, limit = MAX_EVENTS } = input;
    const group = await findGroup(ctx, namedGroup(ctx, input));
    const stream = await findStream(ctx, group, logStreamName);
    const scope = `logs:GetLogEvents:${stream.id}`;
    const cursor: Cursor =
      nextToken === undefined
        ? { backward: !startFromHead, from: startFromHead ? before(0) : END }
        : (openToken(ctx, scope, nextToken) ?? refuse(ctx));
    const page = await scan(ctx.read, {
      group: group.id,
      openKey: keyOpener(ctx, group),
      streams: [stream.id],
      ...cursor,
      oldest: Math.min(Math.max(startTime, expiry(group, ctx.now())), Number.MAX_SAFE_INTEGER),
      // The end is not part of what is asked for.
      newest: Math.min((endTime ?? Number.MAX_SAFE_INTEGER) - 1, Number.MAX_SAFE_INTEGER - 1),
      limit,
    });
    const { forward, backward } = edges(cursor, page);
    // At an end the token stays the very same: that is how clients know.
    const stays = page.events.length === 0 ? nextToken : undefined;
    return {
      events: page.events.map(({ at, message, ingestedAt }) => ({ timestamp: at, message, ingestionTime: ingestedAt })),
      nextForwardToken: (!cursor.backward && stays) || sealToken(ctx, scope, { backward: false, from: forward }),
      nextBackwardToken: (cursor.backward && stays) || sealToken(ctx, scope, { backward: true, from: backward }),
    };
  },
});

function refuse(ctx: Pick<RequestContext, never> & { error(code: 'InvalidParameterException', message: string): Error }): never {
  throw ctx.error('InvalidParameterException', 'The specified nextToken is invalid.');
}

/** Where reading goes on after a page: behind its last event, before its first. An empty page stays where it was asked for. */
function edges(cursor: Cursor, { events }: Page): { forward: Position; backward: Position } {
  const first = events[0];
  const last = events.at(-1);
  if (first && last) return { forward: position(last), backward: position(first) };
  // A forward cursor means "after this event", a backward one "before it": turned round, the event itself belongs to what is asked for.
  const { from } = cursor;
  if (cursor.backward) return { forward: from === END ? before(0) : { ...from, index: from.index - 1 }, backward: from };
  return { forward: from, backward: { ...from, index: from.index + 1 } };
}

function position({ at, chunk, index }: Position): Position {
  return { at, chunk, index };
}

function sealToken(ctx: RequestContext, scope: string, { backward, from }: Cursor): string {
  return `${backward ? 'b' : 'f'}/${ctx.paging.seal(scope, [from.at, from.chunk, from.index])}`;
}

function openToken(ctx: RequestContext, scope: string, token: string): Cursor | undefined {
  const direction = token.slice(0, 2);
  if (direction !== 'f/' && direction !== 'b/') return undefined;
  const found = ctx.paging.open<[number, number, number]>(scope, token.slice(2));
  return found && { backward: direction === 'b/', from: { at: found[0], chunk: found[1], index: found[2] } };
}
