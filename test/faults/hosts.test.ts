/**
 * An installation on several hosts: two processes that serve and two that work, a database and a store of blobs, each in a network namespace.
 * Hosts are cut off, killed and restarted while builds wait: each build ends with a truthful status, and is told of once.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { CloudWatchLogs } from '@aws-sdk/client-cloudwatch-logs';
import { type Build, CodeBuild } from '@aws-sdk/client-codebuild';
import { CodeCommit } from '@aws-sdk/client-codecommit';
import { EventBridge } from '@aws-sdk/client-eventbridge';
import { S3 } from '@aws-sdk/client-s3';
import { git } from '../../src/git/client.ts';
import { type BuildBench, buildBench, commands, phaseLines } from '../support/codebuild.ts';
import { signGit, withCredentials } from '../support/git.ts';
import { createNetwork, type Host, noNetwork, type TestNetwork } from '../support/network.ts';
import { startPostgresOn } from '../support/postgres.ts';
import { startServer, type TestServer } from '../support/server.ts';

/** Builds in each of the four parts. */
const BUILDS = 50;
const SLOTS = 4;
const EVENTS = '/build-events';

interface Member {
  host: Host;
  server: TestServer;
  dataDir: string;
}

describe('on several hosts', { skip: noNetwork() }, () => {
  let home: string;
  let network: TestNetwork;
  let database: Awaited<ReturnType<typeof startPostgresOn>>;
  let store: TestServer;
  let apis: Member[];
  let workers: Member[];
  let bench: BuildBench;
  /** Every build that a StartBuild was answered for. */
  const started: string[] = [];

  before(async () => {
    home = await mkdtemp(path.join(tmpdir(), 'penstock-hosts-'));
    network = createNetwork();
    const { hub } = network;
    [database, store] = await Promise.all([
      startPostgresOn(hub),
      startServer({ inside: hub.inside, args: ['--role', 'api', '--listen', hub.address] }),
    ]);
    await new S3(store.client).createBucket({ Bucket: 'blobs' });
    const env = {
      PENSTOCK_DATABASE_URL: database.url,
      PENSTOCK_MASTER_KEY: 'b2'.repeat(32),
      PENSTOCK_BLOBS: 's3://blobs/installation',
      PENSTOCK_BLOBS_ENDPOINT: store.endpoint,
      AWS_ACCESS_KEY_ID: store.credentials.accessKeyId,
      AWS_SECRET_ACCESS_KEY: store.credentials.secretAccessKey,
      PENSTOCK_BUILD_SLOTS: String(SLOTS),
      PENSTOCK_DRAIN_SECONDS: '30',
    };
    const member = async (name: string, role: 'api' | 'worker'): Promise<Member> => {
      const host = network.addHost();
      const dataDir = path.join(home, name);
      const args = ['--role', role, '--listen', host.address];
      return { host, dataDir, server: await startServer({ dataDir, env, args, inside: host.inside }) };
    };
    [apis, workers] = await Promise.all([
      Promise.all([member('api-1', 'api'), member('api-2', 'api')]),
      Promise.all([member('worker-1', 'worker'), member('worker-2', 'worker')]),
    ]);
    bench = await buildBench(apis[0]!.server);
    // What ran, and on which host: lines of a file that all hosts see.
    await bench.project('tiny', commands(`echo $CODEBUILD_BUILD_ID >>${home}/ran`, 'sleep 0.2'));
    await bench.project('long', commands(`echo "$AWS_ENDPOINT_URL" >${home}/at-$CODEBUILD_BUILD_NUMBER; exec sleep 7777`));
    await collectEvents();
  });
  after(async () => {
    await Promise.allSettled([...(workers ?? []), ...(apis ?? [])].map(({ server }) => server.stop()));
    await store?.stop();
    await database?.[Symbol.asyncDispose]();
    network?.[Symbol.dispose]();
    await rm(home, { recursive: true, force: true });
  });

  async function collectEvents(): Promise<void> {
    const { server } = apis[0]!;
    const events = new EventBridge(server.client);
    await new CloudWatchLogs(server.client).createLogGroup({ logGroupName: EVENTS });
    const EventPattern = JSON.stringify({ source: ['aws.codebuild'], 'detail-type': ['CodeBuild Build State Change'] });
    await events.putRule({ Name: 'to-logs', EventPattern });
    const Arn = `arn:aws:logs:${server.region}:${server.account}:log-group:${EVENTS}`;
    await events.putTargets({ Rule: 'to-logs', Targets: [{ Id: 'logs', Arn }] });
  }

  /** As a client with a list of endpoints does it: the same call with the same token, until one of them answers. */
  async function start(projectName: string, first = 0): Promise<string> {
    const idempotencyToken = crypto.randomUUID();
    for (let attempt = 0; ; attempt++) {
      const api = apis[(first + attempt) % apis.length]!.server;
      try {
        const { build } = await new CodeBuild(api.client).startBuild({ projectName, idempotencyToken });
        started.push(build!.id!);
        return build!.id!;
      } catch (error) {
        if (attempt === 100) throw error;
        await delay(50);
      }
    }
  }

  async function startMany(count: number): Promise<string[]> {
    const ids: string[] = [];
    for (let index = 0; index < count; index += 5)
      ids.push(...(await Promise.all(Array.from({ length: Math.min(5, count - index) }, (_, offset) => start('tiny', offset)))));
    return ids;
  }

  async function describeAll(ids: string[]): Promise<Build[]> {
    const found: Build[] = [];
    for (let at = 0; at < ids.length; at += 100) {
      const { builds } = await bench.codebuild.batchGetBuilds({ ids: ids.slice(at, at + 100) });
      found.push(...builds!);
    }
    return found;
  }

  async function allOver(ids: string[]): Promise<Build[]> {
    for (;;) {
      const builds = await describeAll(ids);
      if (builds.every((build) => build.buildComplete)) return builds;
      await delay(200);
    }
  }

  function runs(): string[] {
    return existsSync(`${home}/ran`) ? readFileSync(`${home}/ran`, 'utf8').split('\n').filter(Boolean) : [];
  }

  /** SUCCEEDED and run once, or given up with a reason and run once at most. */
  function requireTruth(builds: Build[]): void {
    const ran = runs();
    for (const build of builds) {
      const count = ran.filter((id) => id === build.id).length;
      const told = `${build.id} ran ${count} times: ${build.buildStatus}\n${phaseLines(build).join('\n')}`;
      assert.equal(build.phases!.at(-1)!.phaseType, 'COMPLETED', told);
      if (build.buildStatus === 'SUCCEEDED') assert.equal(count, 1, told);
      else {
        assert.equal(build.buildStatus, 'FAULT', told);
        assert.match(told, /INTERNAL_SERVICE_ERROR: The process that ran this build ended before the build did/);
        assert.ok(count <= 1, told);
      }
    }
  }

  /** As many long builds as one worker has slots, and where each of them runs. */
  async function startLong(): Promise<Map<string, Member>> {
    const ids = await Promise.all(Array.from({ length: SLOTS }, () => start('long')));
    const where = new Map<string, Member>();
    for (const build of await Promise.all(ids.map((id) => bench.wait(id, (now) => now.currentPhase === 'BUILD')))) {
      const file = `${home}/at-${build.buildNumber}`;
      while (!existsSync(file) || readFileSync(file, 'utf8') === '') await delay(10);
      const endpoint = readFileSync(file, 'utf8').trim();
      where.set(build.id!, workers.find(({ server }) => server.endpoint === endpoint)!);
    }
    return where;
  }

  /** Commands of long builds that run on that host. */
  function sleeping({ host }: Member): number {
    const pids = spawnSync('pgrep', ['-fx', 'sleep 7777'], { encoding: 'utf8' }).stdout.split('\n').filter(Boolean);
    return pids.filter((pid) => host.has(Number(pid))).length;
  }

  async function until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
    for (let tried = 0; !(await condition()); tried++) {
      assert.ok(tried < 1_200, what);
      await delay(50);
    }
  }

  async function stopAll(ids: Iterable<string>): Promise<void> {
    const stopped = [...ids];
    for (const id of stopped) await bench.codebuild.stopBuild({ id });
    for (const build of await allOver(stopped)) assert.equal(build.buildStatus, 'STOPPED');
  }

  const other = (member: Member) => workers.find((each) => each !== member)!;
  /** The builds among `where` that run on this worker, and the others. */
  const split = (where: Map<string, Member>, member: Member) => ({
    here: [...where].filter(([, at]) => at === member).map(([id]) => id),
    elsewhere: [...where].filter(([, at]) => at !== member).map(([id]) => id),
  });
  /** Then the other one has slots left. */
  const busiest = (where: Map<string, Member>) => (split(where, workers[0]!).here.length >= SLOTS / 2 ? workers[0]! : workers[1]!);

  test('all of them are one installation: what one stores in the store of blobs, every other has', async () => {
    await bench.s3.putObject({ Bucket: bench.bucket, Key: 'shared', Body: 'x'.repeat(100_000) });
    const { Body } = await new S3(apis[1]!.server.client).getObject({ Bucket: bench.bucket, Key: 'shared' });
    assert.equal((await Body!.transformToString()).length, 100_000);
    const [pushed, cloned] = apis.map(({ server }) => server);
    await new CodeCommit(pushed!.client).createRepository({ repositoryName: 'shared' });
    const url = (server: TestServer) => `${server.endpoint}/v1/repos/shared`;
    const env = (server: TestServer) => withCredentials(signGit(server, 'shared'));
    await git(home, ['init', '-q', 'work']);
    const work = path.join(home, 'work');
    await git(work, ['commit', '-q', '--allow-empty', '-m', 'first']);
    await git(work, ['push', '-q', url(pushed!), 'HEAD:main'], env(pushed!));
    await git(home, ['clone', '-q', '--branch', 'main', url(cloned!), 'clone'], env(cloned!));
    assert.equal(await git(path.join(home, 'clone'), ['rev-parse', 'HEAD']), await git(work, ['rev-parse', 'HEAD']));
    for (const { dataDir } of [...apis, ...workers]) assert.equal(existsSync(path.join(dataDir, 'blobs')), false);
    const { Contents } = await new S3(store.client).listObjectsV2({ Bucket: 'blobs' });
    assert.deepEqual(Contents!.map(({ Key }) => Key!.split('/').slice(0, 2).join('/')).sort(), ['installation/git', 'installation/s3']);
  });

  test('a worker is cut off: its builds end, the others go on, and when it is back it gives up what is no longer its own', async () => {
    const where = await startLong();
    const cut = busiest(where);
    const { here, elsewhere } = split(where, cut);
    const ids = await startMany(BUILDS);
    network.cutOff(cut.host);
    requireTruth(await allOver([...ids, ...here]));
    for (const build of await describeAll(here)) assert.equal(build.buildStatus, 'FAULT');
    for (const build of await describeAll(elsewhere)) assert.equal(build.buildStatus, 'IN_PROGRESS');
    assert.equal(sleeping(cut), here.length, 'nobody could tell it to stop');
    network.reconnect(cut.host);
    await until('the commands of lost builds end', () => sleeping(cut) === 0);
    // What it tries to record now changes nothing.
    for (const build of await describeAll(here)) assert.equal(build.buildStatus, 'FAULT');
    assert.equal(sleeping(other(cut)), elsewhere.length);
    await stopAll(elsewhere);
  });

  test('a worker is killed: the other one does its work, and its host is cleared up when it starts again', async () => {
    const where = await startLong();
    const killed = busiest(where);
    const { here, elsewhere } = split(where, killed);
    const ids = await startMany(BUILDS);
    await killed.server.kill();
    requireTruth(await allOver([...ids, ...here]));
    const left = here.length;
    assert.equal(sleeping(killed), left, 'on that host nobody ended them');
    await killed.server.restart();
    await until('what the killed process left ends', () => sleeping(killed) === 0);
    await stopAll(elsewhere);
  });

  test('a process that serves is killed: nothing that was acknowledged is lost, nothing is started twice', async () => {
    const [killed] = apis;
    const starting = startMany(BUILDS);
    await until('some are started', () => started.length % BUILDS > 10);
    await killed!.server.kill();
    const ids = await starting;
    await killed!.server.restart();
    const builds = await allOver(ids);
    requireTruth(builds);
    assert.deepEqual(builds.filter((build) => build.buildStatus !== 'SUCCEEDED').map(phaseLines), []);
    const { ids: listed } = await bench.codebuild.listBuildsForProject({ projectName: 'tiny' });
    assert.deepEqual(
      listed!.filter((id) => !started.includes(id)),
      [],
    );
  });

  test('all are restarted one after the other under load: every build succeeds', async () => {
    const ids: string[] = [];
    const restarting = (async () => {
      for (const { server } of [...workers, ...apis]) {
        // TERM; fails when it does not end in order.
        await server.stop();
        await server.restart();
      }
    })();
    let restarted = false;
    restarting.finally(() => (restarted = true)).catch(() => {});
    for (let waiting = 0; !restarted || ids.length < BUILDS; ) {
      if (waiting < 2 * SLOTS) ids.push(...(await startMany(SLOTS)));
      else await delay(50);
      waiting = ids.length - runs().filter((id) => ids.includes(id)).length;
    }
    await restarting;
    const builds = await allOver(ids);
    requireTruth(builds);
    assert.deepEqual(builds.filter((build) => build.buildStatus !== 'SUCCEEDED').map(phaseLines), []);
  });

  test('each build was told of once, and as it ended; nothing is left on any host', async () => {
    const builds = await allOver(started);
    const logs = new CloudWatchLogs(apis[0]!.server.client);
    const told = new Map<string, Map<string, string>>();
    await until('the last event arrives', async () => {
      for (let nextToken: string | undefined; ; ) {
        const page = await logs.filterLogEvents({ logGroupName: EVENTS, nextToken });
        for (const { message } of page.events!) {
          const { id, detail } = JSON.parse(message!);
          if (detail['build-status'] === 'IN_PROGRESS') continue;
          const build = detail['build-id'].split('/').at(-1);
          told.set(build, (told.get(build) ?? new Map()).set(id, detail['build-status']));
        }
        nextToken = page.nextToken;
        if (!nextToken) return told.size >= builds.length;
      }
    });
    for (const build of builds) assert.deepEqual([...told.get(build.id!)!.values()], [build.buildStatus], build.id);
    assert.equal(told.size, started.length);
    assert.equal(new Set(started).size, started.length);
    for (const worker of workers) {
      assert.equal(sleeping(worker), 0);
      for (const folder of ['tmp', 'machines/process']) {
        const full = path.join(worker.dataDir, folder);
        const left = existsSync(full) ? readdirSync(full).filter((name) => name.startsWith('build-')) : [];
        assert.deepEqual(left, [], full);
      }
    }
  });
});
