/** Requests of up to ten entries, each of which succeeds or fails by itself. */
import { AwsError } from '../../platform/errors.ts';
import type { ShapeOf } from '../../platform/service.ts';

type Failure = ShapeOf<'sqs', 'BatchResultErrorEntry'>;

const MAX_ENTRIES = 10;

/** Throws for what makes the request as a whole wrong. `kind` is the entries' name on the wire. */
export function checkBatch(entries: { Id: string }[], kind: string): void {
  if (entries.length === 0) throw new AwsError('EmptyBatchRequest', `There should be at least one ${kind} in the request.`);
  if (entries.length > MAX_ENTRIES) {
    throw new AwsError(
      'TooManyEntriesInBatchRequest',
      `Maximum number of entries per request are ${MAX_ENTRIES}. You have sent ${entries.length}.`,
    );
  }
  const seen = new Set<string>();
  for (const { Id } of entries) {
    if (!/^[\w-]{1,80}$/.test(Id)) {
      const rule = 'A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can be at most 80 letters long.';
      throw new AwsError('InvalidBatchEntryId', rule);
    }
    if (seen.has(Id)) throw new AwsError('BatchEntryIdsNotDistinct', `Id ${Id} repeated.`);
    seen.add(Id);
  }
}

export function failure(Id: string, error: unknown): Failure {
  if (!(error instanceof AwsError)) throw error;
  // Codes in a list are those of the query form, also for clients that speak JSON.
  return {
    Id,
    SenderFault: true,
    Code: error.code.replace(/^(InvalidParameterValue)Exception$/, '$1').replace(/^MissingRequiredParameterException$/, 'MissingParameter'),
    Message: error.message,
  };
}

/** One after the other: entries of one batch may concern the same message. */
export async function eachEntry<E extends { Id: string }>(entries: E[], work: (entry: E) => Promise<void>) {
  const Successful: { Id: string }[] = [];
  const Failed: Failure[] = [];
  for (const entry of entries) {
    try {
      await work(entry);
      Successful.push({ Id: entry.Id });
    } catch (error) {
      Failed.push(failure(entry.Id, error));
    }
  }
  return { Successful, Failed };
}
