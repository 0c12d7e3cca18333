/** The server's side of a WebSocket, for channels of messages. The library is loaded for the first client: most servers see none. */
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import type WebSocket from 'ws';
import type { WebSocketServer } from 'ws';

/** bytes of one message, however many frames it comes in */
const MAX_MESSAGE = 1024 * 1024;
/** bytes that wait to be sent, from where the sender had better wait */
const FULL = 64 * 1024;

/** Status codes of RFC 6455, section 7.4. */
export const CLOSE = { NORMAL: 1000, GOING_AWAY: 1001, POLICY: 1008, INTERNAL_ERROR: 1011 } as const;

export interface WebSocketListener {
  onMessage(data: Buffer, binary: boolean): void;
  /** Once, however the connection ended. */
  onClose(): void;
}

let server: Promise<WebSocketServer> | undefined;

/** A request that does not ask for a WebSocket as it should is answered with an error, and `serve` is not called. */
export async function acceptWebSocket(
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  serve: (connection: ServerWebSocket) => void,
): Promise<void> {
  socket.on('error', () => socket.destroy());
  // No compression: it would let a short message become a long one.
  server ??= import('ws').then((ws) => new ws.WebSocketServer({ noServer: true, maxPayload: MAX_MESSAGE, perMessageDeflate: false }));
  (await server).handleUpgrade(request, socket, head, (accepted) => serve(new ServerWebSocket(accepted)));
}

export class ServerWebSocket {
  readonly #socket: WebSocket;
  #drained: Promise<void> = Promise.resolve();

  constructor(socket: WebSocket) {
    this.#socket = socket;
    // Faults of the client's are its own affair; the connection ends with them.
    socket.on('error', () => {});
    socket.pause();
  }

  /** Nothing is read before. */
  listen(listener: WebSocketListener): void {
    this.#socket.on('message', (data: Buffer, binary) => listener.onMessage(data, binary));
    this.#socket.on('close', () => listener.onClose());
    this.#socket.resume();
  }

  /** False when the other side reads slower than we write; `drained` tells when to go on. */
  send(data: Buffer | string): boolean {
    if (this.#socket.readyState !== this.#socket.OPEN) return true;
    this.#drained = new Promise((resolve) => this.#socket.send(data, () => resolve()));
    return this.#socket.bufferedAmount < FULL;
  }

  /** What was sent has left this process, or never will. */
  async drained(): Promise<void> {
    await this.#drained;
  }

  /** `code` of `CLOSE`. What was sent before arrives before. */
  close(code: number = CLOSE.NORMAL): void {
    this.#socket.close(code);
  }
}
