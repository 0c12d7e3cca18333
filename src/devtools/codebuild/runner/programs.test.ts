/** The programs of builds in every shell that is here: they must do the same in all, with names that nobody should give to files. */
import assert from 'node:assert/strict';
import { execFile, spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { buildPrograms } from './programs.ts';

const run = promisify(execFile);
const here = (program: string) => spawnSync(program, ['-c', ':']).status === 0;
const busybox = spawnSync('busybox', ['true']).status === 0;
const SHELLS = ['sh', 'dash', 'bash', 'busybox'].filter((shell) => (shell === 'busybox' ? busybox : here(shell)));

const FILES = [
  'a.js',
  'b.ts',
  'sub/c.js',
  'sub/deep er/d.js',
  "sub/it's $(touch x) `y`.js",
  'sub/-n',
  'back\\slash.js',
  '[x].js',
  '.dot/e.js',
  'line\nbreak.js',
];

let home: string;
let source: string;

before(async () => {
  home = await mkdtemp(path.join(tmpdir(), 'penstock-programs-'));
  source = path.join(home, 'source');
  for (const file of FILES) {
    await mkdir(path.dirname(path.join(source, file)), { recursive: true });
    await writeFile(path.join(source, file), `content of ${file}`);
  }
  await symlink('a.js', path.join(source, 'link.js'));
  await symlink('sub', path.join(source, 'folder.js'));
  await mkdir(path.join(home, 'bin'));
  for (const [name, text] of Object.entries(buildPrograms())) await writeFile(path.join(home, 'bin', name), text, { mode: 0o755 });
  if (!busybox) return;
  // A machine that has nothing else: the tools are BusyBox's too.
  await mkdir(path.join(home, 'busybox'));
  await run('busybox', ['--install', '-s', path.join(home, 'busybox')]);
});
after(() => rm(home, { recursive: true, force: true }));

/** Names, then digests of contents; without the name that cannot be told. */
function expectedHash(): string {
  const contents = new Map(FILES.map((file) => [file, `content of ${file}`]));
  contents.set('link.js', 'content of a.js');
  const names = [...contents.keys()].filter((name) => !name.includes('\n')).sort();
  const digest = (text: string) => createHash('sha256').update(text).digest('hex');
  return digest([...names, ...names.map((name) => digest(contents.get(name)!))].map((line) => `${line}\n`).join(''));
}

for (const shell of SHELLS) {
  describe(`with ${shell}`, () => {
    const env = () => ({ PATH: `${shell === 'busybox' ? path.join(home, 'busybox') : process.env.PATH}:${path.join(home, 'bin')}` });
    const start = (program: string, args: string[], more: Record<string, string> = {}) =>
      run(shell === 'busybox' ? path.join(home, 'busybox/sh') : shell, [path.join(home, 'bin', program), ...args], {
        cwd: source,
        env: { ...env(), ...more },
      });
    const search = async (...globs: string[]) => (await start('codebuild-glob-search', globs)).stdout.split('\n').filter(Boolean);

    test('globs find files as CodeBuild’s do', async () => {
      assert.deepEqual(await search('*.js'), ['[x].js', 'a.js', 'back\\slash.js', 'link.js']);
      assert.deepEqual(await search('**/*.js'), [
        '.dot/e.js',
        '[x].js',
        'a.js',
        'back\\slash.js',
        'link.js',
        'sub/c.js',
        'sub/deep er/d.js',
        "sub/it's $(touch x) `y`.js",
      ]);
      assert.deepEqual(await search('sub/*', 'b.*'), ['b.ts', 'sub/-n', 'sub/c.js', "sub/it's $(touch x) `y`.js"]);
      assert.deepEqual(await search('sub/**', '?.ts'), ['b.ts', 'sub/-n', 'sub/c.js', 'sub/deep er/d.js', "sub/it's $(touch x) `y`.js"]);
      assert.deepEqual(await search('./[ab].{js,ts}'), ['a.js', 'b.ts']);
      assert.deepEqual(await search(`${source}/[!a].ts`), ['b.ts']);
      assert.deepEqual(await search('[[]x].js'), ['[x].js']);
      assert.deepEqual(await search('**/deep?er/**'), ['sub/deep er/d.js']);
      const nothing = await start('codebuild-glob-search', ['none', 'a.j']);
      assert.deepEqual([nothing.stdout, nothing.stderr], ['', 'No files found for: none a.j\n']);
    });

    test('hashes tell contents and names apart, wherever the command stands', async () => {
      const hash = async (glob: string, cwd = source) =>
        (await start('codebuild-hash-files', [glob], { CODEBUILD_SRC_DIR: cwd })).stdout.trim();
      const all = await hash('**/*');
      assert.match(all, /^[0-9a-f]{64}$/);
      assert.equal(all, expectedHash(), 'the same in every shell');
      assert.notEqual(await hash('a.js'), await hash('link.js'));
      assert.match(await hash('d.js', path.join(source, 'sub/deep er')), /^[0-9a-f]{64}$/);
      await assert.rejects(hash('d.js'), { code: 1 });
      await assert.rejects(hash('none'), { code: 1, stdout: '' });
    });

    test('the parts of the tests are all of them, once', async () => {
      const part = async (index: number, total: number, strategy: string) => {
        const options = [
          '--test-command',
          "printf '<%s>\\n'",
          '--files-search',
          "codebuild-glob-search 'sub/**' '*.js'",
          '--sharding-strategy',
          strategy,
        ];
        const shard = { CODEBUILD_CURRENT_SHARD: String(index), CODEBUILD_TOTAL_SHARDS: String(total) };
        return [...(await start('codebuild-tests-run', options, shard)).stdout.matchAll(/^<(.*)>$/gm)].map((match) => match[1]!);
      };
      const files = await search('sub/**', '*.js');
      for (const strategy of ['equal-distribution', 'stability']) {
        const three = await Promise.all([0, 1, 2].map((index) => part(index, 3, strategy)));
        assert.deepEqual(three.flat().sort(), files);
        if (strategy === 'equal-distribution')
          assert.deepEqual(
            three.map((each) => each.length),
            [3, 3, 2],
          );
        // Of four builds, nobody but the fourth has a file that it had not.
        const four = await Promise.all([0, 1, 2, 3].map((index) => part(index, 4, strategy)));
        if (strategy === 'stability')
          for (const index of [0, 1, 2])
            assert.deepEqual(
              four[index]!.filter((file) => !three[index]!.includes(file)),
              [],
            );
      }
      const none = await start('codebuild-tests-run', ['--test-command=false', '--files-search=echo one'], {
        CODEBUILD_CURRENT_SHARD: '1',
        CODEBUILD_TOTAL_SHARDS: '2',
      });
      assert.match(none.stdout, /no test files fall to shard 1 of 2/);
    });

    test('the test command’s status is the build’s, and what is wrong is told', async () => {
      const tests = (...args: string[]) => start('codebuild-tests-run', args);
      await assert.rejects(tests('--test-command', 'exit 7;', '--files-search', 'echo a'), { code: 7 });
      await assert.rejects(tests('--test-command', 'true', '--files-search', 'exit 5'), { code: 5 });
      await assert.rejects(tests('--test-command', 'true', '--files-search', 'true'), { code: 1 });
      for (const args of [['--test-command', 'true'], ['--files-search', 'ls'], ['--test-command'], ['--what', 'x'], ['x']]) {
        await assert.rejects(tests(...args), { code: 2 });
      }
      await assert.rejects(tests('--test-command', 'true', '--files-search', 'ls', '--sharding-strategy', 'odd'), { code: 2 });
      const { stdout } = await tests('--test-command', 'echo "$CODEBUILD_CURRENT_SHARD_FILES" | tr ab AB', '--files-search', 'ls b.ts\n');
      assert.match(stdout, /\nB\.ts\n$/);
    });
  });
}

test('a breakpoint holds a build that has a debug session, until it is resumed', async () => {
  const { stderr } = await run(path.join(home, 'bin/codebuild-breakpoint'));
  assert.match(stderr, /debug sessions are not enabled/);
  const paused = spawn(path.join(home, 'bin/codebuild-breakpoint'), { env: { PATH: process.env.PATH, CODEBUILD_DEBUG_SESSION: 'true' } });
  const [said] = await once(paused.stdout, 'data');
  assert.match(String(said), /Build is paused/);
  assert.equal(paused.exitCode, null);
  const over = once(paused, 'exit');
  await run(path.join(home, 'bin/codebuild-resume'));
  assert.deepEqual(await over, [0, null]);
  assert.match((await run(path.join(home, 'bin/codebuild-resume'))).stderr, /not paused/);
});
