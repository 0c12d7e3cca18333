import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { CloudTrail } from '@aws-sdk/client-cloudtrail';
import { CodeBuild, type CreateProjectCommandInput } from '@aws-sdk/client-codebuild';
import { allow, type BuildBench, buildBench, commands, trust } from '../support/codebuild.ts';
import { startServer, type TestServer } from '../support/server.ts';

let server: TestServer;
let bench: BuildBench;
let codebuild: CodeBuild;

before(async () => {
  server = await startServer();
  bench = await buildBench(server);
  codebuild = bench.codebuild;
});
after(() => server.stop());

const fails = (name: string, message?: RegExp) => (error: Error) => error.name === name && (!message || message.test(error.message));

test('a project is made with CodeBuild’s defaults, changed, found by name and ARN, and deleted', async () => {
  await bench.project('app', commands('true'), {
    tags: [{ key: 'team', value: 'a' }],
    artifacts: { type: 'S3', location: bench.bucket },
    sourceVersion: 'main',
    description: 'The app',
  });
  const arn = `arn:aws:codebuild:${server.region}:${server.account}:project/app`;
  const { projects, projectsNotFound } = await codebuild.batchGetProjects({ names: ['app', arn, 'nothing'] });
  assert.deepEqual(projectsNotFound, ['nothing']);
  const project = projects![0]!;
  assert.equal(project.arn, arn);
  assert.equal(projects![1]!.name, 'app');
  assert.equal(project.timeoutInMinutes, 60);
  assert.equal(project.queuedTimeoutInMinutes, 480);
  assert.equal(project.encryptionKey, `arn:aws:kms:${server.region}:${server.account}:alias/aws/s3`);
  assert.deepEqual(project.cache, { type: 'NO_CACHE' });
  assert.deepEqual(project.artifacts, {
    type: 'S3',
    location: bench.bucket,
    name: 'app',
    packaging: 'NONE',
    namespaceType: 'NONE',
    encryptionDisabled: false,
  });
  assert.deepEqual(project.tags, [{ key: 'team', value: 'a' }]);
  assert.ok(project.created instanceof Date);

  const { project: changed } = await codebuild.updateProject({ name: 'app', description: 'Changed', timeoutInMinutes: 10, tags: [] });
  assert.equal(changed!.description, 'Changed');
  assert.equal(changed!.timeoutInMinutes, 10);
  assert.equal(changed!.sourceVersion, 'main', 'what was not given stays');
  assert.deepEqual(changed!.tags, []);
  const vpcConfig = { vpcId: 'vpc-1', subnets: ['subnet-1'], securityGroupIds: ['sg-1'] };
  assert.deepEqual((await codebuild.updateProject({ name: 'app', vpcConfig })).project!.vpcConfig, vpcConfig);
  assert.equal((await codebuild.updateProject({ name: 'app', vpcConfig: {} })).project!.vpcConfig, undefined);

  await assert.rejects(
    bench.project('app', commands('true')),
    fails('ResourceAlreadyExistsException', new RegExp(`Project already exists: ${arn}`)),
  );
  await codebuild.deleteProject({ name: 'app' });
  await codebuild.deleteProject({ name: 'app' });
  const { Events } = await new CloudTrail(server.client).lookupEvents({
    LookupAttributes: [{ AttributeKey: 'ResourceName', AttributeValue: 'app' }],
  });
  assert.equal(Events!.filter(({ EventName }) => EventName === 'DeleteProject').length, 2);
  await assert.rejects(
    codebuild.updateProject({ name: 'app' }),
    fails('ResourceNotFoundException', new RegExp(`Project cannot be found: ${arn}`)),
  );
  await assert.rejects(codebuild.startBuild({ projectName: 'app' }), fails('ResourceNotFoundException'));
  await assert.rejects(codebuild.invalidateProjectCache({ projectName: 'app' }), fails('ResourceNotFoundException'));
});

const environment = { type: 'LINUX_CONTAINER', image: 'x', computeType: 'BUILD_GENERAL1_SMALL' } as const;
const secondary = (count: number) =>
  Array.from({ length: count }, (_, index) => ({ type: 'S3', location: 'b/k', sourceIdentifier: `s${index}` }) as const);
const broken: [why: string, change: Partial<CreateProjectCommandInput>][] = [
  ['a name with a dot', { name: 'a.b' }],
  ['a name of one character', { name: 'a' }],
  ['NO_SOURCE without a buildspec', { source: { type: 'NO_SOURCE' } }],
  ['NO_SOURCE with a path as buildspec', { source: { type: 'NO_SOURCE', buildspec: 'ci/build.yml' } }],
  ['NO_SOURCE with a location', { source: { type: 'NO_SOURCE', location: 'x', buildspec: commands('true') } }],
  ['S3 source without a location', { source: { type: 'S3' } }],
  ['S3 source that is only a bucket', { source: { type: 'S3', location: 'bucket' } }],
  ['CODECOMMIT source that is no repository', { source: { type: 'CODECOMMIT', location: 'https://example.com/repo.git' } }],
  ['CODEPIPELINE source with other artifacts', { source: { type: 'CODEPIPELINE' } }],
  ['CODEPIPELINE artifacts with another source', { artifacts: { type: 'CODEPIPELINE' } }],
  ['an unknown source type', { source: { type: 'SVN' as never } }],
  ['S3 artifacts without a bucket', { artifacts: { type: 'S3' } }],
  ['a secondary source without identifier', { secondarySources: [{ type: 'S3', location: 'b/k' }] }],
  ['two secondary sources of one identifier', { secondarySources: [secondary(1)[0]!, secondary(1)[0]!] }],
  ['13 secondary sources', { secondarySources: secondary(13) }],
  ['a secondary artifact of another type', { secondaryArtifacts: [{ type: 'CODEPIPELINE', artifactIdentifier: 'a' }] }],
  ['an artifact identifier with a dash', { secondaryArtifacts: [{ type: 'S3', location: 'b', artifactIdentifier: 'a-b' }] }],
  ['a version of no source', { secondarySourceVersions: [{ sourceIdentifier: 'x', sourceVersion: '1' }] }],
  ['a variable with a space', { environment: { ...environment, environmentVariables: [{ name: 'A B', value: '1' }] } }],
  ['a reserved variable', { environment: { ...environment, environmentVariables: [{ name: 'CODEBUILD_X', value: '1' }] } }],
  [
    'the same variable twice',
    {
      environment: {
        ...environment,
        environmentVariables: [
          { name: 'A', value: '1' },
          { name: 'A', value: '2' },
        ],
      },
    },
  ],
  ['an S3 cache without a place', { cache: { type: 'S3' } }],
  ['S3 logs without a place', { logsConfig: { s3Logs: { status: 'ENABLED' } } }],
  ['a time-out of 4 minutes', { timeoutInMinutes: 4 }],
  ['a role of another account', { serviceRole: 'arn:aws:iam::999999999999:role/x' }],
  ['a role that is no ARN', { serviceRole: 'builds' }],
  ['no processor', { environment: { ...environment, computeConfiguration: { vCpu: -1 } } }],
  ['room for no build', { concurrentBuildLimit: 0 }],
  ['a negative number of retries', { autoRetryLimit: -1 }],
  ['a tag without a key', { tags: [{ value: 'v' }] }],
  [
    'the same tag twice',
    {
      tags: [
        { key: 'k', value: '1' },
        { key: 'k', value: '2' },
      ],
    },
  ],
  ['a tag of AWS’s own', { tags: [{ key: 'aws:k', value: 'v' }] }],
  ['a description with a NUL', { description: 'a\0b' }],
  ['a description with half of a surrogate pair', { description: 'a\ud800b' }],
];
for (const [why, change] of broken) {
  test(`refused with InvalidInputException: ${why}`, async () => {
    await assert.rejects(bench.project(change.name ?? 'broken', commands('true'), change), fails('InvalidInputException'));
    const { projectsNotFound } = await codebuild.batchGetProjects({ names: ['broken'] });
    assert.deepEqual(projectsNotFound, ['broken'], 'nothing was made');
  });
}

test('names that nothing can have are wrong input, not a failure', async () => {
  await bench.project('nameable', commands('true'));
  await assert.rejects(codebuild.batchGetProjects({ names: ['a\0b'] }), fails('InvalidInputException', /character that is not supported/));
  await assert.rejects(codebuild.batchGetFleets({ names: ['a\0b'] }), fails('InvalidInputException', /character that is not supported/));
  await assert.rejects(codebuild.startBuild({ projectName: 'a\0b' }), fails('InvalidInputException', /character that is not supported/));
});

test('a role that CodeBuild may not assume is refused in CodeBuild’s words', async () => {
  const message = /^CodeBuild is not authorized to perform: sts:AssumeRole on service role\. Please verify that: 1\)/;
  const missing = `arn:aws:iam::${server.account}:role/missing`;
  await assert.rejects(bench.project('no-role', commands('true'), { serviceRole: missing }), fails('InvalidInputException', message));
  const { Role } = await bench.iam.createRole({ RoleName: 'for-lambda', AssumeRolePolicyDocument: trust('lambda.amazonaws.com') });
  await assert.rejects(bench.project('no-role', commands('true'), { serviceRole: Role!.Arn! }), fails('InvalidInputException', message));
});

test('who may create projects but not pass the role cannot create one', async () => {
  await bench.iam.createUser({ UserName: 'limited' });
  await bench.iam.putUserPolicy({ UserName: 'limited', PolicyName: 'p', PolicyDocument: allow('codebuild:*') });
  const { AccessKey } = await bench.iam.createAccessKey({ UserName: 'limited' });
  const limited = new CodeBuild({
    ...server.client,
    credentials: { accessKeyId: AccessKey!.AccessKeyId!, secretAccessKey: AccessKey!.SecretAccessKey! },
  });
  const project = {
    name: 'theirs',
    source: { type: 'NO_SOURCE', buildspec: commands('true') },
    artifacts: { type: 'NO_ARTIFACTS' },
    environment,
    serviceRole: bench.role,
  } as const;
  await assert.rejects(limited.createProject(project), fails('AccessDeniedException', /iam:PassRole/));
  await bench.iam.putUserPolicy({ UserName: 'limited', PolicyName: 'q', PolicyDocument: allow('iam:PassRole', bench.role) });
  assert.equal((await limited.createProject(project)).project!.name, 'theirs');
});

test('projects are listed in every order, page by page', async () => {
  const names = ['list-b', 'list-a', 'list-c'];
  for (const name of names) await bench.project(name, commands('true'));
  await codebuild.updateProject({ name: 'list-b', description: 'last' });
  const list = async (sortBy: 'NAME' | 'CREATED_TIME' | 'LAST_MODIFIED_TIME', sortOrder: 'ASCENDING' | 'DESCENDING') =>
    (await codebuild.listProjects({ sortBy, sortOrder })).projects!.filter((name) => name.startsWith('list-'));
  assert.deepEqual(await list('NAME', 'ASCENDING'), ['list-a', 'list-b', 'list-c']);
  assert.deepEqual(await list('NAME', 'DESCENDING'), ['list-c', 'list-b', 'list-a']);
  assert.deepEqual(await list('CREATED_TIME', 'ASCENDING'), names);
  assert.deepEqual(await list('LAST_MODIFIED_TIME', 'DESCENDING'), ['list-b', 'list-c', 'list-a']);
  await assert.rejects(codebuild.listProjects({ nextToken: 'forged' }), fails('InvalidInputException'));
});
