/** What the agent's tests share: a server that speaks the command protocol and holds bundles, and agents to run against it. */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, readlink, rm, stat, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { pack } from 'tar-stream';
import { ZipFile } from 'yazl';
import { runAgent } from './main.ts';
import type { Signer } from './testing-signer.ts';

/** What the agent reported of one command. */
export interface Completion {
  id: string;
  status: string;
  diagnostics: { error_code: number; script_name: string; message: string; log: string };
}

/** A server for one host. */
export interface CommandServer {
  url: string;
  /** Bundles by `bucket/key`. */
  objects: Map<string, Buffer>;
  /** Requests so far, by operation. */
  calls: { operation: string; input: any; headers: IncomingMessage['headers'] }[];
  /** Queues one event of a deployment and waits for its report. */
  run(event: string, spec: SpecInput, id?: string): Promise<Completion>;
  /** Queues the command again, as a server does that has not heard of its end. */
  deliver(event: string, spec: SpecInput, id: string): void;
  /** Waits for the next report of a command. */
  completion(id: string): Promise<Completion>;
  /** Answers every call with this while it is set. */
  failure: { status: number; body: string } | undefined;
  /** What acknowledgements are answered with, by command; `InProgress` for others. */
  ackStatuses: Map<string, string>;
  /** Puts the signed specification into the answer; to be replaced by a test that tampers. */
  envelope(text: string): Promise<{ Format: string; Payload: string }>;
  close(): Promise<void>;
}

interface SpecInput {
  deployment: string;
  key: string;
  etag?: string;
  [extra: string]: unknown;
}

export const HOST = 'arn:aws:iam::123456789012:user/AWS/CodeDeploy/box1';

export async function startCommandServer(signer: Signer): Promise<CommandServer> {
  const queue: { event: string; id: string; execution: string }[] = [];
  const specs = new Map<string, SpecInput>();
  const reports: Completion[] = [];
  const reported = new EventTarget();
  const queued = new EventTarget();
  let commands = 0;

  const server = createServer(async (request, response) => {
    try {
      await answer(request, response);
    } catch (error) {
      response.writeHead(500).end(String(error));
    }
  });
  const self: CommandServer = {
    url: '',
    objects: new Map(),
    calls: [],
    failure: undefined,
    ackStatuses: new Map(),
    envelope: async (text) => ({ Format: 'PKCS7/JSON', Payload: await signer.sign(text) }),
    run(event, spec, id = `command-${++commands}`) {
      const completion = self.completion(id);
      self.deliver(event, spec, id);
      return completion;
    },
    deliver(event, spec, id) {
      const execution = `123456789012/${spec.deployment}/box1/${event}`;
      specs.set(execution, spec);
      queue.push({ event, id, execution });
      queued.dispatchEvent(new Event('command'));
    },
    async completion(id) {
      for (let seen = reports.length; ; seen++) {
        while (seen >= reports.length) await once(reported, 'report');
        if (reports[seen]!.id === id) return reports[seen]!;
      }
    },
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await buffer(request);
    const target = request.headers['x-amz-target'];
    const operation = String(target ?? 'GetObject').replace(/^.*\./, '');
    const input = target ? JSON.parse(body.toString()) : decodeURIComponent(new URL(request.url!, 'http://x').pathname.slice(1));
    self.calls.push({ operation, input, headers: request.headers });
    if (self.failure) {
      response.writeHead(self.failure.status).end(self.failure.body);
      return;
    }
    if (!target) {
      const object = self.objects.get(input);
      if (!object) response.writeHead(404).end('<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message></Error>');
      else response.writeHead(200, { etag: `"${md5(object)}"`, 'content-length': object.length }).end(object);
      return;
    }
    response.setHeader('content-type', 'application/x-amz-json-1.1');
    response.end(JSON.stringify(await operations[operation]!(input, response)));
  }

  const operations: Record<string, (input: any, response: ServerResponse) => Promise<object>> = {
    async PollHostCommand(_input, response) {
      const gone = new AbortController();
      response.once('close', () => gone.abort());
      while (queue.length === 0) await once(queued, 'command', { signal: gone.signal });
      const { event, id, execution } = queue.shift()!;
      return {
        HostCommand: { HostCommandIdentifier: id, HostIdentifier: HOST, DeploymentExecutionId: execution, CommandName: event, Nonce: 1 },
      };
    },
    async GetDeploymentSpecification({ DeploymentExecutionId }) {
      const { deployment, key, etag, ...extra } = specs.get(DeploymentExecutionId)!;
      const text = JSON.stringify({
        DeploymentId: deployment,
        DeploymentGroupId: 'group-1',
        DeploymentGroupName: 'Production',
        ApplicationName: 'Shop',
        Revision: { RevisionType: 'S3', S3Revision: { Bucket: 'bundles', Key: key, BundleType: /[^.]*$/.exec(key)![0], ETag: etag } },
        ...extra,
      });
      return { DeploymentSystem: 'CodeDeploy', DeploymentSpecification: { GenericEnvelope: await self.envelope(text) } };
    },
    async PutHostCommandAcknowledgement({ HostCommandIdentifier: id }) {
      return { CommandStatus: self.ackStatuses.get(id) ?? 'InProgress' };
    },
    async PutHostCommandComplete({ HostCommandIdentifier: id, CommandStatus: status, Diagnostics }) {
      reports.push({ id, status, diagnostics: JSON.parse(Diagnostics.Payload) });
      reported.dispatchEvent(new Event('report'));
      return {};
    },
  };

  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  self.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return self;
}

/** Writes the files that an agent is started with into a directory and answers with the configuration's name. */
export async function configure(
  directory: string,
  server: { url: string },
  signer: Signer,
  extra: Record<string, unknown> = {},
): Promise<string> {
  await mkdir(directory, { recursive: true });
  await writeFile(join(directory, 'ca.pem'), signer.caPem);
  await writeFile(
    join(directory, 'onpremises.yml'),
    `region: eu-west-1\niam_user_arn: ${HOST}\naws_access_key_id: AKIDEXAMPLE\naws_secret_access_key: secret\n`,
  );
  const settings = {
    ':root_dir:': 'deployment-root',
    ':log_dir:': 'logs',
    ':on_premises_config_file:': 'onpremises.yml',
    ':deploy_control_endpoint:': server.url,
    signer_ca_file: 'ca.pem',
    wait_between_runs: 0,
    ...extra,
  };
  const file = join(directory, 'agent.yml');
  await writeFile(
    file,
    Object.entries(settings)
      .map(([key, value]) => `${key.endsWith(':') ? key : `${key}:`} ${value}\n`)
      .join(''),
  );
  return file;
}

/** A zip bundle of named texts; a name ending in `.sh` becomes executable. */
export async function zipOf(files: Record<string, string | Buffer>): Promise<Buffer> {
  const zip = new ZipFile();
  for (const [name, content] of Object.entries(files)) {
    zip.addBuffer(Buffer.from(content), name, { mode: /\.sh$/.test(name) ? 0o100755 : 0o100644 });
  }
  zip.end();
  return buffer(zip.outputStream as unknown as AsyncIterable<Buffer>);
}

/** What a tar entry is made of: a text, or what a header says. */
export type TarContent =
  | string
  | { link: string }
  | { hardlink: string }
  | { type: 'fifo' | 'character-device' | 'block-device' }
  | { mode: number; text: string };

/** A tar bundle. A list may hold a name twice. */
export async function tarOf(files: Record<string, TarContent> | [string, TarContent][]): Promise<Buffer> {
  const tar = pack();
  for (const [name, content] of Array.isArray(files) ? files : Object.entries(files)) {
    if (typeof content === 'string') tar.entry({ name, mode: 0o644 }, content);
    else if ('text' in content) tar.entry({ name, mode: content.mode }, content.text);
    else if ('link' in content) tar.entry({ name, type: 'symlink', linkname: content.link });
    else if ('hardlink' in content) tar.entry({ name, type: 'link', linkname: content.hardlink });
    else tar.entry({ name, type: content.type });
  }
  tar.finalize();
  return buffer(tar as unknown as AsyncIterable<Buffer>);
}

/** All files below a directory by name: a text, `-> target` for a link. Directories are not listed. */
export async function treeOf(directory: string): Promise<Record<string, string>> {
  const tree: Record<string, string> = {};
  for (const entry of await readdir(directory, { recursive: true, withFileTypes: true }).catch(() => [])) {
    const path = join(entry.parentPath, entry.name);
    const name = path.slice(directory.length + 1);
    if (entry.isSymbolicLink()) tree[name] = `-> ${await readlink(path)}`;
    else if (entry.isFile()) tree[name] = await readFile(path, 'utf8');
  }
  return tree;
}

/** The permission bits of a file in octal. */
export async function modeOf(path: string): Promise<string> {
  return ((await stat(path)).mode & 0o7777).toString(8);
}

export function md5(bytes: Buffer): string {
  return createHash('md5').update(bytes).digest('hex');
}

/** A running agent in this process with a server of its own, in a temporary directory. */
export interface TestAgent {
  server: CommandServer;
  /** The agent's files. */
  directory: string;
  /** The agent's `--root`. */
  root: string;
  deploymentRoot: string;
  /** Runs the events of an in-place deployment until one fails, and answers with all reports. */
  deploy(
    bundle: Record<string, string> | Buffer,
    options?: { deployment?: string; events?: string[]; spec?: object },
  ): Promise<Completion[]>;
  /** Ends the agent as a signal does, and waits for it. */
  stop(): Promise<void>;
}

export const IN_PLACE_EVENTS = [
  'ApplicationStop',
  'DownloadBundle',
  'BeforeInstall',
  'Install',
  'AfterInstall',
  'ApplicationStart',
  'ValidateService',
];

/** Starts an agent that is stopped, and its directory removed, after the test. */
export async function startAgent(
  test: { after(done: () => Promise<void>): void },
  signer: Signer,
  settings: Record<string, unknown> = {},
): Promise<TestAgent> {
  const directory = await mkdtemp(join(tmpdir(), 'penstock-agent-'));
  const server = await startCommandServer(signer);
  const configFile = await configure(directory, server, signer, { root: 'root', ...settings });
  const stopping = new AbortController();
  const agent = runAgent({ configFile, signal: stopping.signal });
  const stop = async () => {
    stopping.abort();
    await agent;
  };
  test.after(async () => {
    await stop();
    await server.close();
    await rm(directory, { recursive: true, force: true });
  });

  let deployments = 0;
  return {
    server,
    directory,
    root: join(directory, 'root'),
    deploymentRoot: join(directory, 'deployment-root'),
    stop,
    async deploy(bundle, { deployment = `d-${++deployments}`, events = IN_PLACE_EVENTS, spec = {} } = {}) {
      const key = `${deployment}.zip`;
      server.objects.set(`bundles/${key}`, Buffer.isBuffer(bundle) ? bundle : await zipOf(bundle));
      const completions: Completion[] = [];
      for (const event of events) {
        const completion = await server.run(event, { deployment, key, ...spec });
        completions.push(completion);
        if (completion.status !== 'Succeeded') break;
      }
      return completions;
    },
  };
}
