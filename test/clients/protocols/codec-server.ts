/** A bare HTTP server that only decodes and encodes: what clients send and read, without anything of Penstock but the codecs. */
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gunzipSync } from 'node:zlib';
import { codecFor, findRestOperation, jsonVariant, type WireError, type WireResponse } from '../../../src/gateway/protocols/index.ts';
import { AwsError } from '../../../src/platform/errors.ts';
import type { ServiceModel } from '../../../src/platform/model.ts';

export interface Exchange {
  operation: string;
  input: Record<string, unknown>;
}

export interface CodecServer extends AsyncDisposable {
  endpoint: string;
  /** What the last request was decoded as. */
  last: Exchange | undefined;
  /** What the next requests are answered with. */
  answer: { output: Record<string, unknown> } | { error: WireError };
}

async function gather(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

const jsonForms = new Map<ServiceModel, ServiceModel>();

/** Clients choose among the protocols of a service. */
function formOf(model: ServiceModel, request: IncomingMessage): ServiceModel {
  if (model.metadata.protocol !== 'smithy-rpc-v2-cbor' || request.headers['smithy-protocol'] !== undefined) return model;
  if (!jsonForms.has(model)) jsonForms.set(model, jsonVariant(model));
  return jsonForms.get(model)!;
}

function operationOf(model: ServiceModel, request: IncomingMessage, url: URL, body: Buffer): string | undefined {
  const target = request.headers['x-amz-target'];
  if (typeof target === 'string') return target.split('.').at(-1);
  if (model.metadata.protocol === 'smithy-rpc-v2-cbor') return url.pathname.split('/').at(-1);
  if (model.metadata.protocol === 'query') return new URLSearchParams(body.toString()).get('Action') ?? undefined;
  return findRestOperation(model, request.method!, url.pathname, url.searchParams, request.headers as Record<string, string>)?.name;
}

/** `modelOf` picks the model by the signing name that the client used. */
export async function startCodecServer(modelOf: (signingName: string) => ServiceModel): Promise<CodecServer> {
  const state: Pick<CodecServer, 'last' | 'answer'> = { last: undefined, answer: { output: {} } };

  async function respond(request: IncomingMessage): Promise<WireResponse> {
    const service = /Credential=[^/]+\/[^/]+\/[^/]+\/([^/]+)\//.exec(request.headers.authorization ?? '')?.[1];
    // The only calls that are not signed.
    const model = formOf(modelOf(service ?? 'sts'), request);
    const codec = codecFor(model);
    await codec.prepare?.();
    const url = new URL(request.url!, 'http://localhost');
    const sent = await gather(request);
    const body = request.headers['content-encoding'] === 'gzip' ? gunzipSync(sent) : sent;
    const operation = operationOf(model, request, url, body);
    try {
      if (!operation) throw new AwsError('UnknownOperationException', `${request.method} ${request.url}`);
      const headers = request.headers as Record<string, string>;
      const wire = { method: request.method!, path: url.pathname, query: url.searchParams, headers, body };
      state.last = { operation, input: await codec.decode(model, operation, wire) };
      if ('error' in state.answer) return codec.encodeError(model, operation, { ...state.answer.error, method: request.method! });
      return codec.encode(model, operation, state.answer.output, 'request-1');
    } catch (error) {
      const { code, message, status } = error instanceof AwsError ? error : new AwsError('InternalFailure', String(error));
      return codec.encodeError(model, operation, { code, message, status, requestId: 'request-1', method: request.method! });
    }
  }

  const server = createServer((request, response) => {
    respond(request).then(
      ({ status, headers, body }) => response.writeHead(status, headers).end(body),
      (error) => response.writeHead(599).end(String(error)),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return Object.assign(state, {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  });
}
