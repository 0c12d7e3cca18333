import type { Capabilities, Machine, MachineDriver, MachineSpec } from '../port.ts';
import { isInContainer, makeDirectory } from './archive.ts';
import { type ContainerState, containerOf, home, type InspectedContainer, labels, removeContainer, stoppedStatus } from './container.ts';
import { type Engine, EngineError, EngineLost } from './engine.ts';
import { type InspectedImage, provideImage } from './images.ts';
import { DockerMachine } from './machine.ts';

/** Engine API, SystemInfo and SystemVersion, as far as they are looked at. */
interface Info {
  OSType: string;
  MemoryLimit: boolean;
  CpuCfsQuota: boolean;
  PidsLimit: boolean;
  CgroupVersion?: string;
}
interface Version {
  Version: string;
  Components?: { Name: string; Version: string }[];
}

const idPattern = /^[A-Za-z0-9-]{1,64}$/;

/**
 * Machines as containers of a Docker-compatible engine, one each. All that is known of a machine is in its container's labels, so any process
 * that reaches the engine and has the same identity can go on with it.
 */
export class DockerDriver implements MachineDriver {
  readonly name = 'docker';
  readonly #engine: Engine;
  readonly #identity: string;
  #capabilities: Promise<Capabilities> | undefined;
  /** Ids of images that have all that is needed: what an id stands for never changes. */
  readonly #furnished = new Set<string>();

  /** @param identity tells the containers of this installation from others' on the same engine; letters and digits. */
  constructor(engine: Engine, identity: string) {
    this.#engine = engine;
    this.#identity = identity;
  }

  /** An engine that does not answer is asked again the next time: it may only be starting. */
  async probe(): Promise<Capabilities> {
    this.#capabilities ??= this.#look();
    const found = await this.#capabilities;
    if (!found.available) this.#capabilities = undefined;
    return found;
  }

  async create(spec: MachineSpec, signal?: AbortSignal): Promise<Machine> {
    if (!idPattern.test(spec.id)) throw new Error(`${JSON.stringify(spec.id)} is not a machine id`);
    signal?.throwIfAborted();
    if (!spec.image) throw new Error('a machine on a container engine needs an image');
    const { available, notes, isolation } = await this.probe();
    if (!available) throw new EngineLost(`machines of kind docker do not work here: ${notes.join('; ')}`);
    const image = await provideImage(this.#engine, spec.image, signal);
    const state: ContainerState = {
      env: spec.env,
      image: spec.image.name,
      isolation,
      memoryLimited: spec.limits?.memoryBytes !== undefined,
    };
    const container = await this.#createContainer(spec, image, state);
    try {
      await this.#prepare(container, spec.image.name, image.Id);
      await this.#engine.call('POST', `/containers/${container}/start`);
      signal?.throwIfAborted();
      return this.#machine(spec.id, container, state, false);
    } catch (error) {
      await removeContainer(this.#engine, container).catch(() => undefined);
      throw error;
    }
  }

  async adopt(id: string): Promise<Machine | undefined> {
    if (!idPattern.test(id)) return undefined;
    const found = await this.#inspect(this.#nameOf(id));
    const kept = found?.Config.Labels?.[labels.state];
    if (!found || kept === undefined) return undefined;
    // Never started, so not made completely: whoever was making it is gone, and nobody else will ask for it.
    if (found.State.Status === 'created') return void (await removeContainer(this.#engine, found.Id));
    const state: ContainerState = JSON.parse(kept);
    const stopped = !found.State.Running && found.State.ExitCode === stoppedStatus;
    if (!found.State.Running && !stopped) await this.#engine.call('POST', `/containers/${found.Id}/start`);
    const machine = this.#machine(id, found.Id, state, stopped);
    if (!stopped) await machine.clearLeftovers(found.ExecIDs ?? []);
    return machine;
  }

  async discard(id: string): Promise<void> {
    if (idPattern.test(id)) await removeContainer(this.#engine, this.#nameOf(id));
  }

  async sweep(claimed: ReadonlySet<string>): Promise<void> {
    const filters = JSON.stringify({ label: [`${labels.server}=${this.#identity}`] });
    const containers = await this.#engine.call<{ Id: string; Labels: Record<string, string> }[]>('GET', '/containers/json', {
      query: { all: 'true', filters },
    });
    for (const { Id, Labels } of containers) if (!claimed.has(Labels[labels.machine] ?? '')) await removeContainer(this.#engine, Id);
  }

  /** What every machine has, whatever its image holds: a shell, or it is none; a home. */
  async #prepare(container: string, image: string, imageId: string): Promise<void> {
    if (this.#furnished.has(imageId)) return;
    const [shell, itsHome] = await Promise.all(['/bin/sh', home].map((path) => isInContainer(this.#engine, container, path)));
    if (!shell) throw new Error(`the image ${image} has no /bin/sh, which commands need`);
    if (itsHome) this.#furnished.add(imageId);
    else await makeDirectory(this.#engine, container, home);
  }

  async #createContainer(spec: MachineSpec, image: InspectedImage, state: ContainerState): Promise<string> {
    const own = { [labels.server]: this.#identity, [labels.machine]: spec.id, [labels.state]: JSON.stringify(state) };
    const query = { name: this.#nameOf(spec.id) };
    const { Id } = await this.#engine.call<{ Id: string }>('POST', '/containers/create', {
      query,
      body: containerOf(spec, state.image, image, own),
    });
    return Id;
  }

  async #inspect(container: string): Promise<InspectedContainer | undefined> {
    try {
      return await this.#engine.call<InspectedContainer>('GET', `/containers/${container}/json`);
    } catch (error) {
      if (error instanceof EngineError && error.status === 404) return undefined;
      throw error;
    }
  }

  #machine(id: string, container: string, state: ContainerState, stopped: boolean): DockerMachine {
    return new DockerMachine({ engine: this.#engine, id, container, mark: `${this.#identity}.${id}.`, state, stopped });
  }

  #nameOf(id: string): string {
    return `penstock-${this.#identity}-${id}`;
  }

  async #look(): Promise<Capabilities> {
    try {
      const [version, info] = await Promise.all([this.#engine.call<Version>('GET', '/version'), this.#engine.call<Info>('GET', '/info')]);
      return describe(version, info);
    } catch (error) {
      return unavailable(`the container engine at ${this.#engine.address} does not answer: ${(error as Error).message}`);
    }
  }
}

function describe(version: Version, info: Info): Capabilities {
  if (info.OSType !== 'linux') return unavailable(`the container engine runs ${info.OSType} containers; builds need Linux`);
  const limits = { memory: info.MemoryLimit, cpu: info.CpuCfsQuota, pids: info.PidsLimit };
  const names = Object.entries(limits).flatMap(([name, there]) => (there ? [name] : []));
  const engine = version.Components?.find(({ Name }) => /engine/i.test(Name)) ?? { Name: 'Engine', Version: version.Version };
  const notes = names.length < 3 ? ['Some limits (memory, CPU, processes) cannot be enforced by this engine.'] : [];
  const groups = names.length > 0 ? `cgroup v${info.CgroupVersion ?? '1'} ${names.join(' ')}` : 'no limits';
  const isolation = `docker (${engine.Name} ${engine.Version}; own root, pid, mount, ipc, uts; ${groups})`;
  return { available: true, notes, isolation, limits, privateFilesystem: true, ownUser: true, images: true };
}

function unavailable(note: string): Capabilities {
  const limits = { memory: false, cpu: false, pids: false };
  return { available: false, notes: [note], isolation: 'none', limits, privateFilesystem: false, ownUser: false, images: true };
}
