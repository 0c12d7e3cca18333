import { once } from 'node:events';
import type { V1Status } from '@kubernetes/client-node';
import type WebSocket from 'ws';
import { type Cluster, ClusterLost } from './cluster.ts';
import { containerName } from './pod.ts';

/** Numbers of the channels in one connection; k8s.io/apimachinery, pkg/util/remotecommand. */
const STDIN = 0;
const STDOUT = 1;
const STDERR = 2;
const STATUS = 3;
/** Since version 5 of the protocol, which Kubernetes has from 1.30 on: closes another channel. */
const CLOSE = 255;
const CLOSING_VERSION = 'v5.channel.k8s.io';
const VERSIONS = [CLOSING_VERSION, 'v4.channel.k8s.io'];

/** bytes that may wait for whoever takes the output, before the cluster is told to wait */
const MOST_WAITING = 1024 * 1024;
/** bytes that may wait to be sent */
const MOST_UNSENT = 1024 * 1024;

export interface Output {
  stream: 'stdout' | 'stderr';
  content: Buffer;
}

/**
 * One exec in a pod, over a WebSocket. Read it to its end, then look at the status. Output is taken at the reader's pace.
 *
 * The client library's own Exec is not used: it knows no back-pressure, and closes this process's standard streams when the cluster closes a channel.
 */
export class Channel implements AsyncIterable<Output> {
  #socket!: WebSocket;
  readonly #received: Output[] = [];
  #waiting = 0;
  #wake = (): void => {};
  #status: V1Status | undefined;
  #closed = false;

  /** @throws ExecRefused when the pod is not there or does not run; ClusterLost. */
  static async open(cluster: Cluster, pod: string, argv: string[], input: boolean): Promise<Channel> {
    const channel = new Channel();
    const query = new URLSearchParams({ container: containerName, stdin: String(input), stdout: 'true', stderr: 'true', tty: 'false' });
    for (const word of argv) query.append('command', word);
    const path = `/api/v1/namespaces/${cluster.namespace}/pods/${pod}/exec?${query}`;
    const socket = await cluster.connect(path, VERSIONS);
    channel.#socket = socket;
    socket.on('message', (content: Buffer) => channel.#take(content[0]!, content.subarray(1)));
    socket.on('close', () => channel.#close());
    socket.on('error', () => channel.#close());
    await once(socket, 'open').catch((error) => {
      throw refusal(error);
    });
    return channel;
  }

  /** Whether the end of the input can be told. */
  get canEndInput(): boolean {
    return this.#socket.protocol === CLOSING_VERSION;
  }

  async *[Symbol.asyncIterator](): AsyncIterator<Output> {
    for (;;) {
      for (let output = this.#received.shift(); output; output = this.#received.shift()) {
        this.#waiting -= output.content.length;
        if (this.#waiting <= MOST_WAITING) this.#socket.resume();
        yield output;
      }
      if (this.#closed) return;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        if (this.#received.length > 0 || this.#closed) resolve();
      });
    }
  }

  /** How it ended, once everything is read. @throws ClusterLost when the connection broke before that was told. */
  get exitStatus(): number {
    const status = this.#status;
    if (!status) throw new ClusterLost('the connection to a command broke off before its end was told');
    if (status.status === 'Success') return 0;
    const code = status.details?.causes?.find(({ reason }) => reason === 'ExitCode')?.message;
    if (code === undefined) throw new ExecRefused(status.message ?? 'the command could not be started');
    return Number(code);
  }

  /** Resolves when it may be gone on with. What cannot be sent any more is dropped: a command need not read its input to the end. */
  async send(content: Uint8Array): Promise<void> {
    if (this.#closed || this.#socket.readyState !== this.#socket.OPEN) return;
    const whole = this.#socket.bufferedAmount < MOST_UNSENT;
    const sent = new Promise<void>((resolve) => this.#socket.send(Buffer.concat([Buffer.of(STDIN), content]), () => resolve()));
    if (!whole) await sent;
  }

  endInput(): void {
    if (!this.#closed && this.canEndInput) this.#socket.send(Buffer.of(CLOSE, STDIN), () => undefined);
  }

  destroy(): void {
    this.#close();
    this.#socket.terminate();
  }

  #take(number: number, content: Buffer): void {
    if (number === STATUS) {
      this.#status = statusOf(content);
      this.#close();
      this.#socket.close();
    } else if ((number === STDOUT || number === STDERR) && content.length > 0) {
      this.#received.push({ stream: number === STDOUT ? 'stdout' : 'stderr', content });
      this.#waiting += content.length;
      if (this.#waiting > MOST_WAITING) this.#socket.pause();
      this.#wake();
    }
  }

  #close(): void {
    this.#closed = true;
    this.#wake();
  }
}

/** Undefined when it cannot be read: then nobody knows how the command ended. */
function statusOf(content: Buffer): V1Status | undefined {
  try {
    return JSON.parse(content.toString());
  } catch {
    return undefined;
  }
}

/** The cluster knows why it cannot be run. */
export class ExecRefused extends Error {
  override readonly name = 'ExecRefused';
}

function refusal({ message = '' }: { message?: string }): Error {
  const status = /Unexpected server response: (\d+)/.exec(message)?.[1];
  if (status === undefined) return new ClusterLost(message || 'the connection to a command was refused');
  return new ExecRefused(status === '404' ? 'the pod of the machine is gone' : `the cluster answers ${status} to a command`);
}

/** Runs a script of ours in a pod and gives what it wrote on standard output; undefined when it could not be run or did not end with 0. @throws ClusterLost. */
export async function runInside(cluster: Cluster, pod: string, argv: string[]): Promise<Buffer | undefined> {
  try {
    const channel = await Channel.open(cluster, pod, argv, false);
    const output: Buffer[] = [];
    for await (const { stream, content } of channel) if (stream === 'stdout') output.push(content);
    return channel.exitStatus === 0 ? Buffer.concat(output) : undefined;
  } catch (error) {
    if (error instanceof ExecRefused) return undefined;
    throw error;
  }
}
