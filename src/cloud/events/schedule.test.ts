import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { nextFire, parseSchedule, ScheduleError } from './schedule.ts';

const from = new Date('2026-11-22T19:30:30Z'); // a Sunday

const due: [schedule: string, next: string][] = [
  ['rate(5 minutes)', '2026-11-22T19:35:30.000Z'],
  ['rate(1 day)', '2026-11-23T19:30:30.000Z'],
  ['cron(* * * * ? *)', '2026-11-22T19:31:00.000Z'],
  ['cron(0/15 * * * ? *)', '2026-11-22T19:45:00.000Z'],
  ['cron(0 10 * * ? *)', '2026-11-23T10:00:00.000Z'],
  ['cron(0 18 ? * MON-FRI *)', '2026-11-23T18:00:00.000Z'],
  ['cron(0 8 1 * ? *)', '2026-12-01T08:00:00.000Z'],
  ['cron(0 8 L * ? *)', '2026-11-30T08:00:00.000Z'],
  ['cron(0 8 ? * 6L *)', '2026-11-27T08:00:00.000Z'],
  ['cron(0 8 ? * 3#2 *)', '2026-12-08T08:00:00.000Z'],
  ['cron(0 8 29W NOV ? *)', '2026-11-30T08:00:00.000Z'],
  ['cron(0 0 29 2 ? *)', '2028-02-29T00:00:00.000Z'],
  ['cron(30 9 ? JAN,JUL SUN 2027)', '2027-01-03T09:30:00.000Z'],
];

describe('schedules', () => {
  for (const [schedule, next] of due) test(schedule, () => assert.equal(nextFire(schedule, from)?.toISOString(), next));
  test('a cron whose years have passed is never due', () => assert.equal(nextFire('cron(0 0 1 1 ? 2020)', from), undefined));
  for (const text of [
    'rate(1 minutes)',
    'rate(5 minute)',
    'rate(0 minutes)',
    'cron(* * * * * *)',
    'cron(60 * * * ? *)',
    'cron(* * * * ?)',
    'every day',
    'cron(*/0 * * * ? *)',
  ]) {
    test(`refuse ${text}`, () => assert.throws(() => parseSchedule(text), ScheduleError));
  }
});
