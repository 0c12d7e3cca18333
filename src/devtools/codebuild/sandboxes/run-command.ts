/** One command of a sandbox: a shell of its own in the directory of the sources, its output kept and logged. */
import { constants } from 'node:os';
import { StringDecoder } from 'node:string_decoder';
import type { Platform } from '../../../platform/platform.ts';
import { type ExecResult, ExecStartError, type Machine } from '../../../ports/machines/port.ts';
import { persist } from '../engine/persist.ts';
import { packFiles } from '../runner/files.ts';
import { codebuildDirectory } from '../runner/layout.ts';
import type { BuildLog } from '../runner/log.ts';
import { Masker, maskAccessKeys } from '../runner/masker.ts';
import { buildPrograms } from '../runner/programs.ts';
import { lockOwned, type Owned } from './record.ts';
import type { CommandRow } from './tables.ts';

/** characters of each stream that the record keeps; all of it is in the log */
const MAX_KEPT = 64 * 1024;
/** Between TERM and KILL when the sandbox is stopped. */
const GRACE_MS = 1_000;

/** `sh -c START sh DIR SCRIPT`: the programs of every build are the last of PATH. */
export const USUAL_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
const START = `PATH=\${PATH:-${USUAL_PATH}}:$1/bin; export PATH; exec sh "$2"`;

export interface Surroundings {
  platform: Platform;
  sandbox: Owned;
  machine: Machine;
  /** Inside: where commands start. */
  directory: string;
  env: Record<string, string>;
  /** Values that the record must not show. */
  secrets: string[];
  log: BuildLog;
  signal: AbortSignal;
}

/** From IN_PROGRESS to its end. Throws LostBuild when the sandbox is not this process's any more. */
export async function runCommand(around: Surroundings, row: CommandRow): Promise<void> {
  if (!(await begin(around, row))) return;
  const { log, machine } = around;
  log.agent(`Running command ${row.command}`);
  const stdout = new Kept(around.secrets);
  const stderr = new Kept(around.secrets);
  const result = await execute(around, row, async (chunk, stream) => {
    (stream === 'stdout' ? stdout : stderr).write(chunk);
    await log.output(chunk);
  }).catch((error) => {
    // What cannot be started at all; anything else is a mistake of ours or of the machine's.
    stderr.write(Buffer.from(`${error instanceof ExecStartError ? error.message : 'The command could not be run.'}\n`));
    if (!(error instanceof ExecStartError)) around.platform.log.error({ sandbox: row.sandbox, error }, 'a command of a sandbox failed');
    return undefined;
  });
  if (result?.oomKilled) stderr.write(Buffer.from(`The machine ${machine.id} ran out of memory.\n`));
  if (result?.aborted) stderr.write(Buffer.from('The sandbox was stopped before the command ended.\n'));
  await finish(around, row, result, { stdout: stdout.end(), stderr: stderr.end() });
}

/** Inside: for scripts and programs. */
export function toolDirectory(machine: Machine): string {
  return `${codebuildDirectory(machine)}/output/tmp`;
}

/** Once for each machine. */
export function putPrograms(machine: Machine): Promise<void> {
  return machine.put(`${toolDirectory(machine)}/bin`, packFiles(buildPrograms()));
}

async function begin({ platform, sandbox }: Surroundings, { id }: CommandRow): Promise<boolean> {
  return persist(platform, async (tx) => {
    await lockOwned(tx, sandbox);
    const { numUpdatedRows } = await tx.sql
      .updateTable('codebuild.command_executions')
      .set({ status: 'IN_PROGRESS', started_at: platform.now() })
      .where('id', '=', id)
      .where('status', '=', 'SUBMITTED')
      .executeTakeFirstOrThrow();
    return numUpdatedRows > 0n;
  });
}

async function execute(
  { machine, directory, env, signal }: Surroundings,
  { id, command }: CommandRow,
  onOutput: (chunk: Buffer, stream: 'stdout' | 'stderr') => Promise<void>,
): Promise<ExecResult> {
  const tools = toolDirectory(machine);
  await machine.put(`${tools}/commands`, packFiles({ [`${id}.sh`]: `${command}\n` }));
  const argv = ['sh', '-c', START, 'sh', tools, `${tools}/commands/${id}.sh`];
  return machine.exec({ argv, cwd: directory, env, onOutput, signal, graceMs: GRACE_MS });
}

async function finish(
  { platform, sandbox }: Surroundings,
  { id }: CommandRow,
  result: ExecResult | undefined,
  output: { stdout: string; stderr: string },
): Promise<void> {
  const exit_code = result ? exitCodeOf(result) : null;
  await persist(platform, async (tx) => {
    await lockOwned(tx, sandbox);
    await tx.sql
      .updateTable('codebuild.command_executions')
      .set({ status: exit_code === 0 ? 'SUCCEEDED' : 'FAILED', ended_at: platform.now(), exit_code, ...output })
      .where('id', '=', id)
      .where('status', '=', 'IN_PROGRESS')
      .execute();
  });
}

/** As a shell would tell it: 128 and the signal's number when one ended it. */
function exitCodeOf({ exitCode, signal }: ExecResult): number | null {
  if (exitCode !== null) return exitCode;
  return signal === null ? null : 128 + (constants.signals[signal as NodeJS.Signals] ?? 0);
}

/** The beginning of a stream, with secrets hidden. */
class Kept {
  readonly #decoder = new StringDecoder('utf8');
  readonly #masker = new Masker();
  #text = '';

  constructor(secrets: string[]) {
    for (const secret of secrets) this.#masker.add(secret);
  }

  write(chunk: Buffer): void {
    if (this.#text.length < MAX_KEPT) this.#add(this.#masker.write(this.#decoder.write(chunk)));
  }

  end(): string {
    this.#add(this.#masker.write(this.#decoder.end()) + this.#masker.flush());
    return maskAccessKeys(this.#text);
  }

  /** No row can hold the character NUL. */
  #add(text: string): void {
    this.#text = (this.#text + text.replaceAll('\0', '\ufffd')).slice(0, MAX_KEPT);
  }
}
