import { type ClientRequest, type IncomingMessage, type RequestOptions, request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import type { Duplex } from 'node:stream';
import { MachineLostError } from '../port.ts';
import type { Connection } from './connection.ts';

/** The engine answered, and said no. */
export class EngineError extends Error {
  override readonly name = 'EngineError';
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** The engine does not answer, or went away before its answer was whole. */
export class EngineLost extends MachineLostError {
  override readonly name = 'EngineLost';
}

export interface Call {
  query?: Record<string, string>;
  /** Sent as JSON. */
  body?: unknown;
  headers?: Record<string, string>;
  signal?: AbortSignal | undefined;
}

/** Of version 1 of the API, for which this is written: Docker 20.10's, and Podman's. Older engines get their own, newer ones their oldest. */
const preferredMinor = 41;
/** No call but those that stream takes longer on an engine that works. */
const timeoutMs = 60_000;

/**
 * The Docker Engine's HTTP API, as far as machines need it (docs.docker.com/reference/api/engine). Our own instead of dockerode, which
 * costs each server 33 MB and a fifth of a second for ways to build images that are not used here, and which sends a body where Podman
 * takes it for the command's input.
 */
export class Engine {
  readonly #connection: Connection;
  /** What all paths begin with. */
  #prefix: Promise<string> | undefined;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  get address(): string {
    return this.#connection.address;
  }

  /** The answer's JSON; undefined when it has none. @throws EngineError, EngineLost. */
  async call<T>(method: string, path: string, call: Call = {}): Promise<T> {
    const text = await textOf(await this.stream(method, path, { ...call, signal: within(call.signal) }));
    return (text === '' ? undefined : JSON.parse(text)) as T;
  }

  /** The answer, when its status is one of success; its body is the caller's to read. @throws EngineError, EngineLost. */
  async stream(
    method: string,
    path: string,
    call: Call = {},
    content?: { type: string; body: NodeJS.ReadableStream },
  ): Promise<IncomingMessage> {
    const body = call.body === undefined ? undefined : JSON.stringify(call.body);
    const type = content?.type ?? (body === undefined ? undefined : 'application/json');
    const request = this.#request(method, (await this.#agreed()) + path, call, type === undefined ? {} : { 'Content-Type': type });
    const answered = answerOf(request);
    if (content) content.body.pipe(request);
    else request.end(body);
    const answer = await answered;
    if ((answer.statusCode ?? 500) >= 300) throw new EngineError(answer.statusCode ?? 500, await messageOf(answer));
    return answer;
  }

  /** Headers only; undefined when there is no such thing. */
  async head(path: string, call: Call = {}): Promise<IncomingMessage['headers'] | undefined> {
    const request = this.#request('HEAD', (await this.#agreed()) + path, { ...call, signal: within(call.signal) }, {});
    const answered = answerOf(request);
    request.end();
    const answer = await answered;
    answer.resume();
    if (answer.statusCode === 404) return undefined;
    if ((answer.statusCode ?? 500) >= 300) throw new EngineError(answer.statusCode ?? 500, `HEAD ${path} answers ${answer.statusCode}`);
    return answer.headers;
  }

  /** Takes the connection over, as `attach` and `exec` do. What the engine had sent along with its answer is in the stream. */
  async hijack(path: string, body: unknown): Promise<Duplex> {
    const headers = { 'Content-Type': 'application/json', Connection: 'Upgrade', Upgrade: 'tcp' };
    const request = this.#request('POST', (await this.#agreed()) + path, {}, headers);
    const { promise, resolve, reject } = Promise.withResolvers<Duplex>();
    request.on('upgrade', (_, socket, head) => {
      socket.on('error', () => undefined);
      if (head.length > 0) socket.unshift(head);
      resolve(socket);
    });
    request.on('response', (answer) => {
      messageOf(answer).then((message) => reject(new EngineError(answer.statusCode ?? 500, message)), reject);
    });
    request.on('error', (error) => reject(new EngineLost(`the container engine cannot be reached: ${error.message}`)));
    request.end(JSON.stringify(body));
    const timer = setTimeout(() => request.destroy(new Error('it does not answer')), timeoutMs);
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Asked once, and again as long as there is no answer. */
  #agreed(): Promise<string> {
    this.#prefix ??= this.#agree().catch((error) => {
      this.#prefix = undefined;
      throw error;
    });
    return this.#prefix;
  }

  /** Engines refuse versions that are older than their oldest: Docker 29 takes none before 1.44. */
  async #agree(): Promise<string> {
    const request = this.#request('GET', '/version', { signal: within(undefined) }, {});
    const answered = answerOf(request);
    request.end();
    const { ApiVersion, MinAPIVersion }: { ApiVersion?: string; MinAPIVersion?: string } = JSON.parse(await textOf(await answered));
    const minor = (version: string | undefined, otherwise: number): number => Number(version?.split('.')[1] ?? otherwise);
    return `/v1.${Math.max(Math.min(preferredMinor, minor(ApiVersion, preferredMinor)), minor(MinAPIVersion, 0))}`;
  }

  #request(method: string, path: string, { query, headers, signal }: Call, more: Record<string, string>): ClientRequest {
    const { address, tls, options } = this.#connection;
    const search = query && Object.keys(query).length > 0 ? `?${new URLSearchParams(query)}` : '';
    const all: RequestOptions = {
      ...options,
      method,
      path: path + search,
      headers: { ...headers, ...more },
      agent: false,
      ...(signal ? { signal } : {}),
    };
    const request = tls ? requestHttps(all) : requestHttp(all);
    // Said in the caller's words where it waits for the answer; here only so that a late one does not end the process.
    request.on('error', () => undefined);
    request.setHeader('Host', address.startsWith('unix:') ? 'docker' : (options.host ?? 'docker'));
    return request;
  }
}

function within(signal: AbortSignal | undefined): AbortSignal {
  const timeout = AbortSignal.timeout(timeoutMs);
  return signal ? AbortSignal.any([signal, timeout]) : timeout;
}

function answerOf(request: ClientRequest): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    request.on('response', resolve);
    request.on('error', (error: Error) => {
      // Of a signal; its reason tells whether the caller or time was out of patience.
      const reason = error.name === 'AbortError' ? (error.cause as Error) : error;
      const askedFor = reason !== error && reason.name !== 'TimeoutError';
      reject(askedFor ? reason : new EngineLost(`the container engine cannot be reached: ${reason.message}`));
    });
  });
}

export async function textOf(answer: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of answer) chunks.push(chunk as Buffer);
  } catch (error) {
    throw new EngineLost(`the engine's answer broke off: ${(error as Error).message}`);
  }
  return Buffer.concat(chunks).toString();
}

/** Docker says `{"message": …}`, Podman adds `cause`. */
async function messageOf(answer: IncomingMessage): Promise<string> {
  const text = await textOf(answer);
  try {
    return JSON.parse(text).message ?? text;
  } catch {
    return text.trim() || `status ${answer.statusCode}`;
  }
}
