/** Two instances on this host: a directory, a port and an agent each. They are registered as on-premises instances. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Penstock } from '../../compose.ts';
import { bucketName, INSTANCES, NAME, TAG } from './names.ts';
import { policy, unlessThere } from './resources.ts';

export interface Instance {
  name: string;
  /** Of the application. */
  url: string;
  stop(): Promise<void>;
}

export interface Version {
  version: string;
  commit: string;
}

const MAIN = path.join(import.meta.dirname, '..', '..', 'main.ts');
const STOP_MS = 15_000;

export async function startInstances(penstock: Penstock): Promise<Instance[]> {
  const started: Instance[] = [];
  for (const name of INSTANCES) started.push(await startInstance(penstock, name));
  return started;
}

async function startInstance(penstock: Penstock, name: string): Promise<Instance> {
  const home = path.join(penstock.config.dataDir, 'demo', name);
  const root = path.join(home, 'root');
  const settings = path.join(root, 'etc', NAME, 'instance.env');
  mkdirSync(path.dirname(settings), { recursive: true });
  const port = await portOf(settings, name);
  const config = await register(penstock, name, home);
  const log = openSync(path.join(home, 'agent.out'), 'a');
  const agent = spawn(process.execPath, [MAIN, 'agent', '--config', config, '--root', root], {
    // The sample runs on the Node that runs Penstock, whatever else the host has.
    env: { PATH: `${path.dirname(process.execPath)}:${process.env.PATH}`, HOME: home, LANG: 'C.UTF-8' },
    stdio: ['ignore', log, log],
    // An interrupt at the terminal is for the demo, which then stops its agents in order.
    detached: true,
  });
  return {
    name,
    url: `http://127.0.0.1:${port}`,
    async stop() {
      await stopProcess(agent);
      await stopApplication(root);
    },
  };
}

/** The same port at every start, so that the application's URL stays. */
async function portOf(settings: string, name: string): Promise<number> {
  const known = existsSync(settings) ? /^PORT=(\d+)$/m.exec(readFileSync(settings, 'utf8')) : undefined;
  if (known) return Number(known[1]);
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  writeFileSync(settings, `PORT=${port}\nINSTANCE=${name}\n`);
  return port;
}

/** What `aws deploy register` does: a user with a key, the instance with its tag, and the file that the agent reads. */
async function register(penstock: Penstock, name: string, home: string): Promise<string> {
  const { config, clients, caFile } = penstock;
  const config_file = path.join(home, 'agent.yml');
  const credentials = path.join(home, 'codedeploy.onpremises.yml');
  const userArn = `arn:aws:iam::${config.account}:user/AWS/CodeDeploy/${name}`;
  if (!existsSync(credentials)) {
    await unlessThere(clients.iam.createUser({ Path: '/AWS/CodeDeploy/', UserName: name }));
    const read = { Effect: 'Allow', Action: ['s3:GetObject', 's3:GetObjectVersion'], Resource: `arn:aws:s3:::${bucketName(penstock)}/*` };
    await clients.iam.putUserPolicy({ UserName: name, PolicyName: 'codedeploy-agent', PolicyDocument: policy([read]) });
    const { AccessKey } = await clients.iam.createAccessKey({ UserName: name });
    await unlessThere(clients.codedeploy.registerOnPremisesInstance({ instanceName: name, iamUserArn: userArn }));
    await clients.codedeploy.addTagsToOnPremisesInstances({ instanceNames: [name], tags: [TAG] });
    const lines = [
      `region: ${config.region}`,
      `iam_user_arn: ${userArn}`,
      `aws_access_key_id: ${AccessKey!.AccessKeyId}`,
      `aws_secret_access_key: ${AccessKey!.SecretAccessKey}`,
    ];
    writeFileSync(credentials, `${lines.join('\n')}\n`, { mode: 0o600 });
  }
  // Written anew each time: the server's port may be another one today.
  const settings = {
    root_dir: path.join(home, 'agent'),
    on_premises_config_file: credentials,
    deploy_control_endpoint: config.endpoints.http,
    signer_ca_file: caFile,
    wait_between_runs: 1,
  };
  writeFileSync(
    config_file,
    `${Object.entries(settings)
      .map(([key, value]) => `:${key}: ${JSON.stringify(value)}`)
      .join('\n')}\n`,
  );
  return config_file;
}

/** What the application says of itself; undefined while it does not answer. */
export async function versionAt(url: string): Promise<Version | undefined> {
  try {
    const response = await fetch(`${url}/health`, { signal: AbortSignal.timeout(2_000) });
    return response.ok ? ((await response.json()) as Version) : undefined;
  } catch {
    return undefined;
  }
}

async function stopProcess(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGTERM');
  const patience = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
  await ended;
  clearTimeout(patience);
}

/** The application is a daemon of the instance: when the demo ends, so does it. */
async function stopApplication(root: string): Promise<void> {
  const pidFile = path.join(root, 'var', 'lib', NAME, 'server.pid');
  if (!existsSync(pidFile)) return;
  const pid = Number(readFileSync(pidFile, 'utf8'));
  const alive = (): boolean => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(path.join(root, 'opt', NAME));
    } catch {
      return false;
    }
  };
  if (!alive()) return;
  process.kill(pid, 'SIGTERM');
  const deadline = Date.now() + STOP_MS;
  while (alive() && Date.now() < deadline) await delay(50);
  if (alive()) process.kill(pid, 'SIGKILL');
}
