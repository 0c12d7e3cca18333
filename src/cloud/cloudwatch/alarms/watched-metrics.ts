/** What a metric alarm watches: its queries, its periods, its threshold. */
import type { ShapeOf } from '../../../platform/service.ts';
import { periodProblem } from '../buckets.ts';
import { invalid, notThere } from '../errors.ts';
import { metricId, type Place } from '../metric.ts';
import { isMetric, parseQueries, type Query } from '../metric-queries.ts';
import { statisticOf } from '../statistics.ts';
import type { MetricDefinition } from '../tables.ts';
import type { Watched } from './verdict.ts';

export interface AlarmQueries {
  queries: Query[];
  /** The id of the one that is compared to the threshold. */
  watchedId: string;
  /** Seconds: the longest of all. */
  period: number;
}

const OPERATORS: Record<string, { breaches: (value: number, threshold: number) => boolean; words: string }> = {
  GreaterThanOrEqualToThreshold: { breaches: (value, threshold) => value >= threshold, words: 'greater than or equal to' },
  GreaterThanThreshold: { breaches: (value, threshold) => value > threshold, words: 'greater than' },
  LessThanThreshold: { breaches: (value, threshold) => value < threshold, words: 'less than' },
  LessThanOrEqualToThreshold: { breaches: (value, threshold) => value <= threshold, words: 'less than or equal to' },
};

const TREATMENTS = ['missing', 'notBreaching', 'breaching', 'ignore'];
/** API reference, PutMetricAlarm: evaluation periods times period are a day at most, and a week for periods from an hour on. */
const DAY_S = 86_400;
const MAX_QUERIES = 10;
const OWN_ID = 'm1';

/** Throws ValidationError for a definition that AWS refuses, or that asks for what is not here. */
export function checkDefinition(place: Place, definition: MetricDefinition): void {
  refuseMissing(definition);
  const { ComparisonOperator, EvaluationPeriods: total, DatapointsToAlarm: needed, Threshold, TreatMissingData } = definition;
  if (ComparisonOperator === undefined) throw invalid('The parameter ComparisonOperator is required.');
  if (!(ComparisonOperator in OPERATORS)) throw notThere('anomaly detection');
  if (total === undefined) throw invalid('The parameter EvaluationPeriods is required.');
  if (Threshold === undefined) throw invalid('The parameter Threshold is required.');
  if (!Number.isFinite(Threshold)) throw invalid(`The value ${Threshold} for parameter Threshold is invalid.`);
  if (needed !== undefined && needed > total) {
    throw invalid('The parameter DatapointsToAlarm must not be greater than the parameter EvaluationPeriods.');
  }
  if (TreatMissingData !== undefined && !TREATMENTS.includes(TreatMissingData)) {
    throw invalid(`The value ${TreatMissingData} for parameter TreatMissingData must be one of ${TREATMENTS.join(', ')}.`);
  }
  const { period } = queriesOf(place, definition);
  if (period < 10 || periodProblem(period) !== undefined) throw invalid('The parameter Period must be 10, 20, 30 or a multiple of 60.');
  const longest = period >= 3_600 ? 7 * DAY_S : DAY_S;
  if (total * period > longest)
    throw invalid(
      `Metrics cannot be checked across more than ${longest / DAY_S} day(s) (EvaluationPeriods * Period must be <= ${longest}).`,
    );
}

function refuseMissing(definition: MetricDefinition): void {
  if (definition.ThresholdMetricId !== undefined) throw notThere('anomaly detection');
  if (definition.EvaluationCriteria !== undefined || definition.EvaluationInterval !== undefined) throw notThere('PromQL alarms');
  if (definition.WarmUpConfiguration !== undefined) throw notThere('warm-up periods of alarms');
  if (definition.EvaluationWindow?.WallClockWindow !== undefined) throw notThere('wall clock windows of alarms');
  const { EvaluateLowSampleCountPercentile: low } = definition;
  if (low !== undefined && low !== 'evaluate') throw notThere('EvaluateLowSampleCountPercentile other than evaluate');
}

export function queriesOf(place: Place, definition: MetricDefinition): AlarmQueries {
  const wire = definition.Metrics ?? [ownQuery(definition)];
  if (definition.Metrics) refuseBoth(definition);
  const queries = parseQueries(place.account, wire, 'Metrics');
  if (queries.filter(isMetric).length > MAX_QUERIES) throw invalid(`An alarm can watch up to ${MAX_QUERIES} metrics.`);
  const returned = queries.filter((query) => query.returned);
  if (returned.length !== 1) throw invalid('Exactly one element of the metrics list should return data.');
  const periods = queries.filter(isMetric).map(({ period }) => period);
  if (periods.length === 0) throw invalid('An alarm must watch at least one metric.');
  return { queries, watchedId: returned[0]!.id, period: Math.max(...periods) };
}

function ownQuery(definition: MetricDefinition): ShapeOf<'cloudwatch', 'MetricDataQuery'> {
  const { MetricName, Namespace, Dimensions, Period, Unit, Statistic, ExtendedStatistic } = definition;
  if (MetricName === undefined || Namespace === undefined) throw invalid('Either MetricName and Namespace, or Metrics, must be specified.');
  if (Period === undefined) throw invalid('The parameter Period is required.');
  if ((Statistic === undefined) === (ExtendedStatistic === undefined)) {
    throw invalid('Exactly one of Statistic and ExtendedStatistic must be specified.');
  }
  if (ExtendedStatistic !== undefined && !statisticOf(ExtendedStatistic)?.needsDistribution) {
    throw invalid(`The value ${ExtendedStatistic} for parameter ExtendedStatistic is not supported.`);
  }
  return { Id: OWN_ID, MetricStat: { Metric: { Namespace, MetricName, Dimensions }, Period, Stat: Statistic ?? ExtendedStatistic!, Unit } };
}

function refuseBoth(definition: MetricDefinition): void {
  for (const name of ['MetricName', 'Namespace', 'Dimensions', 'Period', 'Unit', 'Statistic', 'ExtendedStatistic'] as const) {
    if (definition[name] !== undefined)
      throw invalid(`The parameters Metrics and ${name} are mutually exclusive and you have specified both.`);
  }
}

export function watchedOf(definition: MetricDefinition): Watched {
  const { EvaluationPeriods = 1, DatapointsToAlarm, TreatMissingData = 'missing', Threshold = 0, ComparisonOperator } = definition;
  return {
    evaluationPeriods: EvaluationPeriods,
    datapointsToAlarm: DatapointsToAlarm ?? EvaluationPeriods,
    treatMissing: TreatMissingData as Watched['treatMissing'],
    breaches: (value) => OPERATORS[ComparisonOperator!]!.breaches(value, Threshold),
  };
}

/** `greater than`, for reasons. */
export function operatorWords({ ComparisonOperator }: MetricDefinition): string {
  return OPERATORS[ComparisonOperator!]!.words;
}

/** Metrics whose values concern the alarm. A breach that more values cannot undo need not wait for the end of its period. */
export function watchedMetrics(place: Place, definition: MetricDefinition): { metric: string; eager: boolean }[] {
  const ids = queriesOf(place, definition)
    .queries.filter(isMetric)
    .map(({ metric }) => metricId(place, metric));
  return [...new Set(ids)].sort().map((metric) => ({ metric, eager: isEager(definition) }));
}

export function isEager({ Metrics, Statistic, ComparisonOperator = 'GreaterThanThreshold' }: MetricDefinition): boolean {
  if (Metrics) return false;
  const rises = Statistic === 'Maximum' || Statistic === 'SampleCount';
  return (rises && ComparisonOperator.startsWith('Greater')) || (Statistic === 'Minimum' && ComparisonOperator.startsWith('Less'));
}
