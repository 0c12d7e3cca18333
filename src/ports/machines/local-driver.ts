import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, realpathSync, rmSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { ControlGroups, MachineGroup } from './cgroups.ts';
import { type Kind, LocalMachine } from './local-machine.ts';
import { Pipes } from './pipes.ts';
import type { Capabilities, Machine, MachineDriver, MachineSpec } from './port.ts';
import { endHolders, groupSet, markedSet, terminate } from './process-set.ts';
import { loadState, type MachineState, makeMachineDirectory, saveState } from './state.ts';
import type { View } from './view.ts';

/** What a probe found. */
export interface Finding {
  capabilities: Capabilities;
  groups: ControlGroups | undefined;
}

/** A place for one machine, made by {@link LocalDriver}. */
export interface Site {
  id: string;
  /** See state.ts. */
  directory: string;
  spec: MachineSpec;
  mark: string;
  group: MachineGroup | undefined;
}

/** What a kind of machine makes of its site. */
export interface Furnished {
  view: View;
  kind: Pick<Kind, 'way' | 'stop'>;
  holders: MachineState['holders'];
}

/** What plain processes and sandboxes do differently. */
export interface Flavour {
  name: 'process' | 'sandbox';
  probe(trial: Trial): Promise<Finding>;
  /** @param state of the machine that is taken over from another process; undefined when it is new. @throws to refuse the spec. */
  furnish(site: Site, state: MachineState | undefined, signal: AbortSignal | undefined): Promise<Furnished>;
}

/** Lets a probe try a whole machine: makes it, hands it over, removes it. */
export type Trial = (groups: ControlGroups | undefined, use: (machine: Machine) => Promise<void>) => Promise<void>;

const idPattern = /^[A-Za-z0-9-]{1,64}$/;

/**
 * Keeps machines in directories of this host. The directory's state file, the control group's name and the mark in processes'
 * environments are each enough to find what belongs to a machine, so a crash at any point of its making leaves nothing unfindable.
 */
export class LocalDriver implements MachineDriver {
  readonly name: 'process' | 'sandbox';
  readonly #flavour: Flavour;
  readonly #directory: string;
  readonly #pipes: Pipes;
  readonly #tag: string;
  #finding: Promise<Finding> | undefined;

  /** @param dataDir made if missing. */
  constructor(flavour: Flavour, dataDir: string) {
    this.name = flavour.name;
    this.#flavour = flavour;
    mkdirSync(dataDir, { recursive: true, mode: 0o700 });
    this.#directory = join(realpathSync(dataDir), 'machines', flavour.name);
    this.#tag = machinesTag(this.#directory);
    this.#pipes = new Pipes(this.#directory);
  }

  async probe(): Promise<Capabilities> {
    return (await this.#find()).capabilities;
  }

  async create(spec: MachineSpec, signal?: AbortSignal): Promise<Machine> {
    if (!idPattern.test(spec.id)) throw new Error(`${JSON.stringify(spec.id)} is not a machine id`);
    refuseImage(spec, this.name);
    const { capabilities, groups } = await this.#find();
    if (!capabilities.available) throw new Error(`machines of kind ${this.name} do not work here: ${capabilities.notes.join('; ')}`);
    return await this.#make(spec, groups, capabilities.isolation, signal);
  }

  async adopt(id: string): Promise<Machine | undefined> {
    const state = idPattern.test(id) ? loadState(this.#machineDirectory(id)) : undefined;
    if (!state) return undefined;
    const { groups } = await this.#find();
    const site = this.#site(state.spec, state.group === undefined ? undefined : groups?.open(state.group));
    const furnished = await this.#flavour.furnish(site, state, undefined);
    saveState(site.directory, { ...state, holders: furnished.holders });
    const machine = this.#machine(site, furnished, groups, state.isolation, state.stopped);
    await machine.clearLeftovers();
    return machine;
  }

  async discard(id: string): Promise<void> {
    if (idPattern.test(id)) await this.#obliterate(id, true, (await this.#find()).groups);
  }

  async sweep(claimed: ReadonlySet<string>): Promise<void> {
    const { groups } = await this.#find();
    const prefix = this.#groupName('');
    const ids = new Set([...this.#idsOfDirectories(), ...(groups?.list(prefix).map((name) => name.slice(prefix.length)) ?? [])]);
    for (const id of ids) if (!claimed.has(id)) await this.#obliterate(id, true, groups);
    for (const name of this.#leftoverPipes()) rmSync(join(this.#directory, name), { recursive: true, force: true });
  }

  #find(): Promise<Finding> {
    this.#finding ??= this.#flavour.probe((groups, use) => this.#try(groups, use));
    return this.#finding;
  }

  async #try(groups: ControlGroups | undefined, use: (machine: Machine) => Promise<void>): Promise<void> {
    for (const old of this.#idsOfDirectories().filter(isStaleProbe)) await this.#obliterate(old, false, groups);
    const id = `probe-${process.pid}-${Date.now()}`;
    try {
      const machine = await this.#make({ id, env: {}, network: 'host' }, groups, '', undefined);
      await use(machine);
    } finally {
      await this.#obliterate(id, false, groups);
    }
  }

  async #make(spec: MachineSpec, groups: ControlGroups | undefined, isolation: string, signal: AbortSignal | undefined): Promise<Machine> {
    signal?.throwIfAborted();
    const directory = this.#machineDirectory(spec.id);
    makeMachineDirectory(directory);
    try {
      const name = this.#groupName(spec.id);
      const state: MachineState = { spec, isolation, holders: [], stopped: false, ...(groups ? { group: name } : {}) };
      saveState(directory, state);
      const site = this.#site(spec, groups?.create(name, withOwn(spec.limits ?? {})));
      const furnished = await this.#flavour.furnish(site, undefined, signal);
      saveState(directory, { ...state, holders: furnished.holders });
      return this.#machine(site, furnished, groups, isolation, false);
    } catch (error) {
      await this.#obliterate(spec.id, true, groups);
      throw error;
    }
  }

  #machine(site: Site, { view, kind }: Furnished, groups: ControlGroups | undefined, isolation: string, stopped: boolean): LocalMachine {
    const { id, directory, mark, group, spec } = site;
    const discard = () => this.#obliterate(id, group === undefined, groups);
    const whole: Kind = { driver: this.name, way: kind.way, stop: kind.stop, discard };
    return new LocalMachine({ id, isolation, stopped, directory, env: spec.env, mark, group, view, pipes: this.#pipes, kind: whole });
  }

  #site(spec: MachineSpec, group: MachineGroup | undefined): Site {
    return { id: spec.id, directory: this.#machineDirectory(spec.id), spec, mark: this.#mark(spec.id), group };
  }

  /**
   * Kills and deletes all that belongs to an id, whatever is left of it. Idempotent.
   * @param thorough also look through all processes of the host for the machine's mark.
   */
  async #obliterate(id: string, thorough: boolean, groups: ControlGroups | undefined): Promise<void> {
    const directory = this.#machineDirectory(id);
    const holders = loadState(directory)?.holders ?? [];
    const group = groups?.open(this.#groupName(id));
    await endHolders(holders);
    if (group) await terminate(groupSet(group), 0);
    if (thorough) await terminate(markedSet(`${this.#mark(id)}.`), 0);
    await group?.remove();
    await deleteTree(directory);
  }

  #machineDirectory(id: string): string {
    return join(this.#directory, id);
  }

  #mark(id: string): string {
    return `${this.#tag}.${id}`;
  }

  #groupName(id: string): string {
    return `penstock-${this.#tag}-${id}`;
  }

  #idsOfDirectories(): string[] {
    return existsSync(this.#directory) ? readdirSync(this.#directory).filter((name) => idPattern.test(name)) : [];
  }

  #leftoverPipes(): string[] {
    return existsSync(this.#directory) ? readdirSync(this.#directory).filter((name) => name.startsWith('.pipes-')) : [];
  }
}

/** A probe takes a moment: one so old was left behind by a crash, while a younger one may be another process's. */
const staleProbeMs = 10 * 60_000;

function isStaleProbe(id: string): boolean {
  const began = /^probe-\d+-(\d+)$/.exec(id)?.[1];
  return began !== undefined && Date.now() - Number(began) > staleProbeMs;
}

/** The builder and process 1 of a sandbox, and the program that enters it, are in the machine's group but not of the user's making. */
const ownProcesses = 3;

function withOwn(limits: NonNullable<MachineSpec['limits']>): NonNullable<MachineSpec['limits']> {
  return limits.pids === undefined ? limits : { ...limits, pids: limits.pids + ownProcesses };
}

/** Tells the machines of one directory from those of another on the same host, in marks and in names of control groups. */
export function machinesTag(directory: string): string {
  return createHash('sha256').update(directory).digest('hex').slice(0, 10);
}

/** @throws when the spec asks for what only machines made of images have. */
export function refuseImage({ image, privileged, gpus }: MachineSpec, driver: string): void {
  if (image || privileged || gpus)
    throw new Error(`machines of kind ${driver} are not made of images, and have neither GPUs nor privileges`);
}

/**
 * Deletes a tree that no process uses any more. What a machine wrote may be nested deeper than a path can be long, or, when this is
 * an ordinary user, forbid its own deletion; the system's tools cope with both.
 */
async function deleteTree(path: string): Promise<void> {
  try {
    await rm(path, { recursive: true, force: true });
  } catch {
    await tool('chmod', ['-R', 'u+rwx', path]);
    await tool('rm', ['-rf', path]);
    if (existsSync(path)) throw new Error(`${path} cannot be deleted`);
  }
}

async function tool(name: string, args: string[]): Promise<void> {
  await once(spawn(name, args, { stdio: 'ignore' }), 'exit');
}
