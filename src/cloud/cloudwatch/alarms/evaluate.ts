/** Looking at a metric alarm's datapoints: which state they mean, and why. */
import type { Reader } from '../../../platform/platform.ts';
import { isSeries } from '../math/values.ts';
import { answerQueries } from '../metric-queries.ts';
import type { Alarm, MetricDefinition } from '../tables.ts';
import { stamp } from './messages.ts';
import type { NewState } from './state.ts';
import { type Datapoint, EXTRA_DATAPOINTS, judge, type Verdict, type Watched } from './verdict.ts';
import { isEager, operatorWords, queriesOf, watchedOf } from './watched-metrics.ts';

type MetricAlarm = Alarm & { definition: MetricDefinition };

const TICK_S = 60;
const FAST_TICK_S = 10;

/** Seconds between two looks at an alarm. */
export function tickOf(period: number): number {
  return period < TICK_S ? FAST_TICK_S : TICK_S;
}

/** Undefined: it stays as it is. */
export async function evaluateAlarm(read: Reader, alarm: MetricAlarm, now: Date): Promise<NewState | undefined> {
  const tick = tickOf(queriesOf(alarm, alarm.definition).period);
  const ended = Math.floor(now.getTime() / 1000 / tick) * tick;
  const state = await evaluateAt(read, alarm, ended, now);
  if (state?.value === 'ALARM' || !isEager(alarm.definition)) return state;
  // More values could not undo a breach of the period that is under way.
  const early = await evaluateAt(read, alarm, ended + tick, now);
  return early?.value === 'ALARM' ? early : state;
}

/** By the periods that end at that time, seconds since 1970. */
async function evaluateAt(read: Reader, alarm: MetricAlarm, end: number, now: Date): Promise<NewState | undefined> {
  const { definition } = alarm;
  const { queries, watchedId, period } = queriesOf(alarm, definition);
  const watched = watchedOf(definition);
  const count = watched.evaluationPeriods + EXTRA_DATAPOINTS;
  const range = { start: new Date((end - count * period) * 1000), end: new Date(end * 1000) };
  const answers = await answerQueries(read, { ...alarm, now }, queries, range);
  const { value } = answers.find(({ query }) => query.id === watchedId)!;
  const points = typeof value === 'number' || !isSeries(value) ? new Map<number, number>() : value.points;
  const datapoints: Datapoint[] = Array.from({ length: count }, (_, index) => {
    const at = end - (index + 1) * period;
    return { at, value: points.get(at) };
  });
  const verdict = judge(datapoints, watched);
  if (!verdict.state) return undefined;
  return {
    value: verdict.state,
    reason: reasonOf(alarm, verdict, watched),
    reasonData: reasonData(definition, verdict, period, range.start, now),
  };
}

function reasonOf(alarm: MetricAlarm, verdict: Verdict, watched: Watched): string {
  const { state, seen, missing, breaching } = verdict;
  const { evaluationPeriods: total, datapointsToAlarm: needed } = watched;
  if (state === 'INSUFFICIENT_DATA')
    return `Insufficient Data: ${counted(missing, 'datapoint')} ${missing === 1 ? 'was' : 'were'} unknown.`;
  const treated = watched.treatMissing === 'breaching' ? 'Breaching' : 'NonBreaching';
  if (seen.length === 0) {
    const unseen = `${counted(missing, 'missing datapoint')} ${missing === 1 ? 'was' : 'were'} treated as [${treated}]`;
    return `Threshold Crossed: no datapoints were received for ${counted(total, 'period')} and ${unseen}.`;
  }
  const counting = seen.filter(({ value }) => watched.breaches(value) === (state === 'ALARM'));
  const shown = counting.length > 0 ? counting : seen;
  const values = shown.slice(0, 5).map(({ at, value }) => `${decimal(value)} (${shortTime(at)})`);
  const number = state === 'ALARM' ? breaching : seen.length - breaching;
  const not = state === 'ALARM' ? '' : ' not';
  const least = state === 'ALARM' ? needed : total - needed + 1;
  const list = shown.length > values.length ? `The most recent datapoints: [${values.join(', ')}]` : `[${values.join(', ')}]`;
  const compared = `${operatorWords(alarm.definition)} the threshold (${decimal(alarm.definition.Threshold!)})`;
  const transition = `(minimum ${counted(least, 'datapoint')} for ${alarm.state === state ? 'OK' : alarm.state} -> ${state} transition)`;
  return `Threshold Crossed: ${number} out of the last ${total} datapoints ${list} ${number === 1 ? 'was' : 'were'}${not} ${compared} ${transition}.`;
}

function counted(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`;
}

/** `50.0`, as AWS writes whole numbers here. */
function decimal(value: number): string {
  return Number.isInteger(value) && Math.abs(value) < 1e21 ? `${value}.0` : String(value);
}

/** `02/10/19 16:59:00`, the day first. */
function shortTime(at: number): string {
  const [date, time] = new Date(at * 1000).toISOString().split('T') as [string, string];
  const [year, month, day] = date.split('-') as [string, string, string];
  return `${day}/${month}/${year.slice(2)} ${time.slice(0, 8)}`;
}

const MAX_SHOWN = 20;

function reasonData(definition: MetricDefinition, { seen }: Verdict, period: number, start: Date, now: Date): string {
  const { Statistic, ExtendedStatistic, Threshold, Unit } = definition;
  const shown = seen.slice(0, MAX_SHOWN);
  return JSON.stringify({
    version: '1.0',
    queryDate: stamp(now),
    startDate: stamp(shown.length > 0 ? new Date(shown.at(-1)!.at * 1000) : start),
    ...(Unit !== undefined && { unit: Unit }),
    ...(definition.Metrics ? {} : { statistic: Statistic ?? ExtendedStatistic }),
    period,
    recentDatapoints: shown.map(({ value }) => value).reverse(),
    threshold: Threshold,
    evaluatedDatapoints: shown.map(({ at, value }) => ({ timestamp: stamp(new Date(at * 1000)), value })),
  });
}
