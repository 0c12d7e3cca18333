/** A build's log: output of commands and the agent's own lines, masked, cut into events of a line each, and sent on in small batches. */
import { StringDecoder } from 'node:string_decoder';
import { Masker, maskAccessKeys } from './masker.ts';

export interface LogEvent {
  /** ms since 1970 */
  timestamp: number;
  message: string;
}

/** Where events go. Called with one batch at a time, in order; throws when they are lost. */
export type LogSink = (events: LogEvent[]) => Promise<void>;

/** A line becomes readable within about this and the time of one call: the budget is 200 ms. */
const FLUSH_MS = 40;
/** PutLogEvents takes 1 MiB and 10,000 events a call; bytes are counted as UTF-8 with 26 a event. */
const MAX_BATCH_BYTES = 900_000;
const MAX_BATCH_EVENTS = 9_000;
const MAX_LINE = 200_000;
/** Above this the writer waits: a build that floods its log is slowed instead of filling memory. */
const HIGH_WATER_BYTES = 4_000_000;

export class BuildLog {
  readonly masker = new Masker();
  readonly #decoder = new StringDecoder('utf8');
  readonly #sinks: LogSink[] = [];
  readonly #now: () => Date;
  readonly #onLoss: (error: Error) => void;
  #line = '';
  #lastMicros = 0;
  #pending: LogEvent[] = [];
  #pendingBytes = 0;
  #timer: NodeJS.Timeout | undefined;
  #sending: Promise<void> = Promise.resolve();

  constructor(now: () => Date, onLoss: (error: Error) => void) {
    this.#now = now;
    this.#onLoss = onLoss;
  }

  /** Events already written go to this sink too. */
  addSink(sink: LogSink): void {
    this.#sinks.push(sink);
    this.#schedule();
  }

  /** `[Container] 2026/11/22 19:00:00.123456 message` */
  agent(message: string): void {
    this.#endLine();
    this.#text(`[Container] ${agentTime(this.#nextMicros())} ${message}\n`);
    this.#endLine();
  }

  /** The blank line that CodeBuild leaves after each command. */
  endCommand(): void {
    this.#endLine();
    this.#event('\n');
  }

  async output(chunk: Buffer): Promise<void> {
    this.#text(this.#decoder.write(chunk));
    if (this.#pendingBytes > HIGH_WATER_BYTES) await this.flush();
  }

  /** Everything written so far has reached the sinks (or was reported lost). */
  async flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    while (this.#pending.length > 0 && this.#sinks.length > 0) this.#send();
    await this.#sending;
  }

  async end(): Promise<void> {
    this.#text(this.#decoder.end());
    this.#endLine();
    await this.flush();
  }

  /** The clock counts milliseconds; the lines of one are told apart by what is below, so that they sort. */
  #nextMicros(): number {
    this.#lastMicros = Math.max(this.#now().getTime() * 1000, this.#lastMicros + 1);
    return this.#lastMicros;
  }

  #text(text: string): void {
    this.#lines(this.masker.write(text));
  }

  #lines(text: string): void {
    this.#line += text;
    let start = 0;
    for (let end = this.#line.indexOf('\n'); end >= 0; end = this.#line.indexOf('\n', start)) {
      this.#event(this.#line.slice(start, end + 1));
      start = end + 1;
    }
    this.#line = this.#line.slice(start);
    while (this.#line.length > MAX_LINE) {
      this.#event(this.#line.slice(0, MAX_LINE));
      this.#line = this.#line.slice(MAX_LINE);
    }
  }

  #endLine(): void {
    this.#lines(this.masker.flush());
    if (this.#line === '') return;
    this.#event(`${this.#line}\n`);
    this.#line = '';
  }

  #event(text: string): void {
    for (let start = 0; start < text.length; start += MAX_LINE) {
      const message = maskAccessKeys(text.slice(start, start + MAX_LINE));
      this.#pending.push({ timestamp: this.#now().getTime(), message });
      this.#pendingBytes += sizeOf(message);
    }
    this.#schedule();
  }

  #schedule(): void {
    if (this.#timer || this.#pending.length === 0 || this.#sinks.length === 0) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      while (this.#pending.length > 0) this.#send();
    }, FLUSH_MS);
  }

  #send(): void {
    const batch = this.#takeBatch();
    this.#sending = this.#sending.then(async () => {
      for (const sink of this.#sinks) await sink(batch).catch(this.#onLoss);
    });
  }

  #takeBatch(): LogEvent[] {
    let bytes = 0;
    let count = 0;
    for (const event of this.#pending) {
      const size = sizeOf(event.message);
      if (count > 0 && (bytes + size > MAX_BATCH_BYTES || count >= MAX_BATCH_EVENTS)) break;
      bytes += size;
      count += 1;
    }
    this.#pendingBytes -= bytes;
    return this.#pending.splice(0, count);
  }
}

function sizeOf(message: string): number {
  return Buffer.byteLength(message) + 26;
}

/** `2026/11/22 19:00:00.123456` */
function agentTime(micros: number): string {
  const [date, time] = new Date(Math.floor(micros / 1000)).toISOString().replaceAll('-', '/').replace('Z', '').split('T');
  return `${date} ${time}${String(micros % 1000).padStart(3, '0')}`;
}
