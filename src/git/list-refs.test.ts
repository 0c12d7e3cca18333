import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { git } from './client.ts';
import { listRefs } from './list-refs.ts';
import { FLUSH, packet } from './pkt-line.ts';
import { runGit } from './program.ts';
import { textLines } from './upload-request.ts';

let home: string;
before(async () => {
  home = await mkdtemp(path.join(tmpdir(), 'penstock-list-refs-'));
});
after(() => rm(home, { recursive: true, force: true }));

async function makeView(name: string, fill: (gitDir: string) => Promise<void>) {
  const gitDir = path.join(home, name);
  await git(home, ['init', '-q', '--bare', gitDir]);
  await fill(gitDir);
  await git(gitDir, ['pack-refs', '--all']);
  return { gitDir, objects: path.join(gitDir, 'objects'), generation: 1 };
}

const requestOf = (...args: string[]) =>
  Buffer.concat([
    packet('command=ls-refs\n'),
    packet('agent=git/2.39.5'),
    packet('object-format=sha1'),
    Buffer.from('0001'),
    ...args.map((arg) => packet(`${arg}\n`)),
    FLUSH,
  ]);

test('answers word for word as git does', async () => {
  const full = await makeView('full', async (gitDir) => {
    const tree = await git(gitDir, ['hash-object', '-t', 'tree', '-w', '/dev/null']);
    const commit = await git(gitDir, ['commit-tree', tree, '-m', 'one']);
    await git(gitDir, ['update-ref', 'refs/heads/main', commit]);
    for (let i = 0; i < 50; i++) await git(gitDir, ['update-ref', `refs/heads/topic/${i}`, commit]);
    await git(gitDir, ['tag', 'light', commit]);
    await git(gitDir, ['tag', '-a', '-m', 'x', 'heavy', commit]);
    await git(gitDir, ['tag', '-a', '-m', 'x', 'heavier', 'heavy']);
    await git(gitDir, ['update-ref', 'refs/notes/commits', commit]);
  });
  const empty = await makeView('empty', async () => {});
  const requests = [
    [],
    ['peel', 'symrefs'],
    ['peel', 'symrefs', 'unborn', 'ref-prefix HEAD', 'ref-prefix refs/heads/', 'ref-prefix refs/tags/'],
    ['symrefs', 'unborn', 'ref-prefix HEAD'],
    ['unborn'],
    ['peel', 'ref-prefix refs/tags/heav'],
    ['ref-prefix refs/heads/topic/4', 'ref-prefix nothing'],
  ];
  for (const view of [full, empty]) {
    for (const args of requests) {
      const request = requestOf(...args);
      const theirs = await runGit(['upload-pack', '--stateless-rpc', view.gitDir], {
        place: view,
        input: request,
        env: { GIT_PROTOCOL: 'version=2' },
      });
      assert.equal((await listRefs(view, textLines(request)!))?.toString(), theirs.stdout.toString(), args.join(', '));
    }
  }
  assert.equal(await listRefs(full, textLines(requestOf('peel', 'something new'))!), undefined, 'left to git');
});
