/** `rate(5 minutes)` and `cron(0 10 * * ? *)`, in UTC. Facts: EventBridge user guide, "Using cron and rate expressions". */

export class ScheduleError extends Error {
  override readonly name = 'ScheduleError';
}

const UNIT_MS: Record<string, number> = { minute: 60_000, hour: 3_600_000, day: 86_400_000 };
const MONTHS = ['JAN', 'FEB', 'MAR', 'APR', 'MAY', 'JUN', 'JUL', 'AUG', 'SEP', 'OCT', 'NOV', 'DEC'];
const DAYS = ['SUN', 'MON', 'TUE', 'WED', 'THU', 'FRI', 'SAT'];

type Day = (year: number, month: number, day: number) => boolean;

interface Cron {
  minutes: Set<number>;
  hours: Set<number>;
  months: Set<number>;
  years: Set<number>;
  day: Day;
}

export type Schedule = { everyMs: number } | { cron: Cron };

export function parseSchedule(text: string): Schedule {
  const rate = /^rate\((\d+) (minute|hour|day)(s?)\)$/.exec(text);
  if (rate) {
    const value = Number(rate[1]);
    // "1 minute" but "5 minutes": AWS refuses the other way round.
    if (value < 1 || (value === 1) === (rate[3] === 's')) throw new ScheduleError(text);
    return { everyMs: value * UNIT_MS[rate[2]!]! };
  }
  const cron = /^cron\((\S+) (\S+) (\S+) (\S+) (\S+) (\S+)\)$/.exec(text);
  if (!cron) throw new ScheduleError(text);
  const [, minutes, hours, dayOfMonth, months, dayOfWeek, years] = cron as unknown as string[];
  if ((dayOfMonth === '?') === (dayOfWeek === '?')) throw new ScheduleError('One of the day fields must be ?, the other not.');
  return {
    cron: {
      minutes: field(minutes!, 0, 59),
      hours: field(hours!, 0, 23),
      months: field(months!, 1, 12, MONTHS, 1),
      years: field(years!, 1970, 2199),
      day: dayOfMonth === '?' ? weekDay(dayOfWeek!) : monthDay(dayOfMonth!),
    },
  };
}

/** The first due time after `after`; undefined when a cron's years have passed. A rate counts from the moment it is set. */
export function nextFire(text: string, after: Date): Date | undefined {
  const schedule = parseSchedule(text);
  if ('everyMs' in schedule) return new Date(after.getTime() + schedule.everyMs);
  const { minutes, hours, months, years, day } = schedule.cron;
  const start = new Date(Math.floor(after.getTime() / 60_000) * 60_000 + 60_000);
  for (let year = start.getUTCFullYear(); year <= 2199; year++) {
    if (!years.has(year)) continue;
    for (let date = Math.max(Date.UTC(year, 0, 1), Math.floor(start.getTime() / UNIT_MS.day!) * UNIT_MS.day!); ; date += UNIT_MS.day!) {
      const at = new Date(date);
      if (at.getUTCFullYear() !== year) break;
      if (!months.has(at.getUTCMonth() + 1) || !day(year, at.getUTCMonth() + 1, at.getUTCDate())) continue;
      for (const hour of hours) {
        for (const minute of minutes) {
          const fire = date + hour * UNIT_MS.hour! + minute * UNIT_MS.minute!;
          if (fire >= start.getTime()) return new Date(fire);
        }
      }
    }
  }
  return undefined;
}

/** `*`, `5`, `1-5`, `0/15`, `MON-FRI`, lists of them; in ascending order. */
function field(text: string, min: number, max: number, names: string[] = [], base = 0): Set<number> {
  const number = (part: string): number => {
    const named = names.indexOf(part.toUpperCase());
    const value = named >= 0 ? named + base : /^\d+$/.test(part) ? Number(part) : Number.NaN;
    if (!(value >= min && value <= max)) throw new ScheduleError(`${part} is not in ${min}..${max}`);
    return value;
  };
  const values = new Set<number>();
  for (const part of text.split(',')) {
    const [range = '', step] = part.split('/');
    const every = step === undefined ? 1 : Number(step);
    if (!Number.isInteger(every) || every < 1) throw new ScheduleError(part);
    const [from, to] = range === '*' ? [min, max] : range.split('-').map(number);
    const last = to ?? (step === undefined ? from! : max);
    for (let value = from!; value <= last; value += every) values.add(value);
  }
  return new Set([...values].sort((a, b) => a - b));
}

function daysIn(year: number, month: number): number {
  return new Date(Date.UTC(year, month, 0)).getUTCDate();
}

function weekDayOf(year: number, month: number, day: number): number {
  return new Date(Date.UTC(year, month - 1, day)).getUTCDay();
}

/** `L` the last day, `15W` the weekday nearest to the 15th. */
function monthDay(text: string): Day {
  if (text === 'L') return (year, month, day) => day === daysIn(year, month);
  const nearest = /^(\d{1,2})W$/.exec(text);
  if (!nearest) {
    const days = field(text, 1, 31);
    return (_year, _month, day) => days.has(day);
  }
  const wanted = Number(nearest[1]);
  return (year, month, day) => {
    const target = Math.min(wanted, daysIn(year, month));
    const weekDay = weekDayOf(year, month, target);
    if (weekDay === 6) return day === (target === 1 ? target + 2 : target - 1);
    if (weekDay === 0) return day === (target === daysIn(year, month) ? target - 2 : target + 1);
    return day === target;
  };
}

/** 1 is Sunday. `6L` the last Friday, `3#2` the second Tuesday. */
function weekDay(text: string): Day {
  const last = /^([1-7]|[A-Za-z]{3})?L$/.exec(text);
  if (last) {
    const wanted = last[1] === undefined ? 6 : [...field(last[1], 1, 7, DAYS, 1)][0]! - 1;
    return (year, month, day) => weekDayOf(year, month, day) === wanted && day + 7 > daysIn(year, month);
  }
  const nth = /^([1-7]|[A-Za-z]{3})#([1-5])$/.exec(text);
  if (nth) {
    const wanted = [...field(nth[1]!, 1, 7, DAYS, 1)][0]! - 1;
    return (year, month, day) => weekDayOf(year, month, day) === wanted && Math.ceil(day / 7) === Number(nth[2]);
  }
  const days = field(text, 1, 7, DAYS, 1);
  return (year, month, day) => days.has(weekDayOf(year, month, day) + 1);
}
