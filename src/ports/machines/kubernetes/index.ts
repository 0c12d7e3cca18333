import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { identityIn } from '../identity.ts';
import type { MachineDriver } from '../port.ts';
import { Cluster } from './cluster.ts';
import { KubernetesDriver } from './driver.ts';
import { settingsOf } from './settings.ts';

export interface KubernetesOptions {
  dataDir: string;
  /** By which this installation knows its pods from others'; default: one for each data directory. */
  identity?: string;
  /** KUBECONFIG and the settings of settings.ts. */
  env: NodeJS.ProcessEnv;
}

const ownNamespaceFile = '/var/run/secrets/kubernetes.io/serviceaccount/namespace';

/** The cluster is that of KUBECONFIG or ~/.kube/config, else the one that this process runs in. */
export function createKubernetesMachines({ dataDir, env, identity }: KubernetesOptions): MachineDriver {
  const settings = settingsOf(env);
  const connect = async (): Promise<Cluster> => {
    // Loaded only here: it is larger than all the rest of a server.
    const kubernetes = await import('@kubernetes/client-node');
    const config = new kubernetes.KubeConfig();
    if (env.KUBECONFIG) config.loadFromFile(env.KUBECONFIG);
    else config.loadFromDefault();
    const { contexts, currentContext } = config;
    const given = settings.namespace ?? contexts.find(({ name }) => name === currentContext)?.namespace;
    return new Cluster(kubernetes, config, given ?? ownNamespace());
  };
  return new KubernetesDriver(connect, identity ?? identityIn(join(dataDir, 'machines', 'kubernetes')), settings);
}

function ownNamespace(): string {
  try {
    return readFileSync(ownNamespaceFile, 'utf8').trim();
  } catch {
    return 'default';
  }
}
