/** Finds the driver's end-of-command marks in a byte stream, however it is cut into chunks, and passes everything else on in order. */
const SEPARATOR = 0x1e;
/** `RS mark SPACE status RS`; status has at most three digits. */
const STATUS_DIGITS = 3;

export class MarkerScanner {
  readonly #prefix: Buffer;
  #held: Buffer = Buffer.alloc(0);

  constructor(mark: string) {
    this.#prefix = Buffer.concat([Buffer.from([SEPARATOR]), Buffer.from(`${mark} `)]);
  }

  /** Pieces in order: output, or the exit status of the command that just ended. */
  *write(chunk: Buffer): Generator<{ output: Buffer } | { status: number }> {
    let data = this.#held.length > 0 ? Buffer.concat([this.#held, chunk]) : chunk;
    this.#held = Buffer.alloc(0);
    while (data.length > 0) {
      const start = data.indexOf(this.#prefix);
      if (start < 0) {
        const keep = this.#partialPrefix(data);
        this.#held = data.subarray(data.length - keep);
        if (data.length > keep) yield { output: data.subarray(0, data.length - keep) };
        return;
      }
      if (start > 0) yield { output: data.subarray(0, start) };
      const status = start + this.#prefix.length;
      const end = data.indexOf(SEPARATOR, status);
      if (end < 0 && data.length - status <= STATUS_DIGITS) {
        this.#held = data.subarray(start);
        return;
      }
      const text = data.toString('latin1', status, end);
      if (end >= 0 && /^\d{1,3}$/.test(text)) {
        yield { status: Number(text) };
        data = data.subarray(end + 1);
      } else {
        // Not ours after all, though it began so: pass it on as output.
        yield { output: data.subarray(start, status) };
        data = data.subarray(status);
      }
    }
  }

  /** What was held back, when no more can come. */
  end(): Buffer {
    const rest = this.#held;
    this.#held = Buffer.alloc(0);
    return rest;
  }

  /** How many bytes at the end could be the beginning of a mark. */
  #partialPrefix(data: Buffer): number {
    for (let length = Math.min(this.#prefix.length - 1, data.length); length > 0; length -= 1) {
      if (data.subarray(data.length - length).equals(this.#prefix.subarray(0, length))) return length;
    }
    return 0;
  }
}
