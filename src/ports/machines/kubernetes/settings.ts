/** What a cluster's operator may decide about the pods of machines. All of it by variables of the server's environment. */
export interface ClusterSettings {
  /** PENSTOCK_KUBERNETES_NAMESPACE; default: that of the current context, in a pod its own. */
  namespace: string | undefined;
  /** PENSTOCK_KUBERNETES_NODE_SELECTOR: `name=value`, several with commas between. */
  nodeSelector: Record<string, string>;
  /** PENSTOCK_KUBERNETES_SERVICE_ACCOUNT: whose rights pods have at admission; its token is never mounted. */
  serviceAccount: string | undefined;
  /** PENSTOCK_KUBERNETES_START_SECONDS: how long a pod may wait for a node and for its image. Default: 600. */
  startSeconds: number;
}

const defaultStartSeconds = 600;

/** @throws when a variable cannot be read as what it must be. */
export function settingsOf(env: NodeJS.ProcessEnv): ClusterSettings {
  return {
    namespace: env.PENSTOCK_KUBERNETES_NAMESPACE || undefined,
    nodeSelector: selectorOf(env.PENSTOCK_KUBERNETES_NODE_SELECTOR ?? ''),
    serviceAccount: env.PENSTOCK_KUBERNETES_SERVICE_ACCOUNT || undefined,
    startSeconds: secondsOf(env.PENSTOCK_KUBERNETES_START_SECONDS),
  };
}

function selectorOf(text: string): Record<string, string> {
  const pairs = text.split(',').filter((pair) => pair.trim() !== '');
  return Object.fromEntries(
    pairs.map((pair) => {
      const [name, value, ...more] = pair.split('=').map((part) => part.trim());
      if (!name || value === undefined || more.length > 0)
        throw new Error(`PENSTOCK_KUBERNETES_NODE_SELECTOR is written name=value,name=value; ${JSON.stringify(pair)} is not.`);
      return [name, value];
    }),
  );
}

function secondsOf(text: string | undefined): number {
  if (!text) return defaultStartSeconds;
  const seconds = Number(text);
  if (!Number.isInteger(seconds) || seconds < 1) throw new Error('PENSTOCK_KUBERNETES_START_SECONDS must be a whole number above 0.');
  return seconds;
}
