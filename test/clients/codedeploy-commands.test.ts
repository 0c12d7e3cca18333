/** The service of host agents: who may ask for what; and the events that tell of it all. */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { CloudWatchLogsClient, CreateLogGroupCommand, FilterLogEventsCommand } from '@aws-sdk/client-cloudwatch-logs';
import {
  AddTagsToOnPremisesInstancesCommand,
  DeregisterOnPremisesInstanceCommand,
  RegisterOnPremisesInstanceCommand,
} from '@aws-sdk/client-codedeploy';
import { EventBridgeClient, PutRuleCommand, PutTargetsCommand } from '@aws-sdk/client-eventbridge';
import { CreateRoleCommand } from '@aws-sdk/client-iam';
import { AssumeRoleCommand, STSClient } from '@aws-sdk/client-sts';
import { callCommandService, holdAt, Rollouts, SimulatedHost } from '../support/codedeploy.ts';
import { startServer, type TestServer } from '../support/server.ts';

let server: TestServer;
let rollouts: Rollouts;

before(async () => {
  server = await startServer();
  rollouts = await Rollouts.open(server);
});
after(async () => {
  await rollouts?.close();
  await server?.stop();
});
afterEach(() => rollouts.stopHosts());

const trustAccount = () =>
  JSON.stringify({
    Version: '2012-10-17',
    Statement: [{ Effect: 'Allow', Principal: { AWS: `arn:aws:iam::${server.account}:root` }, Action: 'sts:AssumeRole' }],
  });
const revision = (name: string) => rollouts.revision(`${name}.zip`);

describe('the command service', () => {
  test('lets no host speak for another', async () => {
    const held = holdAt('Install', 'before');
    const { name } = await rollouts.fleet(1, held.behave);
    const stranger = await rollouts.host(`${name}-stranger`);
    const [host] = rollouts.hosts;
    await assert.rejects(stranger.call('PollHostCommand', { HostIdentifier: host!.identity }), {
      code: 'AccessDeniedException',
      status: 400,
    });
    const id = await rollouts.deploy(name, await revision(name));
    const taken = await held.reached;
    await assert.rejects(stranger.specification(taken), { code: 'ClientException' });
    await assert.rejects(stranger.acknowledge(taken), { code: 'ClientException' });
    await assert.rejects(stranger.complete(taken, { fail: {} }), { code: 'ClientException' });
    await assert.rejects(stranger.call('PostHostCommandUpdate', { HostCommandIdentifier: taken.HostCommandIdentifier }), {
      code: 'ClientException',
    });
    assert.deepEqual(await host!.call('PostHostCommandUpdate', { HostCommandIdentifier: taken.HostCommandIdentifier }), {
      CommandStatus: 'Pending',
    });
    held.open();
    assert.equal((await rollouts.settled(id)).status, 'Succeeded');
  });

  test('is for registered hosts only', async () => {
    const administrator = server.credentials;
    await assert.rejects(callCommandService(server, administrator, 'PollHostCommand', { HostIdentifier: 'arn:aws:iam::1:user/x' }), {
      code: 'AccessDeniedException',
    });
    const host = await rollouts.host('was-here');
    await rollouts.codedeploy.send(new DeregisterOnPremisesInstanceCommand({ instanceName: 'was-here' }));
    await assert.rejects(host.poll(), { code: 'ClientException' });
    const forged = { ...host.credentials, secretAccessKey: 'wrong' };
    await assert.rejects(callCommandService(server, forged, 'PollHostCommand', { HostIdentifier: host.identity }), { status: 403 });
  });

  test('knows hosts by the session of a role too', async () => {
    const { Arn } = (await rollouts.iam.send(new CreateRoleCommand({ RoleName: 'hosts', AssumeRolePolicyDocument: trustAccount() }))).Role!;
    const sts = new STSClient(server.client);
    const { Credentials: given } = await sts.send(new AssumeRoleCommand({ RoleArn: Arn!, RoleSessionName: 'rack-7' }));
    sts.destroy();
    const iamSessionArn = `arn:aws:sts::${server.account}:assumed-role/hosts/rack-7`;
    await rollouts.codedeploy.send(new RegisterOnPremisesInstanceCommand({ instanceName: 'rack-7', iamSessionArn }));
    const name = rollouts.newName();
    await rollouts.application(name);
    const tags = [{ Key: 'Fleet', Value: name }];
    await rollouts.codedeploy.send(new AddTagsToOnPremisesInstancesCommand({ instanceNames: ['rack-7'], tags }));
    const credentials = {
      accessKeyId: given!.AccessKeyId!,
      secretAccessKey: given!.SecretAccessKey!,
      sessionToken: given!.SessionToken!,
    };
    await using host = new SimulatedHost(server, 'rack-7', iamSessionArn, credentials);
    host.start();
    assert.equal((await rollouts.settled(await rollouts.deploy(name, await revision(name)))).status, 'Succeeded');
  });

  // Handed to the dead, the command would come again only after 15 s.
  test('hands nothing to an agent that has gone', { timeout: 12_000 }, async () => {
    const name = rollouts.newName();
    await rollouts.application(name);
    const host = await rollouts.host(`${name}-1`, { Fleet: name });
    const going = new AbortController();
    const dead = callCommandService(
      server,
      host.credentials,
      'PollHostCommand',
      { HostIdentifier: host.identity },
      { signal: going.signal },
    );
    await new Promise((resolve) => setTimeout(resolve, 200));
    going.abort();
    await assert.rejects(dead, { name: 'AbortError' });
    const id = await rollouts.deploy(name, await revision(name));
    await rollouts.settled(id, ['InProgress']);
    // Time for the mistake to be made.
    await new Promise((resolve) => setTimeout(resolve, 300));
    host.start();
    assert.equal((await rollouts.settled(id)).status, 'Succeeded');
  });

  test('asks for permissions under its newer name', async () => {
    const host = await rollouts.host('guarded');
    const poll = () =>
      callCommandService(server, host.credentials, 'PostHostCommandUpdate', { HostCommandIdentifier: 'x' }, { secure: true });
    await assert.rejects(poll(), { code: 'AccessDeniedException' });
    await rollouts.allow('guarded', 'codedeploy-commands-secure:*');
    await assert.rejects(poll(), { code: 'ClientException' });
  });
});

test('events tell what becomes of the deployment and of each instance', async () => {
  const logs = new CloudWatchLogsClient(server.client);
  const events = new EventBridgeClient(server.client);
  try {
    const logGroupName = '/aws/events/rollouts';
    await logs.send(new CreateLogGroupCommand({ logGroupName }));
    await events.send(new PutRuleCommand({ Name: 'rollouts', EventPattern: JSON.stringify({ source: ['aws.codedeploy'] }) }));
    const Arn = `arn:aws:logs:${server.region}:${server.account}:log-group:${logGroupName}`;
    await events.send(new PutTargetsCommand({ Rule: 'rollouts', Targets: [{ Id: 'logs', Arn }] }));
    const { name, hosts } = await rollouts.fleet(2);
    hosts[1]!.behave = ({ CommandName }) => (CommandName === 'Install' ? { fail: { error_code: 5 } } : 'succeed');
    const id = await rollouts.deploy(name, await revision(name));
    assert.equal((await rollouts.settled(id)).status, 'Succeeded');
    let told: any[] = [];
    while (told.length < 6) {
      const { events: lines = [] } = await logs.send(new FilterLogEventsCommand({ logGroupName }));
      told = lines.map(({ message }) => JSON.parse(message!));
    }
    const states = told.map((event) => `${event['detail-type']}: ${event.detail.instanceId ?? 'all'} ${event.detail.state}`);
    assert.deepEqual(states.toSorted(), [
      'CodeDeploy Deployment State-change Notification: all START',
      'CodeDeploy Deployment State-change Notification: all SUCCESS',
      `CodeDeploy Instance State-change Notification: ${name}-1 START`,
      `CodeDeploy Instance State-change Notification: ${name}-1 SUCCESS`,
      `CodeDeploy Instance State-change Notification: ${name}-2 FAILURE`,
      `CodeDeploy Instance State-change Notification: ${name}-2 START`,
    ]);
    const arn = (rest: string) => `arn:aws:codedeploy:${server.region}:${server.account}:${rest}`;
    for (const { resources, detail } of told) {
      assert.deepEqual(resources, [arn(`application:${name}`), arn(`deploymentgroup:${name}/Fleet`)]);
      const { application, deploymentGroup, deploymentId, region } = detail;
      assert.deepEqual([application, deploymentGroup, deploymentId, region], [name, 'Fleet', id, server.region]);
    }
  } finally {
    logs.destroy();
    events.destroy();
  }
});
