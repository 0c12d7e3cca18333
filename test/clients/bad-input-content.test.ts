/** Hostile or huge content: files of 100 MB, names that are no UTF-8, links out of the tree, YAML that explodes. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash, randomFillSync } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, afterEach, before, test } from 'node:test';
import { promisify } from 'node:util';
import { CodeCommit } from '@aws-sdk/client-codecommit';
import { git } from '../../src/git/client.ts';
import { type BuildBench, buildBench, phaseLines } from '../support/codebuild.ts';
import { signGit, withCredentials } from '../support/git.ts';
import { startServer, type TestServer } from '../support/server.ts';

let server: TestServer;
let bench: BuildBench;
let codecommit: CodeCommit;
let home: string;

before(async () => {
  home = await mkdtemp(path.join(tmpdir(), 'penstock-bad-'));
  server = await startServer();
  bench = await buildBench(server);
  codecommit = new CodeCommit(server.client);
});
after(async () => {
  await server?.stop();
  await rm(home, { recursive: true, force: true });
});
afterEach(async () => {
  assert.equal((await fetch(`${server.endpoint}/health`)).status, 200);
});

const MEGABYTE = 1024 * 1024;
const digest = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');
const url = (name: string) => `${server.endpoint}/v1/repos/${name}`;
const signed = (name: string) => withCredentials(signGit(server, name));

async function repository(name: string): Promise<string> {
  await codecommit.createRepository({ repositoryName: name });
  const work = path.join(home, name);
  await mkdir(work);
  await git(work, ['init', '-q', '-b', 'main', '.']);
  await git(work, ['remote', 'add', 'origin', url(name)]);
  return work;
}

/** Commits with names that no file system here would take. The id of the last. */
async function importInto(work: string, script: string): Promise<string> {
  const file = path.join(home, 'script');
  await writeFile(file, script, 'latin1');
  await promisify(execFile)('sh', ['-c', `git fast-import --quiet --force <"$1"`, 'sh', file], { cwd: work });
  return git(work, ['rev-parse', 'main']);
}

test('a file of 100 MB goes through git and through S3 whole', async () => {
  const big = randomFillSync(Buffer.allocUnsafe(100 * MEGABYTE));
  const work = await repository('big');
  await writeFile(path.join(work, 'big.bin'), big);
  await git(work, ['-c', 'core.compression=0', 'add', '.']);
  await git(work, ['commit', '-qm', 'big']);
  await git(work, ['-c', 'pack.compression=0', 'push', '-q', 'origin', 'main'], signed('big'));
  const clone = path.join(home, 'big-clone');
  await git(home, ['clone', '-q', url('big'), clone], signed('big'));
  assert.equal(await git(clone, ['rev-parse', 'HEAD']), await git(work, ['rev-parse', 'HEAD']));
  const { files } = await codecommit.getFolder({ repositoryName: 'big', folderPath: '/' });
  assert.deepEqual(
    files!.map((file) => file.absolutePath),
    ['big.bin'],
  );
  await assert.rejects(codecommit.getFile({ repositoryName: 'big', filePath: 'big.bin' }), { name: 'FileTooLargeException' });
  await assert.rejects(codecommit.getBlob({ repositoryName: 'big', blobId: files![0]!.blobId! }), { name: 'FileTooLargeException' });

  await bench.s3.putObject({ Bucket: bench.bucket, Key: 'big', Body: big });
  const { Body } = await bench.s3.getObject({ Bucket: bench.bucket, Key: 'big' });
  assert.equal(digest(await Body!.transformToByteArray()), digest(big));
});

test('names in trees that are no UTF-8 harm neither what lists them nor what builds them', async () => {
  const work = await repository('names');
  const author = 'committer A <a@example.com> 1700000000 +0000';
  const file = (mode: string, name: string, text: string) => `M ${mode} inline "${name}"\ndata ${text.length}\n${text}\n`;
  const buildspec = 'version: 0.2\nphases:\n  build:\n    commands:\n      - cat plain.txt\n      - ls -1 | wc -l\n';
  const first = await importInto(
    work,
    `commit refs/heads/main\n${author}\ndata 3\none${file('100644', 'plain.txt', 'plain')}${file('100644', 'buildspec.yml', buildspec)}`,
  );
  const odd = [
    file('100644', 'caf\\351.txt', 'latin'),
    file('100644', 'dir\\377/in\\376', 'below'),
    file('100644', 'new\\nline', 'line'),
    file('100644', ' space ', 'space'),
    file('100644', 'quote\\"\\\\', 'quote'),
    file('120000', 'out', '/etc/passwd'),
    file('120000', 'up', '../../../../../../etc/passwd'),
    file('120000', 'self', 'self'),
  ];
  const second = await importInto(work, `commit refs/heads/main\n${author}\ndata 3\ntwofrom ${first}\n${odd.join('')}`);
  await git(work, ['push', '-q', 'origin', 'main'], signed('names'));

  const folder = await codecommit.getFolder({ repositoryName: 'names', folderPath: '/' });
  assert.equal(folder.commitId, second);
  assert.deepEqual([folder.files!.length, folder.subFolders!.length, folder.symbolicLinks!.length], [6, 1, 3]);
  assert.ok(folder.files!.some((each) => each.absolutePath === 'plain.txt'));
  const { differences } = await codecommit.getDifferences({
    repositoryName: 'names',
    beforeCommitSpecifier: first,
    afterCommitSpecifier: second,
  });
  assert.equal(differences!.length, odd.length);
  for (const { afterBlob } of differences!) assert.match(afterBlob!.blobId!, /^[0-9a-f]{40}$/);
  const { fileContent } = await codecommit.getFile({ repositoryName: 'names', filePath: 'plain.txt' });
  assert.equal(Buffer.from(fileContent!).toString(), 'plain');
  await assert.rejects(codecommit.getFolder({ repositoryName: 'names', folderPath: '../names' }), /.+/);

  const location = `https://git-codecommit.${server.region}.amazonaws.com/v1/repos/names`;
  await bench.project('names', '', {
    source: { type: 'CODECOMMIT', location },
    artifacts: { type: 'S3', location: bench.bucket, packaging: 'ZIP', name: 'names.zip' },
  });
  const buildspecOverride = `${buildspec}artifacts:\n  files:\n    - '**/*'\n`;
  const build = await bench.build('names', { buildspecOverride });
  const told = phaseLines(build).join('\n');
  assert.equal(build.buildStatus, 'SUCCEEDED', told);
  const log = await bench.log(build);
  assert.match(log, /Skipping symbolic link out: /);
  assert.match(log, /Skipping file quote"\\: /);
});

test('a buildspec that explodes fails the build, and nothing else', async () => {
  await bench.project('bombs', 'version: 0.2\nphases:\n  build:\n    commands:\n      - echo fine\n');
  const laughs = ['a: &a ["lol","lol","lol","lol","lol","lol","lol","lol","lol"]'];
  for (let level = 1; level < 9; level += 1) {
    const above = String.fromCharCode(96 + level);
    const here = String.fromCharCode(97 + level);
    laughs.push(`${here}: &${here} [${Array(9).fill(`*${above}`).join(',')}]`);
  }
  const bombs = {
    laughs: `version: 0.2\n${laughs.join('\n')}\nphases:\n  build:\n    commands: *i\n`,
    deep: `version: 0.2\nphases: ${'['.repeat(20_000)}${']'.repeat(20_000)}\n`,
    circle: 'version: 0.2\nphases: &p\n  build:\n    commands: [*p]\n',
    keys: `version: 0.2\n__proto__:\n  phases: {}\nconstructor: 1\n`,
    tags: "version: 0.2\nphases:\n  build:\n    commands:\n      - !!js/function 'function () {}'\n      - !!binary '////'\n",
    zero: 'version: 0.2\nphases:\n  build:\n    commands:\n      - "echo a\\0b"\n',
  };
  for (const [name, buildspecOverride] of Object.entries(bombs)) {
    const build = await bench.build('bombs', { buildspecOverride });
    assert.notEqual(build.buildStatus, 'FAULT', `${name}: ${phaseLines(build).join('\n')}`);
    if (name !== 'tags' && name !== 'zero') {
      assert.equal(build.buildStatus, 'FAILED', name);
      assert.match(phaseLines(build).join('\n'), /DOWNLOAD_SOURCE FAILED YAML_FILE_ERROR: /, name);
    }
  }
  const well = await bench.build('bombs');
  assert.equal(well.buildStatus, 'SUCCEEDED', phaseLines(well).join('\n'));
});
