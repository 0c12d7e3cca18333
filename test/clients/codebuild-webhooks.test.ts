import assert from 'node:assert/strict';
import { createHmac, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { type IncomingMessage, request } from 'node:http';
import { after, before, test } from 'node:test';
import type { Build, CreateWebhookCommandInput } from '@aws-sdk/client-codebuild';
import { type BuildBench, buildBench, commands, phaseLines } from '../support/codebuild.ts';
import { GitProvider } from '../support/git-provider.ts';
import { refused } from '../support/refused.ts';
import { startServer, type TestServer } from '../support/server.ts';

let server: TestServer;
let provider: GitProvider;
let bench: BuildBench;
const commits: Record<string, string> = {};

const spec = commands(
  'echo "event=$CODEBUILD_WEBHOOK_EVENT trigger=$CODEBUILD_WEBHOOK_TRIGGER head=$CODEBUILD_WEBHOOK_HEAD_REF base=$CODEBUILD_WEBHOOK_BASE_REF"',
  'echo "actor=$CODEBUILD_WEBHOOK_ACTOR_ACCOUNT_ID before=$CODEBUILD_WEBHOOK_PREV_COMMIT initiator=$CODEBUILD_INITIATOR version=$(cat version)"',
);
const pushes = [[{ type: 'EVENT', pattern: 'PUSH' }]] as CreateWebhookCommandInput['filterGroups'];

before(async () => {
  provider = await GitProvider.start();
  server = await startServer({ env: { ...provider.env, PENSTOCK_PUBLIC_URL: 'https://builds.example.com' } });
  bench = await buildBench(server);
  commits.one = await provider.commit('acme/app', 'main', { 'buildspec.yml': spec, version: 'one' });
  commits.two = await provider.commit('acme/app', 'main', { version: 'two' });
  await provider.git('acme/app', 'update-ref', 'refs/pull/7/head', commits.two);
  for (const serverType of ['GITHUB', 'GITLAB', 'BITBUCKET'] as const)
    await bench.codebuild.importSourceCredentials({ serverType, authType: 'PERSONAL_ACCESS_TOKEN', token: provider.token });
});
after(async () => {
  await server.stop();
  await provider[Symbol.asyncDispose]();
});

type Kind = 'GITHUB' | 'GITLAB' | 'BITBUCKET';

async function project(name: string, type: Kind = 'GITHUB', more: object = {}): Promise<string> {
  return bench.project(name, '', { source: { type, location: `${provider.url}/acme/app.git` }, ...more });
}

/** A payload of the scenarios, about the stand-in's repository and its commits. */
function payload(name: string): Buffer<ArrayBuffer> {
  const text = readFileSync(new URL(`../scenarios/webhooks/${name}/payload.json`, import.meta.url), 'utf8');
  const known = text.replaceAll('6113728f27ae82c7b1a177c8d03f9e96e0adf246', commits.two!).replaceAll('59b20b8d5c6ff8d09518216e87040ad87fd53b9d', commits.one!); // biome-ignore format: one line
  return Buffer.from(known.replaceAll('acme/tools/app', 'acme/app'));
}

function hmac(body: Buffer, secret: string): string {
  return `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`;
}

interface Answer {
  status: number;
  message: string;
  builds: string[];
}

async function deliver(payloadUrl: string, body: Buffer<ArrayBuffer> | string, headers: Record<string, string>): Promise<Answer> {
  const { pathname, search } = new URL(payloadUrl);
  const answer = await fetch(`${server.endpoint}${pathname}${search}`, { method: 'POST', body, headers });
  const { message } = (await answer.json()) as { message: string };
  const builds = message.startsWith('Started ') ? message.slice('Started '.length).split(', ') : [];
  return { status: answer.status, message, builds };
}

/** The answer to a body of so many bytes, before any of it is sent. */
async function announce(payloadUrl: string, bytes: number): Promise<number | undefined> {
  const { pathname, search } = new URL(payloadUrl);
  const call = request(`${server.endpoint}${pathname}${search}`, { method: 'POST', headers: { 'content-length': bytes } });
  call.flushHeaders();
  const [answer] = (await once(call, 'response')) as [IncomingMessage];
  call.destroy();
  return answer.statusCode;
}

function github(payloadUrl: string, secret: string, name: string, event: string, headers: Record<string, string> = {}): Promise<Answer> {
  const body = payload(name);
  return deliver(payloadUrl, body, {
    'content-type': 'application/json',
    'user-agent': 'GitHub-Hookshot/044aadd',
    'x-github-event': event,
    'x-github-delivery': randomUUID(),
    'x-hub-signature-256': hmac(body, secret),
    ...headers,
  });
}

const hooksMade = () => provider.calls.filter(({ method, path }) => method === 'POST' && path.endsWith('/hooks'));

test('the story of GitHub: the hook is registered, a push is delivered, its commit is built with the token', async () => {
  await project('story');
  const { webhook } = await bench.codebuild.createWebhook({ projectName: 'story', filterGroups: pushes });
  assert.equal(webhook!.status, 'ACTIVE');
  assert.match(webhook!.payloadUrl!, /^https:\/\/builds\.example\.com\/webhooks\?t=[\w-]+$/);
  assert.equal(webhook!.secret, undefined);
  const [made] = hooksMade().slice(-1);
  assert.equal(made!.path, '/api/github/repos/acme/app/hooks');
  assert.equal(made!.authorization, `Bearer ${provider.token}`);
  const { config, events } = made!.body;
  assert.equal(config.url, webhook!.payloadUrl);
  assert.equal(config.content_type, 'json');
  assert.ok(['push', 'pull_request', 'release'].every((event) => events.includes(event)));
  assert.equal(webhook!.url, `${provider.url}${made!.path}/1`);
  await refused(bench.codebuild.createWebhook({ projectName: 'story' }), 'ResourceAlreadyExistsException');
  const { projects } = await bench.codebuild.batchGetProjects({ names: ['story'] });
  assert.deepEqual(projects![0]!.webhook, webhook);

  const ping = await github(webhook!.payloadUrl!, config.secret, 'github-ping', 'ping');
  assert.deepEqual([ping.status, ping.message], [200, 'pong']);
  const answer = await github(webhook!.payloadUrl!, config.secret, 'github-push', 'push');
  assert.deepEqual([answer.status, answer.builds.length], [200, 1], answer.message);
  const build = await bench.wait(answer.builds[0]!);
  assert.equal(build.buildStatus, 'SUCCEEDED', phaseLines(build).join('\n'));
  assert.equal(build.initiator, 'GitHub-Hookshot/044aadd');
  assert.equal(build.sourceVersion, commits.two);
  assert.equal(build.resolvedSourceVersion, commits.two);
  const log = await bench.log(build);
  assert.match(log, /^event=PUSH trigger=branch\/main head=refs\/heads\/main base=$/m);
  assert.match(log, new RegExp(`^actor=583231 before=${commits.one} initiator=GitHub-Hookshot/044aadd version=two$`, 'm'));
  const { build: again } = await bench.codebuild.retryBuild({ id: build.id });
  assert.match(await bench.log(await bench.wait(again!.id!)), /^event=PUSH trigger=branch\/main /m);
});

test('a delivery that is forged, damaged, too large or for nobody is refused, and starts nothing', async () => {
  await project('guarded');
  const { webhook } = await bench.codebuild.createWebhook({ projectName: 'guarded', manualCreation: true });
  const { payloadUrl = '', secret = '' } = webhook!;
  assert.equal(webhook!.url, undefined);
  const push = (headers: Record<string, string>) => github(payloadUrl, secret, 'github-push', 'push', headers);
  const body = payload('github-push');
  for (const signature of ['', 'sha256=', hmac(body, 'other'), hmac(Buffer.concat([body, Buffer.from(' ')]), secret), hmac(body, secret).toUpperCase(), createHmac('sha1', secret).update(body).digest('hex')]) // biome-ignore format: one line
    assert.equal((await push({ 'x-hub-signature-256': signature })).status, 403, signature);
  assert.equal((await push({ 'x-hub-signature-256': '', 'x-gitlab-token': secret })).status, 403);
  const unknown = payloadUrl.replace(/t=..../, 't=AAAA');
  assert.equal((await github(unknown, secret, 'github-push', 'push')).status, 404);
  assert.equal((await github(`${payloadUrl}x`, secret, 'github-push', 'push')).status, 404);
  const damaged = Buffer.from('{"ref": ');
  const headers = { 'x-github-event': 'push', 'x-github-delivery': 'd', 'x-hub-signature-256': hmac(damaged, secret) };
  assert.equal((await deliver(payloadUrl, damaged, headers)).status, 400);
  const odd = Buffer.from(body.toString().replace('refs/heads/main', 'refs/heads/\\ud800'));
  const unkept = await deliver(payloadUrl, odd, { ...headers, 'x-hub-signature-256': hmac(odd, secret) });
  assert.deepEqual([unkept.status, unkept.message], [400, 'The payload contains a character that is not supported.']);
  assert.equal(await announce(payloadUrl, 25 * 1024 * 1024 + 1), 413);
  const form = new URLSearchParams({ payload: body.toString() }).toString();
  const asForm = { 'content-type': 'application/x-www-form-urlencoded', 'x-hub-signature-256': hmac(Buffer.from(form), secret) };
  const { ids } = await bench.codebuild.listBuildsForProject({ projectName: 'guarded' });
  assert.deepEqual(ids, []);
  const accepted = await deliver(payloadUrl, form, { ...headers, ...asForm });
  assert.equal(accepted.builds.length, 1, accepted.message);
  await bench.wait(accepted.builds[0]!);
});

test('the same delivery again, also at the same time, starts nothing more', async () => {
  await project('once');
  const { webhook } = await bench.codebuild.createWebhook({ projectName: 'once', manualCreation: true });
  const push = () => github(webhook!.payloadUrl!, webhook!.secret!, 'github-push', 'push', { 'x-github-delivery': 'the-same' });
  const answers = [...(await Promise.all([push(), push(), push()])), await push()];
  assert.equal(new Set(answers.map(({ message }) => message)).size, 1);
  const { ids } = await bench.codebuild.listBuildsForProject({ projectName: 'once' });
  assert.deepEqual(ids, answers[0]!.builds);
  await bench.wait(ids![0]!);
});

test('filters ask the provider for the files of a pull request; what does not pass starts nothing', async () => {
  await project('filtered');
  const filterGroups = [
    [
      { type: 'EVENT', pattern: 'PULL_REQUEST_CREATED, PULL_REQUEST_UPDATED' },
      { type: 'FILE_PATH', pattern: '^src/' },
      { type: 'BASE_REF', pattern: '^refs/heads/main$' },
    ],
  ] as CreateWebhookCommandInput['filterGroups'];
  const pullRequestBuildPolicy = { requiresCommentApproval: 'DISABLED' } as const;
  const { webhook } = await bench.codebuild.createWebhook({
    projectName: 'filtered',
    manualCreation: true,
    filterGroups,
    pullRequestBuildPolicy,
  });
  assert.deepEqual(webhook!.pullRequestBuildPolicy, pullRequestBuildPolicy);
  assert.deepEqual(webhook!.filterGroups, [filterGroups![0]!.map((filter) => ({ ...filter, excludeMatchedPattern: false }))]);
  const send = (name: string, event: string) => github(webhook!.payloadUrl!, webhook!.secret!, name, event);
  assert.deepEqual((await send('github-push', 'push')).builds, []);
  provider.answer(/pulls\/7\/files/, { status: 200, body: [{ filename: 'docs/a.md' }] });
  assert.match((await send('github-pull-request-synchronize', 'pull_request')).message, /let none of its events through/);
  provider.answer(/pulls\/7\/files/, { status: 503, body: { message: `no ${provider.token}` } });
  const unavailable = await send('github-pull-request-synchronize', 'pull_request');
  assert.equal(unavailable.status, 502);
  assert.match(unavailable.message, /answered with 503: no \*\*\*/);
  provider.answer(/pulls\/7\/files/, {
    status: 200,
    body: [{ filename: 'docs/a.md' }, { filename: 'src/new.ts', previous_filename: 'a' }],
  });
  const { builds, message } = await send('github-pull-request-synchronize', 'pull_request');
  assert.equal(builds.length, 1, message);
  const build = await bench.wait(builds[0]!);
  assert.equal(build.sourceVersion, 'pr/7');
  assert.equal(build.resolvedSourceVersion, commits.two);
  assert.match(await bench.log(build), /^event=PULL_REQUEST_UPDATED trigger=pr\/7 head=refs\/heads\/feature\/x base=refs\/heads\/main$/m);
  const { webhook: updated } = await bench.codebuild.updateWebhook({ projectName: 'filtered', branchFilter: '^none$' });
  assert.deepEqual([updated!.filterGroups, updated!.branchFilter], [undefined, '^none$']);
  assert.deepEqual((await send('github-push', 'push')).builds, []);
  await bench.codebuild.updateProject({ name: 'filtered', source: { type: 'GITHUB', location: `${provider.url}/acme/other` } });
});

test('a stranger’s pull request waits until somebody who may has approved its very commit', async () => {
  await project('strangers');
  const { webhook } = await bench.codebuild.createWebhook({ projectName: 'strangers', manualCreation: true });
  assert.deepEqual(webhook!.pullRequestBuildPolicy, {
    requiresCommentApproval: 'ALL_PULL_REQUESTS',
    approverRoles: ['GITHUB_WRITE', 'GITHUB_MAINTAIN', 'GITHUB_ADMIN'],
  });
  const send = (name: string, event: string) => github(webhook!.payloadUrl!, webhook!.secret!, name, event);
  const role = (user: string, role_name?: string) =>
    provider.answer(new RegExp(`/collaborators/${user}/permission`), role_name ? { status: 200, body: { permission: 'read', role_name } } : { status: 404 }); // biome-ignore format: one line
  const pull = JSON.parse(payload('github-pull-request-opened-from-fork').toString()).pull_request;
  const shown = (body: object) => provider.answer(/GET .*\/pulls\/7$/, { status: 200, body });

  role('octocat');
  const stranger = await send('github-pull-request-opened-from-fork', 'pull_request');
  assert.deepEqual([stranger.status, stranger.message], [200, 'Pull request approval required for starting a build.']);
  const { body } = await provider.called((call) => call.body?.context?.includes('strangers'));
  assert.deepEqual([body.state, body.description], ['failure', 'Pull request approval required for starting a build']);
  role('maintainer', 'triage');
  assert.match((await send('github-comment-approves', 'issue_comment')).message, /may not approve/);
  role('maintainer', 'maintain');
  shown({ ...pull, head: { ...pull.head, sha: commits.one } });
  assert.match((await send('github-comment-approves', 'issue_comment')).message, /does not name the latest commit/);
  role('maintainer', 'maintain');
  shown({ ...pull, state: 'closed' });
  assert.match((await send('github-comment-approves', 'issue_comment')).message, /does not name the latest commit/);
  assert.deepEqual((await bench.codebuild.listBuildsForProject({ projectName: 'strangers' })).ids, []);
  role('maintainer', 'maintain');
  shown(pull);
  const { builds, message } = await send('github-comment-approves', 'issue_comment');
  assert.equal(builds.length, 1, message);
  const build = await bench.wait(builds[0]!);
  assert.equal(build.sourceVersion, `refs/pull/7/head^{${commits.two}}`);
  assert.match(await bench.log(build), /^event=PULL_REQUEST_UPDATED trigger=pr\/7 /m);

  role('octocat', 'admin');
  assert.equal((await send('github-pull-request-opened-from-fork', 'pull_request')).builds.length, 1);
  const change = (requiresCommentApproval: 'FORK_PULL_REQUESTS' | 'DISABLED', approverRoles?: 'GITLAB_OWNER'[]) =>
    bench.codebuild.updateWebhook({ projectName: 'strangers', pullRequestBuildPolicy: { requiresCommentApproval, approverRoles } });
  await refused(change('FORK_PULL_REQUESTS', ['GITLAB_OWNER']), 'InvalidInputException', /GITLAB_OWNER is not a role of GITHUB/);
  await change('FORK_PULL_REQUESTS');
  role('octocat');
  assert.equal((await send('github-pull-request-opened-from-fork', 'pull_request')).builds.length, 0);
  assert.equal((await send('github-pull-request-synchronize', 'pull_request')).builds.length, 1);
  await change('DISABLED');
  assert.match((await send('github-comment-approves', 'issue_comment')).message, /asks for no approvals/);
});

test('GitLab and Bitbucket: their hooks, their signatures, their payloads', async () => {
  const told: Record<string, Build> = {};
  for (const [type, path, name, headers] of [
    ['GITLAB', '/api/gitlab/projects/acme%2Fapp/hooks', 'gitlab-push', { 'x-gitlab-event': 'Push Hook', 'x-gitlab-event-uuid': 'u' }],
    ['BITBUCKET', '/api/bitbucket/repositories/acme/app/hooks', 'bitbucket-push-of-branch-and-tag', { 'x-event-key': 'repo:push', 'x-request-uuid': 'r' }], // biome-ignore format: one line
  ] as const) {
    await project(type, type);
    const { webhook } = await bench.codebuild.createWebhook({ projectName: type });
    const [made] = hooksMade().slice(-1);
    assert.equal(made!.path, path);
    assert.equal(made!.body.url, webhook!.payloadUrl);
    assert.ok(webhook!.url!.startsWith(`${provider.url}${path}/`));
    const secret = made!.body.token ?? made!.body.secret;
    const body = payload(name);
    const sign = (key: string): Record<string, string> =>
      type === 'GITLAB' ? { 'x-gitlab-token': key } : { 'x-hub-signature': hmac(body, key) };
    assert.equal((await deliver(webhook!.payloadUrl!, body, { ...headers, ...sign('wrong') })).status, 403);
    const { builds, message } = await deliver(webhook!.payloadUrl!, body, { ...headers, ...sign(secret), 'user-agent': 'x\u00e9y' });
    assert.equal(builds.length, type === 'GITLAB' ? 1 : 2, message);
    for (const id of builds) told[type] = await bench.wait(id);
    assert.equal(told[type]!.resolvedSourceVersion, commits.two, phaseLines(told[type]!).join('\n'));
  }
  assert.deepEqual([told.GITLAB!.initiator, told.BITBUCKET!.initiator], ['GitLab', 'Bitbucket-Webhooks']);
});

test('a secret is rotated at the provider; a webhook is removed with its hook', async () => {
  await project('rotated');
  const { webhook } = await bench.codebuild.createWebhook({ projectName: 'rotated', filterGroups: pushes });
  const before = hooksMade().at(-1)!.body.config.secret;
  const rotated = await bench.codebuild.updateWebhook({ projectName: 'rotated', rotateSecret: true });
  assert.equal(rotated.webhook!.secret, undefined);
  assert.ok(rotated.webhook!.lastModifiedSecret! > webhook!.lastModifiedSecret!);
  const patch = provider.calls.at(-1)!;
  assert.equal(`${provider.url}${patch.path}`, webhook!.url);
  const now = patch.body.config.secret;
  assert.equal((await github(webhook!.payloadUrl!, before, 'github-ping', 'ping')).status, 403);
  assert.equal((await github(webhook!.payloadUrl!, now, 'github-ping', 'ping')).status, 200);
  provider.answer(/PATCH/, { status: 422, body: { message: 'Validation Failed' } });
  const failing = bench.codebuild.updateWebhook({ projectName: 'rotated', rotateSecret: true });
  await refused(failing, 'OAuthProviderException', /Validation Failed/);
  assert.equal((await github(webhook!.payloadUrl!, now, 'github-ping', 'ping')).status, 200);
  provider.answer(/DELETE/, { status: 403, body: { message: 'Must have admin rights' } });
  await refused(bench.codebuild.deleteWebhook({ projectName: 'rotated' }), 'OAuthProviderException', /Must have admin rights/);
  await bench.codebuild.deleteWebhook({ projectName: 'rotated' });
  assert.equal(`${provider.calls.at(-1)!.method} ${provider.url}${provider.calls.at(-1)!.path}`, `DELETE ${webhook!.url}`);
  await refused(bench.codebuild.deleteWebhook({ projectName: 'rotated' }), 'ResourceNotFoundException');
  assert.equal((await github(webhook!.payloadUrl!, now, 'github-ping', 'ping')).status, 404);
  const again = await bench.codebuild.createWebhook({ projectName: 'rotated' });
  await bench.codebuild.deleteProject({ name: 'rotated' });
  await provider.called(({ method, path }) => method === 'DELETE' && `${provider.url}${path}` === again.webhook!.url);
});

test('what cannot be registered leaves no webhook behind', async () => {
  const { codebuild } = bench;
  await project('failing');
  provider.answer(/POST .*hooks/, { status: 404, body: { message: 'Not Found' } });
  await refused(codebuild.createWebhook({ projectName: 'failing' }), 'OAuthProviderException', /answered with 404: Not Found/);
  await refused(codebuild.updateWebhook({ projectName: 'failing' }), 'ResourceNotFoundException');
  await refused(codebuild.createWebhook({ projectName: 'absent' }), 'ResourceNotFoundException', /Project cannot be found/);
  await bench.project('nothing', commands('true'));
  await refused(
    codebuild.createWebhook({ projectName: 'nothing' }),
    'InvalidInputException',
    /not supported for projects with source type NO_SOURCE/,
  );
  const wrong: [object, RegExp][] = [
    [{ buildType: 'RUNNER_BUILDKITE_BUILD' }, /runners/],
    [{ scopeConfiguration: { name: 'acme', scope: 'GITHUB_ORGANIZATION' } }, /location must be CODEBUILD_DEFAULT_WEBHOOK_SOURCE_LOCATION/],
    [{ scopeConfiguration: { name: 'acme', scope: 'GITLAB_GROUP' } }, /scope GITLAB_GROUP is not supported for source type GITHUB/],
    [{ filterGroups: [[{ type: 'HEAD_REF', pattern: 'x' }]] }, /must have a filter of type EVENT/],
  ];
  for (const [more, message] of wrong)
    await refused(codebuild.createWebhook({ projectName: 'failing', ...more }), 'InvalidInputException', message);
  await codebuild.deleteSourceCredentials({ arn: `arn:aws:codebuild:${server.region}:${server.account}:token/gitlab` });
  await project('no-token', 'GITLAB');
  await refused(
    codebuild.createWebhook({ projectName: 'no-token' }),
    'OAuthProviderException',
    /Could not find access token for server type gitlab/,
  );
});

test('for GitHub Enterprise Server users make the hook themselves, with the URL and secret that they are told', async () => {
  const source = { type: 'GITHUB_ENTERPRISE', location: `${provider.secureUrl}/acme/app`, insecureSsl: true } as const;
  await bench.project('enterprise', '', { source });
  const before = hooksMade().length;
  const { webhook } = await bench.codebuild.createWebhook({ projectName: 'enterprise' });
  assert.equal(hooksMade().length, before);
  const { payloadUrl = '', secret = '' } = webhook!;
  assert.deepEqual((await github(payloadUrl, secret, 'github-ping', 'ping')).status, 200);
  const rotated = await bench.codebuild.updateWebhook({ projectName: 'enterprise', rotateSecret: true });
  assert.equal((await github(payloadUrl, secret, 'github-ping', 'ping')).status, 403);
  assert.equal((await github(payloadUrl, rotated.webhook!.secret!, 'github-ping', 'ping')).status, 200);
  const { project: updated } = await bench.codebuild.updateProject({ name: 'enterprise', description: 'x' });
  assert.deepEqual([updated!.webhook!.payloadUrl, updated!.webhook!.secret], [payloadUrl, undefined]);
  await bench.codebuild.deleteWebhook({ projectName: 'enterprise' });
});

test('a webhook of an organization builds whichever of its repositories was pushed to', async () => {
  const source = { type: 'GITHUB', location: 'CODEBUILD_DEFAULT_WEBHOOK_SOURCE_LOCATION' } as const;
  await bench.project('organization', '', { source });
  const { webhook } = await bench.codebuild.createWebhook({
    projectName: 'organization',
    scopeConfiguration: { name: 'acme', scope: 'GITHUB_ORGANIZATION' },
    filterGroups: [[{ type: 'EVENT', pattern: 'PUSH' }, { type: 'REPOSITORY_NAME', pattern: '^app$' }]], // biome-ignore format: one line
  });
  const [made] = hooksMade().slice(-1);
  assert.equal(made!.path, '/api/github/orgs/acme/hooks');
  const deliverFrom = (base: string) => {
    const body = Buffer.from(payload('github-push').toString().replaceAll('https://github.com', base));
    const headers = { 'x-github-event': 'push', 'x-github-delivery': base, 'x-hub-signature-256': hmac(body, made!.body.config.secret) };
    return deliver(webhook!.payloadUrl!, body, headers);
  };
  assert.deepEqual((await deliverFrom('https://elsewhere.example.com')).builds, []);
  const { builds, message } = await deliverFrom(provider.url);
  assert.equal(builds.length, 1, message);
  const build = await bench.wait(builds[0]!);
  assert.equal(build.source!.location, `${provider.url}/acme/app.git`);
  assert.equal(build.resolvedSourceVersion, commits.two, phaseLines(build).join('\n'));
});

const statuses = (path: string) => provider.calls.filter((call) => call.method === 'POST' && call.path.startsWith(path));

test('builds of webhooks are reported at their commit, others where the project says so, again after the provider failed', async () => {
  const usual = `/api/github/repos/acme/app/statuses/${commits.two}`;
  const context = `AWS CodeBuild ${server.region} (story)`;
  const done = await provider.called(({ path, body }) => path === usual && body.context === context && body.state === 'success');
  assert.equal(done.authorization, `Bearer ${provider.token}`);
  assert.deepEqual(done.body, { state: 'success', context, description: 'Build succeeded for project story' });
  const [first] = statuses(usual).filter(({ body }) => body.context === context);
  assert.equal(first!.body.state, 'pending');

  const buildStatusConfig = {
    context: 'CI ${MODE} #$CODEBUILD_BUILD_NUMBER $OTHER',
    targetUrl: 'https://ci.example.com/$CODEBUILD_BUILD_ID',
  };
  const source = { type: 'GITHUB', location: `${provider.url}/acme/app`, buildspec: commands('false') } as const;
  const environment = { type: 'LINUX_CONTAINER', image: 'x', computeType: 'BUILD_GENERAL1_SMALL', environmentVariables: [{ name: 'MODE', value: 'fast' }] } as const; // biome-ignore format: one line
  await bench.project('reported', '', {
    source: { ...source, reportBuildStatus: true, buildStatusConfig },
    environment: environment as never,
  });
  await bench.project('silent', '', { source });
  await bench.build('silent', { sourceVersion: 'main' });
  provider.answer(/statuses/, { status: 503 });
  const build = await bench.build('reported', { sourceVersion: 'main' });
  const failed = await provider.called(({ body }) => body?.context === 'CI fast #1 $OTHER' && body.state === 'failure');
  assert.equal(failed.path, usual);
  assert.equal(failed.body.target_url, `https://ci.example.com/${build.id}`);
  assert.equal(provider.calls.filter(({ body }) => body?.context?.includes('silent')).length, 0);

  await provider.called(({ path, body }) => path === `/api/gitlab/projects/acme%2Fapp/statuses/${commits.two}` && body.state === 'success');
  const bitbucket = `/api/bitbucket/repositories/acme/app/commit/${commits.two}/statuses/build`;
  const told = await provider.called(({ path, body }) => path === bitbucket && body.state === 'SUCCESSFUL');
  assert.match(told.body.key, /^[0-9a-f]{40}$/);
  assert.equal(told.body.url, `${provider.url}/acme/app/commits/${commits.two}`);
});

test('a webhook of type BUILD_BATCH builds a batch: its commit is told of the batch, or of each of its builds', async () => {
  const buildspec = `version: 0.2\nbatch: { build-list: [{ identifier: one }, { identifier: two }] }\n${spec.slice(spec.indexOf('phases'))}`;
  const batched = async (name: string, batchReportMode?: 'REPORT_INDIVIDUAL_BUILDS') => {
    const source = { type: 'GITHUB', location: `${provider.url}/acme/app.git`, buildspec } as const;
    await bench.project(name, '', { source, buildBatchConfig: { serviceRole: bench.role, batchReportMode } });
    const { webhook } = await bench.codebuild.createWebhook({ projectName: name, filterGroups: pushes, buildType: 'BUILD_BATCH' });
    const { builds, message } = await github(webhook!.payloadUrl!, hooksMade().at(-1)!.body.config.secret, 'github-push', 'push');
    assert.equal(builds.length, 1, message);
    const told = (part: string) =>
      provider.called(({ body }) => body?.context === `AWS CodeBuild ${server.region} (${name})${part}` && body.state === 'success');
    return { id: builds[0]!, told };
  };
  const whole = await batched('whole');
  assert.equal((await whole.told('')).body.description, 'Build batch succeeded for project whole');
  const { buildBatches } = await bench.codebuild.batchGetBuildBatches({ ids: [whole.id] });
  assert.equal(buildBatches![0]!.resolvedSourceVersion, commits.two);
  assert.equal(buildBatches![0]!.initiator, 'GitHub-Hookshot/044aadd');
  const { builds } = await bench.codebuild.batchGetBuilds({ ids: [buildBatches![0]!.buildGroups![1]!.currentBuildSummary!.arn!] });
  assert.match(await bench.log(builds![0]!), /^event=PUSH trigger=branch\/main /m);
  const single = await batched('single', 'REPORT_INDIVIDUAL_BUILDS');
  for (const part of [' one', ' two']) await single.told(part);
  const contexts = provider.calls.map(({ body }) => body?.context).filter((context) => /\((whole|single)\)/.test(context));
  const names = new Set(contexts.map((context) => context.split('(')[1]));
  assert.deepEqual([...names].sort(), ['single) one', 'single) two', 'whole)']);
});

test('a server that dies while the provider makes a hook finds it afterwards, and makes no second one', async () => {
  await project('crashed');
  const before = hooksMade().length;
  provider.hold(/POST .*\/hooks$/);
  const broken = assert.rejects(bench.codebuild.createWebhook({ projectName: 'crashed' }));
  const made = await provider.called((call) => call.method === 'POST' && hooksMade().indexOf(call) === before);
  await server.kill();
  await broken;
  provider.hold(undefined);
  await server.restart();
  for (;;) {
    const { projects } = await bench.codebuild.batchGetProjects({ names: ['crashed'] });
    const { status, statusMessage, payloadUrl, url } = projects![0]!.webhook!;
    assert.ok(status === 'CREATING' || status === 'ACTIVE', statusMessage);
    if (status === 'CREATING') continue;
    assert.equal(made.body.config.url, payloadUrl);
    assert.ok(url!.startsWith(`${provider.url}${made.path}/`));
    break;
  }
  assert.equal(hooksMade().length, before + 1);
});

test('neither tokens nor secrets show in the server’s log', () => {
  for (const secret of [provider.token, ...hooksMade().map(({ body }) => body.config?.secret ?? body.secret ?? body.token)])
    assert.equal(server.log().includes(secret), false);
});
