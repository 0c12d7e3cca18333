/** What tests and benches of CodeDeploy share: a service role, applications, and hosts that speak the command protocol. */
import assert from 'node:assert/strict';
import { Agent, request } from 'node:http';
import {
  AddTagsToOnPremisesInstancesCommand,
  CodeDeployClient,
  CreateApplicationCommand,
  CreateDeploymentCommand,
  CreateDeploymentGroupCommand,
  type CreateDeploymentGroupCommandInput,
  type DeploymentInfo,
  GetDeploymentCommand,
  GetDeploymentTargetCommand,
  type InstanceTarget,
  RegisterOnPremisesInstanceCommand,
  type RevisionLocation,
  UpdateDeploymentGroupCommand,
  type UpdateDeploymentGroupCommandInput,
} from '@aws-sdk/client-codedeploy';
import {
  CreateAccessKeyCommand,
  CreateRoleCommand,
  CreateUserCommand,
  IAMClient,
  PutRolePolicyCommand,
  PutUserPolicyCommand,
} from '@aws-sdk/client-iam';
import { CreateBucketCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import type { TestServer } from './server.ts';
import { amzDate, authorization, type Credentials, sha256 } from './signed-call.ts';

export class CommandError extends Error {
  override readonly name = 'CommandError';
  readonly status: number;
  readonly code: string;
  constructor(status: number, code: string, message: string) {
    super(`${status} ${code}: ${message}`);
    this.status = status;
    this.code = code;
  }
}

const connections = new Agent({ keepAlive: true });

/** One signed call of the command service, as AWS's agent makes it. */
export async function callCommandService(
  server: Pick<TestServer, 'endpoint' | 'region'>,
  credentials: Credentials,
  operation: string,
  input: object,
  { secure = false, signal }: { secure?: boolean; signal?: AbortSignal } = {},
): Promise<any> {
  const url = new URL(server.endpoint);
  const body = JSON.stringify(input);
  const service = secure ? 'codedeploy-commands-secure' : 'codedeploy-commands';
  const headers: Record<string, string> = {
    'content-type': 'application/x-amz-json-1.1',
    host: url.host,
    'x-amz-codedeploy-agent-version': 'simulated',
    'x-amz-content-sha256': sha256(body),
    'x-amz-date': amzDate(),
    'x-amz-target': `${secure ? 'CodeDeployCommandService' : 'CodeDeployCommandService_v20141006'}.${operation}`,
    ...(credentials.sessionToken && { 'x-amz-security-token': credentials.sessionToken }),
  };
  headers.authorization = authorization(headers, body, credentials, server.region, service);
  const { status, text } = await send(url, headers, body, signal);
  const answer = text ? JSON.parse(text) : {};
  if (status !== 200) throw new CommandError(status, String(answer.__type).split('#').at(-1)!, answer.message ?? answer.Message ?? text);
  return answer;
}

function send(url: URL, headers: Record<string, string>, body: string, signal?: AbortSignal): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const options = { method: 'POST', headers: { ...headers, 'content-length': Buffer.byteLength(body) }, agent: connections };
    const outgoing = request(url, { ...options, ...(signal && { signal }) }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk) => chunks.push(chunk));
      response.on('end', () => resolve({ status: response.statusCode!, text: Buffer.concat(chunks).toString() }));
      response.on('error', reject);
    });
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}

export interface HostCommand {
  HostCommandIdentifier: string;
  HostIdentifier: string;
  DeploymentExecutionId: string;
  CommandName: string;
}

/** What a simulated host does with a command. Default: everything succeeds. */
export type Behaviour = (command: HostCommand, host: SimulatedHost) => Outcome | Promise<Outcome>;
export type Outcome = 'noop' | 'succeed' | { fail: object };

/** A host whose agent does nothing but speak the protocol. */
export class SimulatedHost implements AsyncDisposable {
  readonly name: string;
  readonly identity: string;
  readonly credentials: Credentials;
  /** Every command it got, in order, e.g. `d-ABCDEFGHI Install`. */
  readonly seen: string[] = [];
  behave: Behaviour = () => 'succeed';
  readonly #server: Pick<TestServer, 'endpoint' | 'region'>;
  readonly #stopping = new AbortController();
  #running: Promise<void> | undefined;

  constructor(server: Pick<TestServer, 'endpoint' | 'region'>, name: string, identity: string, credentials: Credentials) {
    this.#server = server;
    this.name = name;
    this.identity = identity;
    this.credentials = credentials;
  }

  call(operation: string, input: object): Promise<any> {
    return callCommandService(this.#server, this.credentials, operation, input, { signal: this.#stopping.signal });
  }

  async poll(): Promise<HostCommand | undefined> {
    return (await this.call('PollHostCommand', { HostIdentifier: this.identity })).HostCommand;
  }

  specification(command: HostCommand): Promise<any> {
    return this.call('GetDeploymentSpecification', { DeploymentExecutionId: command.DeploymentExecutionId, HostIdentifier: this.identity });
  }

  acknowledge(command: HostCommand, noop = false): Promise<any> {
    return this.call('PutHostCommandAcknowledgement', {
      HostCommandIdentifier: command.HostCommandIdentifier,
      Diagnostics: { Format: 'JSON', Payload: JSON.stringify({ IsCommandNoop: noop }) },
    });
  }

  complete(command: HostCommand, outcome: Outcome): Promise<any> {
    const failed = typeof outcome === 'object';
    return this.call('PutHostCommandComplete', {
      HostCommandIdentifier: command.HostCommandIdentifier,
      CommandStatus: failed ? 'Failed' : 'Succeeded',
      Diagnostics: {
        Format: 'JSON',
        Payload: JSON.stringify(failed ? outcome.fail : { error_code: 0, script_name: '', message: 'Succeeded', log: '' }),
      },
    });
  }

  /** Takes commands until it is stopped. Whatever fails on the way (a killed server) is tried again, as agents do. */
  start(): this {
    this.#running = this.#loop();
    return this;
  }

  async #loop(): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      const command = await this.#persist(() => this.poll());
      if (!command) continue;
      this.seen.push(`${command.DeploymentExecutionId.split('/')[2]} ${command.CommandName}`);
      await this.#persist(() => this.specification(command));
      const outcome = await this.behave(command, this);
      const { CommandStatus } = (await this.#persist(() => this.acknowledge(command, outcome === 'noop'))) ?? {};
      if (CommandStatus === 'InProgress') await this.#persist(() => this.complete(command, outcome));
    }
  }

  async #persist<T>(work: () => Promise<T>): Promise<T | undefined> {
    for (;;) {
      if (this.#stopping.signal.aborted) return undefined;
      try {
        return await work();
      } catch (error) {
        if (this.#stopping.signal.aborted) return undefined;
        if (error instanceof CommandError && error.status < 500) throw error;
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }
}

/** Holds the first host of a fleet in a command until told to go on: inside it (acknowledged), or before. */
export function holdAt(event: string, where: 'inside' | 'before'): { behave: Behaviour; reached: Promise<HostCommand>; open(): void } {
  const reached = Promise.withResolvers<HostCommand>();
  const opened = Promise.withResolvers<void>();
  return {
    reached: reached.promise,
    open: opened.resolve,
    async behave(command, host): Promise<Outcome> {
      if (command.CommandName !== event || !host.name.endsWith('-1')) return 'succeed';
      if (where === 'inside') await host.acknowledge(command);
      reached.resolve(command);
      await opened.promise;
      return 'succeed';
    },
  };
}

const BUCKET = 'revisions';

/** One application's world: clients, a role that CodeDeploy may assume, a bucket with a revision. */
export class Rollouts {
  readonly server: TestServer;
  readonly codedeploy: CodeDeployClient;
  readonly iam: IAMClient;
  readonly s3: S3Client;
  readonly hosts: SimulatedHost[] = [];
  roleArn = '';
  #named = 0;

  constructor(server: TestServer) {
    this.server = server;
    this.codedeploy = new CodeDeployClient(server.client);
    this.iam = new IAMClient(server.client);
    this.s3 = new S3Client(server.client);
  }

  static async open(server: TestServer): Promise<Rollouts> {
    const rollouts = new Rollouts(server);
    rollouts.roleArn = await rollouts.role('deployer');
    await rollouts.s3.send(new CreateBucketCommand({ Bucket: BUCKET }));
    return rollouts;
  }

  /** A role that CodeDeploy may assume, that may look at revisions and alarms, and speak to topics. Its ARN. */
  async role(name: string): Promise<string> {
    const trust = statement({ Principal: { Service: 'codedeploy.amazonaws.com' }, Action: 'sts:AssumeRole' });
    const { Role } = await this.iam.send(new CreateRoleCommand({ RoleName: name, AssumeRolePolicyDocument: trust }));
    const reading = statement({
      Action: ['s3:GetObject', 's3:GetObjectVersion', 's3:ListBucket', 'sns:Publish', 'cloudwatch:DescribeAlarms'],
      Resource: '*',
    });
    await this.iam.send(new PutRolePolicyCommand({ RoleName: name, PolicyName: 'revisions', PolicyDocument: reading }));
    return Role!.Arn!;
  }

  async changeGroup(applicationName: string, change: Partial<UpdateDeploymentGroupCommandInput>): Promise<void> {
    const input = { applicationName, currentDeploymentGroupName: 'Fleet', ...change };
    await this.codedeploy.send(new UpdateDeploymentGroupCommand(input));
  }

  /** Lets a user do that on anything. */
  async allow(user: string, action: string): Promise<void> {
    const document = statement({ Action: action, Resource: '*' });
    await this.iam.send(new PutUserPolicyCommand({ UserName: user, PolicyName: 'more', PolicyDocument: document }));
  }

  /** A revision whose bytes nobody reads: simulated hosts install nothing. */
  async revision(key: string): Promise<RevisionLocation> {
    await this.s3.send(new PutObjectCommand({ Bucket: BUCKET, Key: key, Body: key }));
    return { revisionType: 'S3', s3Location: { bucket: BUCKET, key, bundleType: 'zip' } };
  }

  async host(name: string, tags: Record<string, string> = {}): Promise<SimulatedHost> {
    const { User } = await this.iam.send(new CreateUserCommand({ UserName: name, Path: '/AWS/CodeDeploy/' }));
    const { AccessKey } = await this.iam.send(new CreateAccessKeyCommand({ UserName: name }));
    const reading = statement({ Action: ['s3:Get*', 's3:List*'], Resource: '*' });
    await this.iam.send(new PutUserPolicyCommand({ UserName: name, PolicyName: 'codedeploy-agent', PolicyDocument: reading }));
    await this.codedeploy.send(new RegisterOnPremisesInstanceCommand({ instanceName: name, iamUserArn: User!.Arn! }));
    const list = Object.entries(tags).map(([Key, Value]) => ({ Key, Value }));
    if (list.length > 0) await this.codedeploy.send(new AddTagsToOnPremisesInstancesCommand({ instanceNames: [name], tags: list }));
    const host = new SimulatedHost(this.server, name, User!.Arn!, {
      accessKeyId: AccessKey!.AccessKeyId!,
      secretAccessKey: AccessKey!.SecretAccessKey!,
    });
    this.hosts.push(host);
    return host;
  }

  /** An application of that name with a group `Fleet` of all instances tagged `Fleet=<name>`. */
  async application(name: string, more: Partial<CreateDeploymentGroupCommandInput> = {}): Promise<void> {
    await this.codedeploy.send(new CreateApplicationCommand({ applicationName: name }));
    await this.codedeploy.send(
      new CreateDeploymentGroupCommand({
        applicationName: name,
        deploymentGroupName: 'Fleet',
        serviceRoleArn: this.roleArn,
        onPremisesInstanceTagFilters: [{ Key: 'Fleet', Value: name, Type: 'KEY_AND_VALUE' }],
        ...more,
      }),
    );
  }

  /** A fresh application with so many hosts, `<name>-1` and so on, all at work and doing as `behave` says. */
  async fleet(count: number, behave?: Behaviour, group: object = {}): Promise<{ name: string; hosts: SimulatedHost[] }> {
    const name = this.newName();
    await this.application(name, group);
    const hosts: SimulatedHost[] = [];
    for (let index = 1; index <= count; index++) {
      const host = await this.host(`${name}-${index}`, { Fleet: name });
      if (behave) host.behave = behave;
      hosts.push(host.start());
    }
    return { name, hosts };
  }

  newName(): string {
    return `Fleet${++this.#named}`;
  }

  async deploy(applicationName: string, revision: RevisionLocation | undefined, more: object = {}): Promise<string> {
    const input = { applicationName, deploymentGroupName: 'Fleet', revision, ...more };
    return (await this.codedeploy.send(new CreateDeploymentCommand(input))).deploymentId!;
  }

  async deployment(deploymentId: string): Promise<DeploymentInfo> {
    return (await this.codedeploy.send(new GetDeploymentCommand({ deploymentId }))).deploymentInfo!;
  }

  /** Waits until the deployment has that status, or any that is final. */
  async settled(deploymentId: string, until: string[] = ['Succeeded', 'Failed', 'Stopped']): Promise<DeploymentInfo> {
    for (;;) {
      const info = await this.deployment(deploymentId);
      if (until.includes(info.status!)) return info;
      if (['Succeeded', 'Failed', 'Stopped'].includes(info.status!))
        throw new Error(`${deploymentId} is ${info.status}: ${info.errorInformation?.message}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  async target(deploymentId: string, targetId: string): Promise<InstanceTarget> {
    return (await this.codedeploy.send(new GetDeploymentTargetCommand({ deploymentId, targetId }))).deploymentTarget!.instanceTarget!;
  }

  /** Ends the agents of all hosts. */
  async stopHosts(): Promise<void> {
    await Promise.all(this.hosts.splice(0).map((host) => host[Symbol.asyncDispose]()));
  }

  async close(): Promise<void> {
    await this.stopHosts();
    for (const client of [this.codedeploy, this.iam, this.s3]) client.destroy();
  }
}

function statement(rest: object): string {
  return JSON.stringify({ Version: '2012-10-17', Statement: [{ Effect: 'Allow', ...rest }] });
}

/** The location of a revision, which need not be there. */
export function s3(key: string, more: object = {}) {
  return { revisionType: 'S3' as const, s3Location: { bucket: BUCKET, key, bundleType: 'zip' as const, ...more } };
}

/** The call fails by that name, and with such a message. */
export async function refused(call: Promise<unknown>, name: string, message?: RegExp): Promise<void> {
  await assert.rejects(call, message ? { name, message } : { name });
}
