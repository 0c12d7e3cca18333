import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { GitProvider } from '../../../../test/support/git-provider.ts';
import { readConfig } from '../../../platform/config.ts';
import { callProvider, ProviderError } from './api.ts';
import { changedFiles, commitMessage } from './changes.ts';
import { type Credential, credentialOf } from './credential.ts';
import { createHook, findHook, removeHook, updateHook } from './hooks.ts';
import { BadLocation, type RemoteRepository, remoteRepository, type ServerType } from './provider.ts';
import { roleOf } from './roles.ts';
import { postStatus } from './statuses.ts';

const commit = '6113728f27ae82c7b1a177c8d03f9e96e0adf246';
const previous = '59b20b8d5c6ff8d09518216e87040ad87fd53b9d';

let provider: GitProvider;
before(async () => {
  provider = await GitProvider.start();
});
after(() => provider[Symbol.asyncDispose]());

function at(serverType: ServerType): { remote: RemoteRepository; credential: Credential; call: () => [string, unknown] } {
  const { config } = readConfig({}, provider.env);
  const remote = remoteRepository(config, { type: serverType, location: `${provider.url}/acme/tools/app.git` });
  const credential = credentialOf(serverType, { type: 'PERSONAL_ACCESS_TOKEN', token: provider.token });
  /** The last one, without what all have in common. */
  const call = (): [string, unknown] => {
    const { method, path, body } = provider.calls.at(-1)!;
    return [`${method} ${path.replace(/^\/api\/\w+/, '')}`, body];
  };
  return { remote, credential, call };
}

describe('GitHub', () => {
  test('files, messages and roles', async () => {
    const { remote, credential, call } = at('GITHUB');
    const files = Array.from({ length: 100 }, (_, index) => ({ filename: `f${index}` }));
    provider.answer(
      /pulls\/7/,
      { status: 200, body: files },
      { status: 200, body: [{ filename: 'new', previous_filename: 'old' }, { x: 1 }] },
    );
    const found = await changedFiles(remote, credential, { commit, previous, pullRequest: 7 });
    assert.deepEqual([found.length, found.at(-2), found.at(-1)], [102, 'new', 'old']);
    assert.equal(call()[0], 'GET /repos/acme/tools/app/pulls/7/files?per_page=100&page=2');
    provider.answer(/commits/, { status: 200, body: { commit: { message: 'm' } } });
    assert.equal(await commitMessage(remote, credential, commit), 'm');
    assert.equal(call()[0], `GET /repos/acme/tools/app/commits/${commit}`);
    for (const [body, role] of [
      [{ permission: 'write', role_name: 'maintain' }, 'GITHUB_MAINTAIN'],
      [{ permission: 'write', role_name: 'release manager' }, 'GITHUB_WRITE'],
      [{ permission: 'none', role_name: '' }, undefined],
      [[], undefined],
    ] as const) {
      provider.answer(/permission/, { status: 200, body });
      assert.equal(await roleOf(remote, credential, 'a/b'), role);
    }
    assert.equal(call()[0], 'GET /repos/acme/tools/app/collaborators/a%2Fb/permission');
  });
});

describe('GitLab', () => {
  test('files, messages and roles', async () => {
    const { remote, credential, call } = at('GITLAB');
    const project = '/projects/acme%2Ftools%2Fapp';
    provider.answer(/diffs/, { status: 200, body: [{ new_path: 'new', old_path: 'old' }] });
    assert.deepEqual(await changedFiles(remote, credential, { commit, previous, pullRequest: 8 }), ['new', 'old']);
    assert.equal(call()[0], `GET ${project}/merge_requests/8/diffs?per_page=100&page=1`);
    provider.answer(/compare/, { status: 200, body: { diffs: [{ new_path: 'a', old_path: 'a' }] } });
    assert.deepEqual(await changedFiles(remote, credential, { commit, previous, pullRequest: undefined }), ['a']);
    assert.equal(call()[0], `GET ${project}/repository/compare?from=${previous}&to=${commit}`);
    provider.answer(/commits/, { status: 200, body: { message: 'm' } });
    assert.equal(await commitMessage(remote, credential, commit), 'm');
    provider.answer(/members/, { status: 200, body: { access_level: 40 } });
    assert.equal(await roleOf(remote, credential, '4'), 'GITLAB_MAINTAINER');
    assert.equal(call()[0], `GET ${project}/members/all/4`);
  });

  test('a status that is there already is no failure', async () => {
    const { remote, credential, call } = at('GITLAB');
    const status = { status: 'TIMED_OUT', key: 'k', context: 'c', targetUrl: 'https://x', description: 'd' } as const;
    provider.answer(/statuses/, { status: 400, body: { message: 'Cannot transition status via :run from :running' } });
    await postStatus(remote, credential, commit, status);
    assert.deepEqual(call()[1], { state: 'failed', name: 'c', description: 'd', target_url: 'https://x' });
    provider.answer(/statuses/, { status: 400, body: { message: 'ref is missing' } });
    await assert.rejects(postStatus(remote, credential, commit, status), /ref is missing/);
  });
});

describe('Bitbucket', () => {
  test('files, messages and roles', async () => {
    const { remote, credential, call } = at('BITBUCKET');
    const repository = '/repositories/acme/tools/app';
    const values = [
      { new: { path: 'new' }, old: { path: 'old' } },
      { new: { path: 'only' }, old: null },
      { new: null, old: { path: 'gone' } },
    ];
    provider.answer(/diffstat/, { status: 200, body: { values } });
    const change = { commit, previous, pullRequest: 3 };
    assert.deepEqual(await changedFiles(remote, credential, change), ['new', 'old', 'only', 'gone']);
    assert.ok(call()[0].startsWith(`GET ${repository}/diffstat/${commit}..${previous}?pagelen=100&topic=true`));
    provider.answer(/commit\//, { status: 200, body: { message: 'm' } });
    assert.equal(await commitMessage(remote, credential, commit), 'm');
    provider.answer(/permissions/, { status: 200, body: { permission: 'write' } });
    assert.equal(await roleOf(remote, credential, '557058:c0'), 'BITBUCKET_WRITE');
    assert.equal(call()[0], `GET ${repository}/permissions-config/users/557058%3Ac0`);
  });
});

for (const serverType of ['GITHUB', 'GITLAB', 'BITBUCKET'] as const) {
  test(`${serverType}: a hook is made, found again, changed and removed`, async () => {
    const { remote, credential, call } = at(serverType);
    const wanted = { remote, credential, scope: { kind: 'repository' }, payloadUrl: `https://x/${serverType}`, secret: 's' } as const;
    assert.equal(await findHook(wanted), undefined);
    const hook = await createHook(wanted);
    assert.deepEqual(await findHook(wanted), hook);
    await updateHook({ ...wanted, secret: 'new' }, hook.id);
    assert.match(call()[0], serverType === 'GITHUB' ? /^PATCH / : /^PUT /);
    assert.match(JSON.stringify(call()[1]), /"new"/);
    provider.answer(/DELETE/, { status: 404 });
    await removeHook(wanted, hook.id);
    assert.ok(hook.url.endsWith(call()[0].slice('DELETE '.length)));
  });
}

test('answers that are no help', async () => {
  const { remote, credential } = at('GITHUB');
  const get = (path: string, by: Credential | undefined = credential) => callProvider(remote, by, { method: 'GET', path });
  const failure = (call: Promise<unknown>) =>
    call.then(
      () => assert.fail('it succeeded'),
      (error) => {
        assert.ok(error instanceof ProviderError, String(error));
        return error;
      },
    );
  const unknown = { ...credential, apiAuthorization: 'Bearer other' };
  assert.deepEqual([(await failure(get('/x', unknown))).status, (await failure(get('/x', unknown))).transient], [401, false]);
  // Nobody is followed with a token.
  provider.answer(/redirect/, { status: 302, body: {} });
  assert.equal((await failure(get('/redirect'))).status, 302);
  for (const [status, transient] of [
    [429, true],
    [500, true],
    [422, false],
  ] as const) {
    // biome-ignore format: one line
    provider.answer(/fails/, { status, body: { message: `with ${provider.token}` } });
    const error = await failure(get('/fails'));
    assert.equal(error.transient, transient);
    assert.match(error.message, /: with \*\*\*$/);
  }
  provider.answer(/large/, { status: 200, body: 'x'.repeat(9 * 1024 * 1024) });
  assert.match((await failure(get('/large'))).message, /more than 8388608 bytes/);
  const local = { ...remote, api: 'http://169.254.169.254/latest' };
  assert.match((await failure(callProvider(local, credential, { method: 'GET', path: '/' }))).message, /link-local/);
});

test('locations of each provider, and what is none', () => {
  const { config } = readConfig({}, {});
  const remote = (type: ServerType, location: string) => remoteRepository(config, { type, location });
  const good: [ServerType, string, string, string, string][] = [
    ['GITHUB', 'https://github.com/acme/app', 'acme/app', 'https://github.com/acme/app', 'https://api.github.com'],
    ['GITHUB', 'https://github.com/acme/app.git/', 'acme/app', 'https://github.com/acme/app.git', 'https://api.github.com'],
    ['GITLAB', 'https://gitlab.com/a/b/c', 'a/b/c', 'https://gitlab.com/a/b/c.git', 'https://gitlab.com/api/v4'],
    ['BITBUCKET', 'https://me@bitbucket.org/w/r.git', 'w/r', 'https://bitbucket.org/w/r.git', 'https://api.bitbucket.org/2.0'],
    ['GITHUB_ENTERPRISE', 'https://git.x:8443/o/r', 'o/r', 'https://git.x:8443/o/r', 'https://git.x:8443/api/v3'],
    ['GITLAB_SELF_MANAGED', 'https://git.x/o/r', 'o/r', 'https://git.x/o/r.git', 'https://git.x/api/v4'],
  ];
  for (const [type, location, path, cloneUrl, api] of good) {
    const { path: itsPath, cloneUrl: itsUrl, api: itsApi } = remote(type, location);
    assert.deepEqual([itsPath, itsUrl, itsApi], [path, cloneUrl, api], location);
  }
  const bad: [ServerType, string][] = [
    ['GITHUB', 'https://github.com.evil.example/acme/app'],
    ['GITHUB', 'https://github.com@evil.example/acme/app'],
    ['GITHUB', 'http://github.com/acme/app'],
    ['GITHUB', 'https://gitlab.com/acme/app'],
    ['GITHUB', 'https://github.com/acme/%2e%2e/app'],
    ['GITHUB', 'https://github.com/acme/a%2Fb'],
    ['GITHUB', 'https://github.com/acme'],
    ['GITHUB_ENTERPRISE', 'http://git.x/o/r'],
    ['BITBUCKET', 'https://me:password@bitbucket.org/w/r'],
  ];
  for (const [type, location] of bad) assert.throws(() => remote(type, location), BadLocation, location);
});
