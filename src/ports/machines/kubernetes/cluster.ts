import type { CoreV1Api, KubeConfig, V1ContainerStateWaiting, V1Pod, V1Secret, Watch } from '@kubernetes/client-node';
import WebSocket from 'ws';
import { ImagePullError, MachineLostError } from '../port.ts';
import { containerName, labels } from './pod.ts';

/** The cluster's API does not answer, or broke off. */
export class ClusterLost extends MachineLostError {
  override readonly name = 'ClusterLost';
}

type Kubernetes = typeof import('@kubernetes/client-node');

/** Reasons for which a kubelet cannot have an image (pkg/kubelet/images/types.go). It tries again for ever; a build does not. */
const pullReasons = new Set([
  'ErrImagePull',
  'ImagePullBackOff',
  'InvalidImageName',
  'ErrImageNeverPull',
  'RegistryUnavailable',
  'ErrImageInspect',
]);
/** Reasons for which it cannot run what the image holds. */
const startReasons = new Set([
  'CreateContainerError',
  'CreateContainerConfigError',
  'RunContainerError',
  'StartError',
  'ContainerCannotRun',
]);

/** The few calls of the Kubernetes API that machines need, in one namespace. */
export class Cluster {
  readonly namespace: string;
  readonly config: KubeConfig;
  readonly kubernetes: Kubernetes;
  readonly #core: CoreV1Api;
  readonly #watch: Watch;

  constructor(kubernetes: Kubernetes, config: KubeConfig, namespace: string) {
    this.kubernetes = kubernetes;
    this.config = config;
    this.namespace = namespace;
    this.#core = config.makeApiClient(kubernetes.CoreV1Api);
    this.#watch = new kubernetes.Watch(config);
  }

  get address(): string {
    return this.config.getCurrentCluster()?.server ?? 'no cluster';
  }

  /** A WebSocket that is about to open, with the credentials of the cluster. */
  async connect(path: string, protocols: string[]): Promise<WebSocket> {
    const options = {};
    await this.config.applyToHTTPSOptions(options);
    return new WebSocket(this.address.replace(/^http/, 'ws') + path, protocols, options);
  }

  async version(): Promise<string> {
    const api = this.config.makeApiClient(this.kubernetes.VersionApi);
    return (await told(api.getCode())).gitVersion;
  }

  async createPod(body: V1Pod): Promise<V1Pod> {
    return await told(this.#core.createNamespacedPod({ namespace: this.namespace, body }));
  }

  async createSecret(body: V1Secret): Promise<void> {
    await told(this.#core.createNamespacedSecret({ namespace: this.namespace, body }));
  }

  async readPod(name: string): Promise<V1Pod | undefined> {
    return await orNone(this.#core.readNamespacedPod({ namespace: this.namespace, name }));
  }

  async podsOf(identity: string): Promise<V1Pod[]> {
    const labelSelector = `${labels.server}=${identity}`;
    return (await told(this.#core.listNamespacedPod({ namespace: this.namespace, labelSelector }))).items;
  }

  async annotate(name: string, annotation: string, value: string): Promise<void> {
    const body = { metadata: { annotations: { [annotation]: value } } };
    const { setHeaderOptions, PatchStrategy } = this.kubernetes;
    await told(
      this.#core.patchNamespacedPod({ namespace: this.namespace, name, body }, setHeaderOptions('Content-Type', PatchStrategy.MergePatch)),
    );
  }

  /** At once, with what runs in it, and gone when this resolves. Idempotent. */
  async removePod(name: string): Promise<void> {
    const deleted = await orNone(this.#core.deleteNamespacedPod({ namespace: this.namespace, name, gracePeriodSeconds: 0 }));
    if (deleted) await this.#until(name, (pod) => pod === undefined);
  }

  /** @throws ImagePullError, or what the cluster says of why the container cannot run, or why it has no node when the time is over. */
  async running(
    name: string,
    seconds: number,
    signal: AbortSignal | undefined,
    onPull: ((line: string) => void) | undefined,
  ): Promise<void> {
    const timeout = AbortSignal.timeout(seconds * 1000);
    let last = 'it was not seen yet';
    const told = new Set<string>();
    const began = (pod: V1Pod | undefined): boolean => {
      if (!pod) throw new ClusterLost(`the pod ${name} was deleted while it started`);
      if (pod.status?.phase === 'Failed' || pod.status?.phase === 'Succeeded') throw endedEarly(pod);
      const container = pod.status?.containerStatuses?.find((status) => status.name === containerName);
      if (container?.state?.waiting) refuseStart(container.state.waiting, container.image);
      last = describeWaiting(pod);
      if (!told.has(last)) onPull?.(last);
      told.add(last);
      return container?.state?.running !== undefined;
    };
    try {
      await this.#until(name, began, signal ? AbortSignal.any([signal, timeout]) : timeout);
    } catch (error) {
      if (signal?.aborted) throw signal.reason;
      if (timeout.aborted) throw new Error(`the pod ${name} did not start within ${seconds} s: ${last}`);
      throw error;
    }
  }

  /** Watches a pod until it is as `is` says; undefined stands for a pod that is gone. A watch that ends is begun again. */
  async #until(name: string, is: (pod: V1Pod | undefined) => boolean, signal?: AbortSignal): Promise<void> {
    for (;;) {
      const { promise, resolve, reject } = Promise.withResolvers<boolean>();
      // Awaited below, unless something else fails first.
      promise.catch(() => undefined);
      const see = (pod: V1Pod | undefined): void => {
        try {
          if (is(pod)) resolve(true);
        } catch (error) {
          reject(error);
        }
      };
      const watching = await this.#watch
        .watch(
          `/api/v1/namespaces/${this.namespace}/pods`,
          { fieldSelector: `metadata.name=${name}` },
          (kind, pod: V1Pod) => see(kind === 'DELETED' ? undefined : pod),
          () => resolve(false),
        )
        .catch((error) => {
          throw new ClusterLost(`${this.address}: ${(error as Error).message}`);
        });
      const abort = (): void => reject(signal?.reason);
      signal?.addEventListener('abort', abort, { once: true });
      try {
        signal?.throwIfAborted();
        // A watch tells what is there when it begins, but not of a pod that is gone already.
        see(await this.readPod(name));
        if (await promise) return;
      } finally {
        signal?.removeEventListener('abort', abort);
        watching.abort();
      }
    }
  }
}

function refuseStart({ reason = '', message = '' }: V1ContainerStateWaiting, image: string): void {
  const said = message || reason;
  if (pullReasons.has(reason)) throw new ImagePullError(`${image}: ${said}`);
  if (startReasons.has(reason)) throw new Error(withoutShell(image, said));
}

function endedEarly(pod: V1Pod): Error {
  const status = pod.status?.containerStatuses?.[0];
  const { message, reason } = status?.state?.terminated ?? {};
  return new Error(withoutShell(status?.image ?? 'its image', message ?? reason ?? pod.status?.message ?? 'the pod ended at once'));
}

function withoutShell(image: string, said: string): string {
  return /\/bin\/sh.*(no such file|not found)|executable file not found/i.test(said)
    ? `the image ${image} has no /bin/sh, which builds need: ${said}`
    : said;
}

function describeWaiting(pod: V1Pod): string {
  const scheduled = pod.status?.conditions?.find(({ type }) => type === 'PodScheduled');
  if (scheduled?.status === 'False') return `no node takes it: ${scheduled.message ?? scheduled.reason}`;
  const waiting = pod.status?.containerStatuses?.[0]?.state?.waiting;
  return waiting
    ? `waiting on node ${pod.spec?.nodeName ?? '?'}: ${waiting.message ?? waiting.reason}`
    : `on node ${pod.spec?.nodeName ?? '?'}`;
}

/** An answer of the API as an error of few words; no answer as ClusterLost. */
async function told<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (error) {
    throw wordsOf(error);
  }
}

async function orNone<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer;
  } catch (error) {
    if ((error as { code?: unknown }).code === 404) return undefined;
    throw wordsOf(error);
  }
}

function wordsOf(error: unknown): Error {
  const { code, body, message } = error as { code?: unknown; body?: unknown; message: string };
  if (typeof code !== 'number') return new ClusterLost(message);
  const status = typeof body === 'string' ? parsed(body) : (body as { message?: string } | undefined);
  return new Error(`the cluster answers ${code}: ${status?.message ?? message}`);
}

function parsed(text: string): { message?: string } | undefined {
  try {
    return JSON.parse(text);
  } catch {
    return { message: text };
  }
}
