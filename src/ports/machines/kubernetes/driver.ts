import type { V1Pod } from '@kubernetes/client-node';
import type { Capabilities, Machine, MachineDriver, MachineSpec } from '../port.ts';
import { type Cluster, ClusterLost } from './cluster.ts';
import { PodMachine } from './machine.ts';
import { annotations, type PodState, podName, podOf, pullSecretOf } from './pod.ts';
import type { ClusterSettings } from './settings.ts';

const idPattern = /^[A-Za-z0-9-]{1,64}$/;

/**
 * Machines as pods of a Kubernetes cluster, one each. All that is known of a machine is in its pod's labels and annotations, so any process that
 * reaches the cluster and has this server's identity can go on with it.
 */
export class KubernetesDriver implements MachineDriver {
  readonly name = 'kubernetes';
  readonly #connect: () => Promise<Cluster>;
  readonly #identity: string;
  readonly #settings: ClusterSettings;
  #connected: Promise<Cluster> | undefined;
  #capabilities: Promise<Capabilities> | undefined;

  /** @param identity by which this server knows its pods from others'. */
  constructor(connect: () => Promise<Cluster>, identity: string, settings: ClusterSettings) {
    this.#connect = connect;
    this.#identity = identity;
    this.#settings = settings;
  }

  /** A cluster that does not answer is asked again the next time. */
  async probe(): Promise<Capabilities> {
    this.#capabilities ??= this.#look();
    const found = await this.#capabilities;
    if (!found.available) this.#capabilities = undefined;
    return found;
  }

  async create(spec: MachineSpec, signal?: AbortSignal): Promise<Machine> {
    signal?.throwIfAborted();
    const image = this.#require(spec);
    const { available, notes, isolation } = await this.probe();
    if (!available) throw new ClusterLost(`machines of kind kubernetes do not work here: ${notes.join('; ')}`);
    const cluster = await this.#cluster();
    const pod = await cluster.createPod(podOf(spec, image, this.#identity, this.#settings));
    const name = pod.metadata!.name!;
    try {
      if (image.credentials) await cluster.createSecret(pullSecretOf(pod, image));
      await cluster.running(name, this.#settings.startSeconds, signal, image.onPull);
      return this.#machine(cluster, pod, isolation);
    } catch (error) {
      await cluster.removePod(name).catch(() => undefined);
      throw error;
    }
  }

  async adopt(id: string): Promise<Machine | undefined> {
    if (!idPattern.test(id)) return undefined;
    const cluster = await this.#cluster();
    const pod = await cluster.readPod(podName(this.#identity, id));
    // One whose container has not begun was not made completely; one that has ended can neither be entered nor begun again.
    if (pod?.status?.phase !== 'Running' || pod.metadata?.deletionTimestamp !== undefined) return undefined;
    const machine = this.#machine(cluster, pod, (await this.probe()).isolation);
    if (pod.metadata?.annotations?.[annotations.stopped] === undefined) await machine.clearLeftovers();
    return machine;
  }

  async discard(id: string): Promise<void> {
    if (idPattern.test(id)) await (await this.#cluster()).removePod(podName(this.#identity, id));
  }

  async sweep(claimed: ReadonlySet<string>): Promise<void> {
    const cluster = await this.#cluster();
    const claimedPods = new Set([...claimed].map((id) => podName(this.#identity, id)));
    const names = (await cluster.podsOf(this.#identity)).map(({ metadata }) => metadata!.name!);
    await Promise.all(names.filter((name) => !claimedPods.has(name)).map((name) => cluster.removePod(name)));
  }

  /** @throws for what a pod cannot be. */
  #require({ id, image, network, mounts, gpus }: MachineSpec): NonNullable<MachineSpec['image']> {
    if (!idPattern.test(id)) throw new Error(`${JSON.stringify(id)} is not a machine id`);
    if (!image) throw new Error('a machine in a cluster needs an image');
    if (network === 'none') throw new Error('a machine in a cluster cannot be without a network: that is for the policies of the cluster');
    if (mounts?.length) throw new Error("a machine in a cluster cannot see directories of the server's host");
    if (gpus === 'all') throw new Error('a machine in a cluster needs a number of GPUs');
    return image;
  }

  #machine(cluster: Cluster, pod: V1Pod, isolation: string): PodMachine {
    const { name, annotations: kept } = pod.metadata!;
    const state: PodState = JSON.parse(kept![annotations.state]!);
    const stopped = kept?.[annotations.stopped] !== undefined;
    return new PodMachine({ cluster, pod: name!, mark: `${this.#identity}.${state.id}.`, state, isolation, stopped });
  }

  #cluster(): Promise<Cluster> {
    this.#connected ??= this.#connect().catch((error) => {
      this.#connected = undefined;
      throw error;
    });
    return this.#connected;
  }

  async #look(): Promise<Capabilities> {
    let address = 'the cluster';
    try {
      const cluster = await this.#cluster();
      address = `${cluster.address}, namespace ${cluster.namespace}`;
      const version = await cluster.version();
      // That the pods may be listed shows that the credentials are right.
      await cluster.podsOf(this.#identity);
      return describe(version);
    } catch (error) {
      return unavailable(`${address} cannot be used: ${(error as Error).message}`);
    }
  }
}

function describe(version: string): Capabilities {
  const limits = { memory: true, cpu: true, pids: false };
  const notes = ["How many processes a machine may have is decided by the nodes' settings (podPidsLimit)."];
  const isolation = `kubernetes (${version}; own root, pid, mount, ipc, uts, net; limits by the node: memory cpu)`;
  return { available: true, notes, isolation, limits, privateFilesystem: true, ownUser: true, images: true };
}

function unavailable(note: string): Capabilities {
  const limits = { memory: false, cpu: false, pids: false };
  return { available: false, notes: [note], isolation: 'none', limits, privateFilesystem: false, ownUser: false, images: true };
}
