/** A repository of many small objects, the same in every run: what counting, not copying, takes the time for. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { git } from '../../src/git/client.ts';

const FOLDERS = 100;
const FILES = 100;
/** Files that a commit changes, in one folder: it brings itself, two trees, and these. */
const CHANGES = 4;

/** Makes a bare repository of about `objects` objects with git fast-import. */
export async function makeLargeRepository(directory: string, objects: number): Promise<void> {
  await git('/', ['init', '-q', '--bare', directory]);
  const importer = spawn('git', ['fast-import', '--quiet'], { cwd: directory, stdio: ['pipe', 'ignore', 'inherit'] });
  const commits = Math.ceil(objects / (3 + CHANGES));
  for (let commit = 0; commit < commits; commit++) {
    if (!importer.stdin.write(commitOf(commit))) await once(importer.stdin, 'drain');
  }
  importer.stdin.end();
  const [code] = await once(importer, 'close');
  if (code !== 0) throw new Error(`git fast-import ended with ${code}.`);
  // As a repository is that has been worked with: one pack, deltas chosen well.
  await git(directory, ['repack', '-qad']);
}

function commitOf(number: number): string {
  const lines = [`commit refs/heads/main`, `committer Ada <ada@example.com> ${1_600_000_000 + number * 60} +0000`, 'data 6', 'change'];
  for (let change = 0; change < CHANGES; change++) {
    const folder = number % FOLDERS;
    const file = (Math.floor(number / FOLDERS) * CHANGES + change) % FILES;
    const content = `file ${file} of folder ${folder}\n${`${number * 7919 + change} `.repeat(20)}\nversion ${number}\n`;
    lines.push(`M 644 inline folder-${folder}/file-${file}`, `data ${content.length}`, content);
  }
  return `${lines.join('\n')}\n`;
}
