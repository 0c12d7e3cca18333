/** Local caches of builds: what comes back, to whom, and what does not. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, truncateSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { ProjectCache } from '@aws-sdk/client-codebuild';
import { CodeCommit } from '@aws-sdk/client-codecommit';
import { type BuildBench, buildBench, commands, phaseLines, zipOf } from '../support/codebuild.ts';
import { noSandbox } from '../support/machine.ts';
import { startServer, type TestServer } from '../support/server.ts';

const MIB = 1024 * 1024;
const sandboxed = (await noSandbox()) === undefined && process.getuid!() === 0;

let server: TestServer;
let bench: BuildBench;

before(async () => {
  server = await startServer({
    args: ['--machines', sandboxed ? 'sandbox' : 'process'],
    env: { PENSTOCK_BUILD_CACHE_BYTES: String(3 * MIB) },
  });
  bench = await buildBench(server);
});
after(() => server.stop());

const custom: ProjectCache = { type: 'LOCAL', modes: ['LOCAL_CUSTOM_CACHE'] };
const cached = (paths: string[], ...lines: string[]) => `${commands(...lines)}cache:\n  paths: ${JSON.stringify(paths)}\n`;

async function run(project: string, buildspecOverride?: string): Promise<string> {
  const build = await bench.build(project, { buildspecOverride });
  const log = await bench.log(build);
  assert.equal(build.buildStatus, 'SUCCEEDED', `${phaseLines(build).join('\n')}\n${log}`);
  return log;
}

/** Archives on disk as `project/name`. */
function archives(): string[] {
  const folder = path.join(server.dataDir, 'cache', 'builds');
  if (!existsSync(folder)) return [];
  return readdirSync(folder).flatMap((owner) => readdirSync(path.join(folder, owner)).map((name) => path.join(folder, owner, name)));
}

async function gone(file: string): Promise<void> {
  while (existsSync(file)) await delay(10);
}

test('directories of the cache section come back, in the source, under HOME and elsewhere', async () => {
  const outside = sandboxed ? '/opt-cache' : path.join(server.dataDir, 'outside');
  const paths = ['deps/**/*', '~/.tool', `${outside}/x/**/*`, 'missing', 'single.txt'];
  const spec = cached(
    paths,
    `cat deps/a/made "$HOME/.tool/t" ${outside}/x/o 2>/dev/null || echo none`,
    '[ -d deps/empty ] && echo empty-too; [ -L deps/link ] && [ deps/hard -ef deps/a/made ] && echo links-too; cat single.txt 2>/dev/null; :',
    `mkdir -p deps/a deps/empty "$HOME/.tool" ${outside}/x; echo in-source >deps/a/made; echo in-home >"$HOME/.tool/t"; echo outside >${outside}/x/o`,
    'ln -sf a/made deps/link; ln -f deps/a/made deps/hard; echo one-file >single.txt',
  );
  await bench.project('custom', spec, { cache: { type: 'LOCAL', modes: ['LOCAL_CUSTOM_CACHE', 'LOCAL_DOCKER_LAYER_CACHE'] } });
  const cold = await run('custom');
  assert.match(cold, /^none$/m);
  assert.match(cold, /There is no local cache of .*\/deps on this host yet/);
  assert.match(cold, /only directories can be cached locally: .*\/single\.txt/);
  assert.match(cold, /There is no directory .*\/missing to keep/);
  assert.match(cold, /Docker layers are not kept/);
  if (!sandboxed) await import('node:fs/promises').then(({ rm }) => rm(outside, { recursive: true }));
  const warm = await run('custom');
  assert.match(warm, /^in-source\nin-home\noutside$/m);
  assert.match(warm, /^empty-too\nlinks-too$/m);
  assert.doesNotMatch(warm, /^one-file$/m);
  const again = 'touch deps; echo $(cat deps/made) again';
  const untouched = await run('custom', cached(['deps/**/*', '~/.tool'], again));
  assert.match(untouched, /\.tool is in the local cache as it is$/m);
  assert.match(untouched, /Stored .*deps in the local cache/);
  // Another project names the same paths.
  await bench.project('neighbour', spec, { cache: custom });
  assert.match(await run('neighbour'), /^none$/m);
});

test('files of the source stand before those of the cache; restore and save can be had alone', async () => {
  await bench.s3.putObject({ Bucket: bench.bucket, Key: 'own.zip', Body: await zipOf({ 'deps/own': 'of the source' }) });
  const spec = (action: string) =>
    `${cached(['deps'], 'cat deps/*; echo; echo changed >deps/own; echo more >deps/more', `echo ${action} >deps/last`)}  ${action}\n`;
  await bench.project('own', spec(''), { cache: custom, source: { type: 'S3', location: `${bench.bucket}/own.zip`, buildspec: spec('') } });
  await run('own');
  const restored = await run('own', spec('action: restore'));
  assert.match(restored, /^more\nof the source$/m);
  assert.doesNotMatch(restored, /Stored .* in the local cache/);
  const saved = await run('own', spec('action: save'));
  assert.doesNotMatch(saved, /^more$/m);
  assert.match(await run('own'), /^action: save\nmore\nof the source$/m);
});

test('what a build puts into its cache does no harm to the next', { skip: sandboxed ? false : 'needs a sandbox and root' }, async () => {
  const spec = cached(
    ['deps'],
    'ls -ln deps 2>/dev/null; cat deps/passwd deps/up 2>/dev/null | head -c 30; find deps -type p -o -type c -o -perm /6000 2>/dev/null | sed s/^/hostile:/',
    'mkdir -p deps; cp /bin/sh deps/shell; chmod 6755 deps/shell; mkfifo deps/pipe; ln -sfn /etc/shadow deps/passwd; ln -sfn ../../../../../.. deps/up',
    'touch deps/theirs; chown nobody deps/theirs; mknod deps/disk b 8 0 || echo refused; python3 -c "import socket; socket.socket(socket.AF_UNIX).bind(\'deps/sock\')" || :',
  );
  await bench.project('hostile', spec, { cache: custom });
  await run('hostile');
  const log = await run('hostile');
  assert.match(log, /-rwxr-xr-x .* shell$/m);
  assert.match(log, /^-rw-r--r--\s+1 65534 .* theirs$/m, 'files belong to the same user as before');
  assert.match(log, /passwd -> \/etc\/shadow/);
  assert.doesNotMatch(log, /^hostile:/m);
  await bench.project('everything', cached(['/', '/proc/self'], 'echo x'), { cache: custom });
  assert.match(await run('everything'), /only directories can be cached locally: \/$[\s\S]*locally: \/proc\/self$/m);
});

test('InvalidateProjectCache and DeleteProject drop what is kept, also on disk', async () => {
  const spec = cached(['deps'], 'cat deps/made || echo none; mkdir -p deps; echo made >deps/made');
  await bench.project('dropped', spec, { cache: custom });
  const before = archives();
  await run('dropped');
  const [first] = archives().filter((file) => !before.includes(file));
  await bench.codebuild.invalidateProjectCache({ projectName: 'dropped' });
  await gone(first!);
  assert.match(await run('dropped'), /^none$/m);
  assert.match(await run('dropped'), /^made$/m);
  const [second] = archives().filter((file) => !before.includes(file));
  await bench.codebuild.deleteProject({ name: 'dropped' });
  await gone(second!);
  // Made anew under its old name, a project begins with nothing.
  await bench.project('dropped', spec, { cache: custom });
  assert.match(await run('dropped'), /^none$/m);
});

test('builds of one project at once: each begins with a whole cache of one of them', async () => {
  const fill = 'mkdir -p deps; for i in $(seq 40); do echo $CODEBUILD_BUILD_NUMBER >deps/$i; done';
  await bench.project(
    'crowd',
    cached(['deps'], 'echo "saw $(cat deps/* 2>/dev/null | sort -u | wc -l) $(ls deps 2>/dev/null | wc -l)"', fill),
    {
      cache: custom,
    },
  );
  const saw = async () => /^saw (.*)$/m.exec(await run('crowd'))![1];
  assert.equal(await saw(), '0 0');
  assert.deepEqual(new Set(await Promise.all(Array.from({ length: 8 }, saw))), new Set(['1 40']));
});

test('too large a directory is not kept, and what was not used for longest goes first', async () => {
  const spec = (mib: number) =>
    cached(['deps'], `[ -d deps ] && echo warm; mkdir -p deps; head -c ${Math.round(mib * MIB)} /dev/zero >deps/x`);
  for (const [name, mib] of [
    ['large', 4],
    ['one', 1.2],
    ['two', 1.2],
    ['three', 1.2],
  ] as const)
    await bench.project(name, spec(mib), { cache: custom });
  assert.match(await run('large'), /Unable to store .*deps in the local cache: it is larger than 3145728 bytes/);
  await run('one');
  await run('two');
  assert.match(await run('one'), /^warm$/m);
  await run('three');
  assert.match(await run('one'), /^warm$/m);
  assert.doesNotMatch(await run('two'), /^warm$/m);
});

test('the source cache: the next build fetches only what is new, and a damaged one is no harm', async () => {
  const codecommit = new CodeCommit(server.client);
  await codecommit.createRepository({ repositoryName: 'app' });
  const commit = async (filePath: string, text: string, parentCommitId?: string) =>
    (
      await codecommit.createCommit({
        repositoryName: 'app',
        branchName: 'main',
        parentCommitId,
        putFiles: [{ filePath, fileContent: Buffer.from(text) }],
      })
    ).commitId!;
  // git keeps what it fetched as one pack from a hundred objects on.
  const { commitId: base } = await codecommit.createCommit({
    repositoryName: 'app',
    branchName: 'main',
    putFiles: Array.from({ length: 100 }, (_, index) => ({ filePath: `many/${index}`, fileContent: Buffer.from(`${index}`) })),
  });
  const first = await commit('one', 'one', base);
  const show = commands(
    'echo "tree: $(cat one two three 2>/dev/null | tr -d "\\n") count: $(git rev-list --count HEAD) refs: $(git for-each-ref | wc -l)"',
    'ls .git/objects/pack/*.pack | sed "s/^/pack /"; git status --porcelain; git fsck --no-progress && echo sound',
  );
  const location = `https://git-codecommit.${server.region}.amazonaws.com/v1/repos/app`;
  for (const gitCloneDepth of [0, 1]) {
    const name = `source-${gitCloneDepth}`;
    await bench.project(name, show, {
      source: { type: 'CODECOMMIT', location, gitCloneDepth, buildspec: show },
      cache: { type: 'LOCAL', modes: ['LOCAL_SOURCE_CACHE'] },
    });
  }
  const before = archives();
  const packsOf = (log: string) => [...log.matchAll(/^pack (.*)$/gm)].map((match) => match[1]);
  const cold = await run('source-0');
  await run('source-1');
  assert.match(cold, /^tree: one count: 2 refs: 1$/m);
  assert.equal(packsOf(cold).length, 1);
  const second = await commit('two', 'two', first);
  const warm = await run('source-0');
  assert.match(warm, /Restored the git objects of primary source from the local cache/);
  assert.match(warm, /^tree: onetwo count: 3 refs: 1$[\s\S]*^sound$/m);
  assert.deepEqual(packsOf(warm), packsOf(cold), 'a clone of three commits would be another pack');
  assert.match(await run('source-1'), /^tree: onetwo count: 1 [\s\S]*^sound$/m);
  await commit('three', 'three', second);
  assert.match(await run('source-1'), /Restored[\s\S]*^tree: onetwothree count: 1 [\s\S]*^sound$/m);
  for (const file of archives().filter((each) => !before.includes(each))) truncateSync(file, 1000);
  const damaged = await run('source-0');
  assert.match(damaged, /Unable to restore the local cache of primary source: [\s\S]*^tree: onetwothree count: 4 refs: 1$[\s\S]*^sound$/m);
  assert.match(await run('source-0'), /Restored the git objects[\s\S]*^tree: onetwothree/m);
});

test('an S3 cache under a key: of these paths, never changed, and shared by those who name one namespace', async () => {
  const spec = (key: string, paths = '[deps]') =>
    `${commands('cat deps/made 2>/dev/null || echo none', 'mkdir -p deps; echo "$CODEBUILD_BUILD_ID" | cut -d: -f1 >deps/made; echo x >lock')}cache: {key: "${key}", paths: ${paths}}\n`;
  const cache = (cacheNamespace?: string): ProjectCache => ({ type: 'S3', location: `${bench.bucket}/shared`, cacheNamespace });
  await bench.project('s3-first', spec('k'), { cache: cache('team') });
  await bench.project('s3-second', spec('k'), { cache: cache('team') });
  await bench.project('s3-other', spec('k'), { cache: cache() });
  assert.match(await run('s3-first'), /^none$/m);
  assert.match(await run('s3-second'), /^s3-first$[\s\S]*Cache k exists already and is kept as it is/m);
  assert.match(await run('s3-first'), /^s3-first$/m);
  assert.match(await run('s3-other'), /^none$/m);
  assert.match(await run('s3-second', spec('k', "['deps/**/*']")), /^none$/m, 'other paths are another cache');
  const hashed = 'h-$(codebuild-hash-files lock 2>/dev/null || echo nothing)';
  const logged = await run('s3-first', spec(hashed));
  // The build makes the file that the key asks for, and the key stays what it was.
  assert.match(logged, /Stored the cache as s3:\/\/.*\/shared\/team\/[0-9a-f]{16}\/h-/);
  assert.match(await run('s3-second', spec(hashed)), /^s3-first$/m);
});

test('a server that is killed while it stores a cache leaves none, and nothing beside it', async () => {
  const spec = cached(['deps'], '[ -d deps ] && echo warm; mkdir -p deps; for i in $(seq 3000); do echo $i >deps/$i; done');
  await bench.project('killed', spec, { cache: custom });
  const before = archives();
  const { build } = await bench.codebuild.startBuild({ projectName: 'killed' });
  const temporary = path.join(server.dataDir, 'tmp');
  const aside = () => readdirSync(temporary, { recursive: true }).some((name) => /^build-.*\/custom-.*\.tar$/.test(String(name)));
  while (!aside() && archives().length === before.length) await delay(1);
  await server.kill();
  const kept = archives().length - before.length;
  await server.restart();
  const over = await bench.wait(build!.id!);
  assert.ok(over.buildStatus === 'FAULT' || over.buildStatus === 'SUCCEEDED', over.buildStatus);
  assert.deepEqual(
    readdirSync(temporary).filter((name) => name.startsWith('build-')),
    [],
  );
  // Killed in the moment after the archive got its name, the cache is there, and whole.
  assert.equal(/^warm$/m.test(await run('killed')), kept === 1);
  assert.match(await run('killed'), /^warm$/m);
});
