/**
 * Git over HTTP beside its peer: `git http-backend` behind a plain Node server, same machine, same run, turn by turn.
 *
 *     node_modules/.bin/node bench/git.ts [rounds]
 *
 * A repository of 24 MB (random contents, so that compression helps nobody) and one of 200,000 objects are pushed whole and cloned, again, and by
 * eight at once; `ls-remote` and the push of one commit tell the price of a request. Medians.
 */
import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { git } from '../src/git/client.ts';
import { startServer, type TestServer } from '../test/support/server.ts';
import { penstock, type Side, startHttpBackend } from './support/git-sides.ts';
import { makeLargeRepository } from './support/large-repository.ts';
import { median, ms, type Section, toMarkdown, verdict } from './support/section.ts';

const MB = 1024 * 1024;
const bulk = { commits: 24, bytesEach: MB };
const LARGE_OBJECTS = 200_000;
const LARGE_ROUNDS = 2;
const AT_ONCE = 8;
/** The longest that indexes made after a push are waited for. */
const UPKEEP_MS = 30_000;

interface Budget {
  text: string;
  kept(peer: number, ours: number): boolean;
}

const inBulk: Budget = { text: '≤ 1.05×', kept: (peer, ours) => ours <= peer * 1.05 };
const small: Budget = { text: '≤ +10 ms', kept: (peer, ours) => ours <= peer + 10 };
const again: Budget = { text: '≥ 1.5× faster', kept: (peer, ours) => ours * 1.5 <= peer };
const atOnce: Budget = { text: '≤ 1×', kept: (peer, ours) => ours <= peer };
const budgets: Record<string, Budget> = {
  push: inBulk,
  clone: inBulk,
  'same clone again': again,
  [`${AT_ONCE} same clones at once`]: atOnce,
  'ls-remote': small,
  'push one commit': small,
};

/** What is measured of one repository on one side. */
type Round = (side: Side, home: string, round: number) => Promise<Record<string, number>>;

export async function benchGit(rounds: number): Promise<Section> {
  const home = await mkdtemp(path.join(tmpdir(), 'penstock-bench-git-'));
  await using server = await startServer();
  const backend = await startHttpBackend(path.join(home, 'peer'));
  try {
    const sides: Side[] = [backend.side, penstock(server)];
    const work = await makeRepository(path.join(home, 'work'));
    const bulky = await measure(sides, rounds, 1, (...args) => bulkRound(server, work, ...args), home);
    const large = path.join(home, 'large');
    await makeLargeRepository(large, LARGE_OBJECTS);
    const many = await measure(sides, LARGE_ROUNDS, 0, (...args) => largeRound(server, large, ...args), home);
    return {
      title: 'Git over HTTP',
      columns: ['what', 'git http-backend', 'Penstock', 'difference', 'budget', ''],
      rows: [...rowsOf('24 MB', bulky), ...rowsOf('200,000 objects', many)],
      notes: [
        `Medians of ${rounds} rounds (${LARGE_ROUNDS} of 200,000 objects), turn by turn; peer: \`git http-backend\` behind a plain Node server, without authentication.`,
        'Clones begin when the indexes are there that Penstock makes in the background after a large push; http-backend makes none.',
        'Limit: bulk by git\u2019s own index-pack and pack-objects and by encrypting what is stored; repeated clones by the client\u2019s index-pack; small requests by starting git, two database transactions and the events.',
      ],
    };
  } finally {
    await backend.close();
    await rm(home, { recursive: true, force: true });
  }
}

/** Times by what was measured: the peer's and ours. The first `warming` rounds are not counted. */
async function measure(sides: Side[], rounds: number, warming: number, run: Round, home: string): Promise<Map<string, number[][]>> {
  const times = new Map<string, number[][]>();
  for (let round = 0; round < rounds + warming; round++) {
    // Whoever is first changes, so that neither profits from a warm disk.
    for (const side of round % 2 === 0 ? sides : [...sides].reverse()) {
      const measured = await run(side, home, round);
      if (round < warming) continue;
      for (const [what, time] of Object.entries(measured)) {
        const both = times.get(what) ?? [[], []];
        both[sides.indexOf(side)]!.push(time);
        times.set(what, both);
      }
    }
  }
  return times;
}

async function bulkRound(server: TestServer, work: string, side: Side, home: string, round: number): Promise<Record<string, number>> {
  const { url, env } = await side.create(`bulk-${round}`);
  const measured = await pushAndClone(server, side, { url, env, work, home });
  const several = Array.from({ length: AT_ONCE }, (_, n) => path.join(home, `${side.name}-${n}`));
  measured[`${AT_ONCE} same clones at once`] = await timed(() =>
    Promise.all(several.map((target) => git(home, ['clone', '-q', url, target], env))),
  );
  for (const target of several.slice(1)) await rm(target, { recursive: true });
  const clone = several[0]!;
  const listed: number[] = [];
  const pushed: number[] = [];
  for (let i = 0; i < 5; i++) {
    listed.push(await timed(() => git(work, ['ls-remote', url], env)));
    await writeFile(path.join(clone, 'small'), randomBytes(16));
    await git(clone, ['add', '.']);
    await git(clone, ['commit', '-qm', 'small']);
    pushed.push(await timed(() => git(clone, ['push', '-q', 'origin', 'main'], env)));
  }
  await rm(clone, { recursive: true });
  return { ...measured, 'ls-remote': median(listed), 'push one commit': median(pushed) };
}

async function largeRound(server: TestServer, large: string, side: Side, home: string, round: number): Promise<Record<string, number>> {
  const { url, env } = await side.create(`large-${round}`);
  const measured = await pushAndClone(server, side, { url, env, work: large, home });
  return { ...measured, 'ls-remote': await timed(() => git(large, ['ls-remote', url], env)) };
}

async function pushAndClone(
  server: TestServer,
  side: Side,
  { url, env, work, home }: { url: string; env: Record<string, string>; work: string; home: string },
): Promise<Record<string, number>> {
  const target = path.join(home, `${side.name}-clone`);
  const clone = async () => {
    const time = await timed(() => git(home, ['clone', '-q', '--no-checkout', url, target], env));
    await rm(target, { recursive: true });
    return time;
  };
  const push = await timed(() => git(work, ['push', '-q', url, 'main'], env));
  if (work.endsWith('large') && side.name === 'penstock') await upkeep(server);
  return { push, clone: await clone(), 'same clone again': await clone() };
}

/** Until every large repository has its indexes. */
async function upkeep(server: TestServer): Promise<void> {
  const cache = path.join(server.dataDir, 'cache', 'git');
  const isIndexed = async (id: string) => {
    const names = await readdir(path.join(cache, id, 'objects', 'info')).catch(() => []);
    return names.some((name) => name.startsWith('commit-graph'));
  };
  const before = (await Promise.all((await readdir(cache)).map(isIndexed))).filter(Boolean).length;
  for (const end = Date.now() + UPKEEP_MS; Date.now() < end; await delay(100)) {
    const now = (await Promise.all((await readdir(cache)).map(isIndexed))).filter(Boolean).length;
    if (now > before) return;
  }
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

function rowsOf(repository: string, times: Map<string, number[][]>): string[][] {
  return [...times].map(([what, [peer, ours]]) => row(`${repository}: ${what}`, budgets[what]!, median(peer!), median(ours!)));
}

function row(what: string, budget: Budget, peerMs: number, penstockMs: number): string[] {
  const difference = `${(penstockMs / peerMs).toFixed(2)}×, ${ms(penstockMs - peerMs)}`;
  return [what, ms(peerMs), ms(penstockMs), difference, budget.text, verdict(budget.kept(peerMs, penstockMs))];
}

async function makeRepository(work: string): Promise<string> {
  await mkdir(work);
  await git(work, ['init', '-q']);
  for (let i = 0; i < bulk.commits; i++) {
    await mkdir(path.join(work, `d${i}`));
    for (let part = 0; part < 16; part++) await writeFile(path.join(work, `d${i}`, `f${part}`), randomBytes(bulk.bytesEach / 16));
    await git(work, ['add', '.']);
    await git(work, ['commit', '-qm', `commit ${i}`]);
  }
  await git(work, ['repack', '-qad']);
  return work;
}

if (import.meta.main) console.log(toMarkdown(await benchGit(Number(process.argv[2] ?? 5))));
