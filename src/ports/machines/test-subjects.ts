import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { extract, type Header, pack } from 'tar-stream';
import { findControlGroups } from './cgroups.ts';
import { createDummyMachines, type DummyRegistry } from './dummy.ts';
import { machinesTag } from './local-driver.ts';
import type { ExecResult, ExecSpec, Machine, MachineDriver } from './port.ts';
import { scan } from './proc.ts';
import { createProcessMachines } from './process.ts';
import { createSandboxMachines } from './sandbox.ts';

/** The drivers under test, and how to say the same thing to each. For tests only. */
export interface Subject {
  name: string;
  /** A driver as a fresh server process would make it. */
  open(dataDir: string, registry: DummyRegistry): MachineDriver;
  say(text: string): ExecSpec;
  exit(code: number): ExecSpec;
  sleep(): ExecSpec;
  /** Says "ready", then ignores TERM and sleeps. */
  stubborn(): ExecSpec;
  missing(): ExecSpec;
}

const shell = {
  say: (text: string) => sh(`printf %s '${text}'`),
  exit: (code: number) => sh(`exit ${code}`),
  sleep: () => sh('printf ready; exec sleep 1000'),
  stubborn: () => sh(`trap '' TERM; printf ready; while :; do sleep 0.05; done`),
  missing: () => ({ argv: ['no-such-program'] }),
};

export const realSubjects: Subject[] = [
  { name: 'process', open: (dataDir) => createProcessMachines({ dataDir }), ...shell },
  { name: 'sandbox by bubblewrap', open: (dataDir) => createSandboxMachines({ dataDir, builder: 'bubblewrap' }), ...shell },
  { name: 'sandbox by unshare', open: (dataDir) => createSandboxMachines({ dataDir, builder: 'unshare' }), ...shell },
];

export const subjects: Subject[] = [
  {
    name: 'dummy',
    open: (_, registry) => createDummyMachines({ registry }),
    say: (text) => ({ argv: ['say'], env: { OUTPUT: text } }),
    exit: (code) => ({ argv: ['exit'], env: { EXIT: String(code) } }),
    sleep: () => ({ argv: ['sleep'], env: { SLEEP: '1000000', OUTPUT: 'ready' } }),
    stubborn: () => ({ argv: ['sleep'], env: { SLEEP: '1000000', OUTPUT: 'ready', IGNORE_TERM: '1' } }),
    missing: () => ({ argv: ['missing'], env: { START_FAIL: '1' } }),
  },
  ...realSubjects,
];

export function sh(script: string): ExecSpec {
  return { argv: ['/bin/sh', '-c', script] };
}

/** A driver in a data directory of its own; disposing removes all of its machines. */
export class Bench implements AsyncDisposable {
  readonly dataDir = realpathSync(mkdtempSync(join(tmpdir(), 'penstock-machines-')));
  readonly driver: MachineDriver;
  readonly #subject: Subject;
  readonly #registry: DummyRegistry = new Map();

  constructor(subject: Subject) {
    this.#subject = subject;
    this.driver = this.reopen();
  }

  /** Another driver for the same machines, as after a restart of the server. */
  reopen(): MachineDriver {
    return this.#subject.open(this.dataDir, this.#registry);
  }

  async machine(id: string, more: Partial<Parameters<MachineDriver['create']>[0]> = {}): Promise<Machine> {
    return await this.driver.create({ id, env: {}, network: 'host', ...more });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.driver.sweep(new Set());
    rmSync(this.dataDir, { recursive: true });
  }
}

/**
 * Why a subject cannot be tested here, or false: to be given to a test's `skip`.
 * @throws when the probe finds that it does not work although the host allows all that it needs: that is not a reason to skip.
 */
export async function whyNot(subject: Subject): Promise<string | false> {
  await using bench = new Bench(subject);
  const { available, notes } = await bench.driver.probe();
  if (available) return false;
  if (hostAllows(subject)) throw new Error(`${subject.name} should work here: ${notes.join('; ')}`);
  return notes.join('; ');
}

function hostAllows(subject: Subject): boolean {
  if (!subject.name.startsWith('sandbox')) return true;
  const trial = ['--user', '--map-root-user', '--mount', '--pid', '--fork', 'mount', '-t', 'proc', 'proc', '/proc'];
  const works = spawnSync('unshare', trial, { stdio: 'ignore' }).status === 0;
  return works && (subject.name.endsWith('unshare') || spawnSync('bwrap', ['--version'], { stdio: 'ignore' }).status === 0);
}

export interface Finished extends ExecResult {
  stdout: string;
  stderr: string;
}

/** Runs a command and collects its output. */
export async function finish(machine: Machine, command: ExecSpec): Promise<Finished> {
  const texts = { stdout: '', stderr: '' };
  const result = await machine.exec({
    ...command,
    onOutput: async (chunk, stream) => {
      texts[stream] += chunk;
      await command.onOutput?.(chunk, stream);
    },
  });
  return { ...result, ...texts };
}

/** Starts a command and resolves when it has said its first word; `ended` is its result. */
export async function underWay(machine: Machine, command: ExecSpec): Promise<{ ended: Promise<Finished> }> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const ended = finish(machine, { ...command, onOutput: () => resolve() });
  ended.catch(reject);
  await promise;
  return { ended };
}

export type Entry = Partial<Header> & { name: string; content?: string };

export function tarOf(...entries: Entry[]): Readable {
  const archive = pack();
  for (const { content, ...header } of entries) archive.entry(header, content ?? '');
  archive.finalize();
  return Readable.from(archive);
}

export async function readTar(
  stream: Readable,
): Promise<Record<string, { type: string; content: string; mode: number; linkname?: string }>> {
  const found: Awaited<ReturnType<typeof readTar>> = {};
  const entries = extract();
  stream.on('error', (error) => entries.destroy(error));
  stream.pipe(entries);
  for await (const entry of entries) {
    let content = '';
    for await (const chunk of entry) content += chunk;
    const { name, type, mode, linkname } = entry.header;
    found[name.replace(/\/$/, '')] = { type: type ?? 'file', content, mode: mode ?? 0, ...(linkname ? { linkname } : {}) };
  }
  return found;
}

/** Everything on the host that still belongs to machines of a data directory. */
export async function leftovers(
  dataDir: string,
): Promise<{ directories: string[]; processes: string[]; groups: string[]; mounts: string[] }> {
  const kinds = ['process', 'sandbox'].map((kind) => join(dataDir, 'machines', kind));
  const tags = kinds.map(machinesTag);
  const groups = await findControlGroups(`penstock-test-${process.pid}`);
  return {
    directories: kinds.flatMap((kind) => readDirectory(kind)),
    processes: scan()
      .filter(({ mark }) => tags.some((tag) => mark?.startsWith(tag)))
      .map(({ mark }) => mark!),
    groups: tags.flatMap((tag) => groups?.list(`penstock-${tag}`) ?? []),
    mounts: readFileSync('/proc/self/mountinfo', 'utf8')
      .split('\n')
      .filter((line) => line.includes(dataDir)),
  };
}

export const nothing = { directories: [], processes: [], groups: [], mounts: [] };

function readDirectory(path: string): string[] {
  try {
    return readdirSync(path).filter((name) => !name.startsWith('.pipes-'));
  } catch {
    return [];
  }
}
