/**
 * Reading a large repository by the API, as a console does: 10,000 files, 5,000 commits, beside what git itself takes for the same question.
 *
 *     node_modules/.bin/node bench/codecommit.ts [rounds]
 *
 * A page of a folder is GetFolder and, for each of its 100 entries, ListFileCommitHistory with `maxResults` 1, in parallel by the SDK. Before
 * each "new commit" page a commit was made, so that no answer can have been kept. Budgets: a page of a folder 300 ms, GetDifferences of
 * 1,000 files 200 ms. Medians.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { CodeCommit } from '@aws-sdk/client-codecommit';
import { git } from '../src/git/client.ts';
import { signGit, withCredentials } from '../test/support/git.ts';
import { startServer } from '../test/support/server.ts';
import { median, ms, type Section, toMarkdown, verdict } from './support/section.ts';

const files = 10_000;
const perFolder = 100;
const commits = 5_000;
const large = 'large';
/** It is changed by every fifth commit. */
const busyFile = 'dir000/busy.txt';

export async function benchCodeCommit(rounds: number): Promise<Section> {
  const home = await mkdtemp(path.join(tmpdir(), 'penstock-bench-codecommit-'));
  await using server = await startServer();
  const codecommit = new CodeCommit(server.client);
  try {
    const work = path.join(home, 'work.git');
    await makeRepository(work);
    await codecommit.createRepository({ repositoryName: large });
    const pushed = await time(() =>
      git(work, ['push', '-q', `${server.endpoint}/v1/repos/${large}`, 'main'], withCredentials(signGit(server, large))),
    );
    await warmUp(codecommit);
    const first = await time(() => folderPage(codecommit, 'main', ''));
    const rows = [
      row('first folder page after the push', undefined, [first], 300),
      ...(await folderPages(codecommit, work, rounds)),
      ...(await historyPages(codecommit, work, rounds)),
      await thousandDifferences(codecommit, work, rounds),
    ];
    return {
      title: 'A large repository by the API',
      columns: ['what', 'git itself', 'Penstock', 'budget', ''],
      rows,
      notes: [
        `${files.toLocaleString('en')} files in ${files / perFolder} folders, ${commits.toLocaleString('en')} commits, pushed in ${ms(pushed)}; medians of ${rounds} rounds. A page of a folder is ${perFolder + 1} requests of the SDK, whose own work on the same cores is in the figure.`,
        'Git itself: `git ls-tree` and one `git log -1` for each entry; `git log` for the history; `git diff-tree` for the differences.',
        'Limit: a page by signing, sending and answering its requests; a history by starting git.',
      ],
    };
  } finally {
    await rm(home, { recursive: true, force: true });
  }
}

/** Programs and client as they are after a page of any other repository. */
async function warmUp(codecommit: CodeCommit): Promise<void> {
  await codecommit.createRepository({ repositoryName: 'small' });
  const putFiles = Array.from({ length: perFolder }, (_, file) => ({ filePath: `${file}`, fileContent: Buffer.from(`${file}`) }));
  const { commitId } = await codecommit.createCommit({ repositoryName: 'small', branchName: 'main', putFiles });
  for (let round = 0; round < 3; round++) await folderPage(codecommit, commitId!, '', 'small');
}

async function folderPages(codecommit: CodeCommit, work: string, rounds: number): Promise<string[][]> {
  const [root, fresh, below, again, peer]: number[][] = [[], [], [], [], []];
  for (let round = 0; round < rounds; round++) {
    const commit = await change(codecommit, `dir${three(round + 1)}/file${(round + 1) * perFolder}.txt`);
    root!.push(await time(() => folderPage(codecommit, commit, '')));
    again!.push(await time(() => folderPage(codecommit, commit, '')));
    below!.push(await time(() => folderPage(codecommit, commit, `dir${three(10 + round)}`)));
    fresh!.push(await time(() => folderPage(codecommit, commit, 'dir005')));
    peer!.push(await time(() => folderPageByGit(work, `dir${three(10 + round)}/`)));
  }
  return [
    row('page of the root, new commit', undefined, root!, 300),
    row('page of the root, again', undefined, again!, 300),
    row('page of a folder that nobody has looked at', peer!, below!, 300),
    row('page of a folder, new commit', undefined, fresh!, 300),
  ];
}

async function folderPage(
  codecommit: CodeCommit,
  commitSpecifier: string,
  folderPath: string,
  repositoryName: string = large,
): Promise<void> {
  const { files = [], subFolders = [] } = await codecommit.getFolder({ repositoryName, commitSpecifier, folderPath: folderPath || '/' });
  const entries = [...files, ...subFolders];
  if (entries.length < perFolder) throw new Error(`The folder ${folderPath} has only ${entries.length} entries.`);
  await Promise.all(
    entries.map(async ({ absolutePath }) => {
      const ask = { repositoryName, commitSpecifier, filePath: absolutePath!, maxResults: 1 };
      const { revisionDag } = await codecommit.listFileCommitHistory(ask);
      if (revisionDag!.length !== 1) throw new Error(`${absolutePath} has no last commit.`);
    }),
  );
}

async function folderPageByGit(work: string, folder: string): Promise<void> {
  const entries = (await git(work, ['ls-tree', '--name-only', 'main', folder])).split('\n');
  for (const entry of entries) await git(work, ['log', '-1', '--format=%H', 'main', '--', entry]);
}

async function historyPages(codecommit: CodeCommit, work: string, rounds: number): Promise<string[][]> {
  const [first, ninth, seldom, peerFirst, peerNinth, peerSeldom]: number[][] = [[], [], [], [], [], []];
  for (let round = 0; round < rounds; round++) {
    let nextToken: string | undefined;
    for (let page = 1; page <= 9; page++) {
      const spent = await time(async () => {
        const answer = await codecommit.listFileCommitHistory({ repositoryName: large, filePath: busyFile, maxResults: 100, nextToken });
        if (answer.revisionDag!.length !== 100) throw new Error('A page of the history is not full.');
        nextToken = answer.nextToken;
      });
      if (page === 1) first!.push(spent);
      if (page === 9) ninth!.push(spent);
    }
    seldom!.push(await time(() => codecommit.listFileCommitHistory({ repositoryName: large, filePath: 'dir099/file9999.txt' })));
    peerFirst!.push(await time(() => git(work, ['log', '-100', '--format=raw', 'main', '--', busyFile])));
    peerNinth!.push(await time(() => git(work, ['log', '-100', '--skip=800', '--format=raw', 'main', '--', busyFile])));
    peerSeldom!.push(await time(() => git(work, ['log', '--format=raw', 'main', '--', 'dir099/file9999.txt'])));
  }
  return [
    row('history of a busy file, versions 1–100', peerFirst!, first!, undefined),
    row('history of a busy file, versions 801–900', peerNinth!, ninth!, undefined),
    row('history of a file that only the first commit has touched', peerSeldom!, seldom!, undefined),
  ];
}

async function thousandDifferences(codecommit: CodeCommit, work: string, rounds: number): Promise<string[]> {
  const [ours, peer]: number[][] = [[], []];
  const beforeCommitSpecifier = await git(work, ['rev-parse', 'many~1']);
  const afterCommitSpecifier = await git(work, ['rev-parse', 'many']);
  for (let round = 0; round < rounds; round++) {
    const spent = await time(async () => {
      const ask = { repositoryName: large, beforeCommitSpecifier, afterCommitSpecifier, MaxResults: 1000 };
      const { differences } = await codecommit.getDifferences(ask);
      if (differences!.length !== 1000) throw new Error(`There are ${differences!.length} differences.`);
    });
    ours!.push(spent);
    peer!.push(await time(() => git(work, ['diff-tree', '-r', 'many~1', 'many'])));
  }
  return row('GetDifferences of 1,000 files', peer!, ours!, 200);
}

async function change(codecommit: CodeCommit, filePath: string): Promise<string> {
  const { branch } = await codecommit.getBranch({ repositoryName: large, branchName: 'main' });
  const at = { repositoryName: large, branchName: 'main', parentCommitId: branch!.commitId };
  const { commitId } = await codecommit.putFile({ ...at, filePath, fileContent: Buffer.from(`changed on ${branch!.commitId}\n`) });
  return commitId!;
}

function row(what: string, peer: number[] | undefined, ours: number[], budget: number | undefined): string[] {
  const found = median(ours);
  return [
    what,
    peer ? ms(median(peer)) : '',
    ms(found),
    budget === undefined ? '' : `≤ ${budget} ms`,
    budget === undefined ? '' : verdict(found <= budget),
  ];
}

async function time(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

function three(number: number): string {
  return String(number).padStart(3, '0');
}

function nameOf(file: number): string {
  return `dir${three(Math.floor(file / perFolder))}/file${file}.txt`;
}

/** The same repository in every run. The commit `many` changes 1,000 files; the last hundred files are never changed after the first one. */
async function makeRepository(directory: string): Promise<void> {
  await git(tmpdir(), ['init', '-q', '--bare', directory]);
  const child = spawn('git', ['-C', directory, 'fast-import', '--quiet'], { stdio: ['pipe', 'ignore', 'inherit'] });
  const ended = once(child, 'close');
  let seed = 1;
  const random = (below: number) => {
    seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
    return seed % below;
  };
  const commit = (index: number, changed: [name: string, text: string][]) => {
    const texts = changed.map(([name, text]) => `M 100644 inline ${name}\ndata ${text.length}\n${text}\n`);
    const message = `commit ${index}`;
    const head = `commit refs/heads/main\ncommitter Ada <ada@example.com> ${1_600_000_000 + index * 60} +0000\ndata ${message.length}\n${message}\n`;
    child.stdin.write(`${head}${texts.join('')}\n`);
  };
  commit(
    0,
    Array.from({ length: files }, (_, file) => [nameOf(file), `content of ${file}\n`]),
  );
  for (let index = 1; index < commits - 1; index++) {
    const changed = [0, 1, 2].map((): [string, string] => {
      const file = random(files - perFolder);
      return [nameOf(file), `content of ${file}\nchanged by ${index}\n`];
    });
    if (index % 5 === 0) changed.push([busyFile, `changed by ${index}\n`]);
    commit(index, changed);
  }
  commit(
    commits - 1,
    Array.from({ length: 1000 }, (_, index) => [nameOf(index * 9), `changed with a thousand others\n${index}\n`]),
  );
  child.stdin.end('reset refs/heads/many\nfrom refs/heads/main\n\n');
  const [code] = await ended;
  if (code !== 0) throw new Error(`git fast-import ended with ${code}.`);
}

if (import.meta.main) console.log(toMarkdown(await benchCodeCommit(Number(process.argv[2] ?? 5))));
