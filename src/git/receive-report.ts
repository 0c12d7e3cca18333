/** What a client of git-receive-pack hears back: progress and messages for people, and the fate of every reference. */
import type { Writable } from 'node:stream';
import { FLUSH, MAX_PACKET, packet } from './pkt-line.ts';

/** So often something is sent while the client waits, so that no proxy between takes the connection for dead. */
const KEEPALIVE_MS = 5000;

export interface PushResult {
  name: string;
  /** Why not; undefined when the reference is as the client wanted. */
  error: string | undefined;
}

/** Writes in the form the client asked for: bands (1 report, 2 messages) or, for old clients, only the report. */
export class Reporter {
  readonly #output: Writable;
  readonly #banded: boolean;
  readonly #quiet: boolean;
  readonly #wanted: boolean;
  readonly #keepalive: NodeJS.Timeout | undefined;

  constructor(output: Writable, capabilities: Set<string>) {
    this.#output = output;
    this.#banded = capabilities.has('side-band-64k');
    this.#quiet = capabilities.has('quiet');
    this.#wanted = capabilities.has('report-status') || capabilities.has('report-status-v2');
    if (this.#banded) this.#keepalive = setInterval(() => this.#output.write(Buffer.from('0005\x01')), KEEPALIVE_MS).unref();
  }

  /** Progress as git writes it, with its carriage returns; undefined when the client wants none. */
  get progress(): ((text: Buffer) => void) | undefined {
    return this.#banded && !this.#quiet ? (text) => this.#band(2, text) : undefined;
  }

  /** A line for people; clients show it behind `remote: `. */
  say(message: string): void {
    if (this.#banded) this.#band(2, Buffer.from(`${message}\n`));
  }

  /** Ends the answer with git's report: whether the pack was good, and each reference. */
  finish(unpack: string, results: PushResult[]): void {
    clearInterval(this.#keepalive);
    const lines = [`unpack ${unpack}\n`, ...results.map(({ name, error }) => (error ? `ng ${name} ${error}\n` : `ok ${name}\n`))];
    const report = Buffer.concat([...lines.map((line) => packet(line)), FLUSH]);
    if (!this.#banded) {
      this.#output.end(this.#wanted ? report : undefined);
      return;
    }
    if (this.#wanted) this.#band(1, report);
    this.#output.end(FLUSH);
  }

  /** Ends the answer without a report: this is not a conversation any more. */
  fail(message: string): void {
    clearInterval(this.#keepalive);
    if (this.#banded) this.#band(3, Buffer.from(`${message}\n`));
    this.#output.end(this.#banded ? FLUSH : packet(`ERR ${message}\n`));
  }

  stop(): void {
    clearInterval(this.#keepalive);
  }

  #band(band: number, data: Buffer): void {
    const room = MAX_PACKET - 5;
    for (let at = 0; at < data.length; at += room) {
      this.#output.write(packet(Buffer.concat([Buffer.from([band]), data.subarray(at, at + room)])));
    }
  }
}
