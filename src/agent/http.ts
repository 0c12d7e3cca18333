import { type IncomingMessage, Agent as PlainAgent, request as plainRequest } from 'node:http';
import { Agent as TlsAgent, request as tlsRequest } from 'node:https';
import type { AgentConfig } from './config.ts';
import type { Identity } from './credentials.ts';
import { sign } from './sigv4.ts';

/** An answer other than success. `code` is the error's name as the service gave it, without any prefix. */
export class ServiceError extends Error {
  override readonly name = 'ServiceError';
  readonly status: number;
  readonly code: string;

  constructor(status: number, code: string, message: string) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/** Signed requests to the command service and to S3. */
export interface Transport {
  /** Answers with the response once its head has arrived; the caller must read or destroy it. */
  send(request: OutgoingRequest): Promise<IncomingMessage>;
  /** Closes idle connections. */
  close(): void;
}

interface OutgoingRequest {
  service: string;
  method: 'GET' | 'POST';
  url: URL;
  headers?: Record<string, string>;
  body?: string;
  signal?: AbortSignal;
}

/** Opens the agent's way to the network. `ca`: PEM certificates that a TLS server must lead to; undefined: the system's. */
export function openTransport(config: AgentConfig, identity: Identity, ca: string | undefined): Transport {
  const plain = new PlainAgent({ keepAlive: true });
  const tls = new TlsAgent({ keepAlive: true, ...(ca !== undefined && { ca }) });

  return {
    async send({ service, method, url, headers = {}, body = '', signal }) {
      const credentials = await identity.credentials();
      const signed = sign({ method, url, headers, body }, { service, region: identity.region, now: new Date() }, credentials);
      return new Promise((resolve, reject) => {
        const secure = url.protocol === 'https:';
        const options = { method, headers: { ...signed, 'content-length': String(Buffer.byteLength(body)) }, signal };
        const outgoing = secure ? tlsRequest(url, { ...options, agent: tls }) : plainRequest(url, { ...options, agent: plain });
        outgoing.setTimeout(config.httpReadTimeoutSeconds * 1000, () => {
          outgoing.destroy(new Error(`No answer from ${url.host} within ${config.httpReadTimeoutSeconds} seconds.`));
        });
        outgoing.on('error', reject).on('response', resolve).end(body);
      });
    },
    close() {
      plain.destroy();
      tls.destroy();
    },
  };
}

/** The whole body of a response as text. Fails if it is longer than `limit` bytes. */
export async function bodyOf(response: IncomingMessage, limit: number): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > limit) throw new Error(`The answer is longer than ${limit} bytes.`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}
