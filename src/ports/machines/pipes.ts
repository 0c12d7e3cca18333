import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, constants, mkdirSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { join } from 'node:path';

/** The two ends of a pipe, as file descriptors of this process. */
export interface Pipe {
  read: number;
  write: number;
}

/**
 * Real pipes for commands' output and input. What Node's spawn calls a pipe is a socket, and opening /dev/stdout or /dev/stderr, as many
 * scripts do (`tee /dev/stderr`), fails on a socket. Node cannot make pipes, but it can open named ones; they are made several at a time
 * because `mkfifo` costs as much as any other process, and lose their name at once, so that a crash leaves none behind.
 */
export class Pipes {
  readonly #directory: string;
  readonly #ready: Pipe[] = [];
  #filling: Promise<void> | undefined;

  /** @param directory where the names may appear for a moment; made if missing. */
  constructor(directory: string) {
    this.#directory = directory;
  }

  async take(): Promise<Pipe> {
    while (this.#ready.length === 0) await this.fill();
    const pipe = this.#ready.pop()!;
    if (this.#ready.length < 3) this.fill().catch(() => undefined);
    return pipe;
  }

  /** Makes some more pipes; done ahead so that the next exec need not wait. */
  fill(): Promise<void> {
    this.#filling ??= this.#make(8).finally(() => {
      this.#filling = undefined;
    });
    return this.#filling;
  }

  async #make(count: number): Promise<void> {
    mkdirSync(this.#directory, { recursive: true, mode: 0o700 });
    const directory = mkdtempSync(join(this.#directory, '.pipes-'));
    try {
      const names = Array.from({ length: count }, (_, index) => join(directory, String(index)));
      // Anybody may open it again: the user inside a sandbox is not the one who made it, and opens it as /dev/stdout.
      const child = spawn('mkfifo', ['-m', '666', ...names], { stdio: 'ignore' });
      const [code] = await once(child, 'exit');
      if (code !== 0) throw new Error(`mkfifo failed with ${code}`);
      for (const name of names) this.#ready.push(openPipe(name));
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  }
}

/** Opening either end alone would wait for the other, except for a reader that asks not to wait; commands must get one that waits. */
function openPipe(name: string): Pipe {
  const first = openSync(name, constants.O_RDONLY | constants.O_NONBLOCK);
  const write = openSync(name, constants.O_WRONLY);
  const read = openSync(name, constants.O_RDONLY);
  closeSync(first);
  return { read, write };
}
