import { Socket } from 'node:net';
import type { ExecSpec } from './port.ts';

/** How long output may stay silent, after the command has ended, before those who still hold the pipe are no longer waited for. */
const quietMs = 50;
/** More than a pipe (64 KiB) and this side's buffer can hold: what comes after that many bytes was written after the command's end. */
const mostLeftOver = 256 * 1024;

/**
 * Passes on what a command writes, chunk by chunk, each only when the receiver is done with the one before. While it is not done nothing
 * is read, the pipe fills, and the kernel holds the command: memory stays bounded however much it writes.
 */
export class Output {
  readonly #sources: Source[];
  readonly #receive: NonNullable<ExecSpec['onOutput']> | undefined;
  #queue: Promise<void> = Promise.resolve();
  #failed: ((error: unknown) => void) | undefined;

  /** @param failed called with the receiver's error; after that all output is thrown away. */
  constructor(stdout: number, stderr: number, receive: ExecSpec['onOutput'], failed: (error: unknown) => void) {
    this.#receive = receive;
    this.#failed = failed;
    this.#sources = [new Source(stdout, 'stdout'), new Source(stderr, 'stderr')];
  }

  begin(): void {
    for (const source of this.#sources) source.begin((chunk) => this.#deliver(chunk, source.name));
  }

  /**
   * Call when the command has ended. Resolves when all that it wrote has been received. Processes left in the background may hold the
   * pipes for ever: what they write later is read and thrown away, so that they neither block nor die of a broken pipe.
   */
  async end(): Promise<void> {
    await Promise.all(this.#sources.map((source) => source.drained()));
    await this.#queue;
  }

  /** Reads what is there of the standard error of a command that never began, as the reason. */
  async reason(): Promise<string> {
    let text = '';
    const source = this.#sources[1]!;
    source.begin(async (chunk) => {
      if (text.length < 4096) text += chunk.toString();
    });
    this.#sources[0]!.begin(async () => {});
    await Promise.all(this.#sources.map((one) => one.drained()));
    return text.trim();
  }

  #deliver(chunk: Buffer, name: 'stdout' | 'stderr'): Promise<void> {
    if (!this.#receive || !this.#failed) return Promise.resolve();
    const receive = this.#receive;
    this.#queue = this.#queue.then(() => receive(chunk, name)).catch((error) => this.#fail(error));
    return this.#queue;
  }

  #fail(error: unknown): void {
    this.#failed?.(error);
    this.#failed = undefined;
  }
}

class Source {
  readonly name: 'stdout' | 'stderr';
  readonly #socket: Socket;
  #busy = false;
  #closed = false;
  #endedCommand = false;
  #bytesAfterEnd = 0;
  #chunks = 0;
  #settle: (() => void) | undefined;

  constructor(fd: number, name: 'stdout' | 'stderr') {
    this.name = name;
    this.#socket = new Socket({ fd, readable: true, writable: false });
    this.#socket.on('error', () => this.#socket.destroy());
    this.#socket.on('close', () => {
      this.#closed = true;
      if (!this.#busy) this.#settle?.();
    });
  }

  begin(deliver: (chunk: Buffer) => Promise<void>): void {
    this.#socket.on('data', (chunk) => {
      if (this.#settled) return;
      this.#chunks += 1;
      if (this.#endedCommand) this.#bytesAfterEnd += chunk.length;
      this.#busy = true;
      this.#socket.pause();
      deliver(chunk).then(() => {
        this.#busy = false;
        if (this.#closed || this.#bytesAfterEnd > mostLeftOver) this.#settle?.();
        this.#socket.resume();
      });
    });
  }

  #settled = false;

  async drained(): Promise<void> {
    this.#endedCommand = true;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#settle = resolve;
    if (this.#closed && !this.#busy) resolve();
    const timer = this.#whenQuiet(resolve);
    await promise;
    clearInterval(timer);
    this.#settled = true;
    // Whoever still writes must not keep this process from ending.
    this.#socket.unref();
    this.#socket.resume();
  }

  /** Quiet means that nothing came during an interval and nothing is there now: one turn of the event loop reads what there is. */
  #whenQuiet(resolve: () => void): NodeJS.Timeout {
    let before = -1;
    return setInterval(() => {
      const now = this.#chunks;
      if (this.#busy || now !== before) {
        before = this.#busy ? -1 : now;
        return;
      }
      setImmediate(() => setImmediate(() => !this.#busy && this.#chunks === now && resolve()));
    }, quietMs);
  }
}
