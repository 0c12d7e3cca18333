/** Which service and which operation: target header, else the path of Smithy's RPC, else `Action`, else credential scope and path, else S3. */
import { promisify } from 'node:util';
import zlib from 'node:zlib';
import { AwsError } from '../platform/errors.ts';
import type { Exchange } from './exchange.ts';
import { findRestOperation } from './protocols/index.ts';
import type { Entry } from './registry.ts';
import { claimedScope, queryParameter } from './signature.ts';
import type { ErrorFamily } from './signature-errors.ts';
import { virtualHostBucket } from './virtual-host.ts';

/** The longest body of an operation that is not a stream. CreateCommit carries 20 MB of files in base64. */
const MAX_BODY_BYTES = 32 * 1024 * 1024;
/** Only PutMetricData comes compressed, and takes a mebibyte. */
const MAX_INFLATED_BYTES = 4 * 1024 * 1024;

const gunzip = promisify(zlib.gunzip);

/** The service, from what costs nothing to look at. The operation of a query service is in the body, which comes next. */
export function identify(exchange: Exchange): void {
  const { call, gateway } = exchange;
  const target = headerOf(exchange, 'x-amz-target');
  if (target !== undefined) {
    const found = gateway.registry.byTarget(target);
    if (!found) {
      // Any service that is named in this way answers in the form that the client reads.
      useEntry(exchange, gateway.registry.byName('codecommit')!);
      throw new AwsError('UnknownOperationException', '', { status: 404 });
    }
    useEntry(exchange, found.entry);
    exchange.operationName = found.operation;
    return;
  }
  if (headerOf(exchange, 'smithy-protocol') === 'rpc-v2-cbor') {
    const found = gateway.registry.byRpcPath(call.path);
    if (found) {
      useEntry(exchange, found.entry);
      exchange.operationName = found.operation;
      return;
    }
  }
  const scope = claimedScope(call);
  const action = queryParameter(call.query, 'Action');
  const form = headerOf(exchange, 'content-type')?.startsWith('application/x-www-form-urlencoded') && call.method === 'POST';
  const entry =
    (scope && gateway.registry.bySigningName(scope.service)) ??
    (action !== undefined ? gateway.registry.byAction(action, queryParameter(call.query, 'Version')) : undefined);
  if (entry) {
    // Without a target header it can only be the older form.
    useEntry(exchange, entry.older ?? entry);
    return;
  }
  if (scope) {
    throw new AwsError('NotImplementedException', `Penstock does not have the service "${scope.service}".`, { status: 501 });
  }
  // An unsigned form can only be an unsigned call of a query service; which one is in its body, and makes no difference to the answer.
  useEntry(exchange, gateway.registry.byName(form ? 'sts' : 's3')!);
}

function useEntry(exchange: Exchange, entry: Entry): void {
  exchange.entry = entry;
  exchange.family = familyOf(entry);
}

function familyOf(entry: Entry): ErrorFamily {
  if (entry.name === 's3') return 's3';
  const { protocol } = entry.model.metadata;
  return protocol === 'query' || protocol === 'ec2' ? 'query' : 'json';
}

export function headerOf(exchange: Exchange, name: string): string | undefined {
  const value = exchange.call.headers[name];
  return Array.isArray(value) ? value.join(', ') : value;
}

/** The operation of a REST service, by method, path and query. S3's may name its bucket in the host. */
export function identifyRestOperation(exchange: Exchange): void {
  const { call, entry } = exchange;
  const { protocol } = entry!.model.metadata;
  if (protocol !== 'rest-json' && protocol !== 'rest-xml') return;
  const found = findRestOperation(entry!.model, call.method, restPath(exchange), new URLSearchParams(call.query), singleHeaders(exchange));
  if (found) exchange.operationName = found.name;
}

/** The path with the bucket in it, however the client addressed it. */
export function restPath(exchange: Exchange): string {
  const bucket = exchange.entry?.name === 's3' ? virtualHostBucket(headerOf(exchange, 'host')) : undefined;
  return bucket ? `/${bucket}${exchange.call.path}` : exchange.call.path;
}

/** One value for each name: Node has joined them already, all but cookies. */
export function singleHeaders(exchange: Exchange): Record<string, string | undefined> {
  const { headers } = exchange.call;
  for (const name in headers) if (Array.isArray(headers[name])) return joined(headers);
  return headers as Record<string, string | undefined>;
}

function joined(headers: Exchange['call']['headers']): Record<string, string | undefined> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, Array.isArray(value) ? value.join(', ') : value]));
}

/** Reads the body whole, up to the limit. */
export function readBody(exchange: Exchange): Promise<Buffer> {
  const declared = Number(headerOf(exchange, 'content-length') ?? 0);
  const tooLarge = (): AwsError =>
    new AwsError('RequestEntityTooLargeException', `The request is larger than ${MAX_BODY_BYTES} bytes.`, { status: 413 });
  if (declared > MAX_BODY_BYTES) return Promise.reject(tooLarge());
  // By events: an iterator over the stream costs more than all the rest of a small request's reading.
  return new Promise((resolve, reject) => {
    const { stream } = exchange.call;
    const chunks: Buffer[] = [];
    let size = 0;
    stream.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size <= MAX_BODY_BYTES) chunks.push(chunk);
      else fail(tooLarge());
    });
    stream.once('end', () => {
      stream.off('close', brokenOff);
      resolve(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks));
    });
    stream.once('error', brokenOff);
    stream.once('close', brokenOff);
    if (stream.destroyed) brokenOff();
    function brokenOff(): void {
      fail(new AwsError('IncompleteBody', 'The request body terminated unexpectedly', { status: 400 }));
    }
    function fail(error: Error): void {
      stream.removeAllListeners('data').pause();
      reject(error);
    }
  });
}

/** The body as it was before the client compressed it; after the signature, which is of the compressed one. */
export async function inflate(exchange: Exchange): Promise<void> {
  const { entry, body } = exchange;
  if (!body || headerOf(exchange, 'content-encoding') !== 'gzip') return;
  if (!Object.values(entry!.model.operations).some(({ requestcompression }) => requestcompression?.encodings.includes('gzip'))) return;
  try {
    exchange.body = await gunzip(body, { maxOutputLength: MAX_INFLATED_BYTES });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') {
      const message = `The request is larger than ${MAX_INFLATED_BYTES} bytes when decompressed.`;
      throw new AwsError('RequestEntityTooLargeException', message, { status: 413 });
    }
    throw new AwsError('SerializationException', 'The request body is not valid gzip.', { status: 400 });
  }
}

/** The operation of a query service, from its form; after the body was read. */
export function identifyQueryOperation(exchange: Exchange): void {
  const { protocol } = exchange.entry!.model.metadata;
  if (protocol !== 'query' && protocol !== 'ec2') return;
  const form = new URLSearchParams(exchange.body!.toString('utf8'));
  exchange.operationName = form.get('Action') ?? queryParameter(exchange.call.query, 'Action');
}

/** The registered operation, or the answer that there is none: unknown to AWS (400/404), or not built here yet (501). */
export function requireOperation(exchange: Exchange): void {
  const { entry, operationName } = exchange;
  const { model, name, service } = entry!;
  const registered = operationName === undefined ? undefined : service?.operations[operationName];
  const internal = operationName !== undefined && model.operations[operationName]?.internal;
  if (registered && !(internal && exchange.context === undefined)) {
    exchange.operation = registered;
    return;
  }
  if (operationName !== undefined && (operationName in model.operations || model.otherOperations.includes(operationName))) {
    throw new AwsError('NotImplementedException', `Penstock does not have ${name}:${operationName} yet.`, { status: 501 });
  }
  if (exchange.family === 's3') {
    throw new AwsError('MethodNotAllowed', 'The specified method is not allowed against this resource.', { status: 405 });
  }
  if (exchange.family === 'query') {
    throw new AwsError('InvalidAction', `The action ${operationName ?? ''} is not valid for this web service.`, { status: 400 });
  }
  throw new AwsError('UnknownOperationException', '', { status: 404 });
}
