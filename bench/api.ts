/**
 * The API under load: 20 clients with kept connections, every request signed. Beside it, in the same run and with the same requests, moto_server;
 * and the bare stack (fastify, kysely, pg; one query or one transaction), which is what our own steps cost on top of.
 *
 *     node_modules/.bin/node bench/api.ts [seconds]
 */
import path from 'node:path';
import { CodeCommit } from '@aws-sdk/client-codecommit';
import { startServer, type TestServer } from '../test/support/server.ts';
import { type BareStack, startBareStack } from './support/bare-stack.ts';
import { type Load, putUnderLoad } from './support/load.ts';
import { startMoto } from './support/moto.ts';
import { ms, type Section, toMarkdown, verdict } from './support/section.ts';
import { jsonRequest, queryRequest, type Target } from './support/signed-requests.ts';

/** Penstock's and moto's first account. */
const ACCOUNT = '123456789012';
const CLIENTS = 20;
const READ_BUDGET = 5_000;
const WRITE_BUDGET = 3_000;
const TIMES_MOTO = 10;
const P99_BUDGET_MS = 20;
const WARM_SECONDS = 1;
const MOTO_SECONDS = 2;
/** More than any server takes, so that requests which can be made only once do not run out. */
const WRITES_PER_SECOND = 8_000;
/** Requests that may be repeated go round among so many things, so that no two wait for one row's lock. */
const THINGS = 200;

interface Case {
  what: string;
  budget: number;
  /** Whether moto knows the operation. */
  inMoto: boolean;
  /** Each request can be made only once. */
  once: boolean;
  /** The n-th request, for the n-th thing. */
  request(target: Target, n: number): string;
}

const codecommit = 'CodeCommit_20150413';

const cases: Case[] = [
  {
    what: 'read: sts GetCallerIdentity',
    budget: READ_BUDGET,
    inMoto: true,
    once: false,
    request: (target) => queryRequest(target, 'sts', { Action: 'GetCallerIdentity', Version: '2011-06-15' }),
  },
  {
    what: 'read: codecommit GetRepository',
    budget: READ_BUDGET,
    inMoto: true,
    once: false,
    request: (target) => jsonRequest(target, 'codecommit', `${codecommit}.GetRepository`, { repositoryName: 'bench' }),
  },
  {
    what: 'read: codecommit GetBranch',
    budget: READ_BUDGET,
    inMoto: false,
    once: false,
    request: (target) => jsonRequest(target, 'codecommit', `${codecommit}.GetBranch`, { repositoryName: 'bench', branchName: 'main' }),
  },
  {
    what: 'read: codebuild BatchGetProjects',
    budget: READ_BUDGET,
    inMoto: true,
    once: false,
    request: (target) => jsonRequest(target, 'codebuild', 'CodeBuild_20161006.BatchGetProjects', { names: ['bench'] }),
  },
  {
    what: 'write: codecommit CreateRepository',
    budget: WRITE_BUDGET,
    inMoto: true,
    once: true,
    request: (target, n) => jsonRequest(target, 'codecommit', `${codecommit}.CreateRepository`, { repositoryName: `bench-${n}` }),
  },
  {
    what: 'write: codecommit TagResource',
    budget: WRITE_BUDGET,
    inMoto: false,
    once: false,
    request: (target, n) => {
      const resourceArn = `arn:aws:codecommit:${target.region}:${ACCOUNT}:thing-${n}`;
      return jsonRequest(target, 'codecommit', `${codecommit}.TagResource`, { resourceArn, tags: { round: String(n) } });
    },
  },
  {
    what: 'write: events PutRule',
    budget: WRITE_BUDGET,
    inMoto: true,
    once: false,
    request: (target, n) =>
      jsonRequest(target, 'events', 'AWSEvents.PutRule', { Name: `bench-${n}`, EventPattern: '{"source":["bench"]}' }),
  },
];

export async function benchApi(seconds: number): Promise<Section> {
  await using server = await startServer({ env: { PENSTOCK_REPOSITORY_LIMIT: '0' } });
  await prepare(server.client);
  await prepareMore(server);
  const moto = await startMoto();
  if (typeof moto === 'string') return section(await measureAll(server, undefined, seconds), [`${moto}: its column is empty.`]);
  try {
    await prepare({ ...server.client, endpoint: moto.endpoint });
    return section(await measureAll(server, moto.endpoint, seconds), [
      `Peer: moto_server ${moto.version}, which verifies no signature and keeps nothing.`,
    ]);
  } finally {
    await moto[Symbol.asyncDispose]();
  }
}

/** What the reads look at; by the wire too, since moto answers what SDKs cannot read. */
async function prepare(target: Target): Promise<void> {
  const service = { Effect: 'Allow', Principal: { Service: 'codebuild.amazonaws.com' }, Action: 'sts:AssumeRole' };
  const AssumeRolePolicyDocument = JSON.stringify({ Version: '2012-10-17', Statement: [service] });
  const requests = [
    jsonRequest(target, 'codecommit', `${codecommit}.CreateRepository`, { repositoryName: 'bench' }),
    queryRequest(target, 'iam', { Action: 'CreateRole', Version: '2010-05-08', RoleName: 'bench', AssumeRolePolicyDocument }),
    jsonRequest(target, 'codebuild', 'CodeBuild_20161006.CreateProject', {
      name: 'bench',
      source: { type: 'S3', location: 'bench/source.zip' },
      artifacts: { type: 'NO_ARTIFACTS' },
      environment: { type: 'LINUX_CONTAINER', image: 'aws/codebuild/standard:7.0', computeType: 'BUILD_GENERAL1_SMALL' },
      serviceRole: `arn:aws:iam::${ACCOUNT}:role/bench`,
    }),
  ];
  await putUnderLoad({ port: Number(new URL(target.endpoint).port), clients: 1, seconds: 60, repeat: false, requests });
}

/** What moto does not know: a commit, and repositories for tags. */
async function prepareMore({ client, endpoint }: TestServer): Promise<void> {
  const create = (n: number): string =>
    jsonRequest(client, 'codecommit', `${codecommit}.CreateRepository`, { repositoryName: `thing-${n}` });
  const requests = Array.from({ length: THINGS }, (_, n) => create(n));
  await putUnderLoad({ port: Number(new URL(endpoint).port), clients: 1, seconds: 60, repeat: false, requests });
  const putFiles = [{ filePath: 'README', fileContent: Buffer.from('bench\n') }];
  await new CodeCommit(client).createCommit({ repositoryName: 'bench', branchName: 'main', putFiles });
}

async function measureAll(server: TestServer, motoEndpoint: string | undefined, seconds: number): Promise<string[][]> {
  await using bare = await startBareStack(path.join(server.dataDir, 'run'));
  const bareWrite = await measureBare(bare, true, seconds);
  const bareRead = await measureBare(bare, false, seconds);
  const rows = [row('bare stack: one query', bareRead), row('bare stack: one transaction', bareWrite)];
  for (const item of cases) {
    const peer =
      motoEndpoint !== undefined && item.inMoto
        ? await measure(item, { ...server.client, endpoint: motoEndpoint }, MOTO_SECONDS)
        : undefined;
    rows.push(row(item.what, await measure(item, server.client, seconds), item, peer));
  }
  return rows;
}

async function measure(item: Case, target: Target, seconds: number): Promise<Load> {
  const numbers = (from: number, count: number): string[] => Array.from({ length: count }, (_, n) => item.request(target, from + n));
  const order = { port: Number(new URL(target.endpoint).port), clients: CLIENTS, repeat: !item.once };
  const warm = item.once ? WARM_SECONDS * WRITES_PER_SECOND : THINGS;
  await putUnderLoad({ ...order, seconds: WARM_SECONDS, requests: numbers(0, warm) });
  return putUnderLoad({ ...order, seconds, requests: item.once ? numbers(warm, seconds * WRITES_PER_SECOND) : numbers(0, THINGS) });
}

async function measureBare({ endpoint }: BareStack, write: boolean, seconds: number): Promise<Load> {
  const { port, host } = new URL(endpoint);
  const request = (n: number): string => {
    const body = JSON.stringify({ name: `thing-${n}`, write });
    return `POST / HTTP/1.1\r\nhost: ${host}\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
  };
  const numbers = (from: number, count: number): string[] => Array.from({ length: count }, (_, n) => request(from + n));
  const order = { port: Number(port), clients: CLIENTS, repeat: !write };
  const warm = write ? WARM_SECONDS * WRITES_PER_SECOND : THINGS;
  await putUnderLoad({ ...order, seconds: WARM_SECONDS, requests: numbers(0, warm) });
  return putUnderLoad({ ...order, seconds, requests: write ? numbers(warm, seconds * WRITES_PER_SECOND) : numbers(0, THINGS) });
}

function row(what: string, load: Load, item?: Case, peer?: Load): string[] {
  const times = peer && load.rate / peer.rate;
  const kept = item && load.rate >= item.budget && load.p99 < P99_BUDGET_MS && (times === undefined || times >= TIMES_MOTO);
  const rate = (value: number): string => `${Math.round(value).toLocaleString('en')}/s`;
  return [
    what,
    peer ? rate(peer.rate) : '',
    rate(load.rate),
    times ? `${times.toFixed(1)}×` : '',
    ms(load.p50),
    ms(load.p95),
    ms(load.p99),
    item ? `≥ ${rate(item.budget)}${peer ? `, ≥ ${TIMES_MOTO}×` : ''}, p99 < ${P99_BUDGET_MS} ms` : '',
    verdict(kept),
  ];
}

function section(rows: string[][], notes: string[]): Section {
  return {
    title: 'API: signed requests',
    columns: ['what', 'moto_server', 'Penstock', 'times', 'p50', 'p95', 'p99', 'budget', ''],
    rows,
    notes: [
      `${CLIENTS} clients, each with one kept connection and one request at a time; requests are signed before the run and verified in it.`,
      ...notes,
      'The bare stack is fastify, kysely and pg on the same database, without signature, validation, policies and models.',
      'Limit: two cores for server, database and load generator together; the server’s one thread is full first. GetCallerIdentity asks no database and shows what HTTP, signature, encoding and the audit record cost, most of it system calls and hashes. Reads and writes of requests that wait at the same time are one statement, so a read costs little more than that; a write waits for one fsync, which its whole batch shares. The bare stack asks and commits for each request, and is slower than both.',
    ],
  };
}

if (import.meta.main) console.log(toMarkdown(await benchApi(Number(process.argv[2] ?? 5))));
