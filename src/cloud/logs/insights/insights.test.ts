/** Queries on made-up events: what each command and function computes, and what is no query. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { EventRow } from './event-row.ts';
import { parseQuery } from './parse.ts';
import { compileQuery } from './pipeline.ts';
import { QueryError } from './syntax.ts';
import { toText } from './values.ts';

const START = Date.parse('2026-01-05T10:00:00Z');
/** Oldest first, a minute apart. */
const MESSAGES = [
  '{"level":"info","ms":12,"user":{"name":"ann"},"tags":["a","b"],"ok":true}',
  '{"level":"error","ms":250,"user":{"name":"bob"},"path":"/a/b","ok":false}',
  'GET /index.html 200 17ms',
  '{"level":"info","ms":"30","user":{"name":"ann"}}',
  'POST /form 500 120ms',
];
const events = MESSAGES.map((message, index) => {
  const group = { id: 'g', account: '123456789012', name: 'app' };
  return new EventRow({
    group,
    stream: `s${index % 2}`,
    message,
    ingestedAt: START,
    position: { at: START + index * 60_000, chunk: 1, index },
  });
});

/** The result's rows, newest event first, as `a,b|c,d`; `-` where a field is missing. */
function run(query: string, limit?: number): string {
  const compiled = compileQuery(parseQuery(query), limit, true);
  for (const event of events.toReversed()) if (!compiled.push(event)) break;
  return compiled
    .end()
    .map((row) => compiled.visible.map((name) => toText(row.get(name)) ?? '-').join(','))
    .join('|');
}

describe('queries', () => {
  const cases: Record<string, string> = {
    'fields level, ms': '-,-|info,30|-,-|error,250|info,12',
    'fields @timestamp, @logStream, @log | limit 1': '2026-01-05 10:04:00.000,s0,123456789012:app',
    'fields user.name as who, tags.1 as t | filter ispresent(level) | sort @timestamp': 'ann,b|bob,-|ann,-',
    'filter level = "info" | fields ms * 2 as double, -ms': '60,-30|24,-12',
    "filter level != 'info' and ispresent(level) | fields path": '/a/b',
    'filter ms > 20 and ms <= 250 | fields ms': '30|250',
    'filter level in ["error", "warn"] or user.name = "nobody" | fields level': 'error',
    'filter level not in ["info"] and level like /^e/ | fields level': 'error',
    'filter @message like "GET" | fields @logStream': 's0',
    'filter @message =~ /(?i)post/ | fields strlen(@message) as n': '20',
    'filter @message not like /level/ | stats count(*)': '2',
    'filter ok = true | fields ok': '1',
    'filter not (ms < 100) and ispresent(ms) | fields ms': '250',
    'parse @message "* /* * *ms" as verb, path, code, took | filter code >= 500 | display verb, path, took': 'POST,form,120',
    'parse @message /(?<verb>[A-Z]+) (?<path>\\S+) (?<code>\\d+)/ | filter ispresent(code) | stats sum(code) as total by verb | sort verb':
      'GET,200|POST,500',
    'parse "* *" as first, rest | filter first = "GET" | display rest': '/index.html 200 17ms',
    'stats count(*), avg(ms), max(ms), min(ms), sum(ms)': '5,97.33333333333333,250,12,292',
    'stats count(ms) as n by level | sort n desc, level': 'info,2|error,1|-,0',
    'stats count(*) as n by bin(2m) as t | sort t': '2026-01-05 10:00:00.000,2|2026-01-05 10:02:00.000,2|2026-01-05 10:04:00.000,1',
    'stats pct(ms, 50) as median, count_distinct(user.name) as users, stddev(ok) as d': '30,2,0.5',
    'stats earliest(level) as a, latest(level) as b, sortsFirst(user.name) as c, sortsLast(user.name) as d': 'info,info,ann,bob',
    'filter level = "none" | stats count(*) as n': '0',
    'filter level = "none" | stats count(*) as n by level': '',
    'stats count(*) as n by level | stats max(n) as most': '2',
    'fields level | dedup level | sort level desc': 'info|error|-',
    'fields ms | sort ms desc | limit 2': '250|30',
    'fields ms | sort ms | head 4': '-|-|12|30',
    'fields toupper(level) as u, substr(level, 1, 2) as s, replace(level, "r", "x") as x | filter level = "error"': 'ERROR,rr,exxox',
    'fields concat(level, "-", ms) as c, coalesce(path, "none") as p | filter ispresent(level)': 'info-30,none|error-250,/a/b|info-12,none',
    'fields floor(ms / 100) as f, ms % 7 as m, 2 ^ 3 ^ 1 as e, greatest(ms, 100) as g | filter ms = 250': '2,5,8,250',
    'fields trim("  x ") as a, ltrim("xxa", "x") as b, isempty(nothing) as c, strcontains("abc", "b") as d | limit 1': 'x,a,true,1',
    'fields toMillis(@timestamp) - 1767607200000 as ms, datefloor(@timestamp, 1h) as h | limit 1': '240000,2026-01-05 10:00:00.000',
    '# first\nfields level # second\n| filter level = "error" # third': 'error',
    'fields `user.name` | filter `level` = "error"': 'bob',
    'fields @message | filter @message like /\\/form/ | display @logStream': 's0',
  };
  for (const [query, expected] of Object.entries(cases)) test(query, () => assert.equal(run(query), expected));
});

test('the limit of the request holds, and ends the reading', () => {
  assert.equal(run('fields @logStream', 2), 's0|s1');
  assert.equal(run('fields @logStream | limit 3', 2), 's0|s1');
});

test('an exponential regular expression takes linear time', () => {
  const compiled = compileQuery(parseQuery('filter @message like /(a+)+$/ | stats count(*) as n'), undefined, true);
  const position = { at: START, chunk: 1, index: 0 };
  const message = `${'a'.repeat(200_000)}!`;
  compiled.push(new EventRow({ group: { id: 'g', account: '1', name: 'g' }, stream: 's', message, ingestedAt: START, position }));
  assert.equal(compiled.end()[0]!.get('n'), 0);
});

test('deep messages cost no stack', () => {
  const message = `{"a":${'['.repeat(100_000)}${']'.repeat(100_000)}}`;
  const position = { at: START, chunk: 1, index: 0 };
  const row = new EventRow({ group: { id: 'g', account: '1', name: 'g' }, stream: 's', message, ingestedAt: START, position });
  assert.doesNotThrow(() => [row.get('a'), row.get('a.0.0'), row.discovered()]);
});

test('what is no query is refused, with where', () => {
  const broken = [
    '',
    'nothing',
    'fields',
    'fields a,',
    'fields a |',
    'filter',
    'filter a =',
    'filter (a',
    'filter a like b',
    'filter a not b',
    'filter like "x"',
    'parse "a" as b',
    'parse "*" as a, b',
    'parse @message /no groups/',
    'parse @message',
    'stats',
    'stats level',
    'stats nothing(*)',
    'stats avg(a, b)',
    'stats pct(a)',
    'stats pct(a, 101)',
    'limit 0',
    'limit 1.5',
    'limit 100001',
    'limit x',
    'sort',
    'dedup',
    'fields nothing(a)',
    'fields bin(5)',
    'fields constructor(a)',
    'fields __proto__(a)',
    'filter a like /(/',
    'filter a like /(?<=x)y/',
    'fields a fields b',
    'fields abs()',
    'pattern @message',
    'unnest a into b',
    'source logGroups()',
    `filter ${'('.repeat(500)}`,
    `filter ${'not '.repeat(500)} a`,
    `fields ${'-'.repeat(500)}1`,
    'fields "a',
    'stats count(*) | stats count(*) | stats count(*)',
    `fields a${'| fields a'.repeat(60)}`,
    'fields `a',
    'filter a in [1',
    'fields $a',
  ];
  for (const query of broken) assert.throws(() => compileQuery(parseQuery(query), undefined, true), QueryError, query.slice(0, 40));
});
