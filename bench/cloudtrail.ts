/**
 * What recording every call costs: the same requests against two servers, one of which records nothing (PENSTOCK_CLOUDTRAIL=off), turn by turn.
 * CPU time of the server for each request is the figure that other work on the machine disturbs least; the rate is beside it.
 *
 *     node_modules/.bin/node bench/cloudtrail.ts [rounds]
 */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { CodeCommit } from '@aws-sdk/client-codecommit';
import { startServer, type TestServer } from '../test/support/server.ts';
import { type Load, putUnderLoad } from './support/load.ts';
import { median, percentile, type Section, toMarkdown, verdict } from './support/section.ts';
import { jsonRequest, queryRequest, type Target } from './support/signed-requests.ts';

const CLIENTS = 20;
const SECONDS = 2;
const BUDGET = 0.05;
const TICKS_PER_SECOND = 100;
/** All but the segment in use is stored when no more than this is left. */
const STORED_BYTES = 1024 * 1024;

interface Case {
  what: string;
  request(target: Target): string;
}

const cases: Case[] = [
  {
    what: 'sts GetCallerIdentity',
    request: (target) => queryRequest(target, 'sts', { Action: 'GetCallerIdentity', Version: '2011-06-15' }),
  },
  {
    what: 'codecommit GetRepository',
    request: (target) => jsonRequest(target, 'codecommit', 'CodeCommit_20150413.GetRepository', { repositoryName: 'bench' }),
  },
  {
    what: 'codecommit UpdateRepositoryDescription (a write)',
    request: (target) =>
      jsonRequest(target, 'codecommit', 'CodeCommit_20150413.UpdateRepositoryDescription', {
        repositoryName: 'bench',
        repositoryDescription: 'what a bench writes',
      }),
  },
];

interface Round {
  load: Load;
  /** Microseconds of CPU of the server for each request. */
  cpu: number;
}

export async function benchCloudTrail(rounds: number): Promise<Section> {
  await using recording = await startServer();
  await using silent = await startServer({ env: { PENSTOCK_CLOUDTRAIL: 'off' } });
  for (const server of [recording, silent]) {
    const codecommit = new CodeCommit(server.client);
    await codecommit.createRepository({ repositoryName: 'bench' });
    codecommit.destroy();
  }
  const rows: string[][] = [];
  let events = 0;
  for (const item of cases) {
    const withIt: Round[] = [];
    const without: Round[] = [];
    for (let round = 0; round <= rounds; round++) {
      const [first, second] = round % 2 === 0 ? [recording, silent] : [silent, recording];
      const measured = new Map([[first, await measure(item, first)]]);
      measured.set(second, await measure(item, second));
      events += measured.get(recording)!.load.count;
      await stored(recording);
      // The first warms both up.
      if (round === 0) continue;
      withIt.push(measured.get(recording)!);
      without.push(measured.get(silent)!);
    }
    rows.push(row(item.what, withIt, without));
  }
  const later = await measureStoring(recording);
  return {
    title: 'CloudTrail: the cost of recording',
    columns: ['call', 'CPU without', 'CPU with', 'more', 'rate without', 'rate with', 'budget', ''],
    rows,
    notes: [
      `Medians of ${rounds} rounds of ${SECONDS} s with ${CLIENTS} clients; CPU time is the server's (without PostgreSQL's) for each request, user and system.`,
      `Storing what was recorded waits while the server is busy. Afterwards it took ${later.server.toFixed(0)} µs of the server's CPU and ${later.database.toFixed(0)} µs of PostgreSQL's for each event (${later.events.toLocaleString('en')} events), compression on other threads included.`,
      `Limit: one write(2) to a file for each call before its answer, and making its line. ${events.toLocaleString('en')} events were recorded in all.`,
    ],
  };
}

async function measure(item: Case, server: TestServer): Promise<Round> {
  const before = cpuSeconds(server.pid);
  const load = await putUnderLoad({
    port: Number(new URL(server.endpoint).port),
    clients: CLIENTS,
    seconds: SECONDS,
    requests: [item.request(server.client)],
    repeat: true,
  });
  return { load, cpu: ((cpuSeconds(server.pid) - before) / load.count) * 1e6 };
}

/** CPU for each event from the end of a load until all of it is stored. */
async function measureStoring(server: TestServer): Promise<{ server: number; database: number; events: number }> {
  await stored(server);
  const { load } = await measure(cases[0]!, server);
  const before = { server: cpuSeconds(server.pid), database: databaseSeconds(server) };
  await stored(server);
  return {
    server: ((cpuSeconds(server.pid) - before.server) / load.count) * 1e6,
    database: ((databaseSeconds(server) - before.database) / load.count) * 1e6,
    events: load.count,
  };
}

async function stored({ dataDir }: TestServer): Promise<void> {
  const folder = path.join(dataDir, 'cloudtrail');
  const waiting = (): number =>
    readdirSync(folder).reduce((sum, file) => {
      const full = path.join(folder, file);
      return sum + (existsSync(full) ? statSync(full).size : 0);
    }, 0);
  while (waiting() > STORED_BYTES) await delay(100);
}

/** User and system time of a process so far. */
function cpuSeconds(pid: number): number {
  const fields = statOf(pid);
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

/** That of PostgreSQL's main process and of all it started, the ended ones among them. */
function databaseSeconds({ dataDir }: TestServer): number {
  const postmaster = Number(readFileSync(path.join(dataDir, 'postgres', 'postmaster.pid'), 'utf8').split('\n')[0]);
  const ended = statOf(postmaster);
  let seconds = cpuSeconds(postmaster) + (Number(ended[13]) + Number(ended[14])) / TICKS_PER_SECOND;
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      if (Number(statOf(Number(pid))[1]) === postmaster) seconds += cpuSeconds(Number(pid));
    } catch {
      // It has just ended.
    }
  }
  return seconds;
}

/** The fields of /proc/PID/stat that follow the name. */
function statOf(pid: number): string[] {
  const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
  return text.slice(text.lastIndexOf(')') + 2).split(' ');
}

function row(what: string, withIt: Round[], without: Round[]): string[] {
  const cpuOf = (round: Round): number => round.cpu;
  const rate = (rounds: Round[]): string => `${Math.round(median(rounds.map(({ load }) => load.rate))).toLocaleString('en')}/s`;
  // Each round against its neighbour: what else the machine does changes from one to the next.
  const more = withIt.map((round, at) => round.cpu / without[at]!.cpu - 1);
  const percent = (share: number): string => `${(share * 100).toFixed(1)} %`;
  return [
    what,
    `${median(without.map(cpuOf)).toFixed(1)} µs`,
    `${median(withIt.map(cpuOf)).toFixed(1)} µs`,
    `${percent(median(more))} (half of the rounds: ${percent(percentile(more, 0.25))} to ${percent(percentile(more, 0.75))})`,
    rate(without),
    rate(withIt),
    `< ${BUDGET * 100} %`,
    verdict(median(more) < BUDGET),
  ];
}

if (import.meta.main) console.log(toMarkdown(await benchCloudTrail(Number(process.argv[2] ?? 5))));
