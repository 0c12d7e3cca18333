import { createHash } from 'node:crypto';
import type { V1Container, V1Pod, V1Secret } from '@kubernetes/client-node';
import type { MachineImage, MachineSpec } from '../port.ts';
import type { ClusterSettings } from './settings.ts';

/** Labels by which a machine's pod is found again. A machine's id may be too long or too odd for a label, so its hash stands for it. */
export const labels = { server: 'penstock.dev/server', machine: 'penstock.dev/machine' };
/** Annotations: what is needed to go on with a machine; and whether it was stopped. */
export const annotations = { state: 'penstock.dev/state', stopped: 'penstock.dev/stopped' };

/** What is kept of a machine with its pod. The image's credentials are not. */
export interface PodState {
  id: string;
  env: Record<string, string>;
  image: string;
  /** Whether a memory limit was asked for. */
  memoryLimited: boolean;
}

/** Absolute, inside; a volume that goes with the pod. */
export const workdir = '/work';
export const containerName = 'machine';

/** Process 1 of the container: keeps it alive, collects orphans by waiting, and is not ended by what ends everybody else. */
const keeper = `trap '' TERM INT HUP; while :; do sleep 2147483647 & wait $!; done`;

/** Kubernetes allows 63 characters of lower case. */
export function podName(identity: string, id: string): string {
  return `penstock-${identity}-${hashOf(id)}`;
}

export function hashOf(id: string): string {
  return createHash('sha256').update(id).digest('hex').slice(0, 20);
}

export function podOf(spec: MachineSpec, image: MachineImage, identity: string, settings: ClusterSettings): V1Pod {
  const name = podName(identity, spec.id);
  const state: PodState = { id: spec.id, env: spec.env, image: image.name, memoryLimited: spec.limits?.memoryBytes !== undefined };
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      labels: { [labels.server]: identity, [labels.machine]: hashOf(spec.id) },
      annotations: { [annotations.state]: JSON.stringify(state) },
    },
    spec: {
      restartPolicy: 'Never',
      // What the users' code could do at the cluster's API is nothing.
      automountServiceAccountToken: false,
      enableServiceLinks: false,
      ...(settings.serviceAccount ? { serviceAccountName: settings.serviceAccount } : {}),
      ...(Object.keys(settings.nodeSelector).length > 0 ? { nodeSelector: settings.nodeSelector } : {}),
      ...(image.credentials ? { imagePullSecrets: [{ name }] } : {}),
      terminationGracePeriodSeconds: 0,
      containers: [containerOf(spec, image)],
      volumes: [{ name: 'work', emptyDir: {} }],
    },
  };
}

function containerOf(spec: MachineSpec, image: MachineImage): V1Container {
  const { memoryBytes, cpus } = spec.limits ?? {};
  const limits = {
    ...(memoryBytes === undefined ? {} : { memory: String(memoryBytes) }),
    ...(cpus === undefined ? {} : { cpu: `${Math.ceil(cpus * 1000)}m` }),
    ...(typeof spec.gpus === 'number' ? { 'nvidia.com/gpu': String(spec.gpus) } : {}),
  };
  return {
    name: containerName,
    image: image.name,
    imagePullPolicy: { always: 'Always', missing: 'IfNotPresent', never: 'Never' }[image.pull ?? 'missing'],
    command: ['/bin/sh', '-c', keeper],
    workingDir: workdir,
    resources: { limits },
    // Commands are root inside whatever user the image names, as CodeBuild has it.
    securityContext: { runAsUser: 0, runAsGroup: 0, ...(spec.privileged ? { privileged: true } : { allowPrivilegeEscalation: true }) },
    volumeMounts: [{ name: 'work', mountPath: workdir }],
  };
}

/** What the nodes need to pull the image; it belongs to the pod and goes with it. */
export function pullSecretOf(pod: V1Pod, image: MachineImage): V1Secret {
  const { username, password } = image.credentials!;
  const auth = Buffer.from(`${username}:${password}`).toString('base64');
  const config = { auths: { [registryOf(image.name)]: { username, password, auth } } };
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    type: 'kubernetes.io/dockerconfigjson',
    metadata: {
      name: pod.metadata!.name!,
      labels: pod.metadata!.labels!,
      ownerReferences: [{ apiVersion: 'v1', kind: 'Pod', name: pod.metadata!.name!, uid: pod.metadata!.uid! }],
    },
    data: { '.dockerconfigjson': Buffer.from(JSON.stringify(config)).toString('base64') },
  };
}

/** The part of an image's name before the first slash is its registry if it looks like a host, else it is Docker Hub's. */
function registryOf(image: string): string {
  const first = image.split('/')[0]!;
  return image.includes('/') && (/[.:]/.test(first) || first === 'localhost') ? first : 'https://index.docker.io/v1/';
}
