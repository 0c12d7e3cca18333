/** The way of every AWS API request, in order. The in-process client enters at `validate`. */
import type { Readable, Transform } from 'node:stream';
import { checkDocument } from '../cloud/s3/checksums.ts';
import { isUnstorable } from '../platform/database/unstorable.ts';
import { AwsError } from '../platform/errors.ts';
import { type ServiceModel, signingName } from '../platform/model.ts';
import { UNSIGNED } from '../platform/principal.ts';
import { authorize } from './authorize.ts';
import { ChunkedDecoder, chunkedOptions } from './chunked.ts';
import { createContext } from './context.ts';
import type { Exchange, Step } from './exchange.ts';
import {
  identify,
  identifyQueryOperation,
  identifyRestOperation,
  inflate,
  readBody,
  requireOperation,
  restPath,
  singleHeaders,
} from './identify.ts';
import { contentHashCheck } from './payload.ts';
import { codecFor, takesStream } from './protocols/index.ts';
import { claimedScope, queryParameter } from './signature.ts';
import { authenticate as verifySignature } from './sigv4.ts';
import { compileValidator, unstorableError, violationError } from './validate.ts';
import { virtualHostBucket } from './virtual-host.ts';

export const steps: Step[] = [
  identify, // the service: target header, credential scope, Action, else S3
  prepareCodec,
  identifyRestOperation,
  receive, // the body whole, unless the operation reads it as it arrives: its hash is part of the signature
  authenticate, // before anything is said about operations or inputs
  inflate,
  identifyQueryOperation,
  requireOperation,
  decode, // protocol → input object
  validate, // required, length, range, pattern, enum
  authorize, // after decode: resources are named in the input
  handle,
  encode,
];

/** What the in-process client runs: the same rules, no wire. */
export const innerSteps: Step[] = [requireOperation, validate, authorize, handle];

export async function take(list: Step[], exchange: Exchange): Promise<void> {
  try {
    for (const step of list) await step(exchange);
  } catch (error) {
    const { entry } = exchange;
    throw entry?.service && isUnstorable(error) ? unstorableError(entry.service.validationErrors, entry.model) : error;
  }
}

function streams(exchange: Exchange): boolean {
  const { entry, operationName } = exchange;
  return operationName !== undefined && operationName in entry!.model.operations && takesStream(entry!.model, operationName);
}

function prepareCodec({ entry }: Exchange): Promise<void> | undefined {
  return codecFor(entry!.model).prepare?.();
}

async function receive(exchange: Exchange): Promise<void> {
  if (!streams(exchange)) exchange.body = await readBody(exchange);
}

async function authenticate(exchange: Exchange): Promise<void> {
  const { call, entry, family, gateway } = exchange;
  if (isOpen(exchange)) {
    exchange.principal = UNSIGNED;
    exchange.region = gateway.platform.config.region;
    return;
  }
  const found = await verifySignature(call, {
    family,
    services: [signingName(entry!.model)],
    lookup: gateway.access.credentials,
    now: gateway.platform.now(),
    body: exchange.body,
    hostBucket: family === 's3' ? virtualHostBucket(singleHeaders(exchange).host) : undefined,
  });
  exchange.principal = found.principal;
  exchange.payload = found.payload;
  exchange.region = found.scope?.region ?? gateway.platform.config.region;
}

/** An unsigned call of an operation that the model says is called without a signature: its input says who asks. */
function isOpen({ call, entry, body }: Exchange): boolean {
  const { protocol } = entry!.model.metadata;
  if (call.headers.authorization !== undefined || protocol !== 'query' || !body || claimedScope(call)) return false;
  const action = new URLSearchParams(body.toString('utf8')).get('Action') ?? queryParameter(call.query, 'Action');
  return action !== null && action !== undefined && entry!.model.operations[action]?.authtype === 'none';
}

async function decode(exchange: Exchange): Promise<void> {
  const { entry, operationName, call } = exchange;
  const { model } = entry!;
  exchange.context = createContext(exchange);
  if (exchange.family === 's3' && exchange.body) {
    checkDocument(model.operations[operationName!]?.httpChecksum?.requestChecksumRequired === true, singleHeaders(exchange), exchange.body);
  }
  exchange.input = await codecFor(model).decode(model, operationName!, {
    method: call.method,
    path: restPath(exchange),
    query: new URLSearchParams(call.query),
    headers: singleHeaders(exchange),
    body: exchange.body ?? Buffer.alloc(0),
    stream: exchange.body === undefined ? payloadStream(exchange) : undefined,
  });
}

/** The body as the handler reads it: decoded from aws-chunked, and failing at its end if it is not what was signed. */
function payloadStream(exchange: Exchange): Readable {
  const { call, payload } = exchange;
  if (payload?.kind === 'chunked') {
    const decoder = new ChunkedDecoder(chunkedOptions(call.headers, payload));
    decoder.once('end', () => {
      for (const [name, value] of decoder.trailers) exchange.trailers.set(name, value);
    });
    return pipeWithErrors(call.stream, decoder);
  }
  return payload?.kind === 'hash' ? pipeWithErrors(call.stream, contentHashCheck(payload.sha256)) : call.stream;
}

/** `pipe`, but a source that breaks off breaks the reader too, instead of leaving it to wait for ever. */
function pipeWithErrors(source: Readable, through: Transform): Readable {
  source.once('error', (error) => through.destroy(error));
  // It may fail before anybody reads it, which must not end the process; whoever reads it later still gets the error.
  through.on('error', () => {});
  source.once('close', () => {
    if (!source.readableEnded) through.destroy(new AwsError('IncompleteBody', 'The request body terminated unexpectedly', { status: 400 }));
  });
  return source.pipe(through);
}

function validate(exchange: Exchange): void {
  const { entry, operationName, input } = exchange;
  const violations = compileValidator(entry!.model, operationName!)(input!);
  if (violations.length > 0) throw violationError(entry!.service!.validationErrors, entry!.model, operationName!, violations);
}

async function handle(exchange: Exchange): Promise<void> {
  const { operation, context, input } = exchange;
  exchange.output = await operation!.handle(context, input);
}

function encode(exchange: Exchange): void {
  const { entry, operationName, output, requestId } = exchange;
  exchange.response = codecFor(entry!.model).encode(entry!.model, operationName!, output ?? {}, requestId);
}

/** The error as the service's protocol writes it. Whatever is not an AwsError is ours to repair, and tells the client nothing. */
export function encodeFailure(exchange: Exchange, fallback: ServiceModel): void {
  const { error, gateway, requestId, call, operationName } = exchange;
  const model = exchange.entry?.model ?? fallback;
  const known = error instanceof AwsError;
  if (!known) gateway.platform.log.error({ error, requestId, operation: operationName }, 'a request failed inside Penstock');
  exchange.response = codecFor(model).encodeError(model, operationName, {
    code: known ? error.code : exchange.family === 's3' ? 'InternalError' : 'InternalFailure',
    message: known ? error.message : `An internal error occurred; the server's log tells more under the request id ${requestId}.`,
    status: known ? error.status : 500,
    fields: known ? error.fields : {},
    requestId,
    resource: call.path,
    method: call.method,
  });
}
