import { mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { extract, type Header, pack } from 'tar-stream';
import type { DummyRegistry } from './dummy.ts';
import type { ExecResult, ExecSpec, Machine, MachineDriver, MachineSpec } from './port.ts';

/** A driver under test, and how to say the same thing to each. */
export interface Subject {
  name: string;
  /** A driver as a fresh server process would make it. */
  open(dataDir: string, registry: DummyRegistry): MachineDriver;
  /** What its machines need besides an id: an image. */
  spec?: Partial<MachineSpec>;
  say(text: string): ExecSpec;
  exit(code: number): ExecSpec;
  sleep(): ExecSpec;
  /** Says "ready", then ignores TERM and sleeps. */
  stubborn(): ExecSpec;
  missing(): ExecSpec;
}

/** How it is said to a driver that runs a POSIX shell. */
export const shell = {
  say: (text: string) => sh(`printf %s '${text}'`),
  exit: (code: number) => sh(`exit ${code}`),
  sleep: () => sh('printf ready; exec sleep 1000'),
  stubborn: () => sh(`trap '' TERM; printf ready; while :; do sleep 0.05; done`),
  missing: () => ({ argv: ['no-such-program'] }),
};

export function sh(script: string): ExecSpec {
  return { argv: ['/bin/sh', '-c', script] };
}

/** A driver in a data directory of its own; disposing removes all of its machines. */
export class Bench implements AsyncDisposable {
  readonly dataDir = realpathSync(mkdtempSync(join(tmpdir(), 'penstock-machines-')));
  readonly driver: MachineDriver;
  readonly subject: Subject;
  readonly #registry: DummyRegistry = new Map();

  constructor(subject: Subject) {
    this.subject = subject;
    this.driver = this.reopen();
  }

  /** Another driver for the same machines, as after a restart of the server. */
  reopen(): MachineDriver {
    return this.subject.open(this.dataDir, this.#registry);
  }

  async machine(id: string, more: Partial<MachineSpec> = {}): Promise<Machine> {
    return await this.driver.create({ id, env: {}, network: 'host', ...this.subject.spec, ...more });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.driver.sweep(new Set());
    rmSync(this.dataDir, { recursive: true });
  }
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
