/** Finds services and operations by what a request says of them. Built once from the services that this program is put together from. */
import { loadModel, modelNames, type ServiceModel, signingName } from '../platform/model.ts';
import type { Service } from '../platform/service.ts';
import { queryVariant } from './protocols/index.ts';

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
  readonly #bySigningName = new Map<string, Entry>();

  constructor(services: Service[]) {
    const registered = new Map<string, Service>(services.map((service) => [service.name, service]));
    for (const name of modelNames()) {
      const model = loadModel(name);
      const entry: Entry = { name, model, service: registered.get(name) };
      if (model.metadata.awsQueryCompatible) entry.older = { ...entry, model: queryVariant(model) };
      this.#byName.set(name, entry);
      const { targetPrefix } = model.metadata;
      if (targetPrefix) {
        this.#byTarget.set(targetPrefix, entry);
        // CloudTrail's has a Java package before its name, which newer clients leave out.
        this.#byTarget.set(targetPrefix.slice(targetPrefix.lastIndexOf('.') + 1), entry);
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
