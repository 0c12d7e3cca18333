/** Two accounts in one Penstock: what a project's resource policy lets the other account see, and what it never does. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { CodeBuild } from '@aws-sdk/client-codebuild';
import { IAM } from '@aws-sdk/client-iam';
import { allow, type BuildBench, buildBench, commands } from '../support/codebuild.ts';
import { refused } from '../support/refused.ts';
import { startServer, type TestServer } from '../support/server.ts';

const run = promisify(execFile);
const OTHER = '111122223333';
const VIEW = ['codebuild:BatchGetProjects', 'codebuild:BatchGetBuilds', 'codebuild:ListBuildsForProject'];

let server: TestServer;
let bench: BuildBench;
let guest: CodeBuild;
let guestIam: IAM;
let owner: CodeBuild;

before(async () => {
  server = await startServer();
  bench = await buildBench(server);
  owner = bench.codebuild;
  const main = path.join(import.meta.dirname, '../../src/main.ts');
  const { stdout } = await run(process.execPath, [main, 'account', 'add', OTHER, '--data', server.dataDir], { env: server.env });
  const [accessKeyId, secretAccessKey] = [...stdout.matchAll(/='([^']+)'/g)].map((match) => match[1]!);
  const settings = { ...server.client, credentials: { accessKeyId: accessKeyId!, secretAccessKey: secretAccessKey! } };
  guest = new CodeBuild(settings);
  guestIam = new IAM(settings);
});
after(async () => {
  for (const client of [guest, guestIam]) client?.destroy();
  await server?.stop();
});

const arnOf = (name: string) => `arn:aws:codebuild:${server.region}:${server.account}:project/${name}`;

function policy(name: string, more: object = {}): string {
  const statement = { Effect: 'Allow', Principal: { AWS: `arn:aws:iam::${OTHER}:root` }, Action: VIEW, Resource: arnOf(name) };
  return JSON.stringify({ Version: '2012-10-17', Statement: [{ ...statement, ...more }] });
}

async function share(name: string, more?: object): Promise<void> {
  await owner.putResourcePolicy({ resourceArn: arnOf(name), policy: policy(name, more) });
}

describe('a project shared by its resource policy', () => {
  it('is seen with its builds by the other account, and by nobody before', async () => {
    await bench.project('shared', commands('true'));
    const build = await bench.build('shared');
    const arn = arnOf('shared');
    const looks = [
      () => guest.batchGetProjects({ names: [arn] }),
      () => guest.listBuildsForProject({ projectName: arn }),
      () => guest.batchGetBuilds({ ids: [build.arn!] }),
    ];
    for (const look of looks) await refused(look(), 'AccessDeniedException', /no resource-based policy allows/);
    await refused(owner.getResourcePolicy({ resourceArn: arn }), 'ResourceNotFoundException', /No resource policy/);

    await share('shared');
    assert.equal((await owner.getResourcePolicy({ resourceArn: arn })).policy, policy('shared'));
    const { projects } = await guest.batchGetProjects({ names: [arn, 'shared'] });
    assert.deepEqual(
      projects!.map((project) => project.arn),
      [arn],
      'its name alone means a project of one’s own',
    );
    assert.deepEqual((await guest.listBuildsForProject({ projectName: arn })).ids, [build.id]);
    assert.equal((await guest.batchGetBuilds({ ids: [build.arn!] })).builds![0]!.buildStatus, 'SUCCEEDED');
    assert.deepEqual((await guest.batchGetBuilds({ ids: [build.id!] })).buildsNotFound, [build.id]);
    assert.deepEqual((await guest.listSharedProjects({})).projects, [arn]);
    assert.deepEqual((await owner.listSharedProjects({})).projects, [], 'one’s own is not shared with oneself');

    await owner.deleteResourcePolicy({ resourceArn: arn });
    await owner.deleteResourcePolicy({ resourceArn: arn });
    for (const look of looks) await refused(look(), 'AccessDeniedException');
    assert.deepEqual((await guest.listSharedProjects({})).projects, []);
  });

  it('cannot be run, changed or shared on', async () => {
    await bench.project('fixed', commands('true'));
    await share('fixed', { Action: 'codebuild:*' });
    const arn = arnOf('fixed');
    const build = await bench.build('fixed');
    await refused(guest.startBuild({ projectName: arn }), 'ResourceNotFoundException');
    await refused(guest.updateProject({ name: arn, description: 'mine' }), 'ResourceNotFoundException');
    await refused(guest.invalidateProjectCache({ projectName: arn }), 'ResourceNotFoundException');
    await refused(guest.stopBuild({ id: build.arn! }), 'InvalidInputException');
    await refused(guest.retryBuild({ id: build.arn! }), 'InvalidInputException');
    assert.deepEqual((await guest.batchDeleteBuilds({ ids: [build.arn!] })).buildsDeleted, []);
    await guest.deleteProject({ name: arn });
    await refused(guest.putResourcePolicy({ resourceArn: arn, policy: policy('fixed') }), 'InvalidInputException');
    await refused(guest.getResourcePolicy({ resourceArn: arn }), 'InvalidInputException');
    await refused(guest.deleteResourcePolicy({ resourceArn: arn }), 'InvalidInputException');
    const { projects } = await owner.batchGetProjects({ names: ['fixed'] });
    assert.equal(projects![0]!.description, undefined);
    assert.equal((await owner.batchGetBuilds({ ids: [build.id!] })).builds!.length, 1);
  });

  it('is open to one user of the other account only if that account agrees', async () => {
    await bench.project('for-one', commands('true'));
    const names = [arnOf('for-one')];
    const clients = await Promise.all(
      ['ann', 'bob'].map(async (UserName) => {
        await guestIam.createUser({ UserName });
        const { AccessKey } = await guestIam.createAccessKey({ UserName });
        return new CodeBuild({
          ...server.client,
          credentials: { accessKeyId: AccessKey!.AccessKeyId!, secretAccessKey: AccessKey!.SecretAccessKey! },
        });
      }),
    );
    const [ann, bob] = clients as [CodeBuild, CodeBuild];
    await share('for-one', { Principal: { AWS: `arn:aws:iam::${OTHER}:user/ann` }, Action: VIEW[0] });
    await refused(ann.batchGetProjects({ names }), 'AccessDeniedException', /no identity-based policy allows/);
    for (const UserName of ['ann', 'bob']) {
      await guestIam.putUserPolicy({ UserName, PolicyName: 'look', PolicyDocument: allow('codebuild:*') });
    }
    assert.equal((await ann.batchGetProjects({ names })).projects!.length, 1);
    await refused(ann.listBuildsForProject({ projectName: names[0]! }), 'AccessDeniedException');
    await refused(bob.batchGetProjects({ names }), 'AccessDeniedException');
    assert.deepEqual((await ann.listSharedProjects({})).projects!.includes(names[0]!), true);
    assert.deepEqual((await bob.listSharedProjects({})).projects!.includes(names[0]!), false);
    for (const client of clients) client.destroy();
  });

  it('is not shared any more when it was deleted and made again', async () => {
    await bench.project('again', commands('true'));
    await share('again');
    await owner.deleteProject({ name: 'again' });
    await bench.project('again', commands('true'));
    await refused(guest.batchGetProjects({ names: [arnOf('again')] }), 'AccessDeniedException');
  });
});

describe('a shared report group', () => {
  it('is seen by the other account, and not changed', async () => {
    const { reportGroup } = await owner.createReportGroup({ name: 'tests', type: 'TEST', exportConfig: { exportConfigType: 'NO_EXPORT' } });
    const arn = reportGroup!.arn!;
    await refused(guest.batchGetReportGroups({ reportGroupArns: [arn] }), 'AccessDeniedException');
    const actions = ['codebuild:BatchGetReportGroups', 'codebuild:BatchGetReports', 'codebuild:ListReportsForReportGroup'];
    await owner.putResourcePolicy({ resourceArn: arn, policy: policy('x', { Action: actions, Resource: arn }) });
    assert.equal((await guest.batchGetReportGroups({ reportGroupArns: [arn] })).reportGroups![0]!.name, 'tests');
    assert.deepEqual((await guest.listReportsForReportGroup({ reportGroupArn: arn })).reports, []);
    assert.deepEqual((await guest.listSharedReportGroups({})).reportGroups, [arn]);
    assert.ok(!(await guest.listSharedProjects({})).projects!.includes(arn));
    await refused(guest.deleteReportGroup({ arn }), 'AccessDeniedException');
    await owner.putResourcePolicy({ resourceArn: arn, policy: policy('x', { Action: 'codebuild:*', Resource: arn }) });
    await refused(guest.updateReportGroup({ arn, tags: [{ key: 'mine', value: 'now' }] }), 'AccessDeniedException');
    await refused(guest.deleteReport({ arn: `${arn.replace('report-group', 'report')}:${randomUUID()}` }), 'AccessDeniedException');
    await refused(guest.deleteReportGroup({ arn }), 'AccessDeniedException');
    await refused(
      owner.putResourcePolicy({ resourceArn: arn, policy: policy('x', { Resource: arn }) }),
      'InvalidInputException',
      /codebuild:BatchGetProjects cannot be shared/,
    );
  });
});

describe('ListSharedProjects', () => {
  it('sorts and pages', async () => {
    const names = ['list-b', 'list-c', 'list-a'];
    for (const name of names) {
      await bench.project(name, commands('true'));
      await share(name);
    }
    const list = async (input: Parameters<typeof guest.listSharedProjects>[0]) => {
      const all: string[] = [];
      let nextToken: string | undefined;
      do {
        const page = await guest.listSharedProjects({ ...input, nextToken, maxResults: 2 });
        assert.ok(page.projects!.length <= 2);
        all.push(...page.projects!.map((arn) => arn.split('/')[1]!));
        nextToken = page.nextToken;
      } while (nextToken);
      return all.filter((name) => name.startsWith('list-'));
    };
    assert.deepEqual(await list({ sortBy: 'ARN' }), ['list-a', 'list-b', 'list-c']);
    assert.deepEqual(await list({ sortBy: 'ARN', sortOrder: 'DESCENDING' }), ['list-c', 'list-b', 'list-a']);
    assert.deepEqual(await list({ sortBy: 'MODIFIED_TIME' }), names);
    assert.deepEqual(await list({ sortBy: 'MODIFIED_TIME', sortOrder: 'DESCENDING' }), [...names].reverse());
    const { nextToken } = await guest.listSharedProjects({ maxResults: 1 });
    await refused(guest.listSharedProjects({ nextToken, sortOrder: 'DESCENDING' }), 'InvalidInputException', /next token/);
    await refused(guest.listSharedProjects({ nextToken: 'forged' }), 'InvalidInputException', /next token/);
    await refused(guest.listSharedProjects({ maxResults: 101 }), 'InvalidInputException');
  });
});

describe('PutResourcePolicy refuses', () => {
  before(() => bench.project('strict', commands('true')));
  const cases: [why: string, change: object, message: RegExp][] = [
    ['an action that nobody can share', { Action: 'codebuild:StartBuild' }, /codebuild:StartBuild cannot be shared/],
    ['an action of another service', { Action: 's3:GetObject' }, /s3:GetObject cannot be shared/],
    ['another resource', { Resource: 'arn:aws:codebuild:us-east-1:123456789012:project/other' }, /is not arn:aws/],
    ['all actions but some', { Action: undefined, NotAction: 'codebuild:StartBuild' }, /not supported/],
    ['everybody but some', { Principal: undefined, NotPrincipal: { AWS: OTHER } }, /not supported/],
    ['no principal', { Principal: undefined }, /Missing required field Principal/],
    ['a principal that is none', { Principal: { AWS: 'arn:aws:s3:::bucket' } }, /Invalid principal/],
    ['an unknown element', { Prinzipal: '*' }, /Syntax errors/],
  ];
  for (const [why, change, message] of cases) {
    it(why, () => refused(share('strict', change), 'InvalidInputException', message));
  }
  it('what is no policy, one that is too long, and what is not there', async () => {
    const resourceArn = arnOf('strict');
    for (const text of ['{', '[]', '"x"', 'null', '{"Version":"2012-10-17","Statement":[]}']) {
      await refused(owner.putResourcePolicy({ resourceArn, policy: text }), 'InvalidInputException', /Invalid resource policy/);
    }
    const long = policy('strict').replace('{', `{${' '.repeat(21_000)}`);
    await refused(owner.putResourcePolicy({ resourceArn, policy: long }), 'InvalidInputException', /longer than/);
    await refused(owner.putResourcePolicy({ resourceArn: arnOf('nothing'), policy: policy('nothing') }), 'ResourceNotFoundException');
    const reports = arnOf('x').replace('project/', 'report-group/');
    await refused(
      owner.putResourcePolicy({ resourceArn: reports, policy: policy('x', { Action: 'codebuild:BatchGetReports', Resource: reports }) }),
      'ResourceNotFoundException',
    );
    for (const arn of ['x', `${resourceArn}/..`, resourceArn.replace('project', 'build'), resourceArn.replace('us-', 'eu-')]) {
      await refused(
        owner.putResourcePolicy({ resourceArn: arn, policy: policy('strict') }),
        'InvalidInputException',
        /Invalid resource ARN/,
      );
    }
    await refused(owner.getResourcePolicy({ resourceArn }), 'ResourceNotFoundException');
  });
});
