import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { SecretsManager } from '@aws-sdk/client-secrets-manager';
import { type BuildBench, buildBench, commands, phaseLines } from '../support/codebuild.ts';
import { GitProvider } from '../support/git-provider.ts';
import { refused } from '../support/refused.ts';
import { startServer, type TestServer } from '../support/server.ts';

let server: TestServer;
let provider: GitProvider;
let bench: BuildBench;
const commits: Record<string, string> = {};

const show = commands(
  'echo "version=$(cat version) head=$(git rev-parse HEAD) count=$(git rev-list --count HEAD)"',
  'echo "url=$CODEBUILD_SOURCE_REPO_URL wanted=$CODEBUILD_SOURCE_VERSION resolved=$CODEBUILD_RESOLVED_SOURCE_VERSION"',
  'echo "config=$(cat .git/config | tr "\\n" " ") env=$(env | grep -c GIT_CONFIG)"',
);

before(async () => {
  provider = await GitProvider.start();
  server = await startServer({ env: provider.env });
  bench = await buildBench(server);
  commits.one = await provider.commit('acme/app', 'main', { 'buildspec.yml': show, version: 'one' });
  commits.two = await provider.commit('acme/app', 'main', { version: 'two' });
  commits.side = await provider.commit('acme/app', 'feature/x', { version: 'side' });
  await provider
    .git('acme/app', 'tag', '-a', '-m', 'v1', 'v1', commits.one!)
    .catch(() => provider.git('acme/app', 'tag', 'v1', commits.one!));
  // Proposed from a fork: nothing but the reference of the request leads to it.
  commits.pull = await provider.commit('acme/app', 'temporary', { version: 'pull' });
  await provider.git('acme/app', 'update-ref', 'refs/pull/7/head', commits.pull);
  await provider.git('acme/app', 'update-ref', 'refs/merge-requests/8/head', commits.pull);
  await provider.git('acme/app', 'update-ref', '-d', 'refs/heads/temporary');
});
after(async () => {
  await server.stop();
  await provider[Symbol.asyncDispose]();
});

const github = (more: object = {}) => ({ type: 'GITHUB', location: `${provider.url}/acme/app`, ...more }) as const;
const downloadOf = (build: Parameters<typeof phaseLines>[0]) => phaseLines(build).find((line) => line.startsWith('DOWNLOAD_SOURCE'));

test('source credentials are imported, listed without the token, replaced and deleted', async () => {
  const { codebuild } = bench;
  const given = { serverType: 'GITHUB', authType: 'PERSONAL_ACCESS_TOKEN', token: provider.token } as const;
  const { arn } = await codebuild.importSourceCredentials(given);
  assert.equal(arn, `arn:aws:codebuild:${server.region}:${server.account}:token/github`);
  await refused(codebuild.importSourceCredentials({ ...given, shouldOverwrite: false }), 'ResourceAlreadyExistsException');
  assert.deepEqual((await codebuild.importSourceCredentials({ ...given, token: 'other' })).arn, arn);
  const { sourceCredentialsInfos } = await codebuild.listSourceCredentials({});
  assert.deepEqual(sourceCredentialsInfos, [{ arn, serverType: 'GITHUB', authType: 'PERSONAL_ACCESS_TOKEN' }]);
  assert.equal((await codebuild.deleteSourceCredentials({ arn })).arn, arn);
  await refused(codebuild.deleteSourceCredentials({ arn }), 'ResourceNotFoundException');
  await refused(codebuild.deleteSourceCredentials({ arn: 'github' }), 'InvalidInputException', /Invalid source credentials ARN/);
  const wrong: [object, RegExp][] = [
    [{ authType: 'OAUTH' }, /can be made only by connecting in the console/],
    [{ authType: 'BASIC_AUTH', username: 'u' }, /BASIC_AUTH is not supported for server type GITHUB/],
    [{ serverType: 'BITBUCKET', authType: 'BASIC_AUTH' }, /Username is required/],
    [{ authType: 'CODECONNECTIONS' }, /must be the ARN of a connection/],
    [{ authType: 'SECRETS_MANAGER' }, /must be the ARN of a secret/],
    [{ token: 'a\nb' }, /must be one line/],
  ];
  for (const [change, message] of wrong)
    await refused(codebuild.importSourceCredentials({ ...given, ...change }), 'InvalidInputException', message);
});

test('a private repository of GitHub with the account’s token: every form of version', async () => {
  await bench.project('versions', '', { source: github() });
  assert.match(downloadOf(await bench.build('versions'))!, /CLIENT_ERROR: authorization failed for primary source/);
  await bench.codebuild.importSourceCredentials({ serverType: 'GITHUB', authType: 'PERSONAL_ACCESS_TOKEN', token: provider.token });
  const cases: [string | undefined, string, string][] = [
    [undefined, 'two', commits.two!],
    ['main', 'two', commits.two!],
    ['feature/x', 'side', commits.side!],
    ['v1', 'one', commits.one!],
    [commits.one!, 'one', commits.one!],
    [`refs/heads/main^{${commits.one}}`, 'one', commits.one!],
    ['refs/pull/7/head', 'pull', commits.pull!],
    [`refs/pull/7/head^{${commits.pull}}`, 'pull', commits.pull!],
    ['pr/7', 'pull', commits.pull!],
    [commits.pull!, 'pull', commits.pull!],
  ];
  const shallow = new Set([undefined, 'feature/x', 'v1', commits.one, `refs/heads/main^{${commits.one}}`, 'pr/7']);
  const runs = cases.flatMap(([sourceVersion, version, commit]) =>
    (shallow.has(sourceVersion) ? [0, 1] : [0]).map(async (gitCloneDepthOverride) => {
      const build = await bench.build('versions', { sourceVersion, gitCloneDepthOverride });
      const log = await bench.log(build);
      assert.match(log, new RegExp(`^version=${version} head=${commit} `, 'm'), `${sourceVersion} depth ${gitCloneDepthOverride}\n${log}`);
      if (gitCloneDepthOverride === 1) assert.match(log, /count=1$/m, sourceVersion);
      assert.equal(build.resolvedSourceVersion, commit);
      assert.match(
        log,
        new RegExp(`^url=${provider.url}/acme/app wanted=${(sourceVersion ?? '').replace(/[\^{}]/g, '\\$&')} resolved=${commit}$`, 'm'),
      );
      assert.doesNotMatch(log, new RegExp(provider.token));
      assert.match(log, /config=(?!.*(Authorization|extraHeader|@)).* env=0$/m);
      assert.match(log, /CODEBUILD_SRC_DIR=\S*\/src\/127\.0\.0\.1\/acme\/app$/m);
    }),
  );
  await Promise.all(runs);
  assert.ok(provider.gitUsers.every((user) => user === 'x-access-token'));
  for (const sourceVersion of ['no-such', `refs/heads/main^{${'1'.repeat(40)}}`, 'refs/pull/9/head', 'pr/9']) {
    const message = `reference not found for primary source and source version ${sourceVersion}`;
    assert.ok(downloadOf(await bench.build('versions', { sourceVersion }))!.endsWith(message), sourceVersion);
  }
});

test('each provider gets the user name that it expects, and only its own token', async () => {
  const { codebuild } = bench;
  const token = provider.token;
  await codebuild.importSourceCredentials({ serverType: 'GITLAB', authType: 'PERSONAL_ACCESS_TOKEN', token });
  await codebuild.importSourceCredentials({ serverType: 'BITBUCKET', authType: 'BASIC_AUTH', username: 'builder', token });
  await codebuild.importSourceCredentials({ serverType: 'GITHUB_ENTERPRISE', authType: 'PERSONAL_ACCESS_TOKEN', token });
  await codebuild.importSourceCredentials({ serverType: 'GITLAB_SELF_MANAGED', authType: 'PERSONAL_ACCESS_TOKEN', token });
  const location = `${provider.url}/acme/app`;
  const secure = `${provider.secureUrl}/acme/app.git`;
  const cases: [string, object, string, string][] = [
    ['gitlab', { type: 'GITLAB', location }, 'oauth2', 'pr/8'],
    ['bitbucket', { type: 'BITBUCKET', location: location.replace('//', '//someone@') }, 'builder', commits.pull!],
    ['enterprise', { type: 'GITHUB_ENTERPRISE', location: secure, insecureSsl: true }, 'x-access-token', 'pr/7'],
    ['self-managed', { type: 'GITLAB_SELF_MANAGED', location: secure, insecureSsl: true }, 'oauth2', 'refs/merge-requests/8/head'],
  ];
  for (const [name, source, user, sourceVersion] of cases) {
    provider.gitUsers.length = 0;
    await bench.project(name, '', { source: source as never });
    const build = await bench.build(name, { sourceVersion });
    assert.equal(build.resolvedSourceVersion, commits.pull, `${name}: ${phaseLines(build).join('\n')}`);
    assert.deepEqual([...new Set(provider.gitUsers)], [user], name);
  }
  const trusting = await bench.build('enterprise', { insecureSslOverride: false });
  assert.match(downloadOf(trusting)!, /CLIENT_ERROR: .*certificate/);
});

test('a source’s own secret comes before the account’s credentials, and is read by the service role', async () => {
  const secrets = new SecretsManager(server.client);
  const secretOf = async (Name: string, value: object) => (await secrets.createSecret({ Name, SecretString: JSON.stringify(value) })).ARN!;
  const good = await secretOf('good', { ServerType: 'GITHUB', AuthType: 'PERSONAL_ACCESS_TOKEN', Token: provider.token });
  const other = await secretOf('other', { ServerType: 'BITBUCKET', AuthType: 'PERSONAL_ACCESS_TOKEN', Token: provider.token });
  const auth = (resource: string) => ({ auth: { type: 'SECRETS_MANAGER' as const, resource } });
  await bench.codebuild.importSourceCredentials({ serverType: 'GITHUB', authType: 'PERSONAL_ACCESS_TOKEN', token: 'expired' });
  await bench.project('own-secret', '', { source: github(auth(good)) });
  assert.equal((await bench.build('own-secret')).resolvedSourceVersion, commits.two);
  const wrong = await bench.build('own-secret', { sourceAuthOverride: auth(other).auth });
  assert.match(downloadOf(wrong)!, /authorization failed .* is for the server type BITBUCKET/);
  const absent = await bench.build('own-secret', { sourceAuthOverride: auth(`${good.slice(0, -6)}aaaaaa`).auth });
  assert.match(downloadOf(absent)!, /authorization failed .*ResourceNotFoundException/);
  // Of a project without a primary source, for all of its secondary ones.
  await bench.project('fallback', commands('cat $CODEBUILD_SRC_DIR_app/version'), {
    source: { type: 'NO_SOURCE', buildspec: commands('cat $CODEBUILD_SRC_DIR_app/version'), ...auth(good) },
    secondarySources: [{ ...github(), sourceIdentifier: 'app' }],
    secondarySourceVersions: [{ sourceIdentifier: 'app', sourceVersion: 'v1' }],
  });
  const fallback = await bench.build('fallback');
  assert.match(await bench.log(fallback), /^one$/m);
  await bench.codebuild.importSourceCredentials({ serverType: 'GITHUB', authType: 'SECRETS_MANAGER', token: good });
  assert.equal((await bench.build('versions')).resolvedSourceVersion, commits.two);
  const { sourceCredentialsInfos } = await bench.codebuild.listSourceCredentials({});
  assert.equal(sourceCredentialsInfos!.find((info) => info.serverType === 'GITHUB')!.resource, good);
});

test('submodules of the same host are fetched with the token, by relative and absolute URLs; other transports are refused', async () => {
  await provider.commit('acme/library', 'main', { code: 'library\n' });
  const link = async (name: string, url: string) => {
    await provider.commit(`acme/${name}`, 'main', {
      'buildspec.yml': commands('cat library/code'),
      '.gitmodules': `[submodule "library"]\n\tpath = library\n\turl = ${url}\n`,
    });
    const tip = await provider.git('acme/library', 'rev-parse', 'main');
    const tree = await provider.git(`acme/${name}`, 'ls-tree', 'main');
    const listed = `${tree}\n160000 commit ${tip}\tlibrary`;
    const made = await provider.makeTree(`acme/${name}`, listed);
    const commit = await provider.git(`acme/${name}`, '-c', 'user.name=T', '-c', 'user.email=t@e', 'commit-tree', '-m', 'Link', made);
    await provider.git(`acme/${name}`, 'update-ref', 'refs/heads/main', commit);
    const source = github({ location: `${provider.url}/acme/${name}`, gitSubmodulesConfig: { fetchSubmodules: true } });
    await bench.project(name, '', { source });
    return bench.build(name);
  };
  for (const [name, url] of [['relative', '../library.git'], ['absolute', `${provider.url}/acme/library`]] as const) // biome-ignore format: one line
    assert.match(await bench.log(await link(name, url)), /^library$/m, name);
  const refusals: [string, string][] = [
    ['by-file', 'file:///etc'],
    ['by-ssh', 'git@github.com:acme/library.git'],
    ['by-ext', 'ext::sh -c touch% /tmp/never'],
  ];
  for (const [name, url] of refusals)
    assert.match(downloadOf(await link(name, url))!, /CLIENT_ERROR: cannot fetch the submodules .*transport '\w+' not allowed/s, name);
});

test('git in the build’s own commands has the credential when the buildspec asks for it, and the log hides it', async () => {
  const ask = `git ls-remote ${provider.url}/acme/library HEAD >/dev/null && echo reached`;
  const fill = `printf 'url=${provider.url}/x\\n\\n' | git credential fill; printf 'url=https://example.com/x\\n\\n' | git credential fill || echo none`;
  const run = async (helper: 'yes' | 'no') => {
    const spec = commands(`export GIT_TERMINAL_PROMPT=0; ${ask}; ${fill}`).replace(
      'phases:',
      `env: {git-credential-helper: ${helper}}\nphases:`,
    );
    return bench.log(await bench.build('versions', { buildspecOverride: spec }));
  };
  const helped = await run('yes');
  assert.match(helped, /^reached$/m);
  assert.match(helped, /^password=\*\*\*$/m);
  assert.match(helped, /^none$/m);
  assert.doesNotMatch(helped, new RegExp(provider.token));
  assert.doesNotMatch(await run('no'), /^(reached|password=.*)$/m);
});

test('what is no HTTPS repository of the provider is refused, and so are redirects and arguments in disguise', async () => {
  const { codebuild } = bench;
  const locations = ['file:///etc/passwd', 'ext::sh -c id', 'git@github.com:a/b.git', 'ssh://git@github.com/a/b', 'https://u:p@github.com/a/b', '--upload-pack=id', 'https://github.com/a', 'https://github.com/a/../b', 'https://github.com/a/b?x=y', 'https://github.com/a/-b']; // biome-ignore format: one line
  for (const location of locations) {
    const updated = codebuild.updateProject({ name: 'versions', source: { type: 'GITHUB', location } });
    await refused(updated, 'InvalidInputException', /must be the HTTPS clone URL of a repository/);
  }
  await refused(codebuild.updateProject({ name: 'versions', source: github({ auth: { type: 'CODECONNECTIONS', resource: 'x' } }) }), 'InvalidInputException', /ARN of a connection/); // biome-ignore format: one line
  const s3 = { type: 'S3', location: `${bench.bucket}/x.zip`, reportBuildStatus: true } as const;
  await refused(codebuild.updateProject({ name: 'versions', source: s3 }), 'InvalidInputException', /reportBuildStatus is not supported/);
  const failures: [object, RegExp][] = [
    [{ sourceLocationOverride: 'https://github.com/acme/app' }, /is not a repository of http:\/\/127/],
    [{ sourceLocationOverride: `${provider.url}/moved/acme/app` }, /has moved, and redirects are not followed/],
    [{ sourceLocationOverride: `${provider.url}/acme/absent` }, /repository not found/],
    [{ sourceVersion: '--upload-pack=touch /tmp/x' }, /invalid source version/],
    [{ sourceVersion: 'main:refs/heads/evil' }, /invalid source version/],
    [{ sourceVersion: 'a\nb' }, /invalid source version/],
    [{ sourceTypeOverride: 'GITHUB_ENTERPRISE', sourceLocationOverride: `${provider.url}/acme/app` }, /is not an HTTPS URL/],
  ];
  for (const [override, message] of failures) {
    const build = await bench.build('versions', override);
    assert.match(downloadOf(build)!, message, JSON.stringify(override));
    assert.doesNotMatch(JSON.stringify(build), new RegExp(provider.token));
  }
});

test('the server’s own log never shows a token', async () => {
  assert.doesNotMatch(server.log(), new RegExp(provider.token));
});
