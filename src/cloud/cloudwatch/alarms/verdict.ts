/** From datapoints to a state (user guide, "Configuring how CloudWatch alarms treat missing data"). */
import type { StateValue } from '../tables.ts';

export interface Watched {
  /** N: so many datapoints are looked at. */
  evaluationPeriods: number;
  /** M: so many of them must breach. */
  datapointsToAlarm: number;
  treatMissing: 'missing' | 'notBreaching' | 'breaching' | 'ignore';
  breaches(value: number): boolean;
}

export interface Datapoint {
  /** Seconds since 1970. */
  at: number;
  value: number | undefined;
}

export interface Verdict {
  /** Undefined: it stays as it is. */
  state: StateValue | undefined;
  /** What it was judged by, newest first. */
  seen: { at: number; value: number }[];
  /** How many of those were breaching. */
  breaching: number;
  /** How many were missing and stood in for. */
  missing: number;
}

/** Datapoints before the ones that are looked at, which stand in for missing ones. */
export const EXTRA_DATAPOINTS = 2;

/** `datapoints` are newest first: those of the evaluation periods, and some before them. */
export function judge(datapoints: Datapoint[], watched: Watched): Verdict {
  const { evaluationPeriods: total, datapointsToAlarm: needed, treatMissing, breaches } = watched;
  const real = datapoints.filter((point): point is { at: number; value: number } => point.value !== undefined);
  const seen = real.slice(0, total);
  const breaching = seen.filter(({ value }) => breaches(value)).length;
  const missing = total - seen.length;
  return { state: stateOf(), seen, breaching, missing };

  function stateOf(): StateValue | undefined {
    if (missing === 0 || treatMissing === 'notBreaching') return breaching >= needed ? 'ALARM' : 'OK';
    if (treatMissing === 'breaching') return breaching + missing >= needed ? 'ALARM' : 'OK';
    if (seen.length === 0) return treatMissing === 'missing' ? 'INSUFFICIENT_DATA' : undefined;
    if (breaching >= needed) return 'ALARM';
    if (breaching < seen.length) return 'OK';
    // All that is there breaches, but it is too little. If the oldest is old enough, those after it would have come by now.
    const oldest = datapoints.findLastIndex(({ value }) => value !== undefined) + 1;
    return treatMissing === 'missing' && oldest >= needed ? 'ALARM' : undefined;
  }
}
