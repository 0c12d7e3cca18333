/**
 * How the engine sends standard output and standard error through one connection: frames of one byte for the stream (1, 2), three of
 * nothing, four for the length (big-endian) and as many of content (Engine API, ContainerAttach, "Stream format").
 */
export interface Frame {
  stream: 'stdout' | 'stderr';
  content: Buffer;
}

const headerSize = 8;

/** Takes what came over the connection, cut anywhere, and gives the content piece by piece; a frame may come in several pieces. */
export class FrameReader {
  #header: Buffer = Buffer.alloc(0);
  #stream: Frame['stream'] = 'stdout';
  #left = 0;

  *read(chunk: Buffer): Generator<Frame> {
    let at = 0;
    while (at < chunk.length) {
      if (this.#left === 0) {
        const missing = headerSize - this.#header.length;
        this.#header = Buffer.concat([this.#header, chunk.subarray(at, at + missing)]);
        at += missing;
        if (this.#header.length < headerSize) return;
        this.#stream = this.#header[0] === 2 ? 'stderr' : 'stdout';
        this.#left = this.#header.readUInt32BE(4);
        this.#header = Buffer.alloc(0);
        continue;
      }
      const content = chunk.subarray(at, at + this.#left);
      at += content.length;
      this.#left -= content.length;
      yield { stream: this.#stream, content };
    }
  }
}
