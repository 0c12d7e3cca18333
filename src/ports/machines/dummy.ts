import { posix } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { extract, type Header, pack } from 'tar-stream';
import { refuseImage } from './local-driver.ts';
import {
  type Capabilities,
  type ExecResult,
  type ExecSpec,
  ExecStartError,
  type Machine,
  type MachineDriver,
  type MachineSpec,
} from './port.ts';
import { safeNames } from './tar.ts';

/** What a pretended command does. */
export interface DummyBehaviour {
  /** Before it ends; an abort or a stop ends it sooner. */
  sleepMs?: number;
  exitCode?: number;
  /** Written to standard output at the start. */
  output?: string;
  /** The output is never delivered, as when a connection is lost. */
  lostOutput?: boolean;
  /** The kernel "kills" it for memory: SIGKILL and oomKilled. */
  oom?: boolean;
  /** It cannot be started. */
  startFail?: boolean;
  /** It does not end on TERM, only on KILL. */
  ignoreTerm?: boolean;
}

/** The first rule whose `match` is found in the command line (arguments joined by spaces) says what a command does. */
export interface DummyRule extends DummyBehaviour {
  match: string | RegExp;
}

export interface DummyOptions {
  rules?: DummyRule[];
  /** Where machines live; give it to two drivers to act out a restart of the server. */
  registry?: DummyRegistry;
}

export type DummyRegistry = Map<string, DummyMachine>;

/**
 * Machines that run nothing, so that engines are tested quickly and for what seldom happens.
 *
 * What a command does comes from the rules, else from variables of the machine's or the command's environment: SLEEP (ms), EXIT (code),
 * OUTPUT (text), LOST_OUTPUT, OOM, START_FAIL, IGNORE_TERM (any value; START_FAIL=create fails the making of the machine). Without
 * either it succeeds at once and in silence.
 */
export function createDummyMachines({ rules = [], registry = new Map() }: DummyOptions = {}): MachineDriver {
  return {
    name: 'dummy',
    probe: async () => dummyCapabilities,
    create: async (spec, signal) => {
      signal?.throwIfAborted();
      if (!/^[A-Za-z0-9-]{1,64}$/.test(spec.id)) throw new Error(`${JSON.stringify(spec.id)} is not a machine id`);
      refuseImage(spec, 'dummy');
      if (registry.has(spec.id)) throw new Error(`there is a machine ${spec.id} already`);
      if (spec.env.START_FAIL === 'create') throw new Error('START_FAIL=create');
      const machine = new DummyMachine(spec, rules, () => registry.delete(spec.id));
      registry.set(spec.id, machine);
      return machine;
    },
    adopt: async (id) => registry.get(id)?.adopted(),
    discard: async (id) => registry.get(id)?.remove(),
    sweep: async (claimed) => {
      for (const [id, machine] of registry) if (!claimed.has(id)) await machine.remove();
    },
  };
}

const dummyCapabilities: Capabilities = {
  available: true,
  notes: ['Nothing is run: commands are pretended.'],
  isolation: 'dummy (nothing is run)',
  limits: { memory: false, cpu: false, pids: false },
  privateFilesystem: true,
  ownUser: false,
  images: false,
};

interface DummyFile {
  header: Header;
  content: Buffer;
}

class DummyMachine implements Machine {
  readonly id: string;
  readonly driver = 'dummy';
  readonly isolation = dummyCapabilities.isolation;
  readonly workdir = '/work';
  readonly #spec: MachineSpec;
  readonly #rules: DummyRule[];
  readonly #forget: () => void;
  readonly #files = new Map<string, DummyFile>();
  readonly #running = new Set<(signal: 'SIGTERM' | 'SIGKILL') => void>();
  #stopped = false;

  constructor(spec: MachineSpec, rules: DummyRule[], forget: () => void) {
    this.id = spec.id;
    this.#spec = spec;
    this.#rules = rules;
    this.#forget = forget;
  }

  /** For the new owner; what ran for the old one is killed. */
  adopted(): this {
    this.#signal('SIGKILL');
    return this;
  }

  async exec(command: ExecSpec): Promise<ExecResult> {
    const behaviour = this.#behaviour(command);
    if (this.#stopped) throw new ExecStartError(`the machine ${this.id} is stopped`);
    if (command.signal?.aborted) return { exitCode: null, signal: null, oomKilled: false, aborted: true };
    if (behaviour.startFail || !command.argv[0]) throw new ExecStartError('START_FAIL');
    const ended = this.#pretend(behaviour, command);
    if (behaviour.output && !behaviour.lostOutput) await command.onOutput?.(Buffer.from(behaviour.output), 'stdout');
    return await ended;
  }

  async put(path: string, tar: Readable): Promise<void> {
    const entries = extract();
    const feeding = pipeline(tar, entries);
    feeding.catch(() => undefined);
    for await (const entry of entries) {
      const name = safeNames(entry.header.name).join('/');
      if (!['file', 'directory', 'symlink'].includes(entry.header.type ?? 'file'))
        throw new Error(`the archive holds a ${entry.header.type}`);
      const content = Buffer.concat(await Array.fromAsync(entry as unknown as AsyncIterable<Buffer>));
      this.#checkParents(path, name);
      if (name) this.#files.set(posix.resolve(this.workdir, path, name), { header: entry.header, content });
    }
    await feeding;
  }

  async get(path: string): Promise<Readable> {
    const base = posix.resolve(this.workdir, path);
    const archive = pack();
    for (const [name, { header, content }] of [...this.#files].sort(([a], [b]) => (a < b ? -1 : 1))) {
      if (name.startsWith(`${base}/`)) archive.entry({ ...header, name: posix.relative(base, name), pax: null }, content);
      else if (name === base) archive.entry({ ...header, name: posix.basename(name), pax: null }, content);
    }
    archive.finalize();
    return Readable.from(archive);
  }

  hostPath(): undefined {
    return undefined;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#signal('SIGKILL');
  }

  async remove(): Promise<void> {
    await this.stop();
    this.#files.clear();
    this.#forget();
  }

  async #pretend(behaviour: DummyBehaviour, command: ExecSpec): Promise<ExecResult> {
    const killed = new AbortController();
    let by: string | null = null;
    let aborted = false;
    const signal = (name: 'SIGTERM' | 'SIGKILL') => {
      if (name === 'SIGTERM' && behaviour.ignoreTerm) return;
      by = name;
      killed.abort();
    };
    const abort = () => {
      aborted = true;
      signal('SIGTERM');
      if (behaviour.ignoreTerm) setTimeout(signal, command.graceMs ?? 5000, 'SIGKILL').unref();
    };
    this.#running.add(signal);
    command.signal?.addEventListener('abort', abort, { once: true });
    await delay(behaviour.sleepMs ?? 0, undefined, { signal: killed.signal }).catch(() => undefined);
    command.signal?.removeEventListener('abort', abort);
    this.#running.delete(signal);
    if (by) return { exitCode: null, signal: by, oomKilled: false, aborted };
    if (behaviour.oom) return { exitCode: null, signal: 'SIGKILL', oomKilled: true, aborted };
    return { exitCode: behaviour.exitCode ?? 0, signal: null, oomKilled: false, aborted };
  }

  #behaviour(command: ExecSpec): DummyBehaviour {
    const line = command.argv.join(' ');
    const rule = this.#rules.find(({ match }) => (typeof match === 'string' ? line.includes(match) : match.test(line)));
    if (rule) return rule;
    const env: Record<string, string | undefined> = { ...this.#spec.env, ...command.env };
    return {
      sleepMs: Number(env.SLEEP ?? 0),
      exitCode: Number(env.EXIT ?? 0),
      output: env.OUTPUT,
      lostOutput: env.LOST_OUTPUT !== undefined,
      oom: env.OOM !== undefined,
      startFail: env.START_FAIL !== undefined,
      ignoreTerm: env.IGNORE_TERM !== undefined,
    };
  }

  /** As in the real ones: nothing is written through a symbolic link. */
  #checkParents(path: string, name: string): void {
    for (let parent = posix.dirname(name); parent !== '.'; parent = posix.dirname(parent)) {
      const there = this.#files.get(posix.resolve(this.workdir, path, parent));
      if (there && there.header.type !== 'directory') throw new Error(`the archive's ${JSON.stringify(parent)} is not a directory`);
    }
  }

  #signal(signal: 'SIGTERM' | 'SIGKILL'): void {
    for (const send of this.#running) send(signal);
  }
}
