/** Short internal commands on a machine, whose output the build does not see. */
import type { Machine } from '../../../ports/machines/port.ts';

export interface ToolOutput {
  exitCode: number | null;
  stdout: Buffer;
  stderr: string;
}

export interface ToolOptions {
  cwd?: string;
  env?: Record<string, string>;
  stdin?: Uint8Array;
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
