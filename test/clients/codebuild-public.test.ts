/** What strangers see without a signature: badges, and the builds of projects that were made public. And nothing else. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type BuildBench, buildBench, commands, trust } from '../support/codebuild.ts';
import { refused } from '../support/refused.ts';
import { startServer, type TestServer } from '../support/server.ts';

let server: TestServer;
let bench: BuildBench;

before(async () => {
  server = await startServer();
  bench = await buildBench(server);
});
after(() => server.stop());

const projectOf = async (name: string) => (await bench.codebuild.batchGetProjects({ names: [name] })).projects![0]!;
const arnOf = (name: string) => `arn:aws:codebuild:${server.region}:${server.account}:project/${name}`;

async function badge(url: string): Promise<string> {
  const answer = await fetch(url);
  const text = await answer.text();
  assert.equal(answer.status, 200, text);
  assert.match(answer.headers.get('content-type')!, /^image\/svg\+xml/);
  assert.match(answer.headers.get('cache-control')!, /no-store/);
  return /<title>build: ([a-z ]+)<\/title>/.exec(text)![1]!;
}

describe('a badge', () => {
  it('shows the state of the last build of a branch', async () => {
    await bench.project('badged', commands('[ "$CODEBUILD_SOURCE_VERSION" != broken ]'), { badgeEnabled: true });
    const { badge: given } = await projectOf('badged');
    assert.equal(given!.badgeEnabled, true);
    const url = given!.badgeRequestUrl!;
    assert.match(url, new RegExp(`^${server.endpoint}/cb/badges\\?uuid=[\\w-]{43}&branch=main$`));
    const of = (branch: string) => badge(url.replace('branch=main', `branch=${branch}`));
    assert.equal(await badge(url), 'unknown', 'no build yet');
    await bench.build('badged');
    assert.equal(await badge(url), 'passing', 'a build without a version is one of the default branch');
    await bench.build('badged', { sourceVersion: 'broken' });
    assert.equal(await of('broken'), 'failing');
    assert.equal(await badge(url), 'passing');
    assert.equal(await badge(url.replace('&branch=main', '')), 'failing', 'the last one of any branch');
    await bench.build('badged', { sourceVersion: 'refs/heads/feature/x' });
    assert.equal(await of('feature%2Fx'), 'passing');
    assert.equal(await of('feature'), 'unknown');
    const { build } = await bench.codebuild.startBuild({
      projectName: 'badged',
      sourceVersion: 'main',
      buildspecOverride: commands('sleep 600'),
    });
    assert.equal(await badge(url), 'in progress');
    await bench.codebuild.stopBuild({ id: build!.id! });
    assert.equal(await badge(url), 'failing', 'stopped');
  });

  it('is unknown when it was turned off, and the same when it is on again', async () => {
    const { badge: before } = await projectOf('badged');
    const url = before!.badgeRequestUrl!;
    const { project } = await bench.codebuild.updateProject({ name: 'badged', badgeEnabled: false });
    assert.deepEqual(project!.badge, { badgeEnabled: false });
    assert.equal(await badge(url), 'unknown');
    await bench.codebuild.updateProject({ name: 'badged', description: 'says nothing of badges' });
    assert.equal(await badge(url), 'unknown');
    await bench.codebuild.updateProject({ name: 'badged', badgeEnabled: true, sourceVersion: 'refs/heads/release' });
    assert.equal((await projectOf('badged')).badge!.badgeRequestUrl, url.replace('main', 'release'));
    assert.equal(await badge(url), 'failing');
    await bench.codebuild.deleteProject({ name: 'badged' });
    assert.equal((await fetch(url)).status, 404);
  });

  it('is not for pipelines, and not there unless asked for', async () => {
    const pipeline = { source: { type: 'CODEPIPELINE' }, artifacts: { type: 'CODEPIPELINE' }, badgeEnabled: true } as const;
    await refused(bench.project('piped', '', pipeline), 'InvalidInputException', /badges are not supported/);
    await bench.project('plain', commands('true'));
    assert.deepEqual((await projectOf('plain')).badge, { badgeEnabled: false });
  });

  it('takes any parameters without harm', async () => {
    await bench.project('hostile', commands('true'), { badgeEnabled: true });
    const url = (await projectOf('hostile')).badge!.badgeRequestUrl!;
    const [base] = url.split('&');
    await bench.build('hostile');
    for (const branch of ['%00', '%27%3Bdrop%20table%20x', '<svg onload=alert(1)>', 'x'.repeat(5_000), 'a&branch=b']) {
      assert.equal(await badge(`${base}&branch=${branch}`), 'unknown');
    }
    const door = `${server.endpoint}/cb/badges`;
    for (const query of [
      '',
      '?uuid=',
      '?uuid=x',
      `?uuid=${'A'.repeat(43)}`,
      '?uuid=%00',
      `${new URL(base!).search}&uuid=x`,
      `?uuid[]=${'A'.repeat(43)}`,
    ]) {
      const answer = await fetch(`${door}${query}`);
      assert.equal(answer.status, 404, query);
    }
    const posted = await fetch(url, { method: 'POST' });
    assert.notEqual(posted.status, 200);
  });
});

describe('a public project', () => {
  const spec =
    'version: 0.2\nphases: {build: {commands: ["echo \\"url=$CODEBUILD_PUBLIC_BUILD_URL.\\"", "echo hello > out.txt"]}}\nartifacts: {files: [out.txt]}\n';
  const page = async (url: string) => {
    const answer = await fetch(url);
    return { status: answer.status, type: answer.headers.get('content-type'), headers: answer.headers, text: await answer.text() };
  };

  it('shows its builds, logs and artifacts as its role for that, and hides the rest', async () => {
    const artifacts = { type: 'S3', location: bench.bucket, packaging: 'ZIP', name: 'out.zip' } as const;
    await bench.project('open', spec, {
      artifacts,
      environment: {
        type: 'LINUX_CONTAINER',
        image: 'x',
        computeType: 'BUILD_GENERAL1_SMALL',
        environmentVariables: [{ name: 'TOKEN', value: 'not-for-everybody' }],
      },
    });
    const earlier = await bench.build('open');
    assert.equal((await projectOf('open')).projectVisibility, 'PRIVATE');
    assert.match(await bench.log(earlier), /^url=\.$/m);

    const made = await bench.codebuild.updateProjectVisibility({ projectArn: arnOf('open'), projectVisibility: 'PUBLIC_READ' });
    assert.equal(made.projectArn, arnOf('open'));
    assert.equal(made.projectVisibility, 'PUBLIC_READ');
    const project = await projectOf('open');
    assert.equal(project.publicProjectAlias, made.publicProjectAlias);
    assert.equal(project.projectVisibility, 'PUBLIC_READ');
    const build = await bench.build('open');
    const url = /^url=(\S+)\.$/m.exec(await bench.log(build))![1]!;
    const root = `${server.endpoint}/cb/projects/${made.publicProjectAlias}`;
    assert.equal(url, `${root}/builds/${build.id!.split(':')[1]}`);

    const list = JSON.parse((await page(root)).text);
    assert.deepEqual(
      list.builds.map((one: { id: string; buildStatus: string }) => [one.id, one.buildStatus]),
      [
        [build.id, 'SUCCEEDED'],
        [earlier.id, 'SUCCEEDED'],
      ],
    );
    const one = await page(url);
    assert.equal(JSON.parse(one.text).build.phases.at(-1).phaseType, 'COMPLETED');
    assert.doesNotMatch(one.text, /not-for-everybody|arn:aws:iam/);

    assert.equal((await page(`${url}/log`)).status, 404, 'there is no role yet that may read it');
    const { Role } = await bench.iam.createRole({ RoleName: 'readers', AssumeRolePolicyDocument: trust('codebuild.amazonaws.com') });
    await bench.codebuild.updateProjectVisibility({
      projectArn: arnOf('open'),
      projectVisibility: 'PUBLIC_READ',
      resourceAccessRole: Role!.Arn!,
    });
    assert.equal((await projectOf('open')).resourceAccessRole, Role!.Arn);
    const denied = await page(`${url}/log`);
    assert.equal(denied.status, 404, 'the role may do nothing');
    assert.doesNotMatch(denied.text, /arn:/);
    const PolicyDocument = JSON.stringify({
      Version: '2012-10-17',
      Statement: [{ Effect: 'Allow', Action: ['logs:GetLogEvents', 's3:GetObject'], Resource: '*' }],
    });
    await bench.iam.putRolePolicy({ RoleName: 'readers', PolicyName: 'read', PolicyDocument });
    const log = await page(`${url}/log`);
    assert.equal(log.type, 'text/plain; charset=utf-8');
    assert.equal(log.headers.get('x-content-type-options'), 'nosniff');
    assert.equal(log.text, await bench.log(build));
    const artifact = await fetch(`${url}/artifact`);
    assert.match(artifact.headers.get('content-disposition')!, /^attachment; filename\*=UTF-8''out\.zip$/);
    assert.equal(Buffer.from(await artifact.arrayBuffer()).toString('latin1', 0, 2), 'PK');
  });

  it('shows nothing of other projects, of forged links, or when it is private again', async () => {
    const { publicProjectAlias: alias } = await projectOf('open');
    const root = `${server.endpoint}/cb/projects/${alias}`;
    await bench.project('closed', commands('true'));
    const other = await bench.build('closed');
    const [, otherId] = other.id!.split(':');
    for (const path of [
      `/builds/${otherId}`,
      `/builds/${otherId}/log`,
      '/builds/x',
      '/builds/%00',
      '/builds/..%2f..',
      `/builds/${'0'.repeat(5_000)}`,
    ]) {
      assert.equal((await page(root + path)).status, 404, path);
    }
    for (const token of ['forged', '', '%00']) assert.equal((await page(`${root}?nextToken=${token}`)).status, 400, token);
    for (const forged of ['x', 'A'.repeat(43), '%00', 'open', arnOf('open')]) {
      assert.equal((await page(`${server.endpoint}/cb/projects/${encodeURIComponent(forged)}`)).status, 404, forged);
    }
    await bench.codebuild.updateProject({ name: 'open', description: 'still public' });
    assert.equal((await page(root)).status, 200);
    const closed = await bench.codebuild.updateProjectVisibility({ projectArn: arnOf('open'), projectVisibility: 'PRIVATE' });
    assert.equal(closed.publicProjectAlias, undefined);
    assert.equal((await page(root)).status, 404);
    const again = await bench.codebuild.updateProjectVisibility({ projectArn: arnOf('open'), projectVisibility: 'PUBLIC_READ' });
    assert.equal(again.publicProjectAlias, alias);
  });

  it('must be there, and its role must be one that CodeBuild may assume', async () => {
    const { codebuild } = bench;
    const projectVisibility = 'PUBLIC_READ';
    await refused(codebuild.updateProjectVisibility({ projectArn: arnOf('none'), projectVisibility }), 'ResourceNotFoundException');
    await refused(
      codebuild.updateProjectVisibility({ projectArn: arnOf('open'), projectVisibility: 'OPEN' as never }),
      'InvalidInputException',
    );
    const elsewhere = arnOf('open').replace(server.account, '999999999999');
    await refused(codebuild.updateProjectVisibility({ projectArn: elsewhere, projectVisibility }), 'AccessDeniedException');
    for (const resourceAccessRole of ['readers', `arn:aws:iam::${server.account}:role/none`, 'arn:aws:iam::999999999999:role/readers']) {
      await refused(
        codebuild.updateProjectVisibility({ projectArn: arnOf('open'), projectVisibility, resourceAccessRole }),
        'InvalidInputException',
      );
    }
  });
});

it('the images of AWS are listed by platform and language', async () => {
  const { platforms } = await bench.codebuild.listCuratedEnvironmentImages({});
  const names = platforms!.flatMap((platform) => platform.languages!.flatMap((language) => language.images!.map((image) => image.name!)));
  assert.ok(names.includes('aws/codebuild/standard:7.0'));
  assert.ok(names.includes('aws/codebuild/amazonlinux-aarch64-lambda-standard:nodejs22'));
  assert.equal(new Set(names).size, names.length);
  for (const name of names) assert.match(name, /^aws\/codebuild\/[a-z0-9_-]+:[a-z0-9.-]+$/);
});
