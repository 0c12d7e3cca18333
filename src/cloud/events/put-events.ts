/** PutEvents and TestEventPattern: events from outside, and trying a pattern on one. */
import { randomUUID } from 'node:crypto';
import { compilePattern, PatternError } from '../../platform/event-patterns/patterns.ts';
import type { ShapeOf } from '../../platform/service.ts';
import { operation } from '../../platform/service.ts';
import { busArn, busName } from './arns.ts';
import { requireBus } from './buses.ts';

/** AWS raised it from 256 KB to 1 MB for the whole request. */
const MAX_REQUEST_BYTES = 1_048_576;

type Entry = ShapeOf<'events', 'PutEventsRequestEntry'>;

export const putEvents = operation('events', 'PutEvents', {
  authorize: (input, ctx) =>
    [...new Set(input.Entries.map((entry) => busName(entry.EventBusName)))].map((bus) => ({
      resource: busArn(ctx, bus),
      conditions: {
        'events:source': input.Entries.flatMap(({ Source }) => Source ?? []),
        'events:detail-type': input.Entries.flatMap(({ DetailType }) => DetailType ?? []),
      },
    })),
  async handle(ctx, { Entries, EndpointId }) {
    if (EndpointId !== undefined) throw ctx.error('ValidationException', 'Penstock has no global endpoints.');
    const size = Entries.reduce((sum, entry) => sum + entryBytes(entry), 0);
    if (size > MAX_REQUEST_BYTES) throw ctx.error('ValidationException', 'Total size of the entries in the request is over the limit.');
    for (const bus of new Set(Entries.map((entry) => busName(entry.EventBusName)))) await requireBus(ctx as never, bus);
    const results = Entries.map((entry): ShapeOf<'events', 'PutEventsResultEntry'> => refusal(entry) ?? { EventId: randomUUID() });
    await ctx.transaction(async (tx) => {
      for (const [at, entry] of Entries.entries()) {
        const id = results[at]!.EventId;
        if (!id) continue;
        await tx.enqueue('events.deliver', {
          id,
          account: ctx.account,
          region: ctx.region,
          bus: busName(entry.EventBusName),
          source: entry.Source,
          detailType: entry.DetailType,
          resources: entry.Resources ?? [],
          detail: JSON.parse(entry.Detail!),
          time: (entry.Time ?? ctx.now()).toISOString(),
        });
      }
    });
    return { FailedEntryCount: results.filter((result) => result.ErrorCode).length, Entries: results };
  },
});

/** PutEvents' own counting: 14 bytes for a time, and the UTF-8 of the rest. */
function entryBytes(entry: Entry): number {
  const texts = [entry.Source, entry.DetailType, entry.Detail, ...(entry.Resources ?? [])];
  return (entry.Time ? 14 : 0) + texts.reduce((sum, text) => sum + Buffer.byteLength(text ?? ''), 0);
}

/** Why one entry is not taken; the others of the request still are. */
function refusal({ Source, DetailType, Detail }: Entry): ShapeOf<'events', 'PutEventsResultEntry'> | undefined {
  const invalid = (what: string) => ({
    ErrorCode: 'InvalidArgument',
    ErrorMessage: `Parameter ${what} is not valid. Reason: ${what} is a required argument.`,
  });
  if (!Source) return invalid('Source');
  if (!DetailType) return invalid('DetailType');
  if (!Detail) return invalid('Detail');
  if (/^aws\./i.test(Source)) return { ErrorCode: 'NotAuthorizedForSourceException', ErrorMessage: 'Not authorized for the source.' };
  try {
    const detail = JSON.parse(Detail);
    if (typeof detail === 'object' && detail !== null && !Array.isArray(detail)) return undefined;
  } catch {
    // Told below, with what else is not an object.
  }
  return { ErrorCode: 'MalformedDetail', ErrorMessage: 'Detail is malformed.' };
}

const REQUIRED = ['id', 'account', 'source', 'time', 'region', 'resources', 'detail-type'];

export const testEventPattern = operation('events', 'TestEventPattern', {
  authorize: () => '*',
  async handle(ctx, { EventPattern, Event }) {
    let event: Record<string, unknown>;
    try {
      event = JSON.parse(Event) as Record<string, unknown>;
    } catch {
      throw ctx.error('ValidationException', 'Parameter Event is not valid.');
    }
    const missing = REQUIRED.find((name) => event?.[name] === undefined);
    if (missing) throw ctx.error('ValidationException', `Parameter ${missing} is not valid. Reason: ${missing} is a required argument.`);
    try {
      return { Result: compilePattern(EventPattern)(event) };
    } catch (error) {
      if (!(error instanceof PatternError)) throw error;
      throw ctx.error('InvalidEventPatternException', `Event pattern is not valid. Reason: ${error.message}`);
    }
  },
});
