/** The three forms in which AWS writes a moment. */
export type TimestampFormat = 'iso8601' | 'rfc822' | 'unixTimestamp';

const ISO = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?(?:Z|[+-]\d{2}:?\d{2})$/;
const LARGEST_MS = 8.64e15;

/** Undefined when `text` is none of the three forms: AWS takes any of them wherever a moment is due. */
export function parseTimestamp(text: string): Date | undefined {
  const trimmed = text.trim();
  if (/^[+-]?\d{1,14}(?:\.\d{1,20})?$/.test(trimmed)) return fromSeconds(Number(trimmed));
  if (!ISO.test(trimmed) && !/^(?:\w{3},? )?\d{1,2}[ -]\w{3}[ -]\d{2,4} \d{2}:\d{2}:\d{2} (?:GMT|UTC|[+-]\d{4})$/.test(trimmed))
    return undefined;
  const date = new Date(trimmed);
  return Number.isNaN(date.getTime()) ? undefined : date;
}

export function fromSeconds(seconds: number): Date | undefined {
  const ms = Math.round(seconds * 1000);
  return Math.abs(ms) <= LARGEST_MS ? new Date(ms) : undefined;
}

/** `milliseconds`: whether ISO times carry them always (S3) or only where there are any. */
export function formatTimestamp(date: Date, format: TimestampFormat, milliseconds: boolean): string {
  if (format === 'unixTimestamp') return String(date.getTime() / 1000);
  if (format === 'rfc822') return date.toUTCString();
  const text = date.toISOString();
  return milliseconds ? text : text.replace('.000Z', 'Z');
}
