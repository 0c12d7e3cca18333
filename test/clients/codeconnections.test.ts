import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { allow, type BuildBench, buildBench, commands, phaseLines, trust } from '../support/codebuild.ts';
import { GitProvider } from '../support/git-provider.ts';
import { refused } from '../support/refused.ts';
import { startServer, type TestServer } from '../support/server.ts';
import { signedCall } from '../support/signed-call.ts';

let server: TestServer;
let provider: GitProvider;
let bench: BuildBench;
let commit: string;

before(async () => {
  provider = await GitProvider.start();
  server = await startServer({ env: provider.env });
  bench = await buildBench(server);
  commit = await provider.commit('acme/app', 'main', { 'buildspec.yml': commands('true') });
});
after(async () => {
  await server.stop();
  await provider[Symbol.asyncDispose]();
});

const call = (operation: string, input: object = {}) =>
  signedCall(server, 'codeconnections', `com.amazonaws.codeconnections.CodeConnections_20231201.${operation}`, input);

async function connection(input: object): Promise<string> {
  return (await call('CreateConnection', { ConnectionName: 'c', ...input })).ConnectionArn;
}

/** Status and output of `penstock connection complete`. */
async function complete(arn: string, token: string): Promise<[number, string]> {
  const main = path.join(import.meta.dirname, '../../src/main.ts');
  const child = spawn(process.execPath, [main, 'connection', 'complete', arn, '--token-stdin', '--data', server.dataDir], {
    env: { ...server.env, PENSTOCK_LOG_LEVEL: 'error' },
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (said += chunk));
  child.stdin.end(`${token}\n`);
  const [status] = await once(child, 'close');
  return [status, said];
}

test('connections and hosts are made, listed by pages, tagged and deleted', async () => {
  const own = { Name: 'Our server', ProviderType: 'GitHubEnterpriseServer', ProviderEndpoint: 'https://git.example.com' };
  const { HostArn } = await call('CreateHost', own);
  assert.match(HostArn, new RegExp(`^arn:aws:codeconnections:${server.region}:${server.account}:host/Our-server-[0-9a-f]{8}$`));
  assert.deepEqual(await call('GetHost', { HostArn }), { ...own, Status: 'AVAILABLE' });
  const first = await connection({ ConnectionName: 'first', ProviderType: 'GitHub', Tags: [{ Key: 'team', Value: 'a' }] });
  assert.match(first, new RegExp(`^arn:aws:codeconnections:${server.region}:${server.account}:connection/[0-9a-f-]{36}$`));
  const second = await connection({ ConnectionName: 'second', HostArn });
  const described = { ConnectionName: 'second', ConnectionArn: second, ProviderType: 'GitHubEnterpriseServer', OwnerAccountId: server.account, ConnectionStatus: 'PENDING', HostArn }; // biome-ignore format: one line
  assert.deepEqual((await call('GetConnection', { ConnectionArn: second })).Connection, described);
  const page = await call('ListConnections', { MaxResults: 1 });
  assert.deepEqual(page.Connections.map((one: any) => one.ConnectionArn), [first]); // biome-ignore format: one line
  assert.deepEqual((await call('ListConnections', { MaxResults: 1, NextToken: page.NextToken })).Connections, [described]);
  assert.deepEqual((await call('ListConnections', { HostArnFilter: HostArn })).Connections, [described]);
  assert.equal((await call('ListConnections', { ProviderTypeFilter: 'GitLab' })).Connections.length, 0);
  assert.deepEqual((await call('ListHosts')).Hosts, [{ ...own, HostArn, Status: 'AVAILABLE' }]);
  await call('TagResource', { ResourceArn: first, Tags: [{ Key: 'x', Value: 'y' }] });
  await call('UntagResource', { ResourceArn: first, TagKeys: ['team'] });
  assert.deepEqual((await call('ListTagsForResource', { ResourceArn: first })).Tags, [{ Key: 'x', Value: 'y' }]);
  await refused(call('DeleteHost', { HostArn }), 'ResourceUnavailableException');
  await call('DeleteConnection', { ConnectionArn: second });
  await call('DeleteHost', { HostArn });
  await refused(call('GetHost', { HostArn }), 'ResourceNotFoundException');
  await refused(call('DeleteConnection', { ConnectionArn: second }), 'ResourceNotFoundException');
  const wrong: [object, RegExp][] = [
    [{}, /Either ProviderType or HostArn/],
    [{ ProviderType: 'GitLabSelfManaged' }, /needs the HostArn/],
    [{ ProviderType: 'AzureDevOps' }, /not available/],
  ];
  for (const [input, message] of wrong) await refused(connection(input), 'ValidationException', message);
  for (const ProviderEndpoint of ['http://git.example.com', 'https://u:p@git.example.com', 'https://git.example.com/path', 'x'])
    await refused(call('CreateHost', { ...own, ProviderEndpoint }), 'ValidationException', /must be the HTTPS URL of a server/);
});

test('the service answers to its old name too, with ARNs of that name', async () => {
  const old = (operation: string, input: object = {}) =>
    signedCall(server, 'codestar-connections', `com.amazonaws.codestar.connections.CodeStar_connections_20191201.${operation}`, input);
  const { HostArn } = await old('CreateHost', {
    Name: 'h',
    ProviderType: 'GitLabSelfManaged',
    ProviderEndpoint: 'https://git.example.com',
  });
  const { ConnectionArn } = await old('CreateConnection', { ConnectionName: 'old', HostArn });
  assert.match(ConnectionArn, new RegExp(`^arn:aws:codestar-connections:${server.region}:${server.account}:connection/`));
  const { Connection } = await call('GetConnection', { ConnectionArn });
  assert.deepEqual((await old('GetConnection', { ConnectionArn })).Connection, Connection);
  assert.deepEqual((await old('ListConnections', { HostArnFilter: HostArn })).Connections, [Connection]);
  await old('TagResource', { ResourceArn: ConnectionArn, Tags: [{ Key: 'a', Value: 'b' }] });
  assert.deepEqual((await call('ListTagsForResource', { ResourceArn: ConnectionArn })).Tags, [{ Key: 'a', Value: 'b' }]);
  await old('DeleteConnection', { ConnectionArn });
  await old('DeleteHost', { HostArn });
});

test('a build clones by a connection once an operator has completed it, if its role may use it', async () => {
  const arn = await connection({ ProviderType: 'GitHub' });
  const auth = { type: 'CODECONNECTIONS', resource: arn } as const;
  await bench.project('connected', '', { source: { type: 'GITHUB', location: `${provider.url}/acme/app`, auth } });
  const failure = async () => phaseLines(await bench.build('connected')).find((line) => line.startsWith('DOWNLOAD_SOURCE'));
  assert.match((await failure())!, /authorization failed .*ResourceUnavailableException: .* is PENDING/);
  const [status, said] = await complete(arn, provider.token);
  assert.deepEqual([status, said], [0, `${arn} is available.\n`]);
  assert.equal((await call('GetConnection', { ConnectionArn: arn })).Connection.ConnectionStatus, 'AVAILABLE');
  assert.equal((await bench.build('connected')).resolvedSourceVersion, commit);
  const { Role } = await bench.iam.createRole({ RoleName: 'narrow', AssumeRolePolicyDocument: trust('codebuild.amazonaws.com') });
  await bench.iam.putRolePolicy({ RoleName: 'narrow', PolicyName: 'p', PolicyDocument: allow('logs:*') });
  await bench.codebuild.updateProject({ name: 'connected', serviceRole: Role!.Arn! });
  assert.match((await failure())!, /authorization failed .*AccessDenied/);
  // Nobody outside gets the token.
  await refused(call('GetConnectionToken', { ConnectionArn: arn }), 'NotImplementedException');
  const [wrong, why] = await complete(arn.replace(/.{12}$/, '0'.repeat(12)), 'x');
  assert.equal(wrong, 1);
  assert.match(why, /There is no connection/);
});

test('a connection is an account’s source credential, and goes to its own host only', async () => {
  const { codebuild } = bench;
  const elsewhere = { Name: 'other', ProviderType: 'GitHubEnterpriseServer', ProviderEndpoint: 'https://git.example.com' };
  const { HostArn } = await call('CreateHost', elsewhere);
  const arn = await connection({ HostArn });
  await complete(arn, provider.token);
  const given = { serverType: 'GITHUB_ENTERPRISE', authType: 'CODECONNECTIONS', token: arn } as const;
  await refused(codebuild.importSourceCredentials({ ...given, serverType: 'GITLAB' }), 'InvalidInputException', /provider type/);
  await codebuild.importSourceCredentials(given);
  const { sourceCredentialsInfos } = await codebuild.listSourceCredentials({});
  assert.deepEqual(sourceCredentialsInfos!.map(({ authType, resource }) => [authType, resource]), [['CODECONNECTIONS', arn]]); // biome-ignore format: one line
  const location = `${provider.secureUrl}/acme/app`;
  await bench.project('own-server', '', { source: { type: 'GITHUB_ENTERPRISE', location, insecureSsl: true } });
  const failed = phaseLines(await bench.build('own-server')).find((line) => line.startsWith('DOWNLOAD_SOURCE'));
  assert.match(failed!, /the connection is for https:\/\/git\.example\.com\/, and the repository is at/);
  // At another server the token of before is worth nothing.
  await call('UpdateHost', { HostArn, ProviderEndpoint: provider.secureUrl });
  assert.equal((await call('GetConnection', { ConnectionArn: arn })).Connection.ConnectionStatus, 'PENDING');
  await complete(arn, provider.token);
  assert.equal((await bench.build('own-server')).resolvedSourceVersion, commit);
  assert.equal(server.log().includes(provider.token), false);
});
