import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { CodeBuild } from '@aws-sdk/client-codebuild';
import { CodeCommit } from '@aws-sdk/client-codecommit';
import { allow, type BuildBench, buildBench, commands, phaseLines, trust, zipOf } from '../support/codebuild.ts';
import { startServer, type TestServer } from '../support/server.ts';

let server: TestServer;
let bench: BuildBench;
let codebuild: CodeBuild;
let codecommit: CodeCommit;
const commits: string[] = [];
let url: string;

before(async () => {
  server = await startServer();
  bench = await buildBench(server);
  codebuild = bench.codebuild;
  codecommit = new CodeCommit(server.client);
  await codecommit.createRepository({ repositoryName: 'app' });
  url = `https://git-codecommit.${server.region}.amazonaws.com/v1/repos/app`;
  const put = async (branchName: string, parentCommitId: string | undefined, files: Record<string, string>) => {
    const { commitId } = await codecommit.createCommit({
      repositoryName: 'app',
      branchName,
      parentCommitId,
      putFiles: Object.entries(files).map(([filePath, text]) => ({ filePath, fileContent: Buffer.from(text) })),
    });
    commits.push(commitId!);
    return commitId!;
  };
  const show = commands('echo "version=$(cat version) commit=$(git rev-parse HEAD) count=$(git rev-list --count HEAD)"');
  const first = await put('main', undefined, { 'buildspec.yml': show, version: 'one', 'ci/other.yml': commands('echo other-path') });
  await put('main', first, { version: 'two' });
  await codecommit.createBranch({ repositoryName: 'app', branchName: 'feature/x', commitId: first });
});
after(() => server.stop());

const put = (Key: string, Body: Buffer | string) => bench.s3.putObject({ Bucket: bench.bucket, Key, Body });
const s3 = (key: string) => ({ type: 'S3', location: `${bench.bucket}/${key}` }) as const;
const downloadOf = (build: Parameters<typeof phaseLines>[0]) => phaseLines(build).find((line) => line.startsWith('DOWNLOAD_SOURCE'));

test('a CodeCommit repository at its default branch, a branch, a commit, a reference and shallow', async () => {
  await bench.project('git', '', { source: { type: 'CODECOMMIT', location: url } });
  const whole = await bench.build('git');
  assert.equal(whole.buildStatus, 'SUCCEEDED', `${phaseLines(whole).join('\n')}`);
  assert.equal(whole.resolvedSourceVersion, commits[1]);
  assert.match(await bench.log(whole), new RegExp(`^version=two commit=${commits[1]} count=2$`, 'm'));
  for (const [sourceVersion, version] of [
    ['main', 'two'],
    ['feature/x', 'one'],
    ['refs/heads/feature/x', 'one'],
    [`refs/heads/main^{${commits[0]}}`, 'one'],
    [commits[0]!, 'one'],
  ] as const) {
    const build = await bench.build('git', { sourceVersion });
    assert.match(await bench.log(build), new RegExp(`^version=${version} `, 'm'), sourceVersion);
  }
  for (const sourceVersion of [undefined, 'main', commits[1]]) {
    const shallow = await bench.build('git', { sourceVersion, gitCloneDepthOverride: 1 });
    assert.match(await bench.log(shallow), /^version=two commit=.* count=1$/m, sourceVersion);
  }
  const other = await bench.build('git', { buildspecOverride: 'ci/other.yml' });
  assert.match(await bench.log(other), /^other-path$/m);
  assert.match(await bench.log(other), /CODEBUILD_SRC_DIR=.*\/src\/git-codecommit\.[a-z0-9-]+\.amazonaws\.com\/v1\/repos\/app/);
});

test('what git cannot give fails DOWNLOAD_SOURCE with CodeBuild’s message', async () => {
  await bench.project('git-errors', '', { source: { type: 'CODECOMMIT', location: url } });
  const failure = async (more: Parameters<typeof bench.build>[1]) => downloadOf(await bench.build('git-errors', more));
  assert.equal(
    await failure({ sourceVersion: 'no-such' }),
    'DOWNLOAD_SOURCE FAILED CLIENT_ERROR: reference not found for primary source and source version no-such',
  );
  assert.equal(
    await failure({ sourceVersion: 'no-such', gitCloneDepthOverride: 1 }),
    'DOWNLOAD_SOURCE FAILED CLIENT_ERROR: reference not found for primary source and source version no-such',
  );
  assert.match((await failure({ sourceVersion: '--upload-pack=touch /tmp/x' }))!, /CLIENT_ERROR: invalid source version/);
  assert.match(
    (await failure({ sourceLocationOverride: url.replace('app', 'missing') }))!,
    /CLIENT_ERROR: (repository not found|authorization failed)/,
  );
  const { Role } = await bench.iam.createRole({ RoleName: 'no-pull', AssumeRolePolicyDocument: trust('codebuild.amazonaws.com') });
  await bench.iam.putRolePolicy({ RoleName: 'no-pull', PolicyName: 'p', PolicyDocument: allow('logs:*') });
  assert.match((await failure({ serviceRoleOverride: Role!.Arn! }))!, /CLIENT_ERROR: (repository not found|authorization failed)/);
});

test('a zip in S3, by version, with modes and links', async () => {
  await bench.s3.putBucketVersioning({ Bucket: bench.bucket, VersioningConfiguration: { Status: 'Enabled' } });
  const spec = commands('test -x run.sh && test -L link && cat link');
  const { VersionId } = await put('source.zip', await zipOf({ 'buildspec.yml': spec, 'run.sh': 'old', link: '-> run.sh' }));
  await put('source.zip', await zipOf({ 'buildspec.yml': spec, 'run.sh': 'new', link: '-> run.sh' }));
  await bench.project('zip', '', { source: s3('source.zip') });
  const latest = await bench.build('zip');
  assert.match(await bench.log(latest), /^new$/m);
  const older = await bench.build('zip', { sourceVersion: VersionId });
  assert.match(await bench.log(older), /^old$/m);
  assert.equal(older.resolvedSourceVersion, VersionId);
});

test('a folder in S3', async () => {
  await put('folder/buildspec.yml', commands('cat sub/file'));
  await put('folder/sub/file', 'from a folder\n');
  await put('folder-other', 'not this');
  await bench.project('folder', '', { source: s3('folder/') });
  const build = await bench.build('folder');
  assert.match(await bench.log(build), /^from a folder$/m);
});

const hostile: [why: string, body: () => Promise<Buffer>, message: RegExp][] = [
  ['a path that climbs out', () => zipOf({ '../../evil': 'x' }), /would lie outside|invalid relative path/],
  ['an absolute path', () => zipOf({ '/tmp/evil': 'x' }), /would lie outside|absolute path/],
  ['a link that climbs out', () => zipOf({ link: '-> ../../../../etc' }), /leads outside of the source directory/],
  ['an absolute link', () => zipOf({ link: '-> /etc/passwd' }), /leads outside of the source directory/],
  ['no zip at all', async () => Buffer.from('hello'), /not a valid zip file/],
  ['an empty file', async () => Buffer.alloc(0), /not a valid zip file/],
  ['a zip that was cut', async () => (await zipOf({ a: 'x'.repeat(9999) })).subarray(0, 60), /not a valid zip file/],
];
for (const [why, body, message] of hostile) {
  test(`refused as source: ${why}`, async () => {
    await put('hostile.zip', await body());
    await bench.project('hostile', commands('echo never'), { source: { ...s3('hostile.zip'), buildspec: commands('echo never') } });
    const build = await bench.build('hostile');
    assert.equal(build.buildStatus, 'FAILED');
    assert.match(downloadOf(build)!, message);
    await codebuild.deleteProject({ name: 'hostile' });
  });
}

test('an object that is not there, and one that the role may not read', async () => {
  await bench.project('absent', '', { source: s3('absent.zip') });
  assert.match(downloadOf(await bench.build('absent'))!, /CLIENT_ERROR: NoSuchKey: The specified key does not exist\. for primary source/);
  const { Role } = await bench.iam.createRole({ RoleName: 'no-read', AssumeRolePolicyDocument: trust('codebuild.amazonaws.com') });
  await bench.iam.putRolePolicy({ RoleName: 'no-read', PolicyName: 'p', PolicyDocument: allow('logs:*') });
  assert.match(downloadOf(await bench.build('absent', { serviceRoleOverride: Role!.Arn! }))!, /CLIENT_ERROR: AccessDenied/);
});

test('secondary sources and artifacts', async () => {
  await put('second.zip', await zipOf({ file: 'second\n' }));
  const spec = `${commands('cat "$CODEBUILD_SRC_DIR_two/file"', 'echo "repo at $(cat $CODEBUILD_SRC_DIR_repo/version)"', 'echo m >main; mkdir d; echo s >d/side')}
artifacts:
  files: [main]
  secondary-artifacts:
    side: {base-directory: d, files: ['**/*']}
`;
  await bench.project('several', spec, {
    secondarySources: [
      { ...s3('second.zip'), sourceIdentifier: 'two' },
      { type: 'CODECOMMIT', location: url, sourceIdentifier: 'repo' },
    ],
    secondarySourceVersions: [{ sourceIdentifier: 'repo', sourceVersion: 'main' }],
    artifacts: { type: 'S3', location: bench.bucket, name: 'several' },
    secondaryArtifacts: [{ type: 'S3', location: bench.bucket, artifactIdentifier: 'side', name: 'side-files' }],
  });
  const build = await bench.build('several', {
    secondarySourcesVersionOverride: [{ sourceIdentifier: 'repo', sourceVersion: 'feature/x' }],
  });
  assert.equal(build.buildStatus, 'SUCCEEDED', await bench.log(build));
  assert.match(await bench.log(build), /^second$/m);
  assert.match(await bench.log(build), /^repo at one$/m);
  const read = async (Key: string) => (await bench.s3.getObject({ Bucket: bench.bucket, Key })).Body!.transformToString();
  assert.equal(await read('several/main'), 'm\n');
  assert.equal(await read('side-files/side'), 's\n');
  assert.equal(build.secondaryArtifacts![0]!.artifactIdentifier, 'side');
  assert.equal(build.secondaryArtifacts![0]!.location, `arn:aws:s3:::${bench.bucket}/side-files`);
});

test('a pipeline’s build: inputs by their S3 ARNs, outputs where it says', async () => {
  await put(
    'pipe/SourceArti/abc',
    await zipOf({
      'buildspec.yml': `${commands('cat input', 'cat "$CODEBUILD_SRC_DIR_Extra/more"', 'echo built >out')}artifacts: {files: [out]}\n`,
      input: 'primary\n',
    }),
  );
  await put('pipe/Extra/def', await zipOf({ more: 'extra\n' }));
  await bench.project('pipelined', '', { source: { type: 'CODEPIPELINE' }, artifacts: { type: 'CODEPIPELINE' } });
  const build = await bench.build('pipelined', {
    sourceVersion: `arn:aws:s3:::${bench.bucket}/pipe/SourceArti/abc`,
    secondarySourcesOverride: [{ type: 'CODEPIPELINE', sourceIdentifier: 'Extra' }],
    secondarySourcesVersionOverride: [{ sourceIdentifier: 'Extra', sourceVersion: `arn:aws:s3:::${bench.bucket}/pipe/Extra/def` }],
    artifactsOverride: { type: 'CODEPIPELINE', location: bench.bucket, path: 'pipe/BuildArtif', name: 'xyz', packaging: 'ZIP' },
  });
  assert.equal(build.buildStatus, 'SUCCEEDED', await bench.log(build));
  assert.match(await bench.log(build), /^primary$[\s\S]*^extra$/m);
  assert.equal(build.artifacts!.location, `arn:aws:s3:::${bench.bucket}/pipe/BuildArtif/xyz`);
  const bytes = await (await bench.s3.getObject({ Bucket: bench.bucket, Key: 'pipe/BuildArtif/xyz' })).Body!.transformToByteArray();
  assert.equal(Buffer.from(bytes).subarray(0, 2).toString(), 'PK');
  const alone = await bench.build('pipelined');
  assert.match(downloadOf(alone)!, /can only be built by a pipeline/);
});

test('the S3 cache: stored once per key, found by key and by fallback, gone after InvalidateProjectCache', async () => {
  const spec = (
    key: string,
  ) => `${commands('cat deps/made 2>/dev/null || echo none', `mkdir -p deps && echo ${key} >deps/made`, 'ls -l "$HOME/.tool" 2>/dev/null || { mkdir -p "$HOME/.tool"; echo t >"$HOME/.tool/x"; }')}
cache:
  key: ${key}
  fallback-keys: [deps-]
  paths: ['deps/**/*', '$HOME/.tool/**/*']
`;
  await bench.project('cached', spec('deps-1'), { cache: { type: 'S3', location: `${bench.bucket}/caches` } });
  const run = async (key: string) => bench.log(await bench.build('cached', { buildspecOverride: spec(key) }));
  assert.match(await run('deps-1'), /^none$/m);
  const again = await run('deps-1');
  assert.match(again, /^deps-1$/m);
  assert.match(again, / x$/m, 'the tree under HOME came back too');
  assert.match(again, /Cache deps-1 exists already/);
  assert.match(await run('deps-2'), /^deps-1$/m, 'by fallback');
  assert.match(await run('deps-2'), /^deps-2$/m);
  await codebuild.invalidateProjectCache({ projectName: 'cached' });
  assert.match(await run('deps-2'), /^none$/m);
});
