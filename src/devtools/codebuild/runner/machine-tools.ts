/** Short internal commands on a machine, whose output the build does not see. */
import type { Readable } from 'node:stream';
import type { Machine } from '../../../ports/machines/port.ts';

export interface ToolOutput {
  exitCode: number | null;
  stdout: Buffer;
  stderr: string;
}

export interface ToolOptions {
  cwd?: string;
  env?: Record<string, string>;
  stdin?: Readable | Uint8Array;
  signal?: AbortSignal;
  /** bytes of standard output; more fails the call. Default 64 MiB. */
  limit?: number;
}

const DEFAULT_LIMIT = 64 * 1024 * 1024;
const KEPT_STDERR = 16 * 1024;

export async function runTool(machine: Machine, argv: string[], options: ToolOptions = {}): Promise<ToolOutput> {
  const chunks: Buffer[] = [];
  let size = 0;
  let stderr = '';
  const limit = options.limit ?? DEFAULT_LIMIT;
  const result = await machine.exec({
    argv,
    cwd: options.cwd,
    env: options.env,
    stdin: options.stdin,
    signal: options.signal,
    onOutput: (chunk, stream) => {
      if (stream === 'stderr') stderr = (stderr + chunk.toString()).slice(-KEPT_STDERR);
      else {
        size += chunk.length;
        if (size <= limit) chunks.push(chunk);
      }
    },
  });
  if (size > limit) throw new Error(`${argv[0]} wrote more than ${limit} bytes`);
  options.signal?.throwIfAborted();
  return { exitCode: result.exitCode, stdout: Buffer.concat(chunks), stderr: stderr.trim() };
}

/** A POSIX script with arguments `$1`, `$2`…, in the machine's own user. */
export function runScript(machine: Machine, script: string, args: string[], options: ToolOptions = {}): Promise<ToolOutput> {
  return runTool(machine, ['sh', '-c', script, 'sh', ...args], options);
}

/** `$1` the directory, `$2` whether files that are there stay as they are. GNU's tar would take that for an error with -k alone. */
const UNPACK = `mkdir -p "$1" && cd "$1" || exit
keep=
if [ "$2" ]; then
  keep=-k
  ! tar --help 2>&1 | grep -q -e --skip-old-files || keep=--skip-old-files
fi
exec tar -x $keep -f -`;

/**
 * A tar of ours into a directory of the machine, by the machine's own tar: it keeps owners, and is many times faster than `put` with many
 * small files. What it holds can do no more than the build could do by itself. Throws when the tar cannot be read to its end.
 */
export async function unpackTar(
  machine: Machine,
  directory: string,
  tar: Readable,
  options: { keepExisting?: boolean; signal?: AbortSignal } = {},
): Promise<void> {
  const output = await runScript(machine, UNPACK, [directory, options.keepExisting ? 'keep' : ''], { stdin: tar, signal: options.signal });
  if (output.exitCode !== 0) throw new Error(output.stderr || `tar ended with ${output.exitCode}`);
}
