/**
 * Git over HTTP beside its peer: `git http-backend` behind a plain Node server, same machine, same run, turn by turn.
 *
 *     node_modules/.bin/node bench/git.ts [rounds]
 *
 * A repository of 24 MB (random contents, so that compression helps nobody) is pushed whole and cloned; `ls-remote` and the push of one
 * commit tell the price of a request. Budgets: bulk at most 1.05 times the peer, small requests at most 10 ms more. Medians.
 */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { CodeCommit } from '@aws-sdk/client-codecommit';
import { git } from '../src/git/client.ts';
import { signGit, withCredentials } from '../test/support/git.ts';
import { startServer, type TestServer } from '../test/support/server.ts';
import { median, ms, type Section, toMarkdown, verdict } from './support/section.ts';

const MB = 1024 * 1024;
const bulk = { commits: 24, bytesEach: MB };

interface Side {
  name: string;
  /** A new empty repository's URL, and what git's environment needs for it. */
  create(repository: string): Promise<{ url: string; env: Record<string, string> }>;
}

export async function benchGit(rounds: number): Promise<Section> {
  const home = await mkdtemp(path.join(tmpdir(), 'penstock-bench-git-'));
  await using server = await startServer();
  const backend = await startHttpBackend(path.join(home, 'peer'));
  try {
    const work = await makeRepository(path.join(home, 'work'));
    const sides: Side[] = [backend.side, penstock(server)];
    const times = new Map<string, number[][]>();
    for (let round = 0; round < rounds + 1; round++) {
      // Whoever is first changes, so that neither profits from a warm disk.
      for (const side of round % 2 === 0 ? sides : [...sides].reverse()) {
        const measured = await oneRound(side, work, home, round);
        // The first round warms both.
        if (round === 0) continue;
        for (const [what, ms] of Object.entries(measured)) {
          const both = times.get(what) ?? [[], []];
          both[sides.indexOf(side)]!.push(ms);
          times.set(what, both);
        }
      }
    }
    return {
      title: 'Git over HTTP',
      columns: ['what', 'git http-backend', 'Penstock', 'difference', 'budget', ''],
      rows: [...times].map(([what, [peer, ours]]) => row(what, median(peer!), median(ours!))),
      notes: [
        `Medians of ${rounds} rounds, turn by turn; peer: \`git http-backend\` behind a plain Node server, without authentication.`,
        'Limit: bulk by git\u2019s own index-pack and pack-objects and by encrypting what is stored; small requests by starting git, two database transactions and the events.',
      ],
    };
  } finally {
    await backend.close();
    await rm(home, { recursive: true, force: true });
  }
}

async function oneRound(side: Side, work: string, home: string, round: number): Promise<Record<string, number>> {
  const { url, env } = await side.create(`bench-${round}`);
  const clone = path.join(home, `${side.name}-${round}`);
  const time = async (...args: string[]) => {
    const start = performance.now();
    await git(args[0] === 'clone' ? home : work, args, env);
    return performance.now() - start;
  };
  const push = await time('push', '-q', url, 'main');
  const cloned = await time('clone', '-q', url, clone);
  const listed: number[] = [];
  const pushed: number[] = [];
  for (let i = 0; i < 5; i++) {
    listed.push(await time('ls-remote', url));
    await writeFile(path.join(clone, 'small'), randomBytes(16));
    await git(clone, ['add', '.']);
    await git(clone, ['commit', '-qm', 'small']);
    const start = performance.now();
    await git(clone, ['push', '-q', 'origin', 'main'], env);
    pushed.push(performance.now() - start);
  }
  await rm(clone, { recursive: true });
  return { 'push 24 MB': push, 'clone 24 MB': cloned, 'ls-remote': median(listed), 'push one commit': median(pushed) };
}

function row(what: string, peerMs: number, penstockMs: number): string[] {
  const bulk = what.endsWith('MB');
  const kept = bulk ? penstockMs <= peerMs * 1.05 : penstockMs <= peerMs + 10;
  const difference = `${(penstockMs / peerMs).toFixed(2)}×, ${ms(penstockMs - peerMs)}`;
  return [what, ms(peerMs), ms(penstockMs), difference, bulk ? '≤ 1.05×' : '≤ +10 ms', verdict(kept)];
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

function penstock(server: TestServer): Side {
  const codecommit = new CodeCommit(server.client);
  return {
    name: 'penstock',
    async create(repository) {
      await codecommit.createRepository({ repositoryName: repository });
      return { url: `${server.endpoint}/v1/repos/${repository}`, env: withCredentials(signGit(server, repository)) };
    },
  };
}

async function startHttpBackend(root: string): Promise<{ side: Side; close(): Promise<void> }> {
  await mkdir(root);
  const server = createServer((request, response) => runBackend(root, request, response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    side: {
      name: 'git http-backend',
      async create(repository) {
        await git(root, ['init', '-q', '--bare', `${repository}.git`]);
        await git(path.join(root, `${repository}.git`), ['config', 'http.receivepack', 'true']);
        return { url: `http://127.0.0.1:${port}/${repository}.git`, env: {} };
      },
    },
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** CGI, as any web server would do it. */
function runBackend(root: string, request: IncomingMessage, response: ServerResponse): void {
  const url = new URL(request.url!, 'http://localhost');
  const header = (name: string) => (request.headers[name] as string | undefined) ?? '';
  const child = spawn('git', ['http-backend'], {
    env: {
      PATH: process.env.PATH,
      GIT_PROJECT_ROOT: root,
      GIT_HTTP_EXPORT_ALL: '1',
      GIT_PROTOCOL: header('git-protocol'),
      PATH_INFO: url.pathname,
      QUERY_STRING: url.search.slice(1),
      REQUEST_METHOD: request.method,
      CONTENT_TYPE: header('content-type'),
      CONTENT_LENGTH: header('content-length'),
      HTTP_CONTENT_ENCODING: header('content-encoding'),
      REMOTE_ADDR: '127.0.0.1',
    },
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  request.pipe(child.stdin);
  let head = Buffer.alloc(0);
  const onHead = (chunk: Buffer) => {
    head = Buffer.concat([head, chunk]);
    const end = head.indexOf('\r\n\r\n');
    if (end < 0) return;
    child.stdout.off('data', onHead);
    let status = 200;
    for (const line of head.toString('latin1', 0, end).split('\r\n')) {
      const [name, value] = line.split(/: (.*)/s) as [string, string];
      if (name === 'Status') status = Number.parseInt(value, 10);
      else response.setHeader(name, value);
    }
    response.writeHead(status);
    response.write(head.subarray(end + 4));
    child.stdout.pipe(response);
  };
  child.stdout.on('data', onHead);
}

if (import.meta.main) console.log(toMarkdown(await benchGit(Number(process.argv[2] ?? 5))));
