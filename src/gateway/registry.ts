/** Finds services and operations by what a request says of them. Built once from the services that this program is put together from. */
import { loadModel, modelNames, type ServiceModel, signingName } from '../platform/model.ts';
import type { Service } from '../platform/service.ts';
import { jsonVariant, queryVariant } from './protocols/index.ts';

export interface Entry {
  name: string;
  model: ServiceModel;
  /** Absent when the model is there but nothing is registered yet: every operation answers 501. */
  service: Service | undefined;
  /** The same service in the query form that older clients speak. */
  older?: Entry;
}

export class Registry {
  readonly #byName = new Map<string, Entry>();
  readonly #byTarget = new Map<string, Entry>();
  readonly #byRpcName = new Map<string, Entry>();
  readonly #bySigningName = new Map<string, Entry>();

  constructor(services: Service[]) {
    const registered = new Map<string, Service>(services.map((service) => [service.name, service]));
    for (const name of modelNames()) {
      const model = loadModel(name);
      const entry: Entry = { name, model, service: registered.get(name) };
      if (model.metadata.awsQueryCompatible) entry.older = { ...entry, model: queryVariant(model) };
      this.#byName.set(name, entry);
      const { targetPrefix } = model.metadata;
      const rpc = model.metadata.protocol === 'smithy-rpc-v2-cbor';
      if (targetPrefix) {
        const target = rpc ? { ...entry, model: jsonVariant(model) } : entry;
        this.#byTarget.set(targetPrefix, target);
        // CloudTrail's has a Java package before its name, which newer clients leave out.
        this.#byTarget.set(targetPrefix.slice(targetPrefix.lastIndexOf('.') + 1), target);
        if (rpc) this.#byRpcName.set(targetPrefix, entry);
      }
      this.#bySigningName.set(signingName(model), entry);
    }
  }

  byName(name: string): Entry | undefined {
    return this.#byName.get(name);
  }

  /** `X-Amz-Target: <prefix>.<operation>`; prefixes may hold dots themselves. */
  byTarget(target: string): { entry: Entry; operation: string } | undefined {
    const dot = target.lastIndexOf('.');
    const entry = this.#byTarget.get(target.slice(0, dot));
    return entry && { entry, operation: target.slice(dot + 1) };
  }

  /** By the path of Smithy's RPC protocol: `/service/<name>/operation/<operation>`, where the name is the target's prefix. */
  byRpcPath(path: string): { entry: Entry; operation: string } | undefined {
    const [, service = '', operation = ''] = /^\/service\/([\w.]+)\/operation\/(\w+)$/.exec(path) ?? [];
    const entry = this.#byRpcName.get(service);
    return entry && { entry, operation };
  }

  bySigningName(name: string): Entry | undefined {
    return this.#bySigningName.get(name);
  }

  /** The query service that has this `Version` and knows this `Action`. */
  byAction(action: string, version: string | undefined): Entry | undefined {
    for (const known of this.#byName.values()) {
      const entry = known.older ?? known;
      const { model } = entry;
      if (model.metadata.protocol !== 'query' && model.metadata.protocol !== 'ec2') continue;
      if (version !== undefined && version !== model.metadata.apiVersion) continue;
      if (action in model.operations || model.otherOperations.includes(action)) return entry;
    }
    return undefined;
  }
}
