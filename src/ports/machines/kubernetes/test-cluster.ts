/**
 * A stand-in for a Kubernetes cluster, for tests only: the API's HTTP and WebSockets as machines use them, over pods that are real processes in
 * namespaces and a root of their own, made of busybox. Root is needed. What it cannot show is what a real cluster's nodes do.
 */
import { randomUUID } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { V1ContainerState, V1Pod, V1PodStatus, V1Secret } from '@kubernetes/client-node';
import { WebSocketServer } from 'ws';
import { Pipes } from '../pipes.ts';
import { endProcesses, exec, type Pod, startProcesses, whyNoPods } from './test-pod.ts';

const TOKEN = 'token-of-the-test';
/** For the image of this name a secret is needed with these. */
export const privateImage = { name: 'registry.example:5000/private/build:1', credentials: { username: 'ada', password: 'lovelace' } };

export const whyNoCluster = whyNoPods;

export class TestCluster implements AsyncDisposable {
  readonly #pods = new Map<string, Pod>();
  readonly #secrets = new Map<string, V1Secret>();
  readonly #changes = new EventEmitter().setMaxListeners(0);
  readonly #server = createServer((request, response) =>
    this.#serve(request, response).catch((error) => fail(response, 500, String(error))),
  );
  readonly #sockets: WebSocketServer;
  readonly #directory = mkdtempSync(join(tmpdir(), 'penstock-cluster-'));
  readonly #pipes = new Pipes(this.#directory);

  /** @param version the newest of the exec protocol: older clusters know only 4. */
  constructor(version: 4 | 5 = 5) {
    const known = version === 5 ? ['v5.channel.k8s.io', 'v4.channel.k8s.io'] : ['v4.channel.k8s.io'];
    this.#sockets = new WebSocketServer({ noServer: true, handleProtocols: (asked) => known.find((each) => asked.has(each)) ?? false });
    chmodSync(this.#directory, 0o755);
    this.#server.on('upgrade', (request, socket, head) => {
      const pod = this.#pods.get(/\/pods\/([^/]+)\/exec/.exec(request.url!)?.[1] ?? '');
      if (!pod?.first || request.headers.authorization !== `Bearer ${TOKEN}`) return socket.end('HTTP/1.1 404 Not Found\r\n\r\n');
      this.#sockets.handleUpgrade(request, socket, head, (channel) =>
        exec(pod, this.#pipes, new URL(request.url!, 'http://cluster').searchParams, channel),
      );
    });
  }

  /** @returns the environment by which a driver finds it. */
  async start(): Promise<NodeJS.ProcessEnv> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    const file = join(this.#directory, 'kubeconfig');
    const server = `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
    const config = {
      clusters: [{ name: 'test', cluster: { server, 'insecure-skip-tls-verify': true } }],
      users: [{ name: 'penstock', user: { token: TOKEN } }],
      contexts: [{ name: 'test', context: { cluster: 'test', user: 'penstock', namespace: 'builds' } }],
      'current-context': 'test',
    };
    writeFileSync(file, JSON.stringify(config));
    return { KUBECONFIG: file };
  }

  get pods(): V1Pod[] {
    return [...this.#pods.values()].map(({ resource }) => resource);
  }

  get secrets(): V1Secret[] {
    return [...this.#secrets.values()];
  }

  /** As a network that fails: what runs in the pods goes on. */
  breakConnections(): void {
    for (const client of this.#sockets.clients) client.terminate();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.breakConnections();
    this.#server.closeAllConnections();
    this.#server.close();
    for (const name of [...this.#pods.keys()]) await this.#remove(name);
    rmSync(this.#directory, { recursive: true, force: true });
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname, searchParams } = new URL(request.url!, 'http://cluster');
    if (request.headers.authorization !== `Bearer ${TOKEN}`) return fail(response, 401, 'Unauthorized');
    if (pathname.startsWith('/version')) return answer(response, 200, { gitVersion: 'v1.34.0-test' });
    const [, resource, name] = /^\/api\/v1\/namespaces\/builds\/(pods|secrets)(?:\/([^/]+))?$/.exec(pathname) ?? [];
    const body = request.method === 'GET' ? undefined : JSON.parse((await textOf(request)) || '{}');
    if (resource === 'secrets' && request.method === 'POST') {
      this.#secrets.set(body.metadata.name, body);
      return answer(response, 201, body);
    }
    if (resource !== 'pods') return fail(response, 404, `no resource ${pathname}`);
    if (request.method === 'POST') return this.#create(body, response);
    if (searchParams.get('watch') === 'true') return this.#watch(searchParams.get('fieldSelector')!.split('=')[1]!, response);
    if (name === undefined) return answer(response, 200, { kind: 'PodList', items: this.#selected(searchParams.get('labelSelector')) });
    const pod = this.#pods.get(name);
    if (!pod) return fail(response, 404, `pods "${name}" not found`);
    if (request.method === 'DELETE') await this.#remove(name);
    if (request.method === 'PATCH') Object.assign(pod.resource.metadata!.annotations!, body.metadata.annotations);
    return answer(response, 200, pod.resource);
  }

  #selected(selector: string | null): V1Pod[] {
    const [label, value] = selector?.split('=') ?? [];
    return this.pods.filter(({ metadata }) => label === undefined || metadata!.labels?.[label] === value);
  }

  #create(resource: V1Pod, response: ServerResponse): void {
    const { name } = resource.metadata!;
    if (this.#pods.has(name!)) {
      fail(response, 409, `pods "${name}" already exists`);
      return;
    }
    Object.assign(resource.metadata!, { uid: randomUUID(), namespace: 'builds' });
    resource.status = { phase: 'Pending' };
    const pod: Pod = { resource, root: mkdtempSync(join(this.#directory, 'pod-')) };
    this.#pods.set(name!, pod);
    answer(response, 201, resource);
    this.#schedule(pod);
  }

  #schedule(pod: Pod): void {
    const { spec } = pod.resource;
    const image = spec!.containers[0]!.image!;
    if (spec!.nodeSelector?.disk === 'none') {
      const message = "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.";
      this.#set(pod, { phase: 'Pending', conditions: [{ type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message }] });
      return;
    }
    spec!.nodeName = 'node-1';
    this.#set(pod, containerStatus('Pending', image, { waiting: { reason: 'ContainerCreating' } }));
    const secret = this.#secrets.get(spec!.imagePullSecrets?.[0]?.name ?? '');
    if (spec!.imagePullSecrets && !secret) {
      // It comes after the pod that owns it.
      setImmediate(() => this.#schedule(pod));
      return;
    }
    const waiting = whyNot(image, secret);
    if (waiting) this.#set(pod, containerStatus('Pending', image, { waiting }));
    else this.#run(pod, image);
  }

  async #run(pod: Pod, image: string): Promise<void> {
    await startProcesses(pod);
    if (this.#pods.has(pod.resource.metadata!.name!))
      this.#set(pod, containerStatus('Running', image, { running: { startedAt: new Date() } }));
  }

  #set(pod: Pod, status: V1Pod['status']): void {
    pod.resource.status = status!;
    this.#changes.emit(pod.resource.metadata!.name!, 'MODIFIED', pod.resource);
  }

  #watch(name: string, response: ServerResponse): void {
    response.writeHead(200, { 'content-type': 'application/json' });
    const tell = (type: string, object: V1Pod) => response.write(`${JSON.stringify({ type, object })}\n`);
    this.#changes.on(name, tell);
    response.on('close', () => this.#changes.off(name, tell));
    const pod = this.#pods.get(name);
    if (pod) tell('ADDED', pod.resource);
    else response.flushHeaders();
  }

  async #remove(name: string): Promise<void> {
    const pod = this.#pods.get(name)!;
    this.#pods.delete(name);
    for (const [secret, { metadata }] of this.#secrets)
      if (metadata!.ownerReferences?.some(({ uid }) => uid === pod.resource.metadata!.uid)) this.#secrets.delete(secret);
    await endProcesses(pod);
    this.#changes.emit(name, 'DELETED', pod.resource);
  }
}

function containerStatus(phase: string, image: string, state: V1ContainerState): V1PodStatus {
  return { phase, containerStatuses: [{ name: 'machine', image, imageID: '', ready: phase === 'Running', restartCount: 0, state }] };
}

/** What a kubelet says of images that it cannot have or run. */
function whyNot(image: string, secret: V1Secret | undefined): V1ContainerState['waiting'] {
  if (image === 'missing:1') return { reason: 'ErrImagePull', message: `pull access denied for ${image}, repository does not exist` };
  if (image === 'empty:1') return { reason: 'RunContainerError', message: 'exec: "/bin/sh": stat /bin/sh: no such file or directory' };
  if (image === privateImage.name && !grants(secret, image)) return { reason: 'ErrImagePull', message: `${image}: authorization failed` };
  return undefined;
}

function grants(secret: V1Secret | undefined, image: string): boolean {
  const config = JSON.parse(Buffer.from(secret?.data?.['.dockerconfigjson'] ?? 'e30=', 'base64').toString());
  const given = config.auths?.[image.split('/')[0]!];
  return given?.username === privateImage.credentials.username && given.password === privateImage.credentials.password;
}

function answer(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
}

function fail(response: ServerResponse, code: number, message: string): void {
  answer(response, code, { kind: 'Status', status: 'Failure', message, code });
}

async function textOf(request: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of request) text += chunk;
  return text;
}
